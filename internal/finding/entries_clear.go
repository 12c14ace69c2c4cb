package finding

// clearEntries are about what happens before TLS and at the moment when it begins.
var clearEntries = []Entry{
	{
		ID: "clear.offer", Stake: High,
		Title:   "TLS is offered",
		Means:   "The server names no way to TLS. Mail and passwords that go there can be read and changed by anybody on the path. Clients that insist on TLS cannot use it at all.",
		Clauses: clauses("RFC 8314 §4.1; RFC 9325 §3.2"),
		Mend: mend(`Postfix: smtpd_tls_security_level = may, with smtpd_tls_chain_files = KEY, CERT
Exim: tls_advertise_hosts = *, with tls_certificate and tls_privatekey
Dovecot: ssl = yes, with ssl_cert = </path and ssl_key = </path
OpenLDAP: olcTLSCertificateFile: /path and olcTLSCertificateKeyFile: /path
PostgreSQL: ssl = on, with ssl_cert_file and ssl_key_file
Prosody: modules_enabled = { "tls" }, with a certificate for the host
starttls: gateway LISTEN without tls=none; it puts TLS in front of a server that has none`),
	},
	{
		ID: "clear.offer-unlisted", Stake: Medium,
		Title:   "what is offered is what works",
		Means:   "The upgrade works although the server does not list it. Clients that look at the list go on in the clear. As a rule somebody between took the line out, or the server is set to offer TLS to some only.",
		Clauses: clauses("RFC 3207 §4; RFC 7672 §2.2"),
		Mend: mend(`Postfix: smtpd_discard_ehlo_keywords, smtpd_discard_ehlo_keyword_address_maps: take starttls out
Exim: tls_advertise_hosts = *`),
	},
	{
		ID: "clear.upgrade-works", Stake: High,
		Title:   "an upgrade that is offered succeeds",
		Means:   "The server offers TLS and then refuses it, or the handshake fails. Mail goes in the clear, or is late, or does not arrive; clients that insist on TLS give up.",
		Clauses: clauses("RFC 8314 §4.1; RFC 3207 §4"),
		Mend: mend(`Postfix: see smtpd_tls_chain_files and the log; a missing or unreadable key gives 454
Exim: see tls_certificate, tls_privatekey and the log; a missing key gives 454
Dovecot: see ssl_cert, ssl_key and the log
OpenLDAP: see olcTLSCertificateFile; error 52 is a TLS context that did not load
PostgreSQL: ssl = on needs a key that only its own user can read
Prosody: prosodyctl check certs`),
	},
	{
		ID: "clear.login-before-tls", Stake: High,
		Title:   "no credentials and no mail are taken before TLS",
		Means:   "The server lets a client log in, or hand over mail, in the clear. One client with a wrong setting, or one attacker who takes the offer of TLS away, and the password is known. Between mail servers on port 25 it is how mail must work for domains without a policy; everywhere else it is not needed.",
		Clauses: clauses("RFC 8314 §4.1; RFC 9325 §3.2; RFC 4954 §4; RFC 9051 §11.2"),
		Mend: mend(`Postfix: smtpd_tls_security_level = encrypt for submission, in master.cf
Exim: acl_check_mail: deny condition = ${if eq{$tls_in_cipher}{}}
Dovecot: ssl = required (2.4: auth_allow_cleartext = no)
OpenLDAP: olcSecurity: tls=128 (slapd.conf: security tls=128)
PostgreSQL: pg_hba.conf: hostssl in place of host
Prosody: c2s_require_encryption = true and s2s_require_encryption = true
starttls: gateway LISTEN?tls=encrypt`),
	},
	{
		ID: "clear.mechanisms-before-tls", Stake: High,
		Title:   "no login is offered before TLS",
		Means:   "Mechanisms that say the password as it is are offered in the clear. A client that takes the offer gives its password to whoever listens.",
		Clauses: clauses("RFC 4954 §4; RFC 8314 §4.1; RFC 4616 §6"),
		Mend: mend(`Postfix: smtpd_tls_auth_only = yes
Exim: auth_advertise_hosts = ${if eq{$tls_in_cipher}{}{}{*}}
Dovecot: disable_plaintext_auth = yes (2.4: auth_allow_cleartext = no)
OpenLDAP: olcSaslSecProps: noplain,noanonymous; olcSecurity: simple_bind=128
PostgreSQL: pg_hba.conf: scram-sha-256 in place of password, on hostssl lines
Prosody: c2s_require_encryption = true; allow_unencrypted_plain_auth = false
starttls: gateway LISTEN?tls=encrypt`),
	},
	{
		ID: "clear.command-injection", Stake: High,
		Title:   "what was sent in the clear is not executed inside TLS",
		Means:   "The server keeps bytes that stood behind the upgrade and reads them as if they had come through TLS. Somebody on the path can put commands before those of the user: log in as himself, and get the user's mail sent to his own mailbox.",
		Clauses: clauses("RFC 9051 §6.2.1; RFC 3207 §6; CVE-2011-0411; CVE-2021-33515"),
		Mend: mend(`Postfix: 2.8.0, 2.7.3, 2.6.9, 2.5.12, 2.4.16 or later
Exim: 4.76 or later
Dovecot: 2.3.14.1 or later
OpenLDAP: 2.4.26 or later
PostgreSQL: 9.6.24, 10.19, 11.14, 12.9, 13.5, 14.1 or later
Prosody: 0.11.9 or later`),
	},
	{
		ID: "clear.bytes-after-ready", Stake: High,
		Title:   "nothing is said in the clear after the go-ahead",
		Means:   "Behind the server's go-ahead come more words in the clear, where only TLS may follow. A client that keeps them reads them as the server's answers inside TLS. Either the server answers what was sent to it early, or somebody on the path adds words.",
		Clauses: clauses("RFC 9051 §6.2.1; CVE-2021-23222; CVE-2021-38371"),
		Mend: mend(`Postfix: none is known to do this; look for a proxy or firewall in front
Exim: none is known to do this; look for a proxy or firewall in front
Dovecot: none is known to do this; look for a proxy or firewall in front`),
	},
	{
		ID: "clear.state-kept", Stake: Medium,
		Title:   "what was said before TLS is forgotten inside",
		Means:   "A mail transaction, or a name, that was begun in the clear goes on inside TLS. Somebody on the path can begin one in the user's name.",
		Clauses: clauses("RFC 3207 §4.2; RFC 4642 §2.2.2; RFC 2595 §4"),
		Mend: mend(`Postfix: every release forgets it; look for a proxy in front
Exim: every release forgets it; look for a proxy in front`),
	},
	{
		ID: "clear.offer-inside", Stake: Low,
		Title:   "TLS is not offered inside TLS",
		Means:   "Inside TLS the server still lists the upgrade. Clients that take it end in an error; as a rule the list was made by something that does not know that TLS has begun, such as a proxy.",
		Clauses: clauses("RFC 3207 §4.2; RFC 9051 §6.2.1; RFC 2595 §4"),
		Mend: mend(`Postfix: look for a proxy that ends TLS in front
Dovecot: haproxy=yes listeners: send the TLS state with the PROXY header, version 2`),
	},
	{
		ID: "clear.second-upgrade", Stake: Medium,
		Title:   "a second upgrade is refused",
		Means:   "Inside TLS the server goes ahead with another upgrade. TLS within TLS has no use, and state that is kept from one to the other has been a way in.",
		Clauses: clauses("RFC 3207 §4.2; RFC 4511 §4.14.1; RFC 4642 §2.2.2"),
	},
	{
		ID: "clear.offer-after-login", Stake: Low,
		Title:   "TLS is not offered after a login",
		Means:   "Whoever has logged in is offered an upgrade. What was said before it, the login too, would go on inside: RFCs want the upgrade before the login or not at all.",
		Clauses: clauses("RFC 9051 §6.2.1; RFC 2595 §4; RFC 4642 §2.2.1; RFC 4954 §4"),
	},
	{
		ID: "clear.capabilities-differ", Stake: Info,
		Title:   "the list before TLS is the list inside, but for TLS and logins",
		Means:   "Some capabilities are listed on one side of TLS only. That is lawful, and clients must ask anew. What is missing in the clear may have been taken out on the path.",
		Clauses: clauses("RFC 3207 §4.2; RFC 9051 §6.2.1"),
	},
	{
		ID: "clear.word-variants", Stake: Medium,
		Title:   "an upgrade that is malformed is refused",
		Means:   "The server begins TLS on words that are not the upgrade. A filter in front that knows only the right words does not see that TLS begins.",
		Clauses: clauses("RFC 3207 §4; RFC 9051 §9"),
	},
	{
		ID: "clear.early-hello", Stake: Info,
		Title:   "a client that sends its ClientHello early is served",
		Means:   "The server throws away what came with the upgrade, a ClientHello included, and both sides wait until time is out. Nothing is less secure for it: throwing away is the defence against words that somebody puts behind the upgrade, and clients wait for the go-ahead.",
		Clauses: clauses("RFC 9051 §6.2.1"),
	},
}
