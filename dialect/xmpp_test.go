package dialect

import (
	"slices"
	"strings"
	"testing"
)

const (
	xmppClientHeader = `<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='xmpp.test' version='1.0'>`
	xmppServerHeader = `<stream:stream id="1" xmlns="jabber:client" from="xmpp.test" version="1.0" xmlns:stream="http://etherx.jabber.org/streams">`
	xmppStartTLS     = `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`
	xmppPlain        = `<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>`
	xmppAuth         = `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGpvZQBzZWNyZXQ=</auth>`
)

func xmppOffer(features string) string {
	return "<stream:features>" + features + "</stream:features>"
}

// xmppOpen returns a leg on which both headers and these features were said.
func xmppOpen(t *testing.T, we Side, inside bool, features string) Speech {
	t.Helper()
	s := XMPP.Speak(we, inside)
	hear(s, we, Client, []byte(xmppClientHeader))
	hear(s, we, Server, []byte(xmppServerHeader))
	hear(s, we, Server, []byte(features))
	if s.Pending() {
		t.Fatal("the hello is pending")
	}
	return s
}

func TestXMPPHeaders(t *testing.T) {
	for _, test := range []struct {
		name, raw, to string
		bad           bool
	}{
		{name: "plain", raw: xmppClientHeader, to: "xmpp.test"},
		{name: "double quotes, blanks, another prefix", raw: "<?xml version=\"1.0\" encoding='utf-8' ?>\r\n <s:stream\n to = \"a'b\"\n xmlns:s=\"http://etherx.jabber.org/streams\" >", to: "a'b"},
		{name: "streams are the default namespace", raw: `<stream to='x' xmlns='http://etherx.jabber.org/streams'>`, to: "x"},
		{name: "references", raw: `<s:stream xmlns:s='http://etherx.jabber.org/s&#x74;reams' to='a&amp;&#98;'>`, to: "a&b"},
		{name: "no to", raw: `<s:stream xmlns:s='http://etherx.jabber.org/streams'>`},
		{name: "another namespace", raw: `<stream:stream xmlns:stream='jabber:client' to='x'>`, bad: true},
		{name: "no namespace", raw: `<stream:stream to='x'>`, bad: true},
		{name: "another element", raw: `<stream:features xmlns:stream='http://etherx.jabber.org/streams'>`, bad: true},
		{name: "closed at once", raw: `<s:stream xmlns:s='http://etherx.jabber.org/streams'/>`, bad: true},
		{name: "BOM", raw: "\xef\xbb\xbf" + xmppClientHeader, bad: true}, // RFC 6120 §11.6
		{name: "UTF-16", raw: `<?xml version='1.0' encoding='UTF-16'?><`, bad: true},
		{name: "DTD", raw: `<!DOCTYPE x>`, bad: true},
		{name: "DTD behind the declaration", raw: `<?xml version='1.0'?><!DOCTYPE x>`, bad: true},
		{name: "comment", raw: `<!-- -->`, bad: true},
		{name: "instruction", raw: `<?php ?>`, bad: true},
		{name: "two declarations", raw: `<?xml version='1.0'?><?xml version='1.0'?>`, bad: true},
		{name: "an entity of its own", raw: `<s:stream xmlns:s='http://etherx.jabber.org/streams' to='&x;'>`, bad: true},
		{name: "the same attribute twice", raw: `<s:stream to='a' to='b' xmlns:s='http://etherx.jabber.org/streams'>`, bad: true},
		{name: "no UTF-8", raw: "<s:stream to='\xff' xmlns:s='http://etherx.jabber.org/streams'>", bad: true},
		{name: "no quotes", raw: `<s:stream to=a xmlns:s='http://etherx.jabber.org/streams'>`, bad: true},
		{name: "no blank between attributes", raw: `<s:stream to='a'xmlns:s='http://etherx.jabber.org/streams'>`, bad: true},
		{name: "a tag in a value", raw: `<s:stream to='<' xmlns:s='http://etherx.jabber.org/streams'>`, bad: true},
		{name: "starttls first", raw: xmppStartTLS, bad: true},
		{name: "the end first", raw: "</stream:stream>", bad: true},
		{name: "TLS", raw: "\x16\x03\x01", bad: true},
		{name: "HTTP", raw: "GET / HTTP/1.1\r\n", bad: true},
		{name: "NUL", raw: "<stream\x00", bad: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := XMPP.Speak(Server, false)
			if test.bad {
				refuses(t, s, []byte(test.raw))
				return
			}
			if m := readOne(t, s, []byte(test.raw)); m.Kind != Hello || m.Name != test.to || !s.Pending() {
				t.Errorf("%+v, pending %v", m, s.Pending())
			}
			for cut := range test.raw {
				if _, n, err := XMPP.Speak(Server, false).Read([]byte(test.raw[:cut])); n != 0 || err != nil {
					t.Fatalf("cut at %d: %d, %v", cut, n, err)
				}
			}
		})
	}
}

