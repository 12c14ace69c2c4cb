package villain

// pop3: an APOP timestamp asks for a digest of the password, which can be guessed at leisure (RFC 1939 §7).
var pop3 = accent{names: []string{"pop3"}, villains: []Villain{
	greets("apop", "+OK ready <1896.697170952@localhost>\r\n"),
	greets("prefix", "+Do you even care?\r\n"),
	greets("listing", "+OK ready\r\nUSER\r\nSASL PLAIN\r\n.\r\n"),
	answers("sys-perm", "-ERR [SYS/PERM] no TLS here\r\n"),
}}
