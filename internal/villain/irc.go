package villain

// irc: 670 begins TLS, and nothing else does. Old servers know neither CAP nor STARTTLS before a client has
// registered.
var irc = accent{names: []string{"irc"}, villains: []Villain{
	hears("cap-451", ":localhost 451 * CAP :You have not registered\r\n"),
	answers("451", ":localhost 451 * STARTTLS :You have not registered\r\n"),
}}
