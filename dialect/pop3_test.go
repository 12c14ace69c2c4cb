package dialect

import (
	"errors"
	"testing"
)

func TestPOP3Upgrade(t *testing.T) {
	for _, test := range []struct {
		name, line string
		kind       Kind
		why        Reason
	}{
		{"plain", "STLS\r\n", Upgrade, Unknown},
		{"lower case", "stls\r\n", Upgrade, Unknown},
		{"argument", "STLS now\r\n", Upgrade, BadSyntax},
		{"bare LF", "STLS\n", Upgrade, BadSyntax},
		{"NUL behind", "STLS\x00\r\n", Upgrade, BadSyntax},
		{"leading space", " STLS\r\n", Upgrade, BadSyntax},
		{"tab behind a word", "STLS\tx\r\n", Upgrade, BadSyntax},
		{"longer word", "STLSX\r\n", Secret, Unknown},
		{"second word", "NOOP STLS\r\n", Other, Unknown},
		{"letters that fold to S", "\u017fTL\u017f\r\n", Secret, Unknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := POP3.Speak(Server, false)
			if m := one(t, s, test.line); m.Kind != test.kind || m.Why != test.why {
				t.Errorf("%v why %v, want %v why %v", m.Kind, m.Why, test.kind, test.why)
			}
		})
	}
	t.Run("CI-13 inside TLS", func(t *testing.T) {
		if m := one(t, POP3.Speak(Server, true), "STLS\r\n"); m.Why != AlreadyTLS {
			t.Errorf("why %v", m.Why)
		}
	})
	for name, talk := range map[string][]string{
		"CI-15 between USER and PASS":                {"USER joe\r\n", "+OK\r\n"},
		"CI-15 between USER and PASS, words between": {"USER joe\r\n", "+OK\r\n", "NOOP\r\n", "+OK\r\n"},
		"CI-16 after login":                          {"APOP joe x\r\n", "+OK\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s := POP3.Speak(Server, false)
			say(s, "+OK hello\r\n")
			for i := 0; i < len(talk); i += 2 {
				one(t, s, talk[i])
				say(s, talk[i+1])
			}
			if m := one(t, s, "STLS\r\n"); m.Why != NotNow {
				t.Errorf("why %v", m.Why)
			}
		})
	}
	t.Run("CI-15 half an AUTH", func(t *testing.T) {
		s := POP3.Speak(Server, false)
		say(s, "+OK hello\r\n")
		one(t, s, "AUTH PLAIN\r\n")
		say(s, "+ \r\n")
		if m := one(t, s, "STLS\r\n"); m.Kind != Secret {
			t.Errorf("%v", m.Kind)
		}
	})
	t.Run("after a PASS that was refused", func(t *testing.T) {
		s := POP3.Speak(Server, false)
		say(s, "+OK hello\r\n")
		for _, c := range []string{"USER joe\r\n", "PASS x\r\n"} {
			one(t, s, c)
			say(s, map[string]string{"USER joe\r\n": "+OK\r\n", "PASS x\r\n": "-ERR [AUTH] no\r\n"}[c])
		}
		if m := one(t, s, "STLS\r\n"); m.Why != Unknown {
			t.Errorf("why %v", m.Why)
		}
	})
}

