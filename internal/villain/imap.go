package villain

// imap: a session that is said to be authenticated already cannot have STARTTLS any more (RFC 9051
// §6.2.1), and a "+" is no answer to it.
var imap = accent{names: []string{"imap"}, villains: []Villain{
	{Name: "preauth", ID: "client.preauth", Does: "the greeting is PREAUTH, and lists STARTTLS",
		greeting: "* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] Welcome back\r\n", upgrade: refuses},
	{Name: "continue", ID: "client.refused", Does: "STARTTLS is answered with a request to go on", upgrade: says, raw: always("+ go on\r\n")},
}}
