package dialect

import (
	"strings"
	"testing"
)

func ftpRest(raw []byte) (rest []string) {
	all := lines(raw)
	text, _ := chomp(all[0])
	rest = append(rest, text[min(4, len(text)):])
	for _, line := range all[1:max(1, len(all)-1)] {
		switch key, _ := feature(line); key {
		case "AUTH", "PBSZ", "PROT", "CCC":
		default:
			rest = append(rest, string(line))
		}
	}
	return rest
}

func TestFTPUpgrade(t *testing.T) {
	checkAsked(t, &FTP, false, "220 hello\r\n", []asked{
		{"plain", "AUTH TLS\r\n", Upgrade, Unknown},
		{"lower case", "auth tls\r\n", Upgrade, Unknown},
		{"TLS-C", "AUTH TLS-C\r\n", Upgrade, Unknown},
		{"SSL", "AUTH SSL\r\n", Upgrade, Unknown},
		{"TLS-P", "AUTH TLS-P\r\n", Upgrade, Unknown},
		{"bare LF", "AUTH TLS\n", Upgrade, BadSyntax},
		{"no mechanism", "AUTH\r\n", Upgrade, BadSyntax},
		{"two mechanisms", "AUTH TLS SSL\r\n", Upgrade, BadSyntax},
		{"tab", "AUTH\tTLS\r\n", Upgrade, BadSyntax},
		{"leading space", " AUTH TLS\r\n", Upgrade, BadSyntax},
		{"Telnet before", "\xff\xf1AUTH TLS\r\n", Upgrade, BadSyntax},
		{"Telnet between", "AU\xff\xf1TH T\xff\xfb\x01LS\r\n", Upgrade, BadSyntax},
		{"NUL behind", "AUTH TLS\x00\r\n", Upgrade, BadSyntax},
		{"GSSAPI", "AUTH GSSAPI\r\n", Rival, Unknown},
		{"KERBEROS_V4", "auth kerberos_v4\r\n", Rival, Unknown},
		{"CCC", "CCC\r\n", Secret, NotNow},
		{"CI-23 PBSZ", "PBSZ 0\r\n", Secret, NotNow},
		{"CI-23 PROT", "PROT P\r\n", Secret, NotNow},
		{"CI-23 USER", "USER anonymous\r\n", Secret, Unknown},
		{"CI-23 REST", "REST 100\r\n", Secret, Unknown},
		{"CI-23 RNFR", "RNFR x\r\n", Secret, Unknown},
		{"ABOR with Synch", "\xff\xf4\xff\xf2ABOR\r\n", Secret, Unknown},
		{"ABOR behind a DM", "\xf2ABOR\r\n", Secret, Unknown},
		{"FEAT", "FEAT\r\n", Ask, Unknown},
		{"HOST", "HOST ftp.example.test\r\n", Other, Unknown},
		{"QUIT", "QUIT\r\n", Bye, Unknown},
	})
	checkAsked(t, &FTP, true, "", []asked{
		{"CI-13 inside TLS", "AUTH TLS\r\n", Upgrade, AlreadyTLS},
		{"CCC inside TLS", "CCC\r\n", Secret, NotNow},
		{"PROT inside TLS", "PROT P\r\n", Secret, Unknown},
	})
	t.Run("CI-23 USER behind it", func(t *testing.T) {
		s := FTP.Speak(Server, false)
		say(s, "220 hello\r\n")
		if m := one(t, s, "AUTH TLS\r\nUSER anonymous\r\n"); m.Kind != Upgrade || string(m.Raw) != "AUTH TLS\r\n" || !s.Pending() {
			t.Errorf("%+v", m)
		}
	})
}

func TestFTPVerbs(t *testing.T) {
	for line, want := range map[string][2]string{
		"pasv\r\n":                     {"PASV", ""},
		"port 127,0,0,1,4,1\r\n":       {"PORT", "127,0,0,1,4,1"},
		"PASS secret\r\n":              {"PASS", ""},
		"ACCT secret\r\n":              {"ACCT", ""},
		"\xff\xf4\xff\xf2ABOR\r\n":     {"ABOR", ""},
		"\xff\xf4\xf2stat /x y\r\n":    {"STAT", "/x y"},
		"AUTH SSL\r\n":                 {"", "SSL"},
		"STOR a\xff\xffb\r\n":          {"STOR", "a\xffb"},
		"RETR \xff\xfd\x01\xffx\xff\n": {"RETR", "x"},
	} {
		s := FTP.Speak(Server, false)
		say(s, "220 hello\r\n")
		if m := one(t, s, line); m.Name != want[0] || m.Text != want[1] || string(m.Raw) != line {
			t.Errorf("%q is %q %q", line, m.Name, m.Text)
		}
	}
	if FTPPrivate("TLS") || !FTPPrivate("SSL") {
		t.Error("what protects data")
	}
}