func TestPOP3Answers(t *testing.T) {
	for _, test := range []struct {
		name, asked, line string
		kind              Kind
		why               Reason
	}{
		{"greeting", "", "+OK hello <1@x>\r\n", Greeting, Unknown},
		{"greeting without a word", "", "+OK\r\n", Greeting, Unknown},
		{"greeting that refuses", "", "-ERR [SYS/TEMP] later\r\n", No, Unavailable},
		{"greeting that is a prefix only", "", "+Do you even care?\r\n", Secret, Unknown},
		{"greeting with a plus", "", "+ OK\r\n", Secret, Unknown},
		{"greeting in lower case", "", "+ok hello\r\n", Secret, Unknown},
		{"greeting of IMAP", "", "* OK hello\r\n", Secret, Unknown},
		{"begin", "STLS\r\n", "+OK\r\n", Ready, Unknown},
		{"do not", "STLS\r\n", "-ERR no\r\n", No, Unknown},
		{"not now", "STLS\r\n", "-ERR [SYS/TEMP] no\r\n", No, TLSUnavailable},
		{"something else", "STLS\r\n", "+ go on\r\n", Secret, Unknown},
		{"CAPA unknown", "CAPA\r\n", "-ERR what\r\n", No, Unknown},
		{"CAPA", "CAPA\r\n", "+OK\r\nstls\r\n.\r\n", Caps, Unknown},
		{"old list of mechanisms", "AUTH\r\n", "+OK\r\nPLAIN\r\n.\r\n", Other, Unknown},
		{"bye", "QUIT\r\n", "+OK\r\n", Bye, Unknown},
		{"answer to nothing", "\r", "+OK Begin TLS negotiation\r\n", Secret, Unknown},
		{"refusal of nothing", "\r", "-ERR idle for too long\r\n", No, Unknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := POP3.Speak(Client, false)
			if test.asked != "" {
				one(t, s, "+OK hello\r\n")
				say(s, test.asked)
			}
			m, _, err := s.Read([]byte(test.line))
			if (err != nil) != (test.kind == Secret) || err != nil && !errors.Is(err, ErrNoise) {
				t.Fatalf("%+v, error %v", m, err)
			}
			if err == nil && (m.Kind != test.kind || m.Why != test.why) {
				t.Errorf("%v why %v, want %v why %v", m.Kind, m.Why, test.kind, test.why)
			}
		})
	}
}

func TestPOP3Edits(t *testing.T) {
	const greeting = "+OK POP3 <1896.697170952@dbc.mtview.ca.us> STLS\r\n"
	leg := func(we Side) Speech {
		s := POP3.Speak(we, false)
		if we == Client {
			one(t, s, greeting)
			say(s, "CAPA\r\n")
		} else {
			say(s, greeting)
			one(t, s, "CAPA\r\n")
		}
		return s
	}
	for _, test := range []struct{ name, said, unsaid, offered, required string }{
		{
			"without STLS", "+OK STLS\r\nTOP\r\nUSER\r\nSASL  PLAIN scram-sha-1-plus SCRAM-SHA-1\r\nUIDL \r\n.\r\n",
			"+OK STLS\r\nTOP\r\nUSER\r\nSASL  PLAIN SCRAM-SHA-1\r\nUIDL \r\n.\r\n",
			"+OK STLS\r\nTOP\r\nUSER\r\nSASL  PLAIN SCRAM-SHA-1\r\nUIDL \r\nSTLS\r\n.\r\n",
			"+OK STLS\r\nTOP\r\nUIDL \r\nSTLS\r\n.\r\n",
		}, {
			"with STLS, twice", "+OK\r\nstls\r\nSASL A-PLUS\r\nSTLS\r\nXSTLS\r\n.\r\n",
			"+OK\r\nXSTLS\r\n.\r\n",
			"+OK\r\nstls\r\nXSTLS\r\n.\r\n",
			"+OK\r\nstls\r\nXSTLS\r\n.\r\n",
		}, {
			"empty", "+OK\r\n.\r\n", "+OK\r\n.\r\n", "+OK\r\nSTLS\r\n.\r\n", "+OK\r\nSTLS\r\n.\r\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := one(t, leg(Client), test.said)
			for offer, want := range map[Offer]string{Unsaid: test.unsaid, Offered: test.offered, Required: test.required} {
				if got := leg(Server).Write(nil, m.Offering(offer).Unbound()); string(got) != want {
					t.Errorf("offering %v:\n got %q\nwant %q", offer, got, want)
				}
			}
		})
	}
	t.Run("the stamp for APOP", func(t *testing.T) {
		m := one(t, POP3.Speak(Client, false), greeting)
		if got := POP3.Speak(Server, false).Write(nil, m.Offering(Required).Unbound()); string(got) != greeting {
			t.Errorf("%q", got)
		}
	})
}
