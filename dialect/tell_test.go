package dialect

import (
	"strings"
	"testing"
)

// tellerAfter is a client's leg after a conversation, in which the server's lines begin with "S: ".
func tellerAfter(t *testing.T, d *Dialect, talk ...string) Teller {
	t.Helper()
	s := d.Speak(Client, false).(Teller)
	s.Guard()
	for _, line := range talk {
		if reply, ok := strings.CutPrefix(line, "S: "); ok {
			if _, n, err := s.Read([]byte(reply)); n == 0 || err != nil {
				t.Fatalf("%q: %d, %v", line, n, err)
			}
			continue
		}
		s.Write(nil, Message{Raw: []byte(line)})
	}
	return s
}

var (
	smtpTalk = []string{"S: 220 x\r\n", "EHLO g\r\n", "S: 250-x\r\n250 XCLIENT NAME ADDR PORT REVERSE_NAME\r\n"}
	dataTalk = append(smtpTalk[:3:3], "MAIL FROM:<>\r\n", "S: 250 ok\r\n", "DATA\r\n", "S: 354 go\r\n")
	imapTalk = []string{"S: * OK [CAPABILITY IMAP4rev1 ID] hi\r\n"}
)

func TestTell(t *testing.T) {
	four := Who{"192.0.2.7", "41800", "198.51.100.25", "25"}
	six := Who{Addr: "2001:db8::7", Port: "1"}
	evil := Who{Addr: "x\r\nQUIT\r\n +=\" y", Port: "1\x00"}
	for _, row := range []struct {
		name string
		d    *Dialect
		who  Who
		talk []string
		want string // empty: not offered
	}{
		{"smtp", &SMTP, four, smtpTalk, "XCLIENT NAME=[UNAVAILABLE] REVERSE_NAME=[UNAVAILABLE] ADDR=192.0.2.7 PORT=41800\r\n"},
		{"smtp six", &SMTP, six, smtpTalk, "XCLIENT NAME=[UNAVAILABLE] REVERSE_NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::7 PORT=1\r\n"},
		{"smtp, where from", &SMTP, four, []string{"S: 220 x\r\n", "EHLO g\r\n", "S: 250-x\r\n250 xclient addr destaddr destport\r\n"}, "XCLIENT ADDR=192.0.2.7 DESTADDR=198.51.100.25 DESTPORT=25\r\n"},
		{"smtp, encoded", &SMTP, evil, []string{"S: 220 x\r\n", "EHLO g\r\n", "S: 250-x\r\n250 XCLIENT ADDR PORT\r\n"}, "XCLIENT ADDR=x+0D+0AQUIT+0D+0A+20+2B+3D\"+20y PORT=1+00\r\n"},
		{"smtp, not asked", &SMTP, four, smtpTalk[:1], ""},
		{"smtp, not offered", &SMTP, four, []string{"S: 220 x\r\n", "EHLO g\r\n", "S: 250-x\r\n250 SIZE\r\n"}, ""},
		{"smtp, without ADDR", &SMTP, four, []string{"S: 220 x\r\n", "EHLO g\r\n", "S: 250-x\r\n250 XCLIENT NAME\r\n"}, ""},
		{"imap", &IMAP, four, imapTalk, "s1 ID (\"x-originating-ip\" \"192.0.2.7\" \"x-originating-port\" \"41800\" \"x-connected-ip\" \"198.51.100.25\" \"x-connected-port\" \"25\")\r\n"},
		{"imap, encoded", &IMAP, evil, imapTalk, "s1 ID (\"x-originating-ip\" \"xQUIT +=\\\" y\" \"x-originating-port\" \"1\x00\")\r\n"},
		{"imap, not offered", &IMAP, four, []string{"S: * OK [CAPABILITY IMAP4rev1 IDLE] hi\r\n"}, ""},
		{"pop3", &POP3, six, []string{"S: +OK [XCLIENT] hi\r\n"}, "XCLIENT ADDR=2001:db8::7 PORT=1\r\n"},
		{"pop3, not offered", &POP3, four, []string{"S: +OK hi\r\n"}, ""},
		{"sieve", &Sieve, four, []string{"S: \"SIEVE\" \"\"\r\n\"XCLIENT\"\r\nOK\r\n"}, "XCLIENT ADDR=192.0.2.7 PORT=41800\r\n"},
		{"sieve, not offered", &Sieve, four, []string{"S: \"SIEVE\" \"\"\r\nOK\r\n"}, ""},
	} {
		m, ok := tellerAfter(t, row.d, row.talk...).Tell(row.who)
		if ok != (row.want != "") || ok && string(m.Raw) != row.want {
			t.Errorf("%s: %q, %v", row.name, m.Raw, ok)
		}
	}
}

