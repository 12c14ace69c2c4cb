package dialect

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

func mysqlPacket(number byte, contents ...[]byte) []byte {
	c := bytes.Join(contents, nil)
	n := len(c)
	return append([]byte{byte(n), byte(n >> 8), byte(n >> 16), number}, c...)
}

// mysqlHello is the greeting of a server, with CLIENT_SSL or not.
func mysqlHello(offer Offer) []byte {
	m := Message{Kind: Greeting, Offer: offer}
	return MySQL.Speak(Server, false).Write(nil, m)
}

// mysqlFirst is a client's first packet of that length, with these capabilities.
func mysqlFirst(number byte, size int, flags uint32) []byte {
	c := make([]byte, size)
	binary.LittleEndian.PutUint32(c, flags)
	c[8] = 33
	for i := 32; i < size; i++ {
		c[i] = byte('a' + i%26)
	}
	return mysqlPacket(number, c)
}

const (
	plainFlags  = 0x00bfa284 // as the mariadb client says them
	secureFlags = plainFlags | mysqlSSL
)

var mysqlOK = []byte{0, 0, 0, 2, 0, 0, 0}

// greeted returns a leg on which the greeting was said.
func greeted(we Side, offer Offer) Speech {
	s := MySQL.Speak(we, false)
	hear(s, we, Server, mysqlHello(offer))
	return s
}

// hear puts a message on a leg, whoever says it.
func hear(s Speech, we, says Side, raw []byte) {
	if says == we {
		s.Write(nil, Message{Raw: bytes.Clone(raw)})
	} else {
		s.Read(raw)
	}
}

func TestMySQLGreetings(t *testing.T) {
	version := append([]byte{10}, "8.4.0\x00"...)
	rest := make([]byte, 13)
	for name, row := range map[string]struct {
		raw   []byte
		kind  Kind
		offer Offer
		name  string
		text  string
	}{
		"with TLS":         {raw: mysqlHello(Offered), kind: Greeting, offer: Offered, name: "5.5.5-10.11.0-starttls"},
		"without TLS":      {raw: mysqlHello(Unsaid), kind: Greeting, name: "5.5.5-10.11.0-starttls"},
		"short":            {raw: mysqlPacket(0, version, rest), kind: Greeting, name: "8.4.0"},
		"shorter":          {raw: mysqlPacket(0, version, rest, []byte{0}), kind: Greeting, name: "8.4.0"},
		"just long enough": {raw: mysqlPacket(0, version, rest, []byte{0, 8}), kind: Greeting, offer: Offered, name: "8.4.0"},
		"without an end":   {raw: mysqlPacket(0, version[:5]), kind: Greeting, name: "8.4."},
		"version 9":        {raw: mysqlPacket(0, []byte{9}, []byte("3.20\x00")), kind: No, text: "protocol version 9"},
		"a short error":    {raw: mysqlPacket(0, []byte{0xff}), kind: No, text: "protocol version 255"},
		"an error":         {raw: mysqlPacket(0, []byte{0xff, 0x10, 0x04}, []byte("Too many connections")), kind: No, text: "1040 Too many connections"},
		"a modern error":   {raw: mysqlPacket(0, []byte{0xff, 0x10, 0x04}, []byte("#08004Too many connections")), kind: No, text: "1040 Too many connections"},
	} {
		s := MySQL.Speak(Client, false)
		m := readOne(t, s, row.raw)
		if m.Kind != row.kind || m.Offer != row.offer || m.Name != row.name || m.Text != row.text || s.Pending() || s.Settled() {
			t.Errorf("%s is %+v", name, m)
		}
		for cut := range row.raw {
			if m, n, err := MySQL.Speak(Client, false).Read(row.raw[:cut]); n != 0 || err != nil {
				t.Errorf("%s cut at %d: %v, %v", name, cut, m, err)
			}
		}
	}
	for name, raw := range map[string][]byte{
		"wrong number": mysqlPacket(1, version, rest),
		"too long":     {0xfd, 0xff, 0x00},
		"16 megabytes": {0xff, 0xff, 0xff},
		"empty":        mysqlPacket(0),
		"TLS":          {0x16, 0x03, 0x01, 0x02, 0x00},
		"HTTP":         []byte("HTTP/1.1 400"),
	} {
		t.Run(name, func(t *testing.T) { refuses(t, MySQL.Speak(Client, false), raw) })
	}
}

