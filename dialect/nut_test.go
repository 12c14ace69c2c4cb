package dialect

import (
	"errors"
	"testing"
)

func TestNUTUpgrade(t *testing.T) {
	checkAsked(t, &NUT, false, "", []asked{
		{"plain", "STARTTLS\n", Upgrade, Unknown},
		{"CRLF, lower case", "starttls\r\n", Upgrade, Unknown},
		{"argument", "STARTTLS now\n", Upgrade, BadSyntax},
		{"quoted", "\"STARTTLS\"\n", Upgrade, BadSyntax},
		{"quoted in half", "START\"TLS\"\n", Upgrade, BadSyntax},
		{"with a backslash", "ST\\ARTTLS\n", Upgrade, BadSyntax},
		{"leading space", " STARTTLS\n", Upgrade, BadSyntax},
		{"longer word", "STARTTLSX\n", Secret, Unknown},
		{"USERNAME", "USERNAME x\n", Secret, Unknown},
		{"PASSWORD", "PASSWORD x\n", Secret, Unknown},
		{"LOGIN", "LOGIN su700\n", Secret, Unknown},
		{"CI-25 LIST UPS", "LIST UPS\n", Secret, Unknown},
		{"GET VAR", "GET VAR su700 ups.status\n", Secret, Unknown},
		{"VER", "VER\n", Other, Unknown},
		{"NETVER", "netver\n", Other, Unknown},
		{"empty line", "\n", Other, Unknown},
		{"LOGOUT", "LOGOUT\n", Bye, Unknown},
	})
	checkAsked(t, &NUT, true, "", []asked{{"CI-13 inside TLS", "STARTTLS\n", Upgrade, AlreadyTLS}})
	t.Run("CI-25 LIST UPS behind it", func(t *testing.T) {
		s := NUT.Speak(Server, false)
		if m := one(t, s, "STARTTLS\nLIST UPS\n"); m.Kind != Upgrade || string(m.Raw) != "STARTTLS\n" || !s.Pending() {
			t.Errorf("%+v", m)
		}
	})
	t.Run("words", func(t *testing.T) {
		for why, want := range map[Reason]string{Unknown: "ERR FEATURE-NOT-CONFIGURED\n", AlreadyTLS: "ERR ALREADY-SSL-MODE\n"} {
			s := NUT.Speak(Server, false)
			if got := s.Write(nil, one(t, s, "STARTTLS\n").Reply(No, why)); string(got) != want {
				t.Errorf("%v: %q", why, got)
			}
		}
	})
}

func TestNUTAnswers(t *testing.T) {
	checkAnswered(t, &NUT, "", []answered{
		{"begin", "STARTTLS\n", "OK STARTTLS\n", Ready, Unknown},
		{"another OK", "STARTTLS\n", "OK\n", No, Unknown},
		{"not configured", "STARTTLS\n", "ERR FEATURE-NOT-CONFIGURED\n", No, TLSUnavailable},
		{"not supported", "STARTTLS\n", "ERR FEATURE-NOT-SUPPORTED\n", No, TLSUnavailable},
		{"already", "STARTTLS\n", "ERR ALREADY-SSL-MODE\n", No, AlreadyTLS},
		{"unknown", "STARTTLS\n", "ERR UNKNOWN-COMMAND\n", No, Unknown},
		{"SMTP", "STARTTLS\n", "220 hello\r\n", Secret, Unknown},
		{"words from nowhere", "", "OK STARTTLS\n", Secret, Unknown},
		{"version", "VER\n", "Network UPS Tools upsd 2.8.0\n", Other, Unknown},
		{"a list that cannot be", "LIST VAR x\n", "ERR UNKNOWN-UPS\n", No, Unknown},
		{"goodbye of old", "LOGOUT\n", "Goodbye...\n", Bye, Unknown},
	})
	t.Run("an empty line may be answered", func(t *testing.T) {
		s := NUT.Speak(Client, false)
		say(s, "\n")
		if s.Pending() {
			t.Error("pending")
		}
		one(t, s, "ERR UNKNOWN-COMMAND\n")
		if _, _, err := s.Read([]byte("OK STARTTLS\n")); !errors.Is(err, ErrNoise) {
			t.Error(err)
		}
	})
}