// TestXCLIENTBeginsAnew: what comes after it is a greeting, and what was offered before is forgotten.
func TestXCLIENTBeginsAnew(t *testing.T) {
	s := tellerAfter(t, &SMTP, append(smtpTalk[:3:3], "XCLIENT ADDR=192.0.2.7\r\n")...)
	m, _, err := s.Read([]byte("220 x ESMTP\r\n"))
	if _, offered := s.Tell(Who{Addr: "192.0.2.7"}); m.Kind != Greeting || err != nil || s.Pending() || offered {
		t.Errorf("%+v, %v, still offered %v", m, err, offered)
	}
	s = tellerAfter(t, &SMTP, append(smtpTalk[:3:3], "XCLIENT ADDR=192.0.2.7\r\n")...)
	if m, _, _ := s.Read([]byte("554 5.7.1 Client host rejected\r\n")); m.Kind != No {
		t.Errorf("%+v", m)
	}
}

// TestPass: what a server that believes us must not hear from a client, whatever it is dressed as.
func TestPass(t *testing.T) {
	for _, row := range []struct {
		d    *Dialect
		talk []string
		raw  string
		want string // empty: it does not pass
	}{
		{&SMTP, smtpTalk, "MAIL FROM:<a@b>\r\n", "MAIL FROM:<a@b>\r\n"},
		{&SMTP, smtpTalk, "\r\n", "\r\n"},
		{&SMTP, smtpTalk, "xclient ADDR=127.0.0.1\r\n", ""},
		{&SMTP, smtpTalk, " \tXClient ADDR=127.0.0.1\n", ""},
		{&SMTP, smtpTalk, "(x)XCLIENT ADDR=127.0.0.1\r\n", ""},
		{&SMTP, smtpTalk, "\x00XCLIENT ADDR=127.0.0.1\r\n", ""},
		{&SMTP, smtpTalk, "XFORWARD ADDR=127.0.0.1\r\n", ""},
		{&SMTP, smtpTalk, "BDAT 24\r\n", ""},
		{&SMTP, append(smtpTalk[:3:3], "AUTH PLAIN\r\n", "S: 334 \r\n"), "XCLIENT\r\n", "XCLIENT\r\n"}, // a password
		{&SMTP, dataTalk, "XCLIENT is what it is about\r\n", "XCLIENT is what it is about\r\n"},
		{&SMTP, dataTalk, ".\r\n", ".\r\n"},
		{&SMTP, dataTalk, ".\n", ""},
		{&SMTP, append(dataTalk[:7:7], "x\n"), ".\r\n", ""},
		{&SMTP, append(dataTalk[:7:7], "x\n"), ".\n", ""},
		{&SMTP, dataTalk, "x\r.\rXCLIENT ADDR=127.0.0.1\r\n", ""},
		{&SMTP, dataTalk, "x\r.\r\n", ""},
		{&SMTP, dataTalk, ".\r\r\n", ""},
		{&SMTP, dataTalk, "x\r..\r\n", "x\r..\r\n"},
		{&SMTP, append(dataTalk[:7:7], "x\n"), "y\n", "y\n"},
		{&SMTP, append(dataTalk[:7:7], strings.Repeat("x", smtpPiece)), ".\r\n", ".\r\n"}, // of a long line
		{&LMTP, []string{"S: 220 x\r\n"}, "XCLIENT ADDR=127.0.0.1\r\n", ""},
		{&IMAP, imapTalk, "a LOGIN joe x\r\n", "a LOGIN joe x\r\n"},
		{&IMAP, imapTalk, "a ID (\"x-originating-ip\" \"127.0.0.1\")\r\n", "a ID NIL\r\n"},
		{&IMAP, imapTalk, "a  id (\"name\" {1+}\r\nx)\r\n", ""},
		{&IMAP, imapTalk, "a LOGIN {40+}\r\nb ID (\"x-originating-ip\" \"127.0.0.1\")\r\nx x\r\n", ""},
		{&IMAP, append(imapTalk[:1:1], "a LOGIN {20}\r\n", "S: + go\r\n"), "b ID (\"x-forward-x\" \"y\")\r\n", ""},
		{&POP3, []string{"S: +OK [XCLIENT] hi\r\n"}, "USER joe\r\n", "USER joe\r\n"},
		{&POP3, []string{"S: +OK [XCLIENT] hi\r\n"}, " xclient ADDR=127.0.0.1\r\n", ""},
		{&Sieve, []string{"S: \"XCLIENT\"\r\nOK\r\n"}, "XCLIENT ADDR=127.0.0.1\r\n", ""},
		{&Sieve, []string{"S: \"XCLIENT\"\r\nOK\r\n"}, "HAVESPACE {24+}\r\nXCLIENT ADDR=127.0.0.1\r\n 5\r\n", ""},
	} {
		s := tellerAfter(t, row.d, row.talk...)
		heard := row.d.Speak(Server, false) // as the front leg has heard it
		for _, line := range row.talk {
			if reply, ok := strings.CutPrefix(line, "S: "); ok {
				heard.Write(nil, Message{Raw: []byte(reply)})
			} else {
				heard.Read([]byte(line))
			}
		}
		m, n, err := heard.Read([]byte(row.raw))
		if n != len(row.raw) || err != nil {
			t.Errorf("%s %q: heard %d of %d, %v", row.d.Name, row.raw, n, len(row.raw), err)
		}
		if m, ok := s.Pass(m); ok != (row.want != "") || ok && string(m.Raw) != row.want {
			t.Errorf("%s %q: %q, %v", row.d.Name, row.raw, m.Raw, ok)
		}
	}
}

