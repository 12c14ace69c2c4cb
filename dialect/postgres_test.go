package dialect

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// pgOpening writes what a client opens with: a length, a code, and more.
func pgOpening(code uint32, more string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(8+len(more)))
	return append(binary.BigEndian.AppendUint32(b, code), more...)
}

func pgMessage(letter byte, body string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{letter}, uint32(4+len(body)))
	return append(b, body...)
}

func pgSASL(mechs ...string) []byte {
	return pgMessage('R', "\x00\x00\x00\x0a"+strings.Join(mechs, "\x00")+"\x00\x00")
}

var (
	sslRequest = pgOpening(pgSSL, "")
	gssRequest = pgOpening(pgGSS, "")
	startup3   = pgOpening(3<<16, "user\x00joe\x00\x00")
	startup2   = pgOpening(2<<16, strings.Repeat("\x00", 288))
)

func TestPostgresRequests(t *testing.T) {
	for name, row := range map[string]struct {
		raw    []byte
		inside bool
		kind   Kind
		why    Reason
	}{
		"SSLRequest":          {raw: sslRequest, kind: Upgrade},
		"SSLRequest inside":   {raw: sslRequest, inside: true, kind: Upgrade, why: AlreadyTLS},
		"GSSENCRequest":       {raw: gssRequest, kind: Rival},
		"cancel":              {raw: pgOpening(pgCancel, "12345678"), kind: Bye},
		"cancel inside":       {raw: pgOpening(pgCancel, "12345678"), inside: true, kind: Bye},
		"cancel 3.2":          {raw: pgOpening(pgCancel, strings.Repeat("x", 260)), kind: Bye},
		"startup":             {raw: startup3, kind: Secret},
		"startup 3.2":         {raw: pgOpening(3<<16|2, "user\x00joe\x00\x00"), kind: Secret},
		"startup 2.0":         {raw: startup2, kind: Secret},
		"the longest startup": {raw: pgOpening(3<<16, strings.Repeat("x", 9992)), kind: Secret},
	} {
		m := readOne(t, Postgres.Speak(Server, row.inside), row.raw)
		if m.Kind != row.kind || m.Why != row.why {
			t.Errorf("%s is %v (%v), want %v (%v)", name, m.Kind, m.Why, row.kind, row.why)
		}
		for cut := range min(len(row.raw), 400) {
			if m, n, err := Postgres.Speak(Server, row.inside).Read(row.raw[:cut]); n != 0 || err != nil {
				t.Errorf("%s cut at %d: %v, %v", name, cut, m, err)
			}
		}
	}
	for name, raw := range map[string][]byte{
		"TLS":                   {0x16},
		"HTTP":                  []byte("GET / HTTP/1.1\r\n"),
		"a long SSLRequest":     pgOpening(pgSSL, "x"),
		"a short SSLRequest":    {0, 0, 0, 7, 0x04, 0xd2, 0x16, 0x2f},
		"a long GSSENCRequest":  pgOpening(pgGSS, "x"),
		"a short cancel":        pgOpening(pgCancel, "1234567"),
		"a long cancel":         pgOpening(pgCancel, strings.Repeat("x", 261)),
		"a long startup":        pgOpening(3<<16, strings.Repeat("x", 9993)),
		"a startup of nothing":  pgOpening(3<<16, ""),
		"two gigabytes":         {0x7f, 0xff, 0xff, 0xff},
		"length 0":              {0, 0, 0, 0, 0, 3, 0, 0},
		"protocol 1":            pgOpening(1<<16, "x"),
		"protocol 4":            pgOpening(4<<16, "x"),
		"protocol 2.1":          pgOpening(2<<16|1, "x"),
		"an unknown code":       pgOpening(pgGSS+1, ""),
		"a message out of turn": pgMessage('Q', "select 1"),
	} {
		t.Run(name, func(t *testing.T) { refuses(t, Postgres.Speak(Server, false), raw) })
	}
}

// CI-18: CVE-2021-23214. What stands behind SSLRequest is not the protocol.
func TestPostgresInjection(t *testing.T) {
	s := Postgres.Speak(Server, false)
	glued := slices.Concat(sslRequest, startup3, pgMessage('Q', "drop table t\x00"))
	m, n, err := s.Read(glued)
	if m.Kind != Upgrade || n != 8 || err != nil {
		t.Fatal(m.Kind, n, err)
	}
	refuses(t, s, glued[n:])
	// CI-19: nor after the go-ahead; a server that has said S serves no plain client.
	if said := s.Write(nil, m.Reply(Ready, Unknown)); string(said) != "S" {
		t.Fatalf("%q", said)
	}
	refuses(t, s, startup3)
}

