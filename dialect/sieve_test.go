package dialect

import (
	"errors"
	"strings"
	"testing"
)

// sieveRest tells what of a list an edit must not change.
func sieveRest(raw []byte) (rest []string) {
	for len(raw) > 0 {
		_, all, n, err := cutSieve(raw)
		if n == 0 || err != nil {
			return append(rest, string(raw))
		}
		if len(all) == 0 || upper(all[0]) != "STARTTLS" && (upper(all[0]) != "SASL" || len(all) == 1) {
			rest = append(rest, string(raw[:n]))
		}
		raw = raw[n:]
	}
	return rest
}

const sieveHello = "\"SASL\" \"PLAIN\"\r\n\"STARTTLS\"\r\nOK\r\n"

// asked is one line of a table of client messages.
type asked struct {
	name, line string
	kind       Kind
	why        Reason
}

// checkAsked reads each line on a fresh leg that has heard before, and says what the server answers.
func checkAsked(t *testing.T, d *Dialect, inside bool, before string, tests []asked) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := d.Speak(Server, inside)
			if before != "" {
				say(s, before)
			}
			m := one(t, s, test.line)
			if m.Kind != test.kind || m.Why != test.why {
				t.Errorf("%v why %v, want %v why %v", m.Kind, m.Why, test.kind, test.why)
			}
			if out := s.Write(nil, m.Reply(No, TLSRequired)); len(out) == 0 && s.Pending() {
				t.Error("no words to refuse it")
			}
			if s.Pending() {
				t.Error("pending after the refusal")
			}
		})
	}
}

// answered is one line of a table of server messages. Kind Secret stands for noise.
type answered struct {
	name, asked, line string
	kind              Kind
	why               Reason
}

func checkAnswered(t *testing.T, d *Dialect, before string, tests []answered) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := d.Speak(Client, false)
			if before != "" && test.asked != "" {
				one(t, s, before)
			}
			if test.asked != "" {
				say(s, test.asked)
			}
			m, n, err := s.Read([]byte(test.line))
			if (err != nil) != (test.kind == Secret) || err != nil && !errors.Is(err, ErrNoise) {
				t.Fatalf("%+v, error %v", m, err)
			}
			if err == nil && (m.Kind != test.kind || m.Why != test.why || n == 0) {
				t.Errorf("%v why %v, %d bytes; want %v why %v", m.Kind, m.Why, n, test.kind, test.why)
			}
		})
	}
}

// edited is one line of a table of lists, said with each offer and without channel binding.
type edited struct{ name, said, unsaid, offered, required string }

// checkEdited says each list on legs that have heard before and then asked.
func checkEdited(t *testing.T, d *Dialect, inside bool, before, asked string, tests []edited) {
	t.Helper()
	leg := func(we Side) Speech {
		s := d.Speak(we, inside)
		hear := map[Side]func(string){Client: func(x string) { one(t, s, x) }, Server: func(x string) { say(s, x) }}
		if before != "" {
			hear[we](before)
		}
		if asked != "" {
			hear[1-we](asked)
		}
		return s
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := one(t, leg(Client), test.said)
			for offer, want := range map[Offer]string{Unsaid: test.unsaid, Offered: test.offered, Required: test.required} {
				if got := leg(Server).Write(nil, m.Offering(offer).Unbound()); string(got) != want {
					t.Errorf("offering %v:\n got %q\nwant %q", offer, got, want)
				}
			}
		})
	}
}

func TestSieveUpgrade(t *testing.T) {
	checkAsked(t, &Sieve, false, sieveHello, []asked{
		{"plain", "STARTTLS\r\n", Upgrade, Unknown},
		{"mixed case", "StartTls\r\n", Upgrade, Unknown},
		{"argument", "STARTTLS \"now\"\r\n", Upgrade, BadSyntax},
		{"literal argument", "STARTTLS {3+}\r\nnow\r\n", Upgrade, BadSyntax},
		{"literal that no client has", "STARTTLS {3}\r\n", Upgrade, BadSyntax},
		{"bare LF", "STARTTLS\n", Upgrade, BadSyntax},
		{"leading space", " STARTTLS\r\n", Upgrade, BadSyntax},
		{"NUL behind", "STARTTLS\x00\r\n", Upgrade, BadSyntax},
		{"longer word", "STARTTLSX\r\n", Secret, Unknown},
		{"in a literal", "NOOP {10+}\r\nSTARTTLS\r\n\r\n", Other, Unknown},
		{"in a string", "NOOP \"STARTTLS\"\r\n", Other, Unknown},
		{"literal as command", "{8+}\r\nSTARTTLS\r\n", Secret, Unknown},
		{"login", "AUTHENTICATE \"PLAIN\" \"AGEAYg==\"\r\n", Secret, Unknown},
		{"empty line", "\r\n", Secret, Unknown},
		{"capability", "capability\r\n", Ask, Unknown},
		{"logout", "LOGOUT\r\n", Bye, Unknown},
	})
	checkAsked(t, &Sieve, true, sieveHello, []asked{{"CI-13 inside TLS", "STARTTLS\r\n", Upgrade, AlreadyTLS}})
	t.Run("CI-15 half an AUTHENTICATE", func(t *testing.T) {
		s := Sieve.Speak(Server, false)
		say(s, sieveHello)
		one(t, s, "AUTHENTICATE \"PLAIN\"\r\n")
		say(s, "\"\"\r\n")
		if m := one(t, s, "STARTTLS\r\n"); m.Kind != Secret {
			t.Errorf("%v", m.Kind)
		}
	})
	t.Run("CI-16 after login", func(t *testing.T) {
		s := Sieve.Speak(Server, false)
		say(s, sieveHello)
		one(t, s, "AUTHENTICATE \"PLAIN\" \"AGEAYg==\"\r\n")
		say(s, "OK\r\n")
		if m := one(t, s, "STARTTLS\r\n"); m.Why != NotNow {
			t.Errorf("why %v", m.Why)
		}
	})
	// CI-25 and CI-4: what is glued to the upgrade is not part of it.
	t.Run("CI-25 NOOP behind it", func(t *testing.T) {
		s := Sieve.Speak(Server, false)
		say(s, sieveHello)
		if m := one(t, s, "STARTTLS\r\nNOOP\r\n"); m.Kind != Upgrade || string(m.Raw) != "STARTTLS\r\n" || !s.Pending() {
			t.Errorf("%+v", m)
		}
	})
}

