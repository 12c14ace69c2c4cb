package finding

// certificateEntries are about the chain that a server shows.
var certificateEntries = []Entry{
	{
		ID: "cert.trusted", Stake: Medium,
		Title:   "the chain leads to an authority that clients trust",
		Means:   "Clients of users warn or refuse. Mail servers without DANE or MTA-STS take any certificate, so between them it stops no mail; under MTA-STS it does.",
		Clauses: clauses("RFC 8314 §4.4; RFC 8461 §4.1; RFC 7817 §3"),
		Mend: mend(`Postfix: smtpd_tls_chain_files = KEY, CERT with the intermediate certificates behind the leaf
Exim: tls_certificate = file with the intermediate certificates behind the leaf
Dovecot: ssl_cert = <fullchain.pem
OpenLDAP: olcTLSCertificateFile: fullchain.pem
PostgreSQL: ssl_cert_file = 'fullchain.pem'
Prosody: prosodyctl --root cert import HOST /path`),
	},
	{
		ID: "cert.name", Stake: Medium,
		Title:   "the certificate is for the host's name",
		Means:   "Clients of users warn or refuse. Mail servers under MTA-STS refuse as well.",
		Clauses: clauses("RFC 9525 §6; RFC 7817 §3; RFC 8461 §4.1"),
		Mend:    mend(`all: a certificate with the name under which clients and MX records know the host, as DNS name`),
	},
	{
		ID: "cert.dates", Stake: High,
		Title:   "the certificate is in its dates, and not about to leave them",
		Means:   "Clients of users refuse an expired certificate, and so do mail servers under MTA-STS. Less than two weeks left means that the renewal does not work.",
		Clauses: clauses("RFC 5280 §4.1.2.5; RFC 8461 §4.1"),
		Mend: mend(`Postfix: postfix reload after each renewal is not needed; new processes read the file
Exim: nothing, the file is read for each connection
Dovecot: doveadm reload after each renewal
OpenLDAP: restart slapd after each renewal
PostgreSQL: pg_ctl reload after each renewal
Prosody: prosodyctl reload after each renewal, with prosodyctl cert import`),
	},
	{
		ID: "cert.key", Stake: High,
		Title:   "the certificate's key is long enough",
		Means:   "Who can break the key can be the server.",
		Clauses: clauses("RFC 9325 §4.5"),
		Mend:    mend(`all: a new key: openssl ecparam -genkey -name prime256v1, or RSA with 3072 bits`),
	},
	{
		ID: "cert.signature", Stake: Medium,
		Title:   "no certificate of the chain is signed over SHA-1 or MD5",
		Means:   "Such signatures can be forged by those who can afford it, and new clients refuse them.",
		Clauses: clauses("RFC 9325 §4.5; RFC 9155 §2"),
		Mend:    mend(`all: a new certificate of an authority of today`),
	},
	{
		ID: "cert.lifetime", Stake: Low,
		Title:   "the certificate does not live longer than authorities may let it",
		Means:   "A key that was stolen is good for as long as its certificate. Long lives go with renewals by hand, which are forgotten.",
		Clauses: clauses("Mozilla Server Side TLS 6.0 §certificate_lifespan"),
		Mend:    mend(`all: renewal by ACME`),
	},
	{
		ID: "cert.chain", Stake: Low,
		Title:   "the chain is sent in order and without what is not part of it",
		Means:   "Some clients put up with a chain in disorder, or with a missing link, and some do not.",
		Clauses: clauses("RFC 5246 §7.4.2; RFC 8446 §4.4.2"),
	},
	{
		ID: "cert.both", Stake: Medium,
		Title:   "every certificate of the server is as good as the one that most clients see",
		Means:   "The server has certificates with RSA and ECDSA keys, and one of them does not pass where the other does. Clients that prefer the other kind fail, and nobody else sees it.",
		Clauses: clauses("RFC 7672 §2.2"),
	},
	{
		ID: "cert.transparency", Stake: Info,
		Title:   "the certificate is in public logs",
		Means:   "Certificates that are in no log are refused by browsers; mail clients do not look. One of an authority of your own has no place there.",
		Clauses: clauses("RFC 6962 §3.3"),
	},
	{
		ID: "cert.revocation", Stake: Info,
		Title:   "revocation is told with the handshake, where the certificate has it",
		Means:   "Without a stapled answer a client that wants to know must ask the authority, and tells it by that whom it talks to.",
		Clauses: clauses("RFC 9325 §7.5; RFC 6066 §8"),
	},
	{
		ID: "cert.must-staple", Stake: Medium,
		Title:   "a certificate that demands a stapled answer comes with one",
		Means:   "The certificate was ordered with must-staple, and the server does not staple. Clients that look at it take the certificate for invalid.",
		Clauses: clauses("RFC 7633 §4.2.3; RFC 9325 §7.5"),
		Mend: mend(`all: a new certificate without must-staple: Postfix, Dovecot, OpenLDAP and PostgreSQL do not staple
Exim: tls_ocsp_file = file with the answer of the responder, renewed before its end`),
	},
	{
		ID: "cert.revoked", Stake: High,
		Title:   "the certificate is not revoked",
		Means:   "The authority has taken the certificate back, as a rule because the key is in wrong hands or the name has another owner. Clients that look refuse it. The responder is asked where the handshake does not tell; who does not want to ask may use --quick.",
		Clauses: clauses("RFC 9325 §7.5; RFC 6960 §2.2"),
		Mend:    mend(`all: a new key and a new certificate, and the TLSA records of the new key`),
	},
	{
		ID: "cert.caa", Stake: Info,
		Title:   "the domain says who may issue certificates for it",
		Means:   "Without a CAA record every authority may issue a certificate for the host.",
		Clauses: clauses("RFC 8659 §3"),
	},
}