// CI-20: one of each, in either order; then the startup.
func TestPostgresTwice(t *testing.T) {
	s := Postgres.Speak(Server, false)
	step := func(raw []byte, kind Kind, why Reason, no Reason, want string) {
		t.Helper()
		m := readOne(t, s, raw)
		if m.Kind != kind || m.Why != why {
			t.Fatalf("%v (%v), want %v (%v)", m.Kind, m.Why, kind, why)
		}
		if said := string(s.Write(nil, m.Reply(No, no))); said != want {
			t.Fatalf("%q, want %q", said, want)
		}
		if s.Pending() {
			t.Fatal("pending")
		}
	}
	fatal := func(code, text string) string {
		return string(pgMessage('E', "SFATAL\x00VFATAL\x00C"+code+"\x00M"+text+"\x00\x00"))
	}
	step(gssRequest, Rival, Unknown, TLSRequired, "N")
	step(sslRequest, Upgrade, Unknown, TLSUnavailable, "N")
	step(startup3, Secret, Unknown, TLSRequired, fatal("28000", "TLS is required (sslmode=require or better)"))
	refuses(t, s, startup3) // the connection is over

	for _, raw := range [][]byte{sslRequest, gssRequest} {
		s = Postgres.Speak(Server, false)
		s.Write(nil, readOne(t, s, raw).Reply(No, TLSUnavailable))
		m := readOne(t, s, raw)
		if m.Why == Unknown {
			t.Fatal("asked twice")
		}
		if said := s.Write(nil, m.Reply(No, m.Why)); !strings.Contains(string(said), "C08P01\x00") {
			t.Fatalf("%q", said)
		}
		refuses(t, s, startup3)
	}
	s = Postgres.Speak(Server, true)
	step(gssRequest, Rival, AlreadyTLS, AlreadyTLS, "N")
	step(sslRequest, Upgrade, AlreadyTLS, AlreadyTLS, fatal("08P01", "TLS is active already"))
	s = Postgres.Speak(Server, false)
	if said := s.Write(nil, readOne(t, s, sslRequest).Reply(No, Unavailable)); said[0] != 'E' || !strings.Contains(string(said), "C57P03\x00") {
		t.Fatalf("%q", said)
	}
	// A CancelRequest is the last thing that is said.
	s = Postgres.Speak(Server, false)
	readOne(t, s, pgOpening(pgCancel, "12345678"))
	refuses(t, s, startup3)
	if s.Settled() || s.Pending() {
		t.Error("a cancel opens the leg")
	}
	// Protocol 2.0 has another form of error.
	s = Postgres.Speak(Server, false)
	if said := s.Write(nil, readOne(t, s, startup2).Reply(No, TLSRequired)); !bytes.HasPrefix(said, []byte("EFATAL:  ")) || said[len(said)-1] != 0 {
		t.Fatalf("%q", said)
	}
}