func TestFTPWords(t *testing.T) {
	for _, test := range []struct {
		line   string
		inside bool
		why    Reason
		code   string
	}{
		{"AUTH GSSAPI\r\n", false, TLSRequired, "534"},
		{"AUTH FOO BAR\r\n", false, BadSyntax, "504"},
		{"AUTH TLS\r\n", false, TLSUnavailable, "431"},
		{"AUTH TLS\r\n", false, Unknown, "502"},
		{"AUTH TLS\r\n", true, AlreadyTLS, "503"},
		{"CCC\r\n", false, NotNow, "533"},
		{"CCC\r\n", true, NotNow, "534"},
		{"PBSZ 0\r\n", false, NotNow, "503"},
		{"USER x\r\n", false, TLSRequired, "530"},
	} {
		s := FTP.Speak(Server, test.inside)
		say(s, "220 hello\r\n")
		if got := string(s.Write(nil, one(t, s, test.line).Reply(No, test.why))); !strings.HasPrefix(got, test.code+" ") || s.Pending() {
			t.Errorf("%q refused for %v with %q", test.line, test.why, got)
		}
	}
}

func TestFTPAnswers(t *testing.T) {
	checkAnswered(t, &FTP, "220 hello\r\n", []answered{
		{"greeting", "", "220 hello\r\n", Greeting, Unknown},
		{"wait for the greeting", "", "120 soon\r\n", Other, Unknown},
		{"first line of a greeting", "", "220-hello\r\n", Other, Unknown},
		{"not now", "", "421 no\r\n", No, Unavailable},
		{"POP3", "", "+OK\r\n", Secret, Unknown},
		{"begin", "AUTH TLS\r\n", "234 go\r\n", Ready, Unknown},
		{"ADAT follows", "AUTH TLS\r\n", "334 go\r\n", No, Unknown},
		{"200 is no go-ahead", "AUTH TLS\r\n", "200 go\r\n", No, Unknown},
		{"resource", "AUTH TLS\r\n", "431 no\r\n", No, TLSUnavailable},
		{"mechanism", "AUTH TLS\r\n", "504 no\r\n", No, Unknown},
		{"login first", "AUTH TLS\r\n", "530 no\r\n", No, Unknown},
		{"features", "FEAT\r\n", "211-Features\r\n AUTH TLS\r\n212 no\r\n211 End\r\n", Caps, Unknown},
		{"no features", "FEAT\r\n", "211 none\r\n", Caps, Unknown},
		{"unknown", "FEAT\r\n", "500 what\r\n", No, Unknown},
	})
	t.Run("120, lines, 220", func(t *testing.T) {
		s := FTP.Speak(Client, false)
		for _, line := range []string{"120 soon\r\n", "220-hello\r\n", "234 no\r\n", "220-more\r\n"} {
			if m := one(t, s, line); m.Kind != Other || !s.Pending() {
				t.Errorf("%q: %v", line, m.Kind)
			}
		}
		if m := one(t, s, "220 go\r\n"); m.Kind != Greeting || s.Pending() {
			t.Errorf("%v", m.Kind)
		}
	})
}

// TestFTPAbort: a transfer and its ABOR have two answers or one, and nobody waits for what never comes.
func TestFTPAbort(t *testing.T) {
	for name, answers := range map[string][]string{
		"two": {"426 gone\r\n", "226 aborted\r\n"}, "one": {"226 aborted\r\n"}, "ended before": {"226 done\r\n", "225 nothing\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s := FTP.Speak(Client, true)
			say(s, "RETR x\r\n")
			one(t, s, "150 here\r\n")
			if s.Pending() {
				t.Error("ABOR cannot be said")
			}
			say(s, "\xff\xf4\xff\xf2ABOR\r\n")
			one(t, s, answers[0])
			if s.Pending() {
				t.Error("pending after the answer to ABOR")
			}
			say(s, "FEAT\r\n")
			for _, late := range answers[1:] {
				if m := one(t, s, late); m.Re != Other || !s.Pending() {
					t.Errorf("%q is %+v", late, m)
				}
			}
			if m := one(t, s, "211-F\r\n211 End\r\n"); m.Kind != Caps || s.Pending() {
				t.Errorf("%+v", m)
			}
		})
	}
	t.Run("STAT under way", func(t *testing.T) {
		s := FTP.Speak(Client, true)
		say(s, "RETR x\r\n")
		one(t, s, "150 here\r\n")
		say(s, "STAT\r\n")
		if m := one(t, s, "213 half\r\n"); s.Pending() || m.Kind != Other {
			t.Errorf("%+v", m)
		}
		if m := one(t, s, "226 done\r\n"); m.Re != Secret {
			t.Errorf("%+v", m)
		}
	})
}

