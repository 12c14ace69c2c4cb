package villain

// imap: a session that is said to be authenticated already cannot have STARTTLS any more (RFC 9051
// §6.2.1), a "+" is no answer to it, and what is no greeting does not make one (RFC 9051 §7.1).
var imap = accent{names: []string{"imap"}, villains: []Villain{
	preauth("preauth", "* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] Welcome back\r\n"),
	preauth("preauth-bare", "* PREAUTH Welcome back\r\n"),
	preauth("preauth-auth", "* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN AUTH=LOGIN] Welcome back\r\n"),
	greets("imap4", "* OK [CAPABILITY IMAP4] ready\r\n"),
	greets("imap2", "OK IMAP2 Server Ready\r\n"),
	greets("junk", "junk\r\n"),
	greets("junk-ok", "junk\r\njunk\r\n* OK ready\r\n"), // CVE-2020-28896
	greets("tagged", "a1 OK ready\r\n"),
	greets("greets-no", "* NO [ALERT] not now\r\n"),
	greets("greets-bad", "* BAD not now\r\n"),
	greets("greets-bye", "* BYE not now\r\n"),
	answers("continue", "+ go on\r\n"),
}}

// preauth is a villain by whose word the session has begun already.
func preauth(name, words string) Villain {
	v := greets(name, words)
	v.ID, v.odd = "client.preauth", false
	return v
}
