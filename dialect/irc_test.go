package dialect

import (
	"strings"
	"testing"
)

func ircRest(raw []byte) (rest []string) {
	for _, line := range lines(raw) {
		_, from, _, ok := ircList(line)
		if !ok {
			rest = append(rest, string(line))
			continue
		}
		text, _ := chomp(line)
		for _, word := range strings.Split(text[from:], " ") {
			if key, _, _ := strings.Cut(upper(word), "="); key != "TLS" && key != "SASL" && key != "" {
				rest = append(rest, word)
			}
		}
		rest = append(rest, strings.TrimSuffix(text[:from], ":"), string(line[len(text):]))
	}
	return rest
}

func TestIRCUpgrade(t *testing.T) {
	checkAsked(t, &IRC, false, "", []asked{
		{"plain", "STARTTLS\r\n", Upgrade, Unknown},
		{"lower case", "starttls\r\n", Upgrade, Unknown},
		{"argument", "STARTTLS :now\r\n", Upgrade, BadSyntax},
		{"bare LF", "STARTTLS\n", Upgrade, BadSyntax},
		{"leading space", " STARTTLS\r\n", Upgrade, BadSyntax},
		{"prefix", ":dan STARTTLS\r\n", Upgrade, BadSyntax},
		{"tags and prefix", "@a=b :dan STARTTLS\r\n", Upgrade, BadSyntax},
		{"behind a CR", "PING x\rSTARTTLS\r\n", Upgrade, BadSyntax},
		{"behind a NUL", "PING x\x00STARTTLS\r\n", Upgrade, BadSyntax},
		{"longer word", "STARTTLSX\r\n", Secret, Unknown},
		{"second word", "PING STARTTLS\r\n", Other, Unknown},
		{"NICK", "NICK dan\r\n", Secret, Unknown},
		{"USER", "USER d 0 * :d\r\n", Secret, Unknown},
		{"PASS", "PASS x\r\n", Secret, Unknown},
		{"AUTHENTICATE", "AUTHENTICATE PLAIN\r\n", Secret, Unknown},
		{"JOIN", "JOIN #a\r\n", Secret, Unknown},
		{"CAP LS", "CAP LS 302\r\n", Ask, Unknown},
		{"CAP END", "CAP END\r\n", Other, Unknown},
		{"empty line", "\r\n", Other, Unknown},
	})
	checkAsked(t, &IRC, true, "", []asked{{"CI-13 inside TLS", "STARTTLS\r\n", Upgrade, AlreadyTLS}})
	t.Run("CI-16 after registration", func(t *testing.T) {
		s := IRC.Speak(Server, false)
		say(s, ":x 001 dan :Welcome\r\n")
		if m := one(t, s, "STARTTLS\r\n"); m.Why != NotNow || !s.Settled() {
			t.Errorf("why %v", m.Why)
		}
	})
	t.Run("CI-25 NICK behind it", func(t *testing.T) {
		s := IRC.Speak(Server, false)
		if m := one(t, s, "STARTTLS\r\nNICK x\r\n"); m.Kind != Upgrade || string(m.Raw) != "STARTTLS\r\n" || !s.Pending() {
			t.Errorf("%+v", m)
		}
	})
}

func TestIRCWords(t *testing.T) {
	for _, test := range []struct {
		line string
		why  Reason
		want string
	}{
		{"STARTTLS\r\n", Unknown, ":irc.invalid 421 * STARTTLS :Unknown command\r\n"},
		{"STARTTLS x\r\n", BadSyntax, ":irc.invalid 691 * :STARTTLS failed (syntax error)\r\n"},
		{"NICK dan\r\n", TLSRequired, ":irc.invalid 451 * :You have not registered: say STARTTLS first\r\n"},
		{"NICK dan\r\n", Unavailable, "ERROR :Closing link: service not available\r\n"},
	} {
		s := IRC.Speak(Server, false)
		if got := s.Write(nil, one(t, s, test.line).Reply(No, test.why)); string(got) != test.want || s.Pending() {
			t.Errorf("%q refused for %v with %q", test.line, test.why, got)
		}
	}
	// A server that answers CAP LS holds registration back until CAP END.
	if got := string(IRC.Speak(Client, false).Write(nil, Message{Kind: Ask})); got != "CAP LS 302\r\nCAP END\r\n" {
		t.Error(got)
	}
}