// TestGuardedIsNotSettledEarly: a first piece of work does not end interception.
func TestGuardedIsNotSettledEarly(t *testing.T) {
	for d, talk := range map[*Dialect][]string{
		&SMTP:  append(smtpTalk[:3:3], "MAIL FROM:<>\r\n", "S: 250 ok\r\n"),
		&IMAP:  append(imapTalk[:1:1], "a LOGIN joe x\r\n", "S: a NO no\r\n"),
		&POP3:  {"S: +OK hi\r\n", "CAPA\r\n", "S: +OK\r\nXCLIENT\r\n.\r\n", "USER joe\r\n", "S: +OK\r\n"},
		&Sieve: {"S: \"XCLIENT\"\r\nOK\r\n", "AUTHENTICATE \"PLAIN\" \"x\"\r\n", "S: NO\r\n"},
	} {
		if tellerAfter(t, d, talk...).Settled() {
			t.Errorf("%s is settled", d.Name)
		}
		s := d.Speak(Client, false)
		for _, line := range talk {
			if reply, ok := strings.CutPrefix(line, "S: "); ok {
				s.Read([]byte(reply))
			} else {
				s.Write(nil, Message{Raw: []byte(line)})
			}
		}
		if !s.Settled() {
			t.Errorf("%s is not settled without a guard: the row proves nothing", d.Name)
		}
	}
}

// TestGuardedOffers: clients are not shown the words.
func TestGuardedOffers(t *testing.T) {
	for d, row := range map[*Dialect]struct {
		talk       []string
		list, want string
	}{
		&SMTP:  {[]string{"S: 220 x\r\n", "EHLO c\r\n"}, "250-x\r\n250-XCLIENT ADDR\r\n250-SIZE\r\n250-CHUNKING\r\n250 XFORWARD ADDR\r\n", "250-x\r\n250 SIZE\r\n"},
		&POP3:  {[]string{"S: +OK\r\n", "CAPA\r\n"}, "+OK\r\nXCLIENT\r\nTOP\r\n.\r\n", "+OK\r\nTOP\r\n.\r\n"},
		&Sieve: {nil, "\"SIEVE\" \"\"\r\n\"XCLIENT\"\r\nOK\r\n", "\"SIEVE\" \"\"\r\nOK\r\n"},
	} {
		m, _, err := tellerAfter(t, d, row.talk...).Read([]byte(row.list))
		if said := string(d.Speak(Server, false).Write(nil, m.Guarded())); said != row.want || err != nil {
			t.Errorf("%s: %q, %v", d.Name, said, err)
		}
	}
}
