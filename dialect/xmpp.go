package dialect

// XMPP is STARTTLS between client and server. xml.go and its like cut the streams, xmpp_answer.go reads
// what the server says, xmpp_features.go has its lists and xmpp_say.go our words.
var XMPP = Dialect{
	Name:    "xmpp",
	Spec:    "RFC 6120 §5",
	Schemes: []Scheme{{Name: "xmpp", Port: 5222}, {Name: "xmpps", Port: 5223, Implicit: true}},
	Script:  script("h C u R | h C"),
	ALPN:    []string{"xmpp-client"}, // XEP-0368
	Fresh:   true,                    // a server hears one header only: RFC 6120 §5.3.2
	Named:   true,                    // RFC 6120 §5.4.3.1
	Stray:   16,                      // RFC 6120 §5.3.3 forbids them, and go-sendxmpp sends one
	Tried:   []string{"Prosody 0.12.3", "ejabberd 23.01", "go-sendxmpp 0.5.6", "sendxmpp 1.24", "OpenSSL 3.0"},
	Limit:   64 << 10,
	Speak: func(we Side, inside bool) Speech {
		return speech{&xmpp{inside: inside, content: "jabber:client"}, we}
	},
}

// XMPPServer is the same between two servers.
var XMPPServer = Dialect{
	Name:    "xmpp-server",
	Spec:    XMPP.Spec,
	Schemes: []Scheme{{Name: "xmpp-server", Port: 5269, Open: true}, {Name: "xmpps-server", Port: 5270, Implicit: true}},
	Script:  XMPP.Script,
	ALPN:    []string{"xmpp-server"},
	Fresh:   true,
	Named:   true,
	Stray:   XMPP.Stray,
	Tried:   []string{"Prosody 0.12.3", "ejabberd 23.01", "OpenSSL 3.0"},
	Limit:   XMPP.Limit,
	Speak: func(we Side, inside bool) Speech {
		return speech{&xmpp{inside: inside, content: "jabber:server"}, we}
	},
}

// Namespaces.
const (
	xmppStreams  = "http://etherx.jabber.org/streams"
	xmppTLS      = "urn:ietf:params:xml:ns:xmpp-tls"
	xmppErrors   = "urn:ietf:params:xml:ns:xmpp-streams"
	xmppSASL     = "urn:ietf:params:xml:ns:xmpp-sasl"
	xmppSASL2    = "urn:xmpp:sasl:2"    // XEP-0388
	xmppBinding  = "urn:xmpp:sasl-cb:0" // XEP-0440
	xmppDialback = "jabber:server:dialback"
	xmppCompress = "http://jabber.org/protocol/compress"
)

type xmpp struct {
	inside  bool
	content string // the default namespace of our own streams

	said   [2]xmlStream
	opened bool // the server's header is newer than the client's
	kind   Kind // of the client's last words
	wait   bool // the server has to answer them
	shut   bool // we have refused: the stream is over (RFC 6120 §4.9.1.1)

	heard    bool // the server has said what it can do
	offered  bool // and STARTTLS was in it
	secret   bool // real work has begun
	login    bool // SASL has begun, and has not failed
	authed   bool // it has succeeded
	finished bool // no STARTTLS can follow
}

func (s *xmpp) Pending() bool { return s.wait }

// Settled: TLS comes before SASL (RFC 6120 §5.3.4). The features that a server shows once more after
// that are the last that may have to be edited.
func (s *xmpp) Settled() bool { return s.finished || s.secret && s.heard && !s.offered && !s.login }

func (s *xmpp) request(buf []byte) (Message, int, error) {
	p, err := s.said[Client].cut(buf)
	if err != nil || p.n == 0 {
		return Message{}, 0, err
	}
	m := Message{}
	if s.shut && (p.what == xmlHeader || p.what == xmlWhole) {
		return Message{}, 0, noise("more behind the end of the stream")
	}
	switch p.what {
	case xmlSpace:
		// There is none in a login (RFC 6120 §6.3.5). Some clients send a line's end behind <auth/>: held
		// until the answer is there, it would stand before the header of the next stream.
		m.edit.offer = s.login && !s.finished
		return m, p.n, nil
	case xmlHeader:
		m.Kind, m.Name = Hello, p.root.attr("to")
		s.said[Client], s.opened, s.wait = xmlStream{root: p.root}, false, true
	case xmlEnd:
		m.Kind, s.said[Client].over, s.wait = Bye, true, true
	case xmlWhole:
		s.asked(&m, p.all, buf)
	}
	s.kind = m.Kind
	return m, p.n, nil
}

// asked reads a client's element. What some reader could take for STARTTLS must not reach it, so an
// element of that name is one whatever its namespace, and refused if that is the wrong one.
func (s *xmpp) asked(m *Message, all []xmlElement, raw []byte) {
	e := all[0]
	sasl := e.ns == xmppSASL || e.ns == xmppSASL2
	switch {
	case e.local() == "starttls":
		m.Kind, s.wait = Upgrade, true
		m.Why = refusal(s.inside, e.ns == xmppTLS && len(all) == 1 && e.empty(raw), s.login)
		return
	case e.is(xmppStreams, "error"):
		return // the end of the stream follows
	}
	m.Kind, s.secret = Secret, true
	s.wait = sasl // a stanza may have no answer
	s.login = s.login || sasl
}

func (s *xmpp) reply(buf []byte) (Message, int, error) {
	p, err := s.said[Server].cut(buf)
	if err != nil || p.n == 0 {
		return Message{}, 0, err
	}
	m := Message{}
	if s.wait {
		m.Re = s.kind
	}
	switch p.what {
	case xmlSpace:
		m.Re = Other
	case xmlHeader:
		if s.opened {
			return Message{}, 0, noise("a stream in a stream")
		}
		m.Name = p.root.attr("from")
		s.open(p.root)
	case xmlEnd:
		m.Kind, s.said[Server].over, s.wait = Bye, true, false
	case xmlWhole:
		if err := s.answer(&m, p.all, buf); err != nil {
			return Message{}, 0, err
		}
	}
	return m, p.n, nil
}

// open notes the server's header. Features follow where both sides know them (RFC 6120 §4.3.2).
func (s *xmpp) open(root xmlTag) {
	s.said[Server], s.opened = xmlStream{root: root}, true
	if root.attr("version") == "" || s.said[Client].root.attr("version") == "" {
		s.heard = true
		s.wait = s.wait && s.kind != Hello
	}
}