func TestMySQLRequests(t *testing.T) {
	for name, row := range map[string]struct {
		raw    []byte
		inside bool
		offer  Offer
		kind   Kind
		why    Reason
	}{
		"SSLRequest":             {raw: mysqlFirst(1, 32, secureFlags), offer: Offered, kind: Upgrade},
		"not offered":            {raw: mysqlFirst(1, 32, secureFlags), kind: Upgrade, why: TLSUnavailable},
		"CI-21 too long":         {raw: mysqlFirst(1, 33, secureFlags), offer: Offered, kind: Upgrade, why: BadSyntax},
		"CI-21 too short":        {raw: mysqlFirst(1, 31, secureFlags), offer: Offered, kind: Upgrade, why: BadSyntax},
		"CI-21 a login with TLS": {raw: mysqlFirst(1, 100, secureFlags), offer: Offered, kind: Upgrade, why: BadSyntax},
		"before 4.1":             {raw: mysqlPacket(1, []byte{0, 8, 0, 0, 0}), offer: Offered, kind: Upgrade, why: BadSyntax},
		"login":                  {raw: mysqlFirst(1, 100, plainFlags), offer: Offered, kind: Secret},
		"login before 4.1":       {raw: mysqlPacket(1, []byte{0x05, 0, 0, 0, 0}, []byte("joe\x00")), offer: Offered, kind: Secret},
		"login inside":           {raw: mysqlFirst(2, 100, secureFlags), inside: true, kind: Secret},
		"SSLRequest inside":      {raw: mysqlFirst(2, 32, secureFlags), inside: true, kind: Upgrade, why: AlreadyTLS},
	} {
		leg := func() Speech {
			if row.inside {
				return MySQL.Speak(Server, true)
			}
			return greeted(Server, row.offer)
		}
		m := readOne(t, leg(), row.raw)
		if m.Kind != row.kind || m.Why != row.why {
			t.Errorf("%s is %v (%v), want %v (%v)", name, m.Kind, m.Why, row.kind, row.why)
		}
		for cut := range row.raw {
			if m, n, err := leg().Read(row.raw[:cut]); n != 0 || err != nil {
				t.Errorf("%s cut at %d: %v, %v", name, cut, m, err)
			}
		}
	}
	for name, raw := range map[string][]byte{
		"CI-21 number 0": mysqlFirst(0, 32, secureFlags),
		"CI-21 number 2": mysqlFirst(2, 32, secureFlags),
		"too short":      mysqlPacket(1, []byte{0, 0, 0, 0}),
	} {
		t.Run(name, func(t *testing.T) { refuses(t, greeted(Server, Offered), raw) })
	}
	t.Run("inside with number 1", func(t *testing.T) {
		refuses(t, MySQL.Speak(Server, true), mysqlFirst(1, 100, secureFlags))
	})
	t.Run("before the greeting", func(t *testing.T) {
		refuses(t, MySQL.Speak(Server, false), mysqlFirst(0, 100, plainFlags))
	})
}

// CI-21: a login behind SSLRequest is no login.
func TestMySQLInjection(t *testing.T) {
	s := greeted(Server, Offered)
	ask, login := mysqlFirst(1, 32, secureFlags), mysqlFirst(2, 100, secureFlags)
	if m, n, err := s.Read(slices.Concat(ask, login)); m.Kind != Upgrade || n != len(ask) || err != nil {
		t.Fatal(m.Kind, n, err)
	}
	refuses(t, s, login)
	if s.Settled() || s.Pending() {
		t.Error("taken for a login")
	}
}

// A whole login with a change of plugin, on legs whose numbers are apart. The front is what the client
// sees, the back what the server sees; both must count from their own greeting.
func TestMySQLShiftedLogin(t *testing.T) {
	for name, row := range map[string]struct{ front, back bool }{ // which legs are inside TLS
		"both clear":           {false, false},
		"front upgraded":       {true, false},
		"back upgraded":        {false, true},
		"both legs are inside": {true, true},
	} {
		front, back := MySQL.Speak(Server, row.front), MySQL.Speak(Client, row.back)
		frontNo, backNo := byte(2), byte(2)
		frontFlags := uint32(secureFlags)
		if !row.front {
			front, frontNo, frontFlags = greeted(Server, Offered), 1, plainFlags
		}
		backFlags := uint32(secureFlags)
		if !row.back {
			back, backNo, backFlags = greeted(Client, Unsaid), 1, plainFlags
		}
		pass := func(from, to Speech, raw, want []byte, kind Kind) {
			t.Helper()
			m := readOne(t, from, raw)
			if m.Kind != kind {
				t.Fatalf("%s: %v, want %v", name, m.Kind, kind)
			}
			if got := to.Write([]byte("kept"), m); !bytes.Equal(got, append([]byte("kept"), want...)) {
				t.Fatalf("%s: %x is said on as %x, want %x", name, raw, got[4:], want)
			}
			if from.Pending() != to.Pending() {
				t.Fatalf("%s: pending differs", name)
			}
		}
		step := byte(0)
		client := func(contents []byte) {
			pass(front, back, mysqlPacket(frontNo+step, contents), mysqlPacket(backNo+step, contents), Secret)
			step++
		}
		server := func(contents []byte, kind Kind) {
			pass(back, front, mysqlPacket(backNo+step, contents), mysqlPacket(frontNo+step, contents), kind)
			step++
		}
		pass(front, back, mysqlFirst(frontNo, 120, frontFlags), mysqlFirst(backNo, 120, backFlags), Secret)
		step++
		server([]byte("\xfecaching_sha2_password\x00salt\x00"), Other)
		client([]byte("proof"))
		server([]byte{1, 4}, Other) // full authentication
		client(nil)
		server([]byte{1, 3}, Other) // two of the server's packets in a row
		if back.Settled() || front.Settled() {
			t.Fatalf("%s: settled before the end", name)
		}
		server(mysqlOK, Other)
		if !back.Settled() || !front.Settled() {
			t.Fatalf("%s: not settled", name)
		}
		query := mysqlPacket(0, []byte("\x03select 1"))
		if got := back.Write(nil, Message{Kind: Secret, Raw: query}); !bytes.Equal(got, mysqlPacket(0, []byte("\x03select 1"))) {
			t.Fatalf("%s: numbered after the login: %x", name, got)
		}
	}
}

