package dialect

import (
	"errors"
	"testing"
)

func nntpRest(raw []byte) (rest []string) {
	for _, line := range lines(raw) {
		text, _ := chomp(line)
		switch key, _ := splitVerb(text); key {
		case "STARTTLS", "SASL", "AUTHINFO", "MODE-READER":
		default:
			rest = append(rest, string(line))
		}
	}
	return rest
}

func TestNNTPUpgrade(t *testing.T) {
	checkAsked(t, &NNTP, false, "200 hello\r\n", []asked{
		{"plain", "STARTTLS\r\n", Upgrade, Unknown},
		{"lower case, blanks behind", "starttls  \r\n", Upgrade, Unknown},
		{"argument", "STARTTLS now\r\n", Upgrade, BadSyntax},
		{"bare LF", "STARTTLS\n", Upgrade, BadSyntax},
		{"leading tab", "\tSTARTTLS\r\n", Upgrade, BadSyntax},
		{"NUL behind", "STARTTLS\x00\r\n", Upgrade, BadSyntax},
		{"longer word", "STARTTLSX\r\n", Secret, Unknown},
		{"MODE READER", "mode  reader\r\n", Other, Unknown},
		{"MODE STREAM", "MODE STREAM\r\n", Secret, Unknown},
		{"AUTHINFO", "AUTHINFO USER x\r\n", Secret, Unknown},
		{"GROUP", "GROUP x\r\n", Secret, Unknown},
		{"IHAVE", "IHAVE <a@b>\r\n", Secret, Unknown},
		{"TAKETHIS", "TAKETHIS <a@b>\r\n", Secret, Unknown},
		{"capabilities with a keyword", "CAPABILITIES AUTOUPDATE\r\n", Ask, Unknown},
	})
	checkAsked(t, &NNTP, true, "", []asked{
		{"CI-13 inside TLS", "STARTTLS\r\n", Upgrade, AlreadyTLS},
		{"MODE READER inside TLS", "MODE READER\r\n", Other, Unknown},
	})
	t.Run("CI-13 its words", func(t *testing.T) {
		s := NNTP.Speak(Server, true)
		if out := string(s.Write(nil, one(t, s, "STARTTLS\r\n").Reply(No, AlreadyTLS))); out[:3] != "502" {
			t.Error(out)
		}
	})
	t.Run("CI-24 MODE READER behind it", func(t *testing.T) {
		s := NNTP.Speak(Server, false)
		say(s, "200 hello\r\n")
		if m := one(t, s, "STARTTLS\r\nMODE READER\r\n"); m.Kind != Upgrade || string(m.Raw) != "STARTTLS\r\n" || !s.Pending() {
			t.Errorf("%+v", m)
		}
	})
	for name, talk := range map[string][]string{
		"CI-16 after login":  {"AUTHINFO PASS x\r\n", "281 in\r\n"},
		"after compression":  {"COMPRESS DEFLATE\r\n", "206 go\r\n"},
		"CI-16 with success": {"AUTHINFO SASL PLAIN x\r\n", "283 x\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s := NNTP.Speak(Server, false)
			say(s, "200 hello\r\n")
			one(t, s, talk[0])
			say(s, talk[1])
			if m := one(t, s, "STARTTLS\r\n"); m.Why != NotNow || !s.Settled() {
				t.Errorf("why %v, settled %v", m.Why, s.Settled())
			}
		})
	}
}

// TestNNTPRefusedArticle: when TAKETHIS was refused here, the server has not heard of it, and what
// follows must be judged as the commands that they are to the server.
func TestNNTPRefusedArticle(t *testing.T) {
	s := NNTP.Speak(Server, false)
	say(s, "200 hello\r\n")
	s.Write(nil, one(t, s, "TAKETHIS <a@b>\r\n").Reply(No, TLSRequired))
	if m := one(t, s, "STARTTLS\r\n"); m.Kind != Upgrade {
		t.Errorf("%v", m.Kind)
	}
}