func TestXMPPRequests(t *testing.T) {
	for _, test := range []struct {
		name, raw string
		kind      Kind
		why       Reason
	}{
		{"starttls", xmppStartTLS, Upgrade, Unknown},
		{"two tags", `<starttls xmlns="urn:ietf:params:xml:ns:xmpp-tls"> </starttls >`, Upgrade, Unknown},
		{"a prefix", `<a:starttls xmlns:a='urn:ietf:params:xml:ns:xmpp-tls'></a:starttls>`, Upgrade, Unknown},
		{"another namespace", `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-TLS'/>`, Upgrade, BadSyntax},
		{"no namespace", `<starttls/>`, Upgrade, BadSyntax},
		{"a prefix that hides the namespace", `<stream:starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`, Upgrade, BadSyntax},
		{"content", `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>`, Upgrade, BadSyntax},
		{"words", `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'>now</starttls>`, Upgrade, BadSyntax},
		{"CI-22 starttls in a message", `<message><body><![CDATA[</message>]]></body>` + xmppStartTLS + `</message>`, Secret, Unknown},
		{"auth", xmppAuth, Secret, Unknown},
		{"iq", `<iq type='set' id='1'><query xmlns='jabber:iq:auth'><password>x</password></query></iq>`, Secret, Unknown},
		{"dialback", `<db:result xmlns:db='jabber:server:dialback' to='a' from='b'>key</db:result>`, Secret, Unknown},
		{"error", `<stream:error><a xmlns='b'/></stream:error>`, Other, Unknown},
		{"end", `</stream:stream>`, Bye, Unknown},
		{"keepalive", " ", Other, Unknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := xmppOpen(t, Server, false, xmppOffer(xmppStartTLS))
			for cut := range test.raw {
				if _, n, err := s.Read([]byte(test.raw[:cut])); n != 0 || err != nil {
					t.Fatalf("cut at %d: %d, %v", cut, n, err)
				}
			}
			m, n, err := s.Read([]byte(test.raw + xmppAuth)) // CI-22: what is glued to it stays
			if m.Kind != test.kind || m.Why != test.why || n != len(test.raw) || err != nil {
				t.Errorf("%v why %v, %d bytes, %v; want %v why %v", m.Kind, m.Why, n, err, test.kind, test.why)
			}
		})
	}
	for name, raw := range map[string]string{
		"words":                "hello",
		"another end":          "</stream>",
		"a comment":            "<iq><!-- --></iq>",
		"an instruction":       "<iq><?x ?></iq>",
		"crossed tags":         "<a><b></a></b>",
		"an entity":            "<a>&x;</a>",
		"a NUL":                "<a>&#0;</a>",
		"a prefix of nobody":   "<x:a/>",
		"no UTF-8":             "<a>\xff</a>",
		"an attribute at last": "<a></a b='c'>",
		"CDATA outside":        "<![CDATA[x]]>",
		"too deep":             strings.Repeat("<a>", xmlDepth+1),
		"a declaration":        "<?xml version='1.0'?><a/>",
		"too many attributes":  "<a b='" + strings.Repeat("' b='", xmlAttrs),
	} {
		t.Run(name, func(t *testing.T) { refuses(t, xmppOpen(t, Server, false, xmppOffer("")), []byte(raw)) })
	}
}