func TestFTPEdits(t *testing.T) {
	const list = "211-Features\r\n AUTH GSSAPI\r\n AUTH TLS;SSL\r\n CCC\r\n AUTH SSL\r\n PBSZ\r\n UTF8\r\n211 End AUTH\r\n"
	checkEdited(t, &FTP, false, "220 hello\r\n", "FEAT\r\n", []edited{
		{
			"all of it", list,
			"211-Features\r\n AUTH GSSAPI\r\n UTF8\r\n211 End AUTH\r\n",
			"211-Features\r\n AUTH GSSAPI\r\n AUTH TLS;SSL\r\n PBSZ\r\n UTF8\r\n PROT\r\n211 End AUTH\r\n",
			"211-Features\r\n AUTH TLS;SSL\r\n PBSZ\r\n UTF8\r\n PROT\r\n211 End AUTH\r\n",
		}, {
			"none", "211 none\r\n", "211 none\r\n",
			"211-none\r\n AUTH TLS\r\n PBSZ\r\n PROT\r\n211 End\r\n", "211-none\r\n AUTH TLS\r\n PBSZ\r\n PROT\r\n211 End\r\n",
		},
	})
	t.Run("inside TLS", func(t *testing.T) {
		c, s := FTP.Speak(Client, true), FTP.Speak(Server, true)
		say(c, "FEAT\r\n")
		one(t, s, "FEAT\r\n")
		got := s.Write(nil, one(t, c, list).Offering(Unsaid))
		if want := "211-Features\r\n AUTH GSSAPI\r\n PBSZ\r\n UTF8\r\n PROT\r\n211 End AUTH\r\n"; string(got) != want {
			t.Errorf("%q", got)
		}
	})
}

func TestFTPAddresses(t *testing.T) {
	good := func(name string, a FTPAddr, ok bool, want FTPAddr) {
		if !ok || a != want {
			t.Errorf("%s: %+v, %v", name, a, ok)
		}
	}
	bad := func(parse func(string) (FTPAddr, bool), texts ...string) {
		for _, text := range texts {
			if a, ok := parse(text); ok {
				t.Errorf("%q: %+v", text, a)
			}
		}
	}
	v4, v6 := FTPAddr{"127.0.0.1", 1025}, FTPAddr{"2001:db8::1", 65535}
	for _, text := range []string{strings.TrimSpace(SayPASV(v4)), "227 Entering Passive Mode 127,0,0,1,4,1", "227 =127,0,0,1,4,1 x"} {
		a, ok := ParsePASV(text)
		good(text, a, ok, v4)
	}
	a, ok := ParsePORT(strings.TrimPrefix(strings.TrimSpace(SayPORT(v4)), "PORT "))
	good("PORT", a, ok, v4)
	for _, want := range []FTPAddr{v4, v6} {
		a, ok = ParseEPRT(strings.TrimPrefix(strings.TrimSpace(SayEPRT(want)), "EPRT "))
		good("EPRT", a, ok, want)
	}
	a, ok = ParseEPSV(strings.TrimSpace(SayEPSV(1025)))
	good("EPSV", a, ok, FTPAddr{Port: 1025})
	bad(ParsePASV, "227 no", "227-(127,0,0,1,4,1)", "226 (127,0,0,1,4,1)", "227 (127,0,0,1,4)", "227 (1,127,0,0,1,4,1)", "227 (127,0,0,1,0,0)", "227 (256,0,0,1,4,1)", "")
	bad(ParsePORT, "", "127,0,0,1,4", "127,0,0,1,4,1,", "127,0,0,01,4,1", "127,0,0,+1,4,1", "127,0,0, 1,4,1", "-1,0,0,1,4,1", "127,0,0,1,4,", "0x7f,0,0,1,4,1")
	bad(ParseEPSV, "229 no", "229 (|||0|)", "229 (|||65536|)", "229 (|1|127.0.0.1|80|)", "229 (||80|)", "229 (|||080|)", "229 (|||+80|)", "229 )(", "229 (1111)", "227 (|||80|)")
	bad(ParseEPRT, "", "|1|127.0.0.1|0|", "|3|127.0.0.1|80|", "|1|::1|80|", "|2|127.0.0.1|80|", "|1|example.test|80|", "|2|fe80::1%eth0|80|", "|1||80|", "|1|127.0.0.1|80", "11127.0.0.118011", "|2|"+strings.Repeat(":", 99)+"|80|")
}