func TestNNTPAnswers(t *testing.T) {
	checkAnswered(t, &NNTP, "200 hello\r\n", []answered{
		{"greeting", "", "201 hello\r\n", Greeting, Unknown},
		{"no service", "", "502 no\r\n", No, Unknown},
		{"not now", "", "400 no\r\n", No, Unavailable},
		{"greeting of SMTP", "", "220 hello\r\n", No, Unknown},
		{"greeting of many lines", "", "200-hello\r\n", Secret, Unknown},
		{"greeting of IMAP", "", "* OK hello\r\n", Secret, Unknown},
		{"begin", "STARTTLS\r\n", "382 go\r\n", Ready, Unknown},
		{"cannot", "STARTTLS\r\n", "580 no\r\n", No, TLSUnavailable},
		{"unavailable", "STARTTLS\r\n", "502 no\r\n", No, Unknown},
		{"200 is no go-ahead", "STARTTLS\r\n", "200 go\r\n", No, Unknown},
		{"101 is no go-ahead", "STARTTLS\r\n", "101 go\r\n", No, Unknown},
		{"list", "CAPABILITIES\r\n", "101 list\r\nSTARTTLS\r\n.\r\n", Caps, Unknown},
		{"old server", "CAPABILITIES\r\n", "500 what\r\n", No, Unknown},
		{"encrypt first", "GROUP x\r\n", "483 no\r\n", No, TLSRequired},
	})
	t.Run("answer to nothing", func(t *testing.T) {
		for line, bye := range map[string]bool{"382 go\r\n": false, "101 list\r\n.\r\n": false, "400 bye\r\n": true} {
			s := NNTP.Speak(Client, false)
			one(t, s, "200 hello\r\n")
			m, _, err := s.Read([]byte(line))
			if errors.Is(err, ErrNoise) == bye || bye && m.Kind != Bye {
				t.Errorf("%q: %v, %v", line, m.Kind, err)
			}
		}
	})
}

// TestNNTPSettled: a server that may become another one has not said all.
func TestNNTPSettled(t *testing.T) {
	for list, want := range map[string]bool{"READER\r\n": true, "MODE-READER\r\n": false, "STARTTLS\r\n": false} {
		s := NNTP.Speak(Client, false)
		one(t, s, "200 hello\r\n")
		say(s, "CAPABILITIES\r\n")
		one(t, s, "101 list\r\n"+list+".\r\n")
		say(s, "GROUP x\r\n")
		if s.Settled() != want {
			t.Errorf("%q: settled %v", list, !want)
		}
		one(t, s, "211 1 1 1 x\r\n")
		say(s, "MODE READER\r\n")
		if one(t, s, "200 hello\r\n"); s.Settled() {
			t.Errorf("%q: settled after MODE READER", list)
		}
	}
}

func TestNNTPEdits(t *testing.T) {
	const list = "101 list STARTTLS\r\nVERSION 2\r\nAUTHINFO USER  SASL\r\nMODE-READER\r\nSASL PLAIN  x-plus B\r\nstarttls\r\nSTARTTLS\r\n.\r\n"
	checkEdited(t, &NNTP, false, "200 hello\r\n", "CAPABILITIES\r\n", []edited{
		{
			"all of it", list,
			"101 list STARTTLS\r\nVERSION 2\r\nAUTHINFO USER  SASL\r\nMODE-READER\r\nSASL PLAIN  B\r\n.\r\n",
			"101 list STARTTLS\r\nVERSION 2\r\nAUTHINFO USER  SASL\r\nMODE-READER\r\nSASL PLAIN  B\r\nstarttls\r\n.\r\n",
			"101 list STARTTLS\r\nVERSION 2\r\nAUTHINFO\r\nMODE-READER\r\nstarttls\r\n.\r\n",
		}, {
			"empty", "101 list\r\n.\r\n", "101 list\r\n.\r\n", "101 list\r\nSTARTTLS\r\n.\r\n", "101 list\r\nSTARTTLS\r\n.\r\n",
		},
	})
	t.Run("inside TLS no MODE-READER", func(t *testing.T) {
		c, s := NNTP.Speak(Client, true), NNTP.Speak(Server, true)
		say(c, "CAPABILITIES\r\n")
		one(t, s, "CAPABILITIES\r\n")
		got := s.Write(nil, one(t, c, list).Offering(Unsaid))
		want := "101 list STARTTLS\r\nVERSION 2\r\nAUTHINFO USER  SASL\r\nSASL PLAIN  x-plus B\r\n.\r\n"
		if string(got) != want {
			t.Errorf("%q", got)
		}
	})
}
