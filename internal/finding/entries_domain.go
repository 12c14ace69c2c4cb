package finding

// domainEntries are about a mail domain as a whole.
var domainEntries = []Entry{
	{
		ID: "mail.mx", Stake: High,
		Title:   "the domain's mail servers are found",
		Means:   "No mail can be delivered.",
		Clauses: clauses("RFC 5321 §5.1; RFC 7505 §3"),
	},
	{
		ID: "mail.addresses", Stake: Medium,
		Title:   "every mail server has an address that answers",
		Means:   "Senders wait in vain at the one that does not, and mail is late.",
		Clauses: clauses("RFC 5321 §5.1; RFC 2181 §10.3"),
	},
	{
		ID: "mail.dnssec", Stake: Medium,
		Title:   "who the mail servers are is signed (DNSSEC)",
		Means:   "Somebody who can forge DNS answers can lead mail to a server of his own, with a good certificate for it. DANE is not possible without signatures.",
		Clauses: clauses("RFC 7672 §2.2.1; RFC 8314 §4.5.3"),
	},
	{
		ID: "mail.dane", Stake: High,
		Title:   "the served certificates match the TLSA records",
		Means:   "Senders with DANE do not deliver to a host whose certificate does not match, and mail is late or lost. Where there are no records, mail can be stripped of TLS on the path.",
		Clauses: clauses("RFC 7672 §2.2; RFC 7672 §3.1; RFC 7671 §5"),
		Mend:    mend(`all: starttls publish DOMAIN prints the records; publish the new one before the key changes (3 1 1 of both)`),
	},
	{
		ID: "mail.sts", Stake: Medium,
		Title:   "MTA-STS is published, fetched and in force",
		Means:   "Without MTA-STS or DANE whoever sits on the path can strip mail of TLS and nobody notices. A policy that cannot be fetched protects nobody who has not fetched it before.",
		Clauses: clauses("RFC 8461 §3.1; RFC 8461 §3.3; RFC 8461 §5"),
		Mend:    mend(`all: starttls publish DOMAIN prints the record and the policy file`),
	},
	{
		ID: "mail.sts-hosts", Stake: High,
		Title:   "every mail server is in the MTA-STS policy, with a certificate that passes",
		Means:   "Senders under the policy do not deliver to a host that is not listed, or whose certificate is not trusted for its name; if that is every host, mail is lost.",
		Clauses: clauses("RFC 8461 §4.1; RFC 8461 §5"),
		Mend:    mend(`all: starttls publish DOMAIN prints the policy for the MX records as they are`),
	},
	{
		ID: "mail.tlsrpt", Stake: Low,
		Title:   "reports of failures are asked for (TLS-RPT)",
		Means:   "Nobody tells you when TLS to your mail servers fails.",
		Clauses: clauses("RFC 8460 §3"),
		Mend:    mend(`all: _smtp._tls.DOMAIN. TXT "v=TLSRPTv1; rua=mailto:tls-reports@DOMAIN"`),
	},
	{
		ID: "mail.sender", Stake: High,
		Title:   "a careful sender delivers over authenticated TLS",
		Means:   "This is what a sender with DANE, MTA-STS and memory would do with mail for the domain, host by host.",
		Clauses: clauses("RFC 7672 §2.2; RFC 8461 §5; RFC 3207 §6"),
	},
}
