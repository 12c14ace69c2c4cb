package dialect

import (
	"bytes"
	"testing"
)

func TestTelnetRequests(t *testing.T) {
	for _, test := range []struct {
		name, raw string
		kind      Kind
		why       Reason
		bad       bool
	}{
		{name: "upgrade", raw: string(telnetUpgrade), kind: Upgrade},
		{name: "refusal", raw: "\xff\xfc\x2e", kind: Secret},
		{name: "FOLLOWS alone", raw: string(telnetFollows), kind: Upgrade, why: NotNow},
		{name: "another option", raw: "\xff\xfb\x18", kind: Other},
		{name: "what an option says", raw: "\xff\xfa\x18\x00\xff\xffx\xff\xf0", kind: Secret},
		{name: "NOP", raw: "\xff\xf1", kind: Other},
		{name: "data", raw: "r", kind: Secret},
		{name: "data that looks like TLS", raw: "\x16", kind: Secret},
		{name: "data 255", raw: "\xff\xff", kind: Secret},
		{name: "consent and data", raw: "\xff\xfb\x2eroot", bad: true},
		{name: "consent and another option", raw: "\xff\xfb\x2e\xff\xfb\x18", bad: true},
		{name: "consent and another word", raw: "\xff\xfb\x2e\xff\xfa\x2e\x02\xff\xf0", bad: true},
		{name: "longer FOLLOWS", raw: "\xff\xfb\x2e\xff\xfa\x2e\x01\x01\xff\xf0", bad: true},
		{name: "a command in an option", raw: "\xff\xfa\x18\xff\xf1", bad: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := Telnet.Speak(Server, false)
			say(s, string(telnetOffer))
			if test.bad {
				refuses(t, s, []byte(test.raw))
				return
			}
			for cut := range test.raw {
				if _, n, err := s.Read([]byte(test.raw[:cut])); n != 0 || err != nil {
					t.Fatalf("cut at %d: %d, %v", cut, n, err)
				}
			}
			// CI-25: what is glued to it stays.
			m, n, err := s.Read([]byte(test.raw + "root\r\n"))
			if m.Kind != test.kind || m.Why != test.why || n != len(test.raw) || err != nil {
				t.Errorf("%+v, %d, %v", m, n, err)
			}
		})
	}
	t.Run("CI-13 inside TLS", func(t *testing.T) {
		s := Telnet.Speak(Server, true)
		m := readOne(t, s, telnetUpgrade)
		if m.Why != AlreadyTLS || !bytes.Equal(s.Write(nil, m.Reply(No, m.Why)), telnetRefuse) || s.Pending() {
			t.Errorf("%+v", m)
		}
	})
}

func TestTelnetAnswers(t *testing.T) {
	for _, test := range []struct {
		name, raw string
		kind      Kind
		why       Reason
		pending   bool
		bad       bool
	}{
		{name: "FOLLOWS", raw: string(telnetFollows), kind: Ready},
		{name: "DONT", raw: "\xff\xfe\x2e", kind: No, why: TLSUnavailable},
		{name: "WONT", raw: "\xff\xfc\x2e", kind: No, why: TLSUnavailable},
		{name: "DO again", raw: "\xff\xfd\x2e", kind: Caps, pending: true},
		{name: "a prompt", raw: "l", kind: Other, pending: true},
		{name: "another option", raw: "\xff\xfd\x18", kind: Other, pending: true},
		{name: "another word", raw: "\xff\xfa\x2e\x02\xff\xf0", bad: true},
		{name: "longer FOLLOWS", raw: "\xff\xfa\x2e\x01\x01\xff\xf0", bad: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := Telnet.Speak(Client, false)
			if m := readOne(t, s, telnetOffer); m.Kind != Greeting || m.Offer != Offered {
				t.Fatalf("%+v", m)
			}
			if said := s.Write(nil, Message{Kind: Upgrade}); !bytes.Equal(said, telnetUpgrade) {
				t.Fatalf("%x", said)
			}
			if test.bad {
				refuses(t, s, []byte(test.raw))
				return
			}
			m, n, err := s.Read([]byte(test.raw + "login: "))
			if m.Kind != test.kind || m.Why != test.why || m.Re != Upgrade || n != len(test.raw) || err != nil || s.Pending() != test.pending {
				t.Errorf("%+v, %d, %v", m, n, err)
			}
		})
	}
	t.Run("FOLLOWS unasked", func(t *testing.T) {
		s := Telnet.Speak(Client, false)
		readOne(t, s, telnetOffer)
		refuses(t, s, telnetFollows)
	})
	t.Run("a prompt first", func(t *testing.T) {
		if m := readOne(t, Telnet.Speak(Client, false), []byte("l")); m.Kind != Greeting || m.Offer != Unsaid {
			t.Errorf("%+v", m)
		}
	})
}

func TestTelnetOwnWords(t *testing.T) {
	s := Telnet.Speak(Server, false)
	if said := s.Write(nil, Message{Kind: Greeting}); len(said) > 0 {
		t.Errorf("%x", said)
	}
	s.Write(nil, Message{Kind: Greeting, Offer: Required})
	for ask, want := range map[string]string{
		"\xff\xfb\x18": "\xff\xfe\x18", "\xff\xfd\x01": "\xff\xfc\x01", "\xff\xfc\x18": "", "\xff\xfe\x01": "", "\xff\xf1": "",
	} {
		if said := string(s.Write(nil, readOne(t, s, []byte(ask)).Reply(Other, Unknown))); said != want {
			t.Errorf("%x to %x, want %x", said, ask, want)
		}
	}
	m := readOne(t, s, []byte("r"))
	if said := string(s.Write(nil, m.Reply(No, TLSRequired))); said != "This server demands TLS (START_TLS).\r\n" {
		t.Errorf("%q", said)
	}
	refuses(t, s, []byte("oot\r\n"))
}

// telnetEdits stands for the general check: an offer is a message by itself here, before the server's.
func telnetEdits(t *testing.T, front Speech, m Message, offer Offer) {
	t.Helper()
	want := bytes.Clone(m.Raw)
	switch own := bytes.Equal(m.Raw, telnetOffer); {
	case own && offer == Unsaid:
		want = telnetNothing
	case !own && offer != Unsaid:
		want = append(bytes.Clone(telnetOffer), m.Raw...)
	}
	if out := front.Write(nil, m.Offering(offer).Unbound()); !bytes.Equal(out, want) {
		t.Fatalf("edit: telnet: %x offering %v is said as %x", m.Raw, offer, out)
	}
}
