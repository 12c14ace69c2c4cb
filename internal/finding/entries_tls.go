package finding

// tlsEntries are about TLS itself. Those that facts are judged for are listed in judgedBy.
var tlsEntries = []Entry{
	{
		ID: "tls.versions", Stake: High,
		Title:   "only TLS 1.2 and 1.3 are spoken",
		Means:   "Old versions of SSL and TLS can be broken or talked down to. For mail between servers weak TLS is better than none, and since 2020 hardly a server needs less than 1.2.",
		Clauses: clauses("RFC 9325 §3.1.1; RFC 8996; RFC 8314 §4.1"),
		Mend: mend(`Postfix: smtpd_tls_protocols = >=TLSv1.2 and smtpd_tls_mandatory_protocols = >=TLSv1.2
Exim: openssl_options = +no_sslv3 +no_tlsv1 +no_tlsv1_1
Exim: with GnuTLS (Debian): tls_require_ciphers = NORMAL:-VERS-TLS1.0:-VERS-TLS1.1
Dovecot: ssl_min_protocol = TLSv1.2
OpenLDAP: olcTLSProtocolMin: 3.3
OpenLDAP: with GnuTLS (Debian): olcTLSCipherSuite: NORMAL:-VERS-TLS1.0:-VERS-TLS1.1
PostgreSQL: ssl_min_protocol_version = 'TLSv1.2'
Prosody: ssl = { protocol = "tlsv1_2+" }
starttls: gateway --min-version 1.2, the default`),
	},
	{
		ID: "tls.implicit-port", Stake: Low,
		Title:   "the service is at the port for TLS from the first byte as well",
		Means:   "Mail programs of users do best where there is no clear phase at all: nothing can be stripped, injected or said too early. The ports are 993 for IMAP, 995 for POP3 and 465 for submission. It is looked for at the address of a service that is at its own port, 143, 110 or 587.",
		Clauses: clauses("RFC 8314 §3; RFC 8314 §3.3"),
		Mend: mend(`Postfix: master.cf: submissions inet n - y - - smtpd, with -o smtpd_tls_wrappermode=yes
Exim: daemon_smtp_ports = 25 : 587 : 465 and tls_on_connect_ports = 465
Dovecot: inet_listener imaps { port = 993 ssl = yes }, and pop3s with 995
starttls: gateway imaps://:993 imap://127.0.0.1:143`),
	},
	{
		ID: "tls.suites", Stake: High,
		Title:   "only cipher suites with forward secrecy and authenticated encryption",
		Means:   "Among the suites that the server takes are ones that can be broken, or let whoever has recorded a session read it once the key is known.",
		Clauses: clauses("RFC 9325 §4.1; RFC 9325 §4.2"),
		Mend: mend(`Postfix: smtpd_tls_ciphers = high (level may) and smtpd_tls_mandatory_ciphers = high (level encrypt)
Postfix: tls_high_cipherlist = ECDHE+AESGCM:ECDHE+CHACHA20
Exim: tls_require_ciphers = ECDHE+AESGCM:ECDHE+CHACHA20
Exim: with GnuTLS (Debian): tls_require_ciphers = PFS:-DHE-RSA:-MAC-ALL:+AEAD:-VERS-TLS1.0:-VERS-TLS1.1
Dovecot: ssl_cipher_list = ECDHE+AESGCM:ECDHE+CHACHA20
OpenLDAP: olcTLSCipherSuite: ECDHE+AESGCM:ECDHE+CHACHA20
OpenLDAP: with GnuTLS (Debian): olcTLSCipherSuite: PFS:-DHE-RSA:-MAC-ALL:+AEAD:-VERS-TLS1.0:-VERS-TLS1.1
PostgreSQL: ssl_ciphers = 'ECDHE+AESGCM:ECDHE+CHACHA20'
Prosody: ssl = { ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20" }
starttls: starttls gateway … --min-version 1.3, if no client needs TLS 1.2`),
	},
	{
		ID: "tls.groups", Stake: Medium,
		Title:   "keys are exchanged over strong groups",
		Means:   "The group over which a session's key is agreed on is weak or of the server's own making; who can break it reads the session.",
		Clauses: clauses("RFC 9325 §4.5; RFC 7919"),
		Mend: mend(`Postfix: tls_eecdh_auto_curves = X25519MLKEM768 X25519 prime256v1 secp384r1
Exim: tls_eccurve = X25519:P-256:P-384
Exim: with GnuTLS (Debian): tls_require_ciphers = NORMAL:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1
Dovecot: ssl_curve_list = X25519:P-256:P-384
OpenLDAP: olcTLSECName: X25519:P-256:P-384
OpenLDAP: with GnuTLS (Debian): olcTLSCipherSuite: NORMAL:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1
PostgreSQL: ssl_groups = 'X25519:prime256v1:secp384r1' (before 18: ssl_ecdh_curve)
Prosody: ssl = { curveslist = { "X25519", "prime256v1", "secp384r1" } }`),
	},
	{
		ID: "tls.post-quantum", Stake: Info,
		Title:   "a key exchange that outlives quantum computers is offered",
		Means:   "Mail that is recorded today may be read when large quantum computers are built. X25519MLKEM768 keeps it closed; it needs OpenSSL 3.5, GnuTLS 3.8.9 with leancrypto, or Go 1.24.",
		Clauses: clauses("BSI TR-02102-2; Mozilla Server Side TLS 5.8"),
		Mend: mend(`Postfix: OpenSSL 3.5 or later, and no tls_eecdh_auto_curves of old
Exim: OpenSSL 3.5 or later, tls_eccurve = X25519MLKEM768:X25519:P-256
Dovecot: OpenSSL 3.5 or later, ssl_curve_list = X25519MLKEM768:X25519:P-256
OpenLDAP: OpenSSL 3.5 or later, olcTLSECName: X25519MLKEM768:X25519:P-256
PostgreSQL: OpenSSL 3.5 or later, 18: ssl_groups = 'X25519MLKEM768:X25519:prime256v1'
Prosody: OpenSSL 3.5 or later, and no curveslist of old`),
	},
	{
		ID: "tls.key-length", Stake: Medium,
		Title:   "finite-field Diffie-Hellman is long enough, or not used",
		Means:   "Groups of less than 2048 bits can be broken by those who can afford it, and for common ones the work is done once for all servers.",
		Clauses: clauses("RFC 9325 §4.5; RFC 7919"),
		Mend: mend(`Postfix: tls_medium_cipherlist and tls_high_cipherlist with !DHE, or smtpd_tls_dh1024_param_file = auto
Exim: tls_dhparam = none, or tls_dh_min_bits = 2048
Dovecot: ssl_dh = </path to a file of 3072 bits, or ssl_cipher_list with !DHE
OpenLDAP: olcTLSDHParamFile: /path to a file of 3072 bits
OpenLDAP: with GnuTLS (Debian): olcTLSCipherSuite: NORMAL:-DHE-RSA
PostgreSQL: ssl_dh_params_file = '', the default, has 2048 bits
Prosody: ssl = { dhparam = "/path to a file of 3072 bits" }`),
	},
	{
		ID: "tls.signature-hash", Stake: Medium,
		Title:   "the key exchange is not signed over SHA-1 or MD5",
		Means:   "Signatures over SHA-1 and MD5 can be forged by those who can afford it.",
		Clauses: clauses("RFC 9155 §4; RFC 9325 §4.5"),
		Mend: mend(`Postfix: tls_config_file with SignatureAlgorithms in OpenSSL's own file
Exim: with GnuTLS (Debian): tls_require_ciphers = NORMAL:-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1
Dovecot: OpenSSL's own file: CipherString = DEFAULT@SECLEVEL=2
OpenLDAP: OpenSSL's own file: CipherString = DEFAULT@SECLEVEL=2
OpenLDAP: with GnuTLS (Debian): olcTLSCipherSuite: NORMAL:-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1`),
	},
	{
		ID: "tls.compression", Stake: Medium,
		Title:   "TLS does not compress",
		Means:   "With compression, who can put words into a session and see its length learns secrets of it (CRIME).",
		Clauses: clauses("RFC 9325 §3.3"),
		Mend: mend(`Postfix: tls_ssl_options = NO_COMPRESSION
Dovecot: ssl_options = no_compression (2.4: the default)
Exim: openssl_options = +no_compression
Prosody: ssl = { options = { "no_compression" } }`),
	},
	{
		ID: "tls.renegotiation", Stake: Medium,
		Title:   "renegotiation is secure",
		Means:   "The server does not say that it binds a renegotiation to the session before. Somebody on the path can put words before those of the user.",
		Clauses: clauses("RFC 9325 §3.5; RFC 5746 §3.6"),
		Mend:    mend(`all: a TLS library of 2010 or later`),
	},
	{
		ID: "tls.client-renegotiation", Stake: Low,
		Title:   "clients cannot renegotiate",
		Means:   "A client can make the server do the expensive part of a handshake again and again on one connection.",
		Clauses: clauses("RFC 9325 §3.5"),
		Mend: mend(`Postfix: tls_ssl_options = NO_RENEGOTIATION
Exim: openssl_options = +no_renegotiation
Dovecot: OpenSSL 3 refuses it by default
OpenLDAP: OpenSSL 3 refuses it by default
PostgreSQL: 14 or later refuses it
Prosody: ssl = { options = { "no_renegotiation" } }`),
	},
	{
		ID: "tls.extended-master-secret", Stake: Low,
		Title:   "the master secret is bound to the handshake",
		Means:   "In TLS 1.2 two sessions can be made to share one secret, and channel binding then proves nothing.",
		Clauses: clauses("RFC 9325 §3.5; RFC 7627 §5.3"),
		Mend:    mend(`all: OpenSSL 1.1.0, GnuTLS 3.4 or later`),
	},
	{
		ID: "tls.early-data", Stake: Medium,
		Title:   "no data is taken before the handshake is over (0-RTT)",
		Means:   "What a client sends as early data can be sent again by anybody on the path. No protocol of mail says when that is harmless.",
		Clauses: clauses("RFC 9325 §3.10; RFC 8446 §8"),
		Mend:    mend(`all: no mail server offers it; look for a proxy in front, and switch it off there`),
	},
	{
		ID: "tls.preference", Stake: Low,
		Title:   "the server chooses the suite",
		Means:   "The client's order of suites decides. Where all suites are good that is no harm.",
		Clauses: clauses("RFC 9325 §4.2.1"),
		Mend: mend(`Postfix: tls_preempt_cipherlist = yes
Exim: openssl_options = +cipher_server_preference
Exim: with GnuTLS (Debian): tls_require_ciphers = NORMAL:%SERVER_PRECEDENCE
Dovecot: ssl_prefer_server_ciphers = yes
PostgreSQL: ssl_prefer_server_ciphers = on
Prosody: ssl = { options = { "cipher_server_preference" } }`),
	},
	{
		ID: "tls.fallback", Stake: Low,
		Title:   "a client that was talked down is told so",
		Means:   "A client that comes again with an older version, because somebody broke its first try, is served without a word.",
		Clauses: clauses("RFC 9325 §3.1.3; RFC 7507 §3"),
	},
	{
		ID: "tls.resumption", Stake: Info,
		Title:   "sessions can be resumed",
		Means:   "Without resumption each connection costs a whole handshake. Nothing is less secure for it.",
		Clauses: clauses("RFC 9325 §3.4"),
		Mend: mend(`Postfix: smtpd_tls_session_cache_database is not needed: tickets are the default
Dovecot: ssl_options without no_ticket`),
	},
	{
		ID: "tls.alpn", Stake: Low,
		Title:   "a client of another protocol is refused",
		Means:   "A browser can be led to this server, and its requests be read as commands here, under the same certificate (ALPACA). Servers that answer an ALPN id of another protocol with an alert are safe from it.",
		Clauses: clauses("RFC 7301 §3.2; RFC 9325 §3.8"),
	},
	{
		ID: "tls.sni", Stake: Low,
		Title:   "a client that names no host, or an unknown one, is served",
		Means:   "Mail servers often say no name, or that of a domain that is only hosted here, and then want the default certificate. An alert in its place stops their mail.",
		Clauses: clauses("RFC 9325 §3.7; RFC 7672 §8.1"),
	},
	{
		ID: "tls.client-certificate", Stake: Low,
		Title:   "no client certificate is asked for without need",
		Means:   "Some clients fail, or ask their user, when a certificate is asked for.",
		Clauses: clauses("RFC 8314 §4.2"),
		Mend: mend(`Postfix: smtpd_tls_ask_ccert = no
Exim: tls_try_verify_hosts and tls_verify_hosts without *
Dovecot: auth_ssl_require_client_cert = no and ssl_verify_client_cert = no
OpenLDAP: olcTLSVerifyClient: never
PostgreSQL: ssl_ca_file = ''
Prosody: ssl = { verify = "none" } for clients`),
	},
}

// judgedBy are the kinds of facts that are judged for each finding.
var judgedBy = map[string][]string{
	"tls.versions":               {"version"},
	"tls.suites":                 {"suite"},
	"tls.groups":                 {"group"},
	"tls.key-length":             {"dh-bits"},
	"tls.signature-hash":         {"exchange-signature"},
	"tls.compression":            {"compression"},
	"tls.renegotiation":          {"renegotiation"},
	"tls.client-renegotiation":   {"client-renegotiation"},
	"tls.extended-master-secret": {"extended-master-secret"},
	"tls.early-data":             {"early-data"},
	"tls.preference":             {"preference"},
	"tls.fallback":               {"fallback"},
	"cert.key":                   {"rsa-bits", "curve"},
	"cert.signature":             {"certificate-signature"},
	"cert.lifetime":              {"certificate-days"},
}