func TestSieveAnswers(t *testing.T) {
	checkAnswered(t, &Sieve, sieveHello, []answered{
		{"greeting", "", sieveHello, Caps, Unknown},
		{"greeting in lower case", "", "\"sasl\" \"\"\r\nok\r\n", Caps, Unknown},
		{"greeting that refuses", "", "NO (TRYLATER) \"later\"\r\n", No, Unavailable},
		{"greeting that hangs up", "", "BYE \"later\"\r\n", Bye, Unknown},
		{"greeting of SMTP", "", "220 mx\r\n", Secret, Unknown},
		{"greeting of POP3", "", "+OK\r\n", Secret, Unknown},
		{"greeting of IMAP", "", "* OK\r\n", Secret, Unknown},
		{"greeting of TLS", "", "\x16\x03\x01\x00\r\n", Secret, Unknown},
		{"half a string", "", "\"SASL\r\nOK\r\n", Secret, Unknown},
		{"client's literal", "", "\"SASL\" {3+}\r\nabc\r\nOK\r\n", Secret, Unknown},
		{"begin", "STARTTLS\r\n", "OK\r\n", Ready, Unknown},
		{"begin in lower case", "STARTTLS\r\n", "oK \"begin\"\r\n", Ready, Unknown},
		{"begin with a literal", "STARTTLS\r\n", "OK {5}\r\nbegin\r\n", Ready, Unknown},
		{"no", "STARTTLS\r\n", "NO \"no\"\r\n", No, TLSUnavailable},
		{"bye", "STARTTLS\r\n", "BYE \"no\"\r\n", Bye, Unknown},
		{"strings before the go-ahead", "STARTTLS\r\n", sieveHello, Secret, Unknown},
		{"encrypt first", "AUTHENTICATE \"PLAIN\" \"\"\r\n", "NO (ENCRYPT-NEEDED) \"no\"\r\n", No, TLSRequired},
	})
	t.Run("answers to nothing", func(t *testing.T) {
		for _, line := range []string{"OK\r\n", "NO\r\n", sieveHello} {
			s := Sieve.Speak(Client, false)
			one(t, s, sieveHello)
			if _, _, err := s.Read([]byte(line)); !errors.Is(err, ErrNoise) {
				t.Errorf("%q: %v", line, err)
			}
		}
	})
}

func TestSieveEdits(t *testing.T) {
	checkEdited(t, &Sieve, false, "", "", []edited{
		{
			"greeting", "\"SASL\" \"PLAIN X-PLUS\"\r\n\"SIEVE\" \"a  b\"\r\n\"StartTLS\"\r\n\"STARTTLS\"\r\nOK \"ready\"\r\n",
			"\"SASL\" \"PLAIN\"\r\n\"SIEVE\" \"a  b\"\r\nOK \"ready\"\r\n",
			"\"SASL\" \"PLAIN\"\r\n\"SIEVE\" \"a  b\"\r\n\"StartTLS\"\r\nOK \"ready\"\r\n",
			"\"SASL\" \"\"\r\n\"SIEVE\" \"a  b\"\r\n\"StartTLS\"\r\nOK \"ready\"\r\n",
		}, {
			"a bare OK", "OK\r\n", "OK\r\n", "\"STARTTLS\"\r\nOK\r\n", "\"STARTTLS\"\r\nOK\r\n",
		}, {
			"literals", "{4}\r\nSASL {5}\r\nPLAIN\r\n{8}\r\nSTARTTLS\r\nOK\r\n",
			"{4}\r\nSASL {5}\r\nPLAIN\r\nOK\r\n",
			"{4}\r\nSASL {5}\r\nPLAIN\r\n{8}\r\nSTARTTLS\r\nOK\r\n",
			"\"SASL\" \"\"\r\n{8}\r\nSTARTTLS\r\nOK\r\n",
		},
	})
}

// TestForeignWords: who speaks another protocol is not answered, and a line without end is not a message.
func TestForeignWords(t *testing.T) {
	for _, d := range []*Dialect{&Sieve, &NNTP, &FTP, &IRC, &ACAP, &MTQP, &NUT} {
		for _, line := range []string{"POST / HTTP/1.1\r\n", "\x16\x03\x01\x02\x00\r\n"} {
			if _, _, err := d.Speak(Server, false).Read([]byte(line)); !errors.Is(err, ErrNoise) {
				t.Errorf("%s: %q: %v", d.Name, line, err)
			}
		}
		for we := Client; we <= Server; we++ {
			long := []byte(strings.Repeat("\"a", 1<<19))
			if _, n, err := d.Speak(we, false).Read(long); n != 0 || err != nil {
				t.Errorf("%s %v: %d, %v", d.Name, we, n, err)
			}
		}
		// What comes before the greeting is no question, so that the greeting is no answer.
		if first := d.Script.ServerFirst(); d.Speak(Client, false).Pending() != first {
			t.Errorf("%s: pending %v before the greeting", d.Name, !first)
		}
	}
}
