package dialect

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// one reads one message from the peer of a speech and fails if there is none.
func one(t *testing.T, s Speech, said string) Message {
	t.Helper()
	m, n, err := s.Read([]byte(said))
	if err != nil || n == 0 {
		t.Fatalf("%q: %d bytes taken, error %v", said, n, err)
	}
	return m
}

// say has a speech say on what was heard on another leg.
func say(s Speech, said string) { s.Write(nil, Message{Raw: []byte(said)}) }

func TestIMAPUpgrade(t *testing.T) {
	for _, test := range []struct {
		name, line string
		kind       Kind
		why        Reason
		tag        string
	}{
		{"plain", "a STARTTLS\r\n", Upgrade, Unknown, "a"},
		{"CI-11 lower case", "a starttls\r\n", Upgrade, Unknown, "a"},
		{"CI-11 UID as a tag", "UID STARTTLS\r\n", Upgrade, Unknown, "UID"},
		{"CI-11 tag of openssl", ". STARTTLS\r\n", Upgrade, Unknown, "."},
		{"CI-11 tag with bracket", "a] STARTTLS\r\n", Upgrade, Unknown, "a]"},
		{"CI-11 tag with star", "a* STARTTLS\r\n", Upgrade, BadSyntax, "*"},
		{"CI-11 tag in quotes", "\"a\" STARTTLS\r\n", Upgrade, BadSyntax, "*"},
		{"CI-11 tag is plus", "+ STARTTLS\r\n", Upgrade, BadSyntax, "*"},
		{"CI-11 tag with plus", "a+b STARTTLS\r\n", Upgrade, BadSyntax, "*"},
		{"CI-11 tag is star", "* STARTTLS\r\n", Upgrade, BadSyntax, "*"},
		{"CI-11 tag of 10 KB", strings.Repeat("a", 10<<10) + " STARTTLS\r\n", Upgrade, BadSyntax, "*"},
		{"CI-11 tag with control", "a\x00b STARTTLS\r\n", Secret, Unknown, "*"},
		{"CI-11 tag beyond ASCII", "\xc3\xa4 STARTTLS\r\n", Upgrade, BadSyntax, "*"},
		{"CI-11 tag with free literal", "{1+}\r\na STARTTLS\r\n", Secret, Unknown, "*"},
		{"CI-11 tag ends in a literal", "a{5} STARTTLS\r\n", Upgrade, BadSyntax, "*"},
		{"CI-11 UID STARTTLS", "a UID STARTTLS\r\n", Secret, Unknown, "a"},
		{"CI-11 trailing space", "a STARTTLS \r\n", Upgrade, BadSyntax, "a"},
		{"CI-11 trailing tab", "a STARTTLS\t\r\n", Upgrade, BadSyntax, "a"},
		{"CI-11 tab between", "a\tSTARTTLS\r\n", Upgrade, BadSyntax, "*"},
		{"CI-11 two spaces", "a  STARTTLS\r\n", Upgrade, BadSyntax, "a"},
		{"CI-11 leading space", " a STARTTLS\r\n", Upgrade, BadSyntax, "*"},
		{"CI-11 argument", "a STARTTLS now\r\n", Upgrade, BadSyntax, "a"},
		{"CI-11 literal argument", "a STARTTLS {3+}\r\nnow\r\n", Upgrade, BadSyntax, "a"},
		{"CI-11 literal as command", "a {8+}\r\nSTARTTLS\r\n", Secret, Unknown, "a"},
		{"CI-11 bare LF", "a STARTTLS\n", Upgrade, BadSyntax, "a"},
		{"CI-11 NUL behind", "a STARTTLS\x00\r\n", Upgrade, BadSyntax, "a"},
		{"CI-11 CR inside", "a STARTTLS\rx\r\n", Upgrade, BadSyntax, "a"},
		{"CI-11 no tag", "STARTTLS\r\n", Secret, Unknown, "STARTTLS"},
		{"CI-11 letters that fold to S", "a \u017fTARTTL\u017f\r\n", Secret, Unknown, "a"},
		{"CI-11 empty line", "\r\n", Secret, Unknown, "*"},
		{"longer word", "a STARTTLSX\r\n", Secret, Unknown, "a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := IMAP.Speak(Server, false)
			m := one(t, s, test.line)
			if m.Kind != test.kind || m.Why != test.why || m.Tag != test.tag || len(m.Raw) != len(test.line) {
				t.Errorf("%v why %v tag %q, %d bytes; want %v why %v tag %q", m.Kind, m.Why, m.Tag, len(m.Raw), test.kind, test.why, test.tag)
			}
			// Whatever it was, its refusal is a BAD or NO of its own, and the conversation goes on.
			refusal := string(s.Write(nil, m.Reply(No, TLSRequired)))
			if !strings.HasPrefix(refusal, test.tag+" NO [PRIVACYREQUIRED] ") && !strings.HasPrefix(refusal, "* BAD ") {
				t.Errorf("refused with %q", refusal)
			}
			if s.Pending() {
				t.Error("still pending after the refusal")
			}
			if m := one(t, s, "b STARTTLS\r\n"); m.Kind != Upgrade || m.Why != Unknown {
				t.Errorf("afterwards an upgrade is %+v", m)
			}
		})
	}
}