func TestIRCAnswers(t *testing.T) {
	checkAnswered(t, &IRC, "", []answered{
		{"notice", "", ":x NOTICE * :hello\r\n", Other, Unknown},
		{"notice from nobody", "", "NOTICE AUTH :hello\r\n", Other, Unknown},
		{"SMTP", "", "220 mx hello\r\n", Secret, Unknown},
		{"POP3", "", "+OK\r\n", Secret, Unknown},
		{"HTTP", "", "HTTP/1.1 400 Bad Request\r\n", Secret, Unknown},
		{"go-ahead for nothing", "", ":x 670 * :go\r\n", Secret, Unknown},
		{"begin", "STARTTLS\r\n", ":x 670 dan :go\r\n", Ready, Unknown},
		{"failed", "STARTTLS\r\n", ":x 691 dan :no\r\n", No, TLSUnavailable},
		{"not registered", "STARTTLS\r\n", ":x 451 * :no\r\n", No, Unknown},
		{"unknown", "STARTTLS\r\n", ":x 421 * STARTTLS :Unknown command\r\n", No, Unknown},
		{"unknown is another", "STARTTLS\r\n", ":x 421 * CAP :Unknown command\r\n", Other, Unknown},
		{"caps", "CAP LS\r\n", ":x CAP * LS :tls\r\n", Caps, Unknown},
		{"caps unknown", "CAP LS\r\n", ":x 421 * CAP :Unknown command\r\n", No, Unknown},
		{"closed", "STARTTLS\r\n", "ERROR :no\r\n", Bye, Unknown},
	})
}

func TestIRCEdits(t *testing.T) {
	checkEdited(t, &IRC, false, "", "CAP LS 302\r\n", []edited{
		{
			"one line", ":x CAP * LS :a TLS sasl=PLAIN,x-plus sts=port=6697 \r\n",
			":x CAP * LS :a sasl=PLAIN sts=port=6697 \r\n",
			":x CAP * LS :a TLS sasl=PLAIN sts=port=6697 \r\n",
			":x CAP * LS :a TLS sts=port=6697 \r\n",
		}, {
			"two lines", "CAP * LS * :a sasl\r\nCAP * LS :b \r\n",
			"CAP * LS * :a sasl\r\nCAP * LS :b \r\n",
			"CAP * LS * :a sasl\r\nCAP * LS :b tls\r\n",
			"CAP * LS * :a\r\nCAP * LS :b tls\r\n",
		}, {
			"without a colon", "CAP * LS sasl=X-PLUS\r\n", "CAP * LS :\r\n", "CAP * LS :tls\r\n", "CAP * LS :tls\r\n",
		}, {
			"empty", "CAP * LS :\r\n", "CAP * LS :\r\n", "CAP * LS :tls\r\n", "CAP * LS :tls\r\n",
		},
	})
}

func TestIRCSTSPolicies(t *testing.T) {
	for policy, ok := range map[string]bool{
		"port=6697,duration=2592000,preload": true, "port=6697": true, "duration=0": true,
		"": false, "port=0": false, "port=65536": false, "port": false, "port=6697 ": false, "duration=-1": false, "duration=30d": false,
		"preload=1": false, "port=1,port=2": false, "port=1, duration=2": false, "port=1\r\nQUIT": false,
	} {
		if err := IRC.STS(policy); (err == nil) != ok {
			t.Errorf("%q: %v", policy, err)
		}
	}
}

// A policy is told each client as far as it concerns it, and in place of the server's own.
func TestIRCTellsSTS(t *testing.T) {
	const all = "port=6697,duration=60,preload"
	for name, row := range map[string]struct {
		inside            bool
		ask, policy, list string
		own               bool // the list is in our words
		want              string
	}{
		"in the clear":         {false, "CAP LS 302", all, "a", false, "a sts=port=6697"},
		"inside":               {true, "CAP LS 302", all, "a ", false, "a sts=duration=60,preload"},
		"in its place":         {false, "CAP LS 302", all, "sts=port=7000,duration=1 a", false, "a sts=port=6697"},
		"no policy":            {false, "CAP LS 302", "", "sts=port=7000,duration=1 a", false, "sts=port=7000,duration=1 a"},
		"not for here":         {true, "CAP LS 302", "port=6697", "sts=duration=1 a", false, "a"},
		"not for there":        {false, "CAP LS 302", "duration=60", "a", false, "a"},
		"preload alone":        {true, "CAP LS 302", "preload", "a", false, "a"},
		"no values understood": {false, "CAP LS", all, "a", false, "a"},
		"a strange version":    {false, "CAP LS x302", all, "a", false, "a"},
		"in our words":         {false, "CAP LS 302", all, "", true, "tls sts=port=6697"},
	} {
		s := IRC.Speak(Server, row.inside)
		m := one(t, s, row.ask+"\r\n").Reply(Caps, Unknown)
		if m.Offer = Required; !row.own {
			m.Raw = []byte("CAP * LS :" + row.list + "\r\n")
		}
		_, list, _ := strings.Cut(string(s.Write(nil, m.Telling(row.policy))), " LS :")
		if list != row.want+"\r\n" {
			t.Errorf("%s: %q, want %q", name, list, row.want)
		}
	}
}