// The upgrade of a back leg repeats the login that was heard on the front.
func TestMySQLLoginFirst(t *testing.T) {
	login := mysqlFirst(1, 120, plainFlags)
	back := greeted(Client, Offered)
	want := mysqlFirst(1, 32, secureFlags)
	if got := back.Write(nil, Message{Kind: Upgrade, Login: login}); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
	if m := readOne(t, greeted(Server, Offered), want); m.Kind != Upgrade || m.Why != Unknown {
		t.Errorf("%+v", m)
	}
	for _, login := range [][]byte{nil, login[:36], mysqlPacket(1, []byte{5, 0, 0, 0, 0}, make([]byte, 40))} {
		said := greeted(Client, Offered).Write(nil, Message{Kind: Upgrade, Login: login})
		if m := readOne(t, greeted(Server, Offered), said); m.Kind != Upgrade || m.Why != Unknown {
			t.Errorf("%+v", m)
		}
		if flags := binary.LittleEndian.Uint32(said[4:]); flags != mysqlDefault {
			t.Errorf("%x", flags)
		}
	}
	// A server that does not want TLS after all says so.
	if m := readOne(t, back, mysqlPacket(2, []byte{0xff, 0x13, 0x04}, []byte("#08S01Bad handshake"))); m.Kind != No || m.Re != Upgrade {
		t.Errorf("%+v", m)
	}
}

func TestMySQLEdits(t *testing.T) {
	on, off := mysqlHello(Offered), mysqlHello(Unsaid)
	if len(on) != len(off) || bytes.Equal(on, off) {
		t.Fatal("greetings")
	}
	for _, raw := range [][]byte{on, off} {
		m := readOne(t, MySQL.Speak(Client, false), raw)
		for offer, want := range map[Offer][]byte{Unsaid: off, Offered: on, Required: on} {
			if got := MySQL.Speak(Server, false).Write(nil, m.Offering(offer).Unbound()); !bytes.Equal(got, want) {
				t.Errorf("%v: %x, want %x", offer, got, want)
			}
		}
	}
	short := mysqlPacket(0, []byte("\x0a3.23\x00"), make([]byte, 13))
	m := readOne(t, MySQL.Speak(Client, false), short)
	if got := MySQL.Speak(Server, false).Write(nil, m.Offering(Offered)); !bytes.Equal(got, short) {
		t.Errorf("%x", got)
	}
}

func TestMySQLRefusals(t *testing.T) {
	// As a greeting: number 0, and no SQL state, for nothing is known of the client.
	s := MySQL.Speak(Server, false)
	want := mysqlPacket(0, []byte{0xff, 0x10, 0x04}, []byte("Too many connections"))
	if got := s.Write(nil, Message{Kind: No, Why: TooMuch}); !bytes.Equal(got, want) {
		t.Errorf("%x", got)
	}
	for why, code := range map[Reason]string{TLSRequired: "3159 ", Unavailable: "1053 ", BadSyntax: "1043 ", AlreadyTLS: "1043 ", TooMuch: "1040 ", TLSUnavailable: "1289 "} {
		for _, raw := range [][]byte{mysqlFirst(1, 100, plainFlags), mysqlFirst(1, 99, secureFlags), mysqlFirst(1, 32, secureFlags)} {
			front, client := greeted(Server, Offered), greeted(Client, Offered)
			client.Write(nil, Message{Raw: bytes.Clone(raw)})
			m := readOne(t, front, raw)
			no := readOne(t, client, front.Write(nil, m.Reply(No, why)))
			if no.Kind != No || no.Re != m.Kind || !strings.HasPrefix(no.Text, code) || strings.Contains(no.Text, "#") || front.Pending() {
				t.Errorf("%v refused for %v: %+v", m.Kind, why, no)
			}
			refuses(t, front, mysqlFirst(2, 100, plainFlags)) // the connection is over
		}
	}
}

// mysqlRest is a greeting without CLIENT_SSL.
func mysqlRest(raw []byte) []string {
	raw = bytes.Clone(raw)
	if at := mysqlFlags(raw[mysqlHeader:]); at > 0 {
		setMySQLSSL(raw[mysqlHeader+at:], false)
	}
	return []string{string(raw)}
}