func TestIMAPUpgradeOutOfOrder(t *testing.T) {
	t.Run("CI-13 inside TLS", func(t *testing.T) {
		s := IMAP.Speak(Server, true)
		m := one(t, s, "a STARTTLS\r\n")
		if out := string(s.Write(nil, m.Reply(No, m.Why))); m.Why != AlreadyTLS || !strings.HasPrefix(out, "a BAD ") {
			t.Errorf("why %v, %q", m.Why, out)
		}
	})
	t.Run("CI-15 half an AUTHENTICATE", func(t *testing.T) {
		s := IMAP.Speak(Server, false)
		one(t, s, "a AUTHENTICATE PLAIN\r\n")
		say(s, "* OK hello\r\n+ \r\n")
		if m := one(t, s, "b STARTTLS\r\n"); m.Kind != Secret || m.Tag != "a" {
			t.Errorf("%+v", m)
		}
	})
	t.Run("CI-15 half a LOGIN", func(t *testing.T) {
		s := IMAP.Speak(Server, false)
		one(t, s, "a LOGIN {12}\r\n")
		say(s, "* OK hello\r\n")
		say(s, "+ go on\r\n")
		if m := one(t, s, "b STARTTLS\r\n x\r\nc NOOP\r\n"); m.Kind != Secret || string(m.Raw) != "b STARTTLS\r\n x\r\n" {
			t.Errorf("%+v", m)
		}
	})
	t.Run("literal that the server did not want", func(t *testing.T) {
		s := IMAP.Speak(Server, false)
		one(t, s, "a LOGIN {12}\r\n")
		say(s, "* OK hello\r\n")
		say(s, "a NO not so\r\n")
		if m := one(t, s, "b STARTTLS\r\n"); m.Kind != Upgrade || m.Why != Unknown {
			t.Errorf("%+v", m)
		}
	})
	t.Run("CI-16 after login", func(t *testing.T) {
		s := IMAP.Speak(Server, false)
		say(s, "* OK hello\r\n")
		one(t, s, "a LOGIN u p\r\n")
		say(s, "a OK in\r\n")
		if m := one(t, s, "b STARTTLS\r\n"); m.Why != NotNow || !s.Settled() {
			t.Errorf("why %v, settled %v", m.Why, s.Settled())
		}
	})
	t.Run("literals beyond every limit", func(t *testing.T) {
		for _, line := range []string{"a X {99999999999999999999+}\r\nb", "a X {9223372036854775807+}\r\n", "a X {2000000000+}\r\nb STARTTLS\r\n"} {
			if m, n, err := IMAP.Speak(Server, false).Read([]byte(line)); n != 0 || err != nil {
				t.Errorf("%q: %+v, %d, %v", line, m, n, err)
			}
		}
	})
	t.Run("a browser", func(t *testing.T) {
		if _, _, err := IMAP.Speak(Server, false).Read([]byte("GET / HTTP/1.1\r\n")); !errors.Is(err, ErrNoise) {
			t.Error(err)
		}
	})
}