func TestPostgresAnswers(t *testing.T) {
	ask := func(raw []byte) Speech {
		s := Postgres.Speak(Client, false)
		s.Write(nil, Message{Raw: raw})
		return s
	}
	failure := pgMessage('E', "SFATAL\x00C53300\x00Msorry, \x1b[31m\x00\x00")
	for name, row := range map[string]struct {
		asked, raw []byte
		re, kind   Kind
		why        Reason
		text       string
		settled    bool
	}{
		"yes":                {asked: sslRequest, raw: []byte("S"), re: Upgrade, kind: Ready},
		"no":                 {asked: sslRequest, raw: []byte("N"), re: Upgrade, kind: No, why: TLSUnavailable},
		"error":              {asked: sslRequest, raw: failure, re: Upgrade, kind: Bye, why: Unavailable, text: "53300 sorry, \x1b[31m"},
		"old error":          {asked: sslRequest, raw: []byte("Eunsupported frontend protocol\n\x00"), re: Upgrade, kind: Bye, text: "unsupported frontend protocol"},
		"short old error":    {asked: sslRequest, raw: []byte("Eno!\x00"), re: Upgrade, kind: Bye, text: "no!"},
		"an error of 1":      {asked: sslRequest, raw: []byte("E0\x00"), re: Upgrade, kind: Bye, text: "0"},
		"empty error":        {asked: sslRequest, raw: pgMessage('E', ""), re: Upgrade, kind: Bye},
		"GSS no":             {asked: gssRequest, raw: []byte("N"), re: Rival, kind: No},
		"GSS yes":            {asked: gssRequest, raw: []byte("G"), re: Rival, kind: Other, settled: true},
		"GSS error":          {asked: gssRequest, raw: failure, re: Rival, kind: No, why: Unavailable, text: "53300 sorry, \x1b[31m"},
		"authenticated":      {asked: startup3, raw: pgMessage('R', "\x00\x00\x00\x00"), re: Secret, kind: Other, settled: true},
		"MD5":                {asked: startup3, raw: pgMessage('R', "\x00\x00\x00\x05salt"), re: Secret, kind: Other, settled: true},
		"SASL":               {asked: startup3, raw: pgSASL("SCRAM-SHA-256"), re: Secret, kind: Caps, settled: true},
		"broken SASL":        {asked: startup3, raw: pgMessage('R', "\x00\x00\x00\x0aSCRAM"), re: Secret, kind: Other, settled: true},
		"another version":    {asked: startup3, raw: pgMessage('v', "\x00\x00\x00\x00\x00\x00\x00\x00"), re: Secret, kind: Other},
		"refused":            {asked: startup3, raw: failure, re: Secret, kind: No, why: Unavailable, text: "53300 sorry, \x1b[31m"},
		"error unasked":      {asked: nil, raw: []byte("Ecould not fork\n\x00"), kind: No, text: "could not fork"},
		"the start of TLS":   {asked: sslRequest, raw: []byte{0x16}, kind: Kind(0xff)},
		"lower case":         {asked: sslRequest, raw: []byte("s"), kind: Kind(0xff)},
		"GSS to SSLRequest":  {asked: sslRequest, raw: []byte("G"), kind: Kind(0xff)},
		"yes to GSS":         {asked: gssRequest, raw: []byte("S"), kind: Kind(0xff)},
		"yes unasked":        {asked: nil, raw: []byte("S"), kind: Kind(0xff)},
		"rows before login":  {asked: startup3, raw: pgMessage('T', "\x00\x00"), kind: Kind(0xff)},
		"a long R":           {asked: startup3, raw: []byte{'R', 0, 1, 0, 0}, kind: Kind(0xff)},
		"an R of nothing":    {asked: startup3, raw: []byte{'R', 0, 0, 0, 4}, kind: Kind(0xff)},
		"a torn length":      {asked: sslRequest, raw: []byte{'E', 0, 0, 0, 3}, kind: Kind(0xff)},
		"a long error":       {asked: sslRequest, raw: []byte{'E', 0, 1, 0, 0}, kind: Kind(0xff)},
		"an error unbounded": {asked: sslRequest, raw: []byte("E" + strings.Repeat("x", pgMaxAnswer)), kind: Kind(0xff)},
	} {
		s := ask(row.asked)
		if row.kind == Kind(0xff) {
			t.Run(name, func(t *testing.T) { refuses(t, s, row.raw) })
			continue
		}
		m := readOne(t, s, row.raw)
		if m.Kind != row.kind || m.Re != row.re || m.Why != row.why || m.Text != row.text || s.Settled() != row.settled {
			t.Errorf("%s is %+v, settled %v", name, m, s.Settled())
		}
		for cut := range row.raw {
			if m, n, err := ask(row.asked).Read(row.raw[:cut]); n != 0 || err != nil {
				t.Errorf("%s cut at %d: %v, %v", name, cut, m, err)
			}
		}
	}
}

// CVE-2021-23222: exactly one byte is the answer.
func TestPostgresOneByte(t *testing.T) {
	for _, answer := range []string{"SN", "SS", "S\x15\x03\x01"} {
		s := Postgres.Speak(Client, false)
		if said := s.Write(nil, Message{Kind: Upgrade}); !bytes.Equal(said, sslRequest) {
			t.Fatalf("%x", said)
		}
		if m, n, err := s.Read([]byte(answer)); m.Kind != Ready || n != 1 || err != nil {
			t.Fatal(m.Kind, n, err)
		}
		refuses(t, s, []byte(answer[1:]))
	}
}

func TestPostgresEdits(t *testing.T) {
	for _, row := range []struct{ was, want []string }{
		{[]string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"}, []string{"SCRAM-SHA-256"}},
		{[]string{"SCRAM-SHA-256", "OAUTHBEARER"}, []string{"SCRAM-SHA-256", "OAUTHBEARER"}},
	} {
		s := Postgres.Speak(Client, false)
		s.Write(nil, Message{Raw: startup3})
		m := readOne(t, s, pgSASL(row.was...))
		if m.Kind != Caps || !slices.Equal(m.Mechs, row.was) {
			t.Errorf("%+v", m)
		}
		front := Postgres.Speak(Server, true)
		readOne(t, front, startup3)
		if got := front.Write(nil, m.Offering(Unsaid).Unbound()); !bytes.Equal(got, pgSASL(row.want...)) || !front.Settled() {
			t.Errorf("%q", got)
		}
		if got := front.Write(nil, m.Offering(Required)); !bytes.Equal(got, m.Raw) {
			t.Errorf("%q: this is no place for an offer", got)
		}
	}
}

// postgresRest lists what an edit leaves alone.
func postgresRest(raw []byte) []string {
	mechs, _ := pgMechs(raw)
	return slices.DeleteFunc(mechs, bound)
}
