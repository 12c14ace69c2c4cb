package dialect

import (
	"errors"
	"strings"
	"testing"
)

func acapRest(raw []byte) (rest []string) {
	head, items, tail, _ := cutACAP(string(raw))
	for _, item := range items {
		if item.name != "STARTTLS" && item.name != "SASL" {
			rest = append(rest, item.gap+item.raw)
		}
	}
	return append(rest, head, tail)
}

func TestACAPUpgrade(t *testing.T) {
	const hello = "* ACAP (STARTTLS)\r\n"
	checkAsked(t, &ACAP, false, hello, []asked{
		{"plain", "a STARTTLS\r\n", Upgrade, Unknown},
		{"lower case", "a starttls\r\n", Upgrade, Unknown},
		{"argument", "a STARTTLS \"now\"\r\n", Upgrade, BadSyntax},
		{"literal argument", "a STARTTLS {3+}\r\nnow\r\n", Upgrade, BadSyntax},
		{"bare LF", "a STARTTLS\n", Upgrade, BadSyntax},
		{"two spaces", "a  STARTTLS\r\n", Upgrade, BadSyntax},
		{"tag is plus", "+ STARTTLS\r\n", Upgrade, BadSyntax},
		{"tag of 33 bytes", strings.Repeat("a", 33) + " STARTTLS\r\n", Upgrade, BadSyntax},
		{"tag with percent", "a% STARTTLS\r\n", Upgrade, Unknown},
		{"no tag", "STARTTLS\r\n", Secret, Unknown},
		{"login", "a AUTHENTICATE \"PLAIN\"\r\n", Secret, Unknown},
		{"NOOP", "a NOOP\r\n", Other, Unknown},
		{"NOOP with a literal", "a NOOP {3+}\r\nabc\r\n", Secret, Unknown},
	})
	checkAsked(t, &ACAP, true, hello, []asked{{"CI-13 inside TLS", "a STARTTLS\r\n", Upgrade, AlreadyTLS}})
	t.Run("CI-16 after login", func(t *testing.T) {
		s := ACAP.Speak(Server, false)
		say(s, hello)
		one(t, s, "a AUTHENTICATE \"PLAIN\" \"x\"\r\n")
		say(s, "a OK \"in\"\r\n")
		if m := one(t, s, "b STARTTLS\r\n"); m.Why != NotNow {
			t.Errorf("why %v", m.Why)
		}
	})
	t.Run("CI-25 NOOP behind it", func(t *testing.T) {
		s := ACAP.Speak(Server, false)
		say(s, hello)
		if m := one(t, s, "a STARTTLS\r\nb NOOP\r\n"); m.Kind != Upgrade || string(m.Raw) != "a STARTTLS\r\n" || !s.Pending() {
			t.Errorf("%+v", m)
		}
	})
}

func TestACAPAnswers(t *testing.T) {
	checkAnswered(t, &ACAP, "* ACAP (STARTTLS)\r\n", []answered{
		{"greeting", "", "* acap\r\n", Greeting, Unknown},
		{"hangs up", "", "* BYE \"no\"\r\n", Bye, Unknown},
		{"IMAP", "", "* OK hello\r\n", Secret, Unknown},
		{"half a capability", "", "* ACAP (SASL \"PLAIN\r\n", Secret, Unknown},
		{"something between", "", "* ACAP x (STARTTLS)\r\n", Secret, Unknown},
		{"parenthesis in a string", "", "* ACAP (IMPLEMENTATION \"a ) (STARTTLS) \\\" b\")\r\n", Greeting, Unknown},
		{"begin", "a STARTTLS\r\n", "a OK \"go\"\r\n", Ready, Unknown},
		{"no", "a STARTTLS\r\n", "a NO \"no\"\r\n", No, TLSUnavailable},
		{"bad", "a STARTTLS\r\n", "a BAD \"no\"\r\n", No, Unknown},
		{"go on", "a STARTTLS\r\n", "+ \"what\"\r\n", No, Unknown},
		{"another tag", "a STARTTLS\r\n", "b OK \"go\"\r\n", Secret, Unknown},
		{"encrypt first", "a AUTHENTICATE \"PLAIN\"\r\n", "a NO (ENCRYPT-NEEDED) \"no\"\r\n", No, TLSRequired},
	})
	t.Run("answer to nothing", func(t *testing.T) {
		s := ACAP.Speak(Client, false)
		one(t, s, "* ACAP\r\n")
		if _, _, err := s.Read([]byte("a OK \"go\"\r\n")); !errors.Is(err, ErrNoise) {
			t.Error(err)
		}
	})
}

func TestACAPEdits(t *testing.T) {
	checkEdited(t, &ACAP, false, "", "", []edited{
		{
			"all of it", "* ACAP (IMPLEMENTATION \"(SASL)\")  (SASL \"A\" \"x-plus\") (starttls) (STARTTLS)\r\n",
			"* ACAP (IMPLEMENTATION \"(SASL)\")  (SASL \"A\")\r\n",
			"* ACAP (IMPLEMENTATION \"(SASL)\")  (SASL \"A\") (starttls)\r\n",
			"* ACAP (IMPLEMENTATION \"(SASL)\") (starttls)\r\n",
		}, {
			"nothing", "* ACAP\r\n", "* ACAP\r\n", "* ACAP (STARTTLS)\r\n", "* ACAP (STARTTLS)\r\n",
		},
	})
}
