package villain

// xmpp: a <proceed/> is one in the namespace of TLS (RFC 6120 §5.4.2.3).
var xmpp = accent{names: []string{"xmpp", "xmpp-server"}, villains: []Villain{
	{Name: "foreign", ID: "client.refused", Does: "<proceed/> in a namespace that is not that of TLS", upgrade: says,
		raw: always("<proceed xmlns='urn:example:none'/>")},
}}
