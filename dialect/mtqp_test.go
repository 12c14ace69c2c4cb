package dialect

import (
	"errors"
	"strings"
	"testing"
)

func mtqpRest(raw []byte) (rest []string) {
	all := lines(raw)
	_, text, _ := strings.Cut(string(all[0]), "/")
	rest = append(rest, strings.TrimRight(text, "\r\n"))
	ours := false
	for _, line := range all[1:max(1, len(all)-1)] {
		if is, _ := mtqpOption(line); is || line[0] != ' ' {
			ours = is
		}
		if !ours {
			rest = append(rest, string(line))
		}
	}
	return rest
}

func TestMTQPUpgrade(t *testing.T) {
	const hello = "+OK/MTQP hello\r\n"
	checkAsked(t, &MTQP, false, hello, []asked{
		{"plain", "STARTTLS mtqp.example.com\r\n", Upgrade, Unknown},
		{"lower case, blanks", "starttls \t mtqp.example.com \r\n", Upgrade, Unknown},
		{"no domain", "STARTTLS\r\n", Upgrade, BadSyntax},
		{"two domains", "STARTTLS a b\r\n", Upgrade, BadSyntax},
		{"no domain at all", "STARTTLS a/../b\r\n", Upgrade, BadSyntax},
		{"a long domain", "STARTTLS " + strings.Repeat("a", 256) + "\r\n", Upgrade, BadSyntax},
		{"bare LF", "STARTTLS a\n", Upgrade, BadSyntax},
		{"leading space", " STARTTLS a\r\n", Upgrade, BadSyntax},
		{"NUL between", "STARTTLS\x00a\r\n", Upgrade, BadSyntax},
		{"TRACK", "TRACK a b\r\n", Secret, Unknown},
		{"COMMENT", "COMMENT STARTTLS a\r\n", Other, Unknown},
		{"longer word", "STARTTLSX a\r\n", Secret, Unknown},
	})
	checkAsked(t, &MTQP, true, hello, []asked{{"CI-13 inside TLS", "STARTTLS a\r\n", Upgrade, AlreadyTLS}})
	t.Run("CI-25 TRACK behind it", func(t *testing.T) {
		s := MTQP.Speak(Server, false)
		say(s, hello)
		m := one(t, s, "STARTTLS a.example\r\nTRACK a b\r\n")
		if m.Kind != Upgrade || m.Name != "a.example" || string(m.Raw) != "STARTTLS a.example\r\n" || !s.Pending() {
			t.Errorf("%+v", m)
		}
	})
}

func TestMTQPAnswers(t *testing.T) {
	checkAnswered(t, &MTQP, "+OK/MTQP hello\r\n", []answered{
		{"greeting", "", "+OK/MTQP hello\r\n", Greeting, Unknown},
		{"greeting with options", "", "+OK+/MTQP hello\r\nstarttls\r\n.\r\n", Greeting, Unknown},
		{"POP3", "", "+OK hello\r\n", Secret, Unknown},
		{"SMTP", "", "220 hello\r\n", Secret, Unknown},
		{"later", "", "-TEMP/MTQP/admin Service down for admin\r\n", No, Unavailable},
		{"never", "", "-ERR/MTQP/unavailable Service down\r\n", No, Unknown},
		{"begin", "STARTTLS a\r\n", "+OK\r\n", Ready, Unknown},
		{"begin with a text", "STARTTLS a\r\n", "+OK+ go\r\nx\r\n.\r\n", Secret, Unknown},
		{"not now", "STARTTLS a\r\n", "-TEMP no\r\n", No, TLSUnavailable},
		{"never here", "STARTTLS a\r\n", "-ERR no\r\n", No, Unknown},
		{"unknown", "STARTTLS a\r\n", "-BAD no\r\n", No, Unknown},
	})
	t.Run("answer to nothing", func(t *testing.T) {
		s := MTQP.Speak(Client, false)
		one(t, s, "+OK/MTQP hello\r\n")
		if _, _, err := s.Read([]byte("+OK go\r\n")); !errors.Is(err, ErrNoise) {
			t.Error(err)
		}
	})
}

func TestMTQPEdits(t *testing.T) {
	checkEdited(t, &MTQP, false, "", "", []edited{
		{
			"all of it", "+OK+/MTQP hello\r\nvnd.x a\r\n STARTTLS\r\nstarttls required\r\n more\r\nvnd.y\r\n.\r\n",
			"+OK+/MTQP hello\r\nvnd.x a\r\n STARTTLS\r\nvnd.y\r\n.\r\n",
			"+OK+/MTQP hello\r\nvnd.x a\r\n STARTTLS\r\nvnd.y\r\nSTARTTLS\r\n.\r\n",
			"+OK+/MTQP hello\r\nvnd.x a\r\n STARTTLS\r\nvnd.y\r\nSTARTTLS required\r\n.\r\n",
		}, {
			"no options", "+OK/MTQP hello\r\n", "+OK/MTQP hello\r\n",
			"+OK+/MTQP hello\r\nSTARTTLS\r\n.\r\n", "+OK+/MTQP hello\r\nSTARTTLS required\r\n.\r\n",
		},
	})
}
