package dialect

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestSMTPUpgrade(t *testing.T) {
	for _, test := range []struct {
		name, line string
		kind       Kind
		why        Reason
	}{
		{"plain", "STARTTLS\r\n", Upgrade, Unknown},
		{"CI-12 trailing blank and lower case", "starttls \r\n", Upgrade, Unknown},
		{"CI-12 argument", "STARTTLS junk\r\n", Upgrade, BadSyntax},
		{"CI-12 longer word", "STARTTLSX\r\n", Secret, Unknown},
		{"CI-12 longer word and argument", "STARTTLSX junk\r\n", Secret, Unknown},
		{"CI-12 bare LF", "STARTTLS\n", Upgrade, BadSyntax},
		{"CI-12 NUL", "STARTTLS\x00\r\n", Upgrade, BadSyntax},
		{"CI-12 letters that fold to S", "\u017fTARTTL\u017f\r\n", Secret, Unknown},
		{"CI-12 leading space", " STARTTLS\r\n", Upgrade, BadSyntax},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := SMTP.Speak(Server, false)
			say(s, "220 hello\r\n")
			if m := one(t, s, test.line); m.Kind != test.kind || m.Why != test.why {
				t.Errorf("%v why %v, want %v why %v", m.Kind, m.Why, test.kind, test.why)
			}
		})
	}
	t.Run("CI-13 inside TLS", func(t *testing.T) {
		if m := one(t, SMTP.Speak(Server, true), "STARTTLS\r\n"); m.Why != AlreadyTLS {
			t.Errorf("why %v", m.Why)
		}
	})
	t.Run("CI-14 the name is forgotten inside TLS", func(t *testing.T) {
		s := SMTP.Speak(Server, true)
		if m := one(t, s, "RCPT TO:<a@b>\r\n"); m.Why != NotNow {
			t.Errorf("why %v", m.Why)
		}
	})
	t.Run("a browser", func(t *testing.T) {
		s := SMTP.Speak(Server, false)
		if _, _, err := s.Read([]byte("POST / HTTP/1.1\r\n")); !errors.Is(err, ErrNoise) {
			t.Error(err)
		}
	})
}

// ehlo returns a leg on which the client has just said hello.
func ehlo(t *testing.T, we Side, hello string) Speech {
	t.Helper()
	s := SMTP.Speak(we, false)
	if we == Client {
		one(t, s, "220 mx hello\r\n")
		say(s, hello)
	} else {
		say(s, "220 mx hello\r\n")
		one(t, s, hello)
	}
	return s
}

func TestSMTPReplies(t *testing.T) {
	for _, test := range []struct {
		name, asked, line string
		kind              Kind
		why               Reason
	}{
		{"one line", "EHLO x\r\n", "250 mx\r\n", Caps, Unknown},
		{"a code and nothing else", "EHLO x\r\n", "250\r\n", Caps, Unknown},
		{"many lines", "EHLO x\r\n", "250-mx\r\n250-SIZE\r\n250 STARTTLS\r\n", Caps, Unknown},
		{"two codes", "EHLO x\r\n", "250-mx\r\n220 STARTTLS\r\n", Secret, Unknown},
		{"no code", "EHLO x\r\n", "hello\r\n", Secret, Unknown},
		{"EHLO unknown", "EHLO x\r\n", "502 what\r\n", No, Unknown},
		{"many lines of go-ahead", "STARTTLS\r\n", "220-a\r\n220-b\r\n220 c\r\n", Ready, Unknown},
		{"454", "STARTTLS\r\n", "454 4.7.0 no\r\n", No, TLSUnavailable},
		{"421", "STARTTLS\r\n", "421 bye\r\n", No, TLSUnavailable},
		{"501", "STARTTLS\r\n", "501 what\r\n", No, Unknown},
		{"250 is no go-ahead", "STARTTLS\r\n", "250 ok\r\n", No, Unknown},
		{"354 is no go-ahead", "STARTTLS\r\n", "354 ok\r\n", No, Unknown},
		{"HELO", "HELO x\r\n", "250 mx\r\n", Other, Unknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, n, err := ehlo(t, Client, test.asked).Read([]byte(test.line + "250 more\r\n"))
			if (err != nil) != (test.kind == Secret) {
				t.Fatalf("%+v, error %v", m, err)
			}
			if err == nil && (m.Kind != test.kind || m.Why != test.why || n != len(test.line)) {
				t.Errorf("%v why %v, %d bytes; want %v why %v", m.Kind, m.Why, n, test.kind, test.why)
			}
		})
	}
}