func TestXMPPOutOfOrder(t *testing.T) {
	t.Run("CI-13 inside TLS", func(t *testing.T) {
		s := xmppOpen(t, Server, true, xmppOffer(xmppPlain))
		m := readOne(t, s, []byte(xmppStartTLS))
		if m.Why != AlreadyTLS {
			t.Errorf("why %v", m.Why)
		}
		if said := string(s.Write(nil, m.Reply(No, m.Why))); said != "<failure xmlns='"+xmppTLS+"'/></stream:stream>" {
			t.Errorf("%q", said)
		}
		refuses(t, s, []byte(xmppAuth)) // the stream is over
	})
	t.Run("CI-14 the header is forgotten inside TLS", func(t *testing.T) {
		refuses(t, XMPP.Speak(Server, true), []byte(xmppAuth))
	})
	t.Run("CI-15 in a login", func(t *testing.T) {
		s := xmppOpen(t, Server, false, xmppOffer(xmppStartTLS+xmppPlain))
		if readOne(t, s, []byte(xmppAuth)); !s.Pending() {
			t.Error("not pending")
		}
		say(s, "<challenge xmlns='"+xmppSASL+"'/>")
		if m := readOne(t, s, []byte(xmppStartTLS)); m.Why != NotNow {
			t.Errorf("why %v", m.Why)
		}
	})
	t.Run("CI-16 after a login", func(t *testing.T) {
		s := xmppOpen(t, Server, false, xmppOffer(xmppStartTLS+xmppPlain))
		readOne(t, s, []byte(xmppAuth))
		if say(s, "<success xmlns='"+xmppSASL+"'/>"); s.Settled() || s.Pending() {
			t.Error("the features that follow are not edited")
		}
		readOne(t, s, []byte(xmppClientHeader))
		if m := readOne(t, s, []byte(xmppStartTLS)); m.Why != NotNow {
			t.Errorf("why %v", m.Why)
		}
		say(s, xmppServerHeader)
		if say(s, xmppOffer(xmppStartTLS)); !s.Settled() {
			t.Error("not settled")
		}
	})
	t.Run("after a login that failed", func(t *testing.T) {
		s := xmppOpen(t, Server, false, xmppOffer(xmppStartTLS+xmppPlain))
		readOne(t, s, []byte(xmppAuth))
		say(s, "<failure xmlns='"+xmppSASL+"'><not-authorized/></failure>")
		if m := readOne(t, s, []byte(xmppStartTLS)); m.Why != Unknown || s.Settled() {
			t.Errorf("why %v", m.Why)
		}
	})
	t.Run("no offer", func(t *testing.T) {
		s := xmppOpen(t, Client, false, xmppOffer(xmppPlain))
		if say(s, "<message/>"); !s.Settled() {
			t.Error("not settled")
		}
	})
	t.Run("space in a login", func(t *testing.T) { // RFC 6120 §6.3.5; go-sendxmpp sends it
		front, back := xmppOpen(t, Server, true, xmppOffer(xmppPlain)), xmppOpen(t, Client, false, xmppOffer(xmppPlain))
		space := readOne(t, front, []byte("\n"))
		if got := back.Write(nil, space); string(got) != "\n" {
			t.Errorf("before: %q", got)
		}
		back.Write(nil, readOne(t, front, []byte(xmppAuth)))
		if got := back.Write(nil, readOne(t, front, []byte("\n"))); len(got) > 0 || back.Settled() {
			t.Errorf("said on as %q, settled %v", got, back.Settled())
		}
	})
}

