package finding

// senderEntries are about a client that sends mail to domains with policies. What a client does without
// any is in clientEntries.
var senderEntries = []Entry{
	{
		ID: "client.delivers", Stake: Medium,
		Title:   "the client delivers where a domain does what its policies demand",
		Means:   "The domain's DNS, policy and certificates are as they should be, and its mail does not get there. Whoever demands more than a policy does, an authority that is public with DANE for one, loses mail; and an operator who loses mail turns policies off.",
		Clauses: clauses("RFC 7672 §3.1.1; RFC 8461 §5"),
	},
	{
		ID: "client.dane-clear", Stake: High,
		Title:   "the client sends nothing in the clear to a host with TLSA records",
		Means:   "The host has TLSA records, which say that it does TLS. Somebody on the path takes the offer away, or breaks the upgrade, and the mail goes over in the clear all the same.",
		Clauses: clauses("RFC 7672 §2.2"),
		Mend:    doDANE,
	},
	{
		ID: "client.dane-host", Stake: High,
		Title:   "the client gives mail to no host that does not match its TLSA records",
		Means:   "The certificate is not the one that the TLSA records name, and the mail goes over to whoever shows it. TLS with nobody in particular keeps out who listens, and not who sits on the path.",
		Clauses: clauses("RFC 7672 §2.2; RFC 7672 §3.1; RFC 7671 §9"),
		Mend:    doDANE,
	},
	{
		ID: "client.dane-dns", Stake: High,
		Title:   "the client delivers nowhere on DNS answers that it cannot believe",
		Means:   "Records of a signed zone are forged, or the question for TLSA fails, and the client goes on as if there were none. Whoever can change answers, or keep them away, then turns DANE off.",
		Clauses: clauses("RFC 7672 §2.1.1; RFC 7672 §2.2"),
		Mend: mend(`Postfix: a resolver on the same machine that validates, and "options trust-ad" in /etc/resolv.conf; smtp_dns_support_level = dnssec
Exim: dns_dnssec_ok = 1, and a resolver on the same machine that validates; dnssec_request_domains = * in the router
starttls: starttls gateway 'smtp://127.0.0.1:2525?tls=none' mx: as a smarthost, which validates by itself`),
	},
	{
		ID: "client.sts-clear", Stake: High,
		Title:   "the client sends nothing in the clear to a domain whose MTA-STS policy is enforced",
		Means:   "The domain's policy demands TLS. Somebody on the path takes the offer away, or breaks the upgrade, and the mail goes over in the clear all the same.",
		Clauses: clauses("RFC 8461 §4; RFC 8461 §5"),
		Mend:    doSTS,
	},
	{
		ID: "client.sts-host", Stake: High,
		Title:   "the client gives mail to no host whose certificate an enforced MTA-STS policy does not allow",
		Means:   "The certificate has expired, is for another name, or nobody trusted has issued it, and the mail goes over to whoever shows it. Or the handshake ends below TLS 1.2.",
		Clauses: clauses("RFC 8461 §4.2"),
		Mend:    doSTS,
	},
	{
		ID: "client.sts-mx", Stake: High,
		Title:   "the client gives mail to no MX outside an enforced MTA-STS policy",
		Means:   "The DNS names a mail server that the policy does not, and the mail goes there. Without DNSSEC anybody who can change an answer names a server of his own, with a certificate that is good for it.",
		Clauses: clauses("RFC 8461 §4.1; RFC 8461 §5"),
		Mend:    doSTS,
	},
}

// doDANE and doSTS are how senders of mail are told to do so.
var (
	doDANE = mend(`Postfix: smtp_tls_security_level = dane, smtp_dns_support_level = dnssec
Exim: hosts_try_dane = * in the smtp transport, dnssec_request_domains = * in the router
starttls: starttls gateway 'smtp://127.0.0.1:2525?tls=none' mx: as a smarthost`)
	doSTS = mend(`Postfix: smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8461:postfix, which starttls policy serve answers
starttls: starttls gateway 'smtp://127.0.0.1:2525?tls=none' mx: as a smarthost`)
)