func TestSMTPEdits(t *testing.T) {
	for _, test := range []struct{ name, said, unsaid, offered, required string }{
		{
			"offer at the end", "250-mx STARTTLS\r\n250-AUTH  PLAIN SCRAM-SHA-1-PLUS\r\n250-AUTH=PLAIN\r\n250-SIZE  1 \r\n250 starttls\r\n",
			"250-mx STARTTLS\r\n250-AUTH PLAIN\r\n250-AUTH=PLAIN\r\n250 SIZE  1 \r\n",
			"250-mx STARTTLS\r\n250-STARTTLS\r\n250-AUTH PLAIN\r\n250-AUTH=PLAIN\r\n250 SIZE  1 \r\n",
			"250-mx STARTTLS\r\n250-STARTTLS\r\n250 SIZE  1 \r\n",
		}, {
			"nothing but a name", "250 mx\r\n", "250 mx\r\n", "250-mx\r\n250 STARTTLS\r\n", "250-mx\r\n250 STARTTLS\r\n",
		}, {
			"a code and nothing else", "250\r\n", "250 \r\n", "250-\r\n250 STARTTLS\r\n", "250-\r\n250 STARTTLS\r\n",
		}, {
			"only a mechanism that binds", "250-mx\r\n250 AUTH X-PLUS\r\n", "250 mx\r\n", "250-mx\r\n250 STARTTLS\r\n", "250-mx\r\n250 STARTTLS\r\n",
		}, {
			"REQUIRETLS is for inside", "250-mx\r\n250-REQUIRETLS\r\n250 STARTTLSX\r\n",
			"250-mx\r\n250-REQUIRETLS\r\n250 STARTTLSX\r\n",
			"250-mx\r\n250-STARTTLS\r\n250 STARTTLSX\r\n",
			"250-mx\r\n250-STARTTLS\r\n250 STARTTLSX\r\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := one(t, ehlo(t, Client, "EHLO x\r\n"), test.said)
			for offer, want := range map[Offer]string{Unsaid: test.unsaid, Offered: test.offered, Required: test.required} {
				if got := ehlo(t, Server, "EHLO x\r\n").Write(nil, m.Offering(offer).Unbound()); string(got) != want {
					t.Errorf("offering %v:\n got %q\nwant %q", offer, got, want)
				}
			}
		})
	}
	// RFC 5321 §4.1.1.1: extensions are for those who said EHLO.
	t.Run("HELO gets no extensions", func(t *testing.T) {
		m := one(t, ehlo(t, Client, "HELO x\r\n"), "250 mx\r\n")
		if got := ehlo(t, Server, "HELO x\r\n").Write(nil, m.Offering(Offered)); string(got) != "250 mx\r\n" {
			t.Errorf("%q", got)
		}
	})
}

// TestSMTPChunkRefused: when BDAT was refused here, the server has not heard of it, and what follows
// must be judged as the commands that they are to the server.
func TestSMTPChunkRefused(t *testing.T) {
	s := ehlo(t, Server, "EHLO x\r\n")
	say(s, "250 mx\r\n")
	m := one(t, s, "BDAT 20 LAST\r\n")
	s.Write(nil, m.Reply(No, TLSRequired))
	if s.Pending() {
		t.Error("still pending")
	}
	if m := one(t, s, "MAIL FROM:<evil@x>\r\n"); m.Kind != Secret {
		t.Errorf("%v", m.Kind)
	}
}

// TestSMTPData holds that mail data ends where the strictest reader sees its end (SMTP smuggling).
func TestSMTPData(t *testing.T) {
	for _, not := range []string{"\n.\n", "\n.\r\n", "\r.\r", "\r.\r\n", "\r\n.\n", "\r\n.\r\r\n", "\r\n\x00.\r\n", "\r\n.\x00\r\n", strings.Repeat("a", smtpPiece) + ".\r\n"} {
		s := ehlo(t, Server, "EHLO x\r\n")
		say(s, "250 mx\r\n")
		one(t, s, "DATA\r\n")
		say(s, "354 go\r\n")
		buf := []byte("x" + not + "STARTTLS\r\n\r\n.\r\nSTARTTLS\r\n")
		var kinds []Kind
		for len(buf) > 0 {
			m, n, err := s.Read(buf)
			if err != nil || n == 0 {
				t.Fatalf("%q: %d, %v", not, n, err)
			}
			if s.Pending() && m.Kind == Other {
				say(s, "250 ok\r\n")
			}
			kinds, buf = append(kinds, m.Kind), buf[n:]
		}
		if i := slices.Index(kinds, Upgrade); i != len(kinds)-1 {
			t.Errorf("%q: %v", not, kinds)
		}
	}
}