func TestXMPPAnswers(t *testing.T) {
	for _, test := range []struct {
		name, raw string
		kind      Kind
		why       Reason
		text      string
		bad       bool
	}{
		{name: "proceed", raw: `<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`, kind: Ready},
		{name: "proceed in two tags", raw: `<p:proceed xmlns:p="urn:ietf:params:xml:ns:xmpp-tls"></p:proceed>`, kind: Ready},
		{name: "proceed in another namespace", raw: `<proceed xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`, bad: true},
		{name: "proceed in none", raw: `<proceed/>`, bad: true},
		{name: "proceed with more in it", raw: `<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'>` + xmppPlain + `</proceed>`, bad: true},
		{name: "proceed in a message", raw: `<message><proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></message>`, bad: true},
		{name: "failure", raw: `<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`, kind: Bye, why: TLSUnavailable, text: "failure"},
		{name: "failure of a login", raw: `<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`, bad: true},
		{name: "features", raw: xmppOffer(xmppStartTLS), kind: Caps},
		{name: "error", raw: `<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>good &amp; bye</text></stream:error>`, kind: Bye, why: Unavailable, text: "system-shutdown: good & bye"},
		{name: "end", raw: `</stream:stream>`, kind: Bye},
		{name: "a second header", raw: xmppServerHeader, bad: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := xmppOpen(t, Client, false, xmppOffer(xmppStartTLS))
			if said := string(s.Write(nil, Message{Kind: Upgrade})); said != xmppStartTLS || !s.Pending() {
				t.Fatalf("%q, pending %v", said, s.Pending())
			}
			if test.bad {
				refuses(t, s, []byte(test.raw))
				return
			}
			m, n, err := s.Read([]byte(test.raw + xmppPlain))
			if m.Kind != test.kind || m.Why != test.why || m.Text != test.text || n != len(test.raw) || err != nil {
				t.Errorf("%+v, %v", m, err)
			}
		})
	}
	t.Run("proceed unasked", func(t *testing.T) {
		refuses(t, xmppOpen(t, Client, false, xmppOffer("")), []byte(`<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`))
	})
	t.Run("a server of old", func(t *testing.T) {
		s := XMPP.Speak(Client, false)
		say(s, xmppClientHeader)
		m := readOne(t, s, []byte(strings.Replace(xmppServerHeader, ` version="1.0"`, "", 1)))
		if m.Kind != Other || m.Re != Hello || s.Pending() {
			t.Errorf("%+v, pending %v", m, s.Pending())
		}
	})
	t.Run("an error before the client spoke", func(t *testing.T) {
		s := XMPP.Speak(Client, false)
		readOne(t, s, []byte(xmppServerHeader))
		if m := readOne(t, s, []byte(`<stream:error><policy-violation xmlns='`+xmppErrors+`'/></stream:error>`)); m.Kind != Bye {
			t.Errorf("%+v", m)
		}
	})
}

func TestXMPPEdits(t *testing.T) {
	const sm = `<sm xmlns='urn:xmpp:sm:3'>  <mechanism>A-PLUS</mechanism></sm>`
	const required = `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>`
	for _, test := range []struct{ name, raw, unsaid, offered, required string }{
		{"empty", `<stream:features/>`, `<stream:features/>`, xmppOffer(xmppStartTLS), xmppOffer(required)},
		{"two, one with a prefix",
			xmppOffer(` <t:starttls xmlns:t="urn:ietf:params:xml:ns:xmpp-tls"><t:required/></t:starttls>` + sm + required),
			xmppOffer(` ` + sm), xmppOffer(xmppStartTLS + ` ` + sm), xmppOffer(required + ` ` + sm)},
		{"mechanisms",
			xmppOffer(`<mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><mechanism>SCRAM-SHA-1-PLUS</mechanism> <mechanism> PLAIN</mechanism><mechanism><![CDATA[X-PLUS]]></mechanism></mechanisms>` + sm),
			xmppOffer(`<mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"> <mechanism> PLAIN</mechanism></mechanisms>` + sm),
			xmppOffer(xmppStartTLS + `<mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"> <mechanism> PLAIN</mechanism></mechanisms>` + sm),
			xmppOffer(required + sm)},
		{"SASL2 and channel binding",
			xmppOffer(`<authentication xmlns='urn:xmpp:sasl:2'><mechanism>A-PLUS</mechanism><mechanism>B</mechanism><inline/></authentication><sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/></sasl-channel-binding>`),
			xmppOffer(`<authentication xmlns='urn:xmpp:sasl:2'><mechanism>B</mechanism><inline/></authentication>`),
			xmppOffer(xmppStartTLS + `<authentication xmlns='urn:xmpp:sasl:2'><mechanism>B</mechanism><inline/></authentication>`),
			xmppOffer(required)},
		{"a STARTTLS that is none", xmppOffer(`<starttls xmlns='x'/><a>` + xmppStartTLS + `</a>`), xmppOffer(`<starttls xmlns='x'/><a>` + xmppStartTLS + `</a>`),
			xmppOffer(xmppStartTLS + `<starttls xmlns='x'/><a>` + xmppStartTLS + `</a>`), xmppOffer(required + `<starttls xmlns='x'/><a>` + xmppStartTLS + `</a>`)},
	} {
		t.Run(test.name, func(t *testing.T) {
			for offer, want := range []string{test.unsaid, test.offered, test.required} {
				front, back := XMPP.Speak(Server, false), XMPP.Speak(Client, false)
				for says, raw := range []string{xmppClientHeader, xmppServerHeader} {
					hear(front, Server, Side(says), []byte(raw))
					hear(back, Client, Side(says), []byte(raw))
				}
				m := readOne(t, back, []byte(test.raw))
				if got := string(front.Write(nil, m.Offering(Offer(offer)).Unbound())); got != want {
					t.Errorf("%v:\n%s\n%s", Offer(offer), got, want)
				}
				if front.Pending() {
					t.Error("pending")
				}
			}
		})
	}
	t.Run("features from a stream that was not said on", func(t *testing.T) {
		front := XMPP.Speak(Server, false)
		readOne(t, front, []byte(xmppClientHeader))
		m := Message{Kind: Caps, Raw: []byte("<s:features/>"), Mechs: []string{"A-PLUS", "B"}}
		got := string(front.Write(nil, m.Offering(Offered).Unbound()))
		if !strings.HasSuffix(got, xmppStartTLS+"<mechanisms xmlns='"+xmppSASL+"'><mechanism>B</mechanism></mechanisms></stream:features>") {
			t.Errorf("%q", got)
		}
	})
}