func TestIMAPGreetings(t *testing.T) {
	for _, test := range []struct {
		name, line string
		inside     bool
		kind       Kind
		why        Reason
	}{
		{"OK", "* OK hello\r\n", false, Greeting, Unknown},
		{"lower case", "* ok hello\r\n", false, Greeting, Unknown},
		{"no text", "* OK\r\n", false, Greeting, Unknown},
		{"PREAUTH", "* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] hello\r\n", false, No, NotNow},
		{"PREAUTH inside TLS", "* PREAUTH hello\r\n", true, Greeting, Unknown},
		{"BYE", "* BYE go away\r\n", false, Bye, Unknown},
		{"NO", "* NO hello\r\n", false, No, Unknown},
		{"BAD", "* BAD [ALERT] hello\r\n", false, No, Unknown},
		{"junk", "junk\r\n", false, Secret, Unknown},
		{"junk and OK", "junk\r\n* OK hello\r\n", false, Secret, Unknown},
		{"tagged", "a OK hello\r\n", false, Secret, Unknown},
		{"data", "* 12345 EXISTS\r\n", false, Secret, Unknown},
		{"capabilities alone", "* CAPABILITY IMAP4rev1\r\n", false, Secret, Unknown},
		{"continuation", "+ OK\r\n", false, Secret, Unknown},
		{"SMTP", "220 hello ESMTP\r\n", false, Secret, Unknown},
		{"TLS", "\x16\x03\x01\x00\x05hello", false, Secret, Unknown},
		{"empty", "\r\n", false, Secret, Unknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, _, err := IMAP.Speak(Client, test.inside).Read([]byte(test.line))
			if (err != nil) != (test.kind == Secret) { // Secret stands for noise
				t.Fatalf("%+v, error %v", m, err)
			}
			if err == nil && (m.Kind != test.kind || m.Why != test.why) {
				t.Errorf("%v why %v, want %v why %v", m.Kind, m.Why, test.kind, test.why)
			}
			if m.Kind == No && m.Text == "" || m.Kind == Bye && m.Text != "BYE go away" {
				t.Errorf("text %q", m.Text)
			}
		})
	}
}

// TestIMAPAnswers holds what a server may say to STARTTLS, and what is never Ready.
func TestIMAPAnswers(t *testing.T) {
	for _, test := range []struct {
		name, asked, line string
		kind              Kind
		why               Reason
		pending           bool
	}{
		{"OK", "a STARTTLS\r\n", "a OK begin\r\n", Ready, Unknown, false},
		{"OK with capabilities", "a STARTTLS\r\n", "a ok [CAPABILITY IMAP4rev1] begin\r\n", Ready, Unknown, false},
		{"NO", "a STARTTLS\r\n", "a NO later\r\n", No, TLSUnavailable, false},
		{"BAD", "a STARTTLS\r\n", "a BAD what\r\n", No, Unknown, false},
		{"plus instead of an answer", "a STARTTLS\r\n", "+ continue with something\r\n", No, Unknown, false},
		{"untagged OK", "a STARTTLS\r\n", "* OK begin\r\n", Other, Unknown, true},
		{"BYE", "a STARTTLS\r\n", "* BYE\r\n", Bye, Unknown, false},
		{"data in between", "a STARTTLS\r\n", "* 1 FETCH (BODY[] {3}\r\na OK)\r\n", Other, Unknown, true},
		{"capabilities in between", "a STARTTLS\r\n", "* CAPABILITY IDLE\r\n", Caps, Unknown, true},
		{"predicted tag", "1 CAPABILITY\r\n", "2 OK begin\r\n", Secret, Unknown, true},
		{"no question at all", "", "2 OK begin\r\n", Secret, Unknown, false},
		{"another tag", "a STARTTLS\r\n", "A OK begin\r\n", Secret, Unknown, true},
		{"tag that is none", "a STARTTLS\r\n", "a* OK begin\r\n", Secret, Unknown, true},
		{"empty tag", "a STARTTLS\r\n", " OK begin\r\n", Secret, Unknown, true},
		{"answer to a tag that is none", "a* STARTTLS\r\n", "a OK begin\r\n", Secret, Unknown, false},
		{"tagged BYE", "a STARTTLS\r\n", "a BYE\r\n", Secret, Unknown, true},
		{"tagged PREAUTH", "a STARTTLS\r\n", "a PREAUTH\r\n", Secret, Unknown, true},
		{"demand", "a LOGIN u p\r\n", "a NO [PRIVACYREQUIRED] x\r\n", No, TLSRequired, false},
		{"out of order", "a LOGIN u p\r\n", "a NO [unavailable] x\r\n", No, Unavailable, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := IMAP.Speak(Client, false)
			one(t, s, "* OK hello\r\n")
			say(s, test.asked)
			m, _, err := s.Read([]byte(test.line))
			if (err != nil) != (test.kind == Secret) {
				t.Fatalf("%+v, error %v", m, err)
			}
			if err == nil && (m.Kind != test.kind || m.Why != test.why) {
				t.Errorf("%v why %v, want %v why %v", m.Kind, m.Why, test.kind, test.why)
			}
			if s.Pending() != test.pending {
				t.Errorf("pending %v", s.Pending())
			}
		})
	}
}

