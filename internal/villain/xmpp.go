package villain

// xmpp: a <proceed/> is one in the namespace of TLS (RFC 6120 §5.4.2.3). A stream that is refused is over, and
// nothing can be said without one.
var xmpp = accent{names: []string{"xmpp", "xmpp-server"}, never: []string{"deaf"}, villains: []Villain{
	{Name: "foreign", ID: "client.refused", Does: "<proceed/> in a namespace that is not that of TLS", upgrade: says,
		raw: always("<proceed xmlns='urn:example:none'/>")},
	answers("stream-error", "<stream:error><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"),
}}