func TestXMPPRefusals(t *testing.T) {
	s := XMPP.Speak(Server, false)
	hello := readOne(t, s, []byte(strings.Replace(xmppClientHeader, "to='xmpp.test'", "to='a&amp;b' from='joe@x'", 1)))
	said := string(s.Write(nil, hello.Reply(No, Unavailable)))
	for _, part := range []string{" from='a&amp;b'", " to='joe@x'", " id='", "<internal-server-error xmlns='" + xmppErrors + "'/></stream:error></stream:stream>"} {
		if !strings.Contains(said, part) {
			t.Errorf("%q has no %q", said, part)
		}
	}
	if again := s.Write(nil, hello.Reply(No, Unavailable)); len(again) > 0 {
		t.Errorf("%q behind the end", again)
	}
	// RFC 6120 §4.9.1.2: the header is the server's own, as it was said before.
	s = xmppOpen(t, Server, false, xmppOffer(xmppStartTLS))
	auth := readOne(t, s, []byte(xmppAuth))
	said = string(s.Write(nil, auth.Reply(No, TLSRequired)))
	if said != "<stream:error xmlns:stream='"+xmppStreams+"'><policy-violation xmlns='"+xmppErrors+"'/></stream:error></stream:stream>" {
		t.Errorf("%q", said)
	}
	refuses(t, s, []byte(xmppStartTLS))
	refuses(t, s, []byte(xmppClientHeader))
	if m := readOne(t, s, []byte("</stream:stream>")); m.Kind != Bye {
		t.Errorf("%+v", m)
	}
	// Own words of a client, and its goodbye.
	c := XMPPServer.Speak(Client, false)
	if said := c.Write(nil, Message{Kind: Bye}); len(said) > 0 {
		t.Errorf("%q before the stream", said)
	}
	if said := string(c.Write(nil, Message{Kind: Hello, Name: "x'y"})); !strings.Contains(said, " to='x&apos;y'") || !strings.Contains(said, "jabber:server") {
		t.Errorf("%q", said)
	}
	if said := string(c.Write(nil, Message{Kind: Bye})); said != "</stream:stream>" {
		t.Errorf("%q", said)
	}
}

// xmppRest lists the features that an edit leaves alone, as far as they can be told without the header.
func xmppRest(raw []byte) (rest []string) {
	root := xmlTag{attrs: []xmlAttr{{"xmlns", "jabber:client"}, {"xmlns:stream", xmppStreams}}}
	all, n, err := cutXML(raw, root)
	if n == 0 || err != nil {
		return nil
	}
	for _, e := range all[1:] {
		if e.depth == 1 && !e.is(xmppTLS, "starttls") && !slices.Contains(xmppLogins, e.ns) {
			rest = append(rest, string(raw[e.from:e.to]))
		}
	}
	return rest
}