func TestIMAPEdits(t *testing.T) {
	for _, test := range []struct {
		name, said                       string
		unsaid, offered, required, alone string // alone: Unbound without an offer
	}{
		{
			"greeting", "* OK [CAPABILITY IMAP4rev1 SASL-IR  AUTH=PLAIN auth=scram-sha-1-plus IDLE] x [y] \r\n",
			"* OK [CAPABILITY IMAP4rev1 SASL-IR  AUTH=PLAIN IDLE] x [y] \r\n",
			"* OK [CAPABILITY IMAP4rev1 SASL-IR  AUTH=PLAIN IDLE STARTTLS] x [y] \r\n",
			"* OK [CAPABILITY IMAP4rev1 SASL-IR  IDLE STARTTLS LOGINDISABLED] x [y] \r\n",
			"* OK [CAPABILITY IMAP4rev1 SASL-IR  AUTH=PLAIN IDLE] x [y] \r\n",
		}, {
			"list with all of it, twice", "* capability starttls IMAP4rev1 LoginDisabled STARTTLS LOGINDISABLED XSTARTTLS\r\n",
			"* capability IMAP4rev1 LoginDisabled XSTARTTLS\r\n",
			"* capability starttls IMAP4rev1 LoginDisabled XSTARTTLS\r\n",
			"* capability starttls IMAP4rev1 LoginDisabled XSTARTTLS\r\n",
			"* capability starttls IMAP4rev1 LoginDisabled STARTTLS LOGINDISABLED XSTARTTLS\r\n",
		}, {
			"empty list, bare LF", "* CAPABILITY\n",
			"* CAPABILITY\n", "* CAPABILITY STARTTLS\n", "* CAPABILITY STARTTLS LOGINDISABLED\n", "* CAPABILITY\n",
		}, {
			"answer to a login", "a OK [CAPABILITY STARTTLS] STARTTLS is in this text\r\n",
			"a OK [CAPABILITY] STARTTLS is in this text\r\n",
			"a OK [CAPABILITY STARTTLS] STARTTLS is in this text\r\n",
			"a OK [CAPABILITY STARTTLS LOGINDISABLED] STARTTLS is in this text\r\n",
			"a OK [CAPABILITY STARTTLS] STARTTLS is in this text\r\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			leg := func(we Side) Speech {
				s := IMAP.Speak(we, true)
				if we == Client {
					say(s, "a LOGIN u p\r\n")
				} else {
					one(t, s, "a LOGIN u p\r\n")
				}
				return s
			}
			m := one(t, leg(Client), test.said)
			for _, e := range []struct {
				m    Message
				want string
			}{
				{m.Offering(Unsaid).Unbound(), test.unsaid},
				{m.Offering(Offered).Unbound(), test.offered},
				{m.Offering(Required).Unbound(), test.required},
				{m.Unbound(), test.alone},
				{m, test.said},
			} {
				if got := leg(Server).Write(nil, e.m); string(got) != e.want {
					t.Errorf("offering %v:\n got %q\nwant %q", e.m.Offer, got, e.want)
				}
			}
		})
	}
	t.Run("what has no list", func(t *testing.T) {
		for _, line := range []string{
			"* OK hello\r\n", "* OK STARTTLS ready\r\n", "* OK [KAPABILITY STARTTLS] x\r\n", "* OK [CAPABILITYX STARTTLS] x\r\n",
			"* OK [CAPABILITY STARTTLS\r\n", "* OK [ALERT] CAPABILITY STARTTLS\r\n",
		} {
			m := one(t, IMAP.Speak(Client, false), line)
			if got := IMAP.Speak(Server, false).Write(nil, m.Offering(Required)); string(got) != line || m.Offer != Unsaid {
				t.Errorf("%q, offer %v, said as %q", line, m.Offer, got)
			}
		}
	})
}

// TestIMAPRefusals reads our refusals of a login back.
func TestIMAPRefusals(t *testing.T) {
	want := map[Reason]string{
		Unknown: "a BAD ", TLSRequired: "a NO [PRIVACYREQUIRED] ", TLSUnavailable: "a NO ", AlreadyTLS: "a BAD ", BadSyntax: "a BAD ",
		NotNow: "a BAD ", Unavailable: "* BYE [UNAVAILABLE] ", TooMuch: "* BYE ",
	}
	for why, prefix := range want {
		s := IMAP.Speak(Server, true)
		m := one(t, s, "a LOGIN u p\r\n")
		if got := s.Write(nil, m.Reply(No, why)); !bytes.HasPrefix(got, []byte(prefix)) || s.Pending() {
			t.Errorf("%v: %q, pending %v", why, got, s.Pending())
		}
	}
	if got := IMAP.Speak(Server, false).Write(nil, Message{}.Reply(No, Unavailable)); string(got[:5]) != "* BYE" {
		t.Errorf("in place of a greeting: %q", got)
	}
}
