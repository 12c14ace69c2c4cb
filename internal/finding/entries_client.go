package finding

// clientEntries are about a client, which was pointed at hostile servers.
var clientEntries = []Entry{
	{
		ID: "client.honest", Stake: High,
		Title:   "the client uses the TLS that is offered",
		Means:   "The client logs in, or hands over mail, in the clear although the server offers TLS. It was never told to use TLS, or is set not to.",
		Clauses: clauses("RFC 8314 §4.1; RFC 9325 §3.2"),
		Mend:    insist,
	},
	{
		ID: "client.stripped", Stake: High,
		Title:   "the client goes no further when TLS is not offered",
		Means:   "Somebody on the path takes one line out of the server's list, and the client says its password or its mail in the clear. For mail between servers without a policy that is how it must be; DANE and MTA-STS are there to end it.",
		Clauses: clauses("RFC 8314 §4.1; RFC 9325 §3.2; RFC 3207 §6"),
		Mend:    insist,
	},
	{
		ID: "client.refused", Stake: High,
		Title:   "the client goes no further when the upgrade is refused",
		Means:   "Somebody on the path answers the request for TLS with no, or with something that is neither yes nor no, and the client goes on in the clear.",
		Clauses: clauses("RFC 8314 §4.1; RFC 3207 §4; RFC 9051 §6.2.1"),
		Mend:    insist,
	},
	{
		ID: "client.broken", Stake: High,
		Title:   "the client does not fall back to the clear when a handshake fails",
		Means:   "Somebody on the path breaks the handshake, and the client comes back, or goes on, without TLS. A failure that anybody can cause is then the same as having no TLS.",
		Clauses: clauses("RFC 7435 §3; RFC 8314 §4.1"),
		Mend:    insist,
	},
	{
		ID: "client.injected", Stake: High,
		Title:   "the client ends a connection on which words stand behind the go-ahead",
		Means:   "The client reads what was sent in the clear, before TLS, as if the server had said it inside TLS. Somebody on the path can answer the client's first questions inside TLS: which mechanisms there are, what to do next. A client that throws the words away is safe from that, but does not notice that it is under attack.",
		Clauses: clauses("RFC 9051 §6.2.1; RFC 4616 §6"),
	},
	{
		ID: "client.early", Stake: Medium,
		Title:   "the client takes no answer that came before its question",
		Means:   "The client takes a go-ahead for TLS that stood there before it asked for it. Whoever is on the path decides then which answer belongs to which question; some clients are brought to believe that TLS has begun, and go on in the clear.",
		Clauses: clauses("RFC 9051 §5.5; RFC 3207 §4"),
	},
	{
		ID: "client.preauth", Stake: High,
		Title:   "the client does not work in a session that begins as authenticated",
		Means:   "An IMAP server that greets with PREAUTH cannot be asked for TLS any more. A client that goes on stores its drafts and its sent mail in the clear, with whoever has said that greeting.",
		Clauses: clauses("RFC 9051 §6.2.1; RFC 9051 §7.1.4"),
		Mend:    insist,
	},
	{
		ID: "client.untrusted", Stake: High,
		Title:   "the client refuses a certificate that nobody trusted has issued",
		Means:   "The client logs in, or hands over mail, to whoever shows any certificate at all. Somebody on the path makes one for himself and reads everything. Between mail servers without a policy nothing else is to be expected.",
		Clauses: clauses("RFC 9325 §3.2; RFC 7817 §3"),
		Mend:    verify,
	},
	{
		ID: "client.name", Stake: High,
		Title:   "the client refuses a certificate for somebody else",
		Means:   "The client looks whether the certificate is from a trusted authority, and not for whom it is. Anybody who has a certificate for a name of his own can take the server's place.",
		Clauses: clauses("RFC 9525 §6; RFC 7817 §3"),
		Mend:    verify,
	},
	{
		ID: "client.expired", Stake: Medium,
		Title:   "the client refuses a certificate that has expired",
		Means:   "Of an expired certificate nobody says any more whether its key was lost. Whoever has found an old key can take the server's place.",
		Clauses: clauses("RFC 5280 §6.1.3; RFC 7817 §3"),
		Mend:    verify,
	},
	{
		ID: "client.old-tls", Stake: Medium,
		Title:   "the client refuses TLS 1.1 and older",
		Means:   "The client agrees to a version of TLS that was given up because it is weak. Somebody who can break it needs nothing but to be asked for it.",
		Clauses: clauses("RFC 8996 §4; RFC 9325 §3.1.1"),
		Mend: mend(`Postfix: smtp_tls_mandatory_protocols = >=TLSv1.2
curl: --tlsv1.2
fetchmail: sslproto tls1.2+
psql: ssl_min_protocol_version=TLSv1.2
OpenLDAP: TLS_PROTOCOL_MIN 3.3 in ldap.conf`),
	},
}

// insist is how clients are told to do without the clear, and verify how to look at the certificate.
var (
	insist = mend(`Postfix: smtp_tls_security_level = encrypt, or dane with smtp_dns_support_level = dnssec
swaks: --tls in place of --tls-optional
msmtp: tls on, tls_starttls on
curl: --ssl-reqd in place of --ssl
fetchmail: sslproto tls1.2+, sslcertck
mbsync: TLSType STARTTLS (up to 1.4: SSLType STARTTLS)
OpenLDAP: ldapsearch -ZZ in place of -Z
psql: sslmode=verify-full in place of prefer
MariaDB: --ssl-verify-server-cert in place of --ssl`)
	verify = mend(`Postfix: smtp_tls_security_level = secure, or dane
msmtp: tls_certcheck on
curl: no -k
fetchmail: sslcertck
OpenLDAP: TLS_REQCERT demand in ldap.conf
psql: sslmode=verify-full in place of require
MariaDB: --ssl-verify-server-cert`)
)
