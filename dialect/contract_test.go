package dialect

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The contract of every Speech is in the package comment; FuzzSpeech holds them all to it. The input
// is what both sides say, and who is first to speak whenever both may: the next bit of order is the
// server's turn.
func FuzzSpeech(f *testing.F) {
	for _, file := range talks(f) {
		seedTalk(f, file)
	}
	for i := range All {
		for _, seed := range seeds {
			f.Add(uint8(i), seed.inside, []byte(seed.client), []byte(seed.server), uint64(0))
		}
	}
	f.Fuzz(func(t *testing.T, dialect uint8, inside bool, client, server []byte, order uint64) {
		d := All[int(dialect)%len(All)]
		if len(client)+len(server) > 4<<10 {
			t.Skip("longer than what is said before TLS")
		}
		converse(t, d, inside, [2][]byte{Client: client, Server: server}, order)
	})
}

// seeds are conversations that no talk has, each put to every dialect.
var seeds = []struct {
	inside         bool
	client, server string
}{
	{false, "a STARTTLS\r\n", "* OK hi\r\n+ go on\r\na OK now\r\n"},
	{false, "a LOGIN {3}\r\nbob {3+}\r\npwd\r\n", "* OK hi\r\n+ \r\na OK [CAPABILITY IMAP4rev1 starttls  AUTH=SCRAM-SHA-1-PLUS] in\r\n"},
	{true, "a CAPABILITY\r\na ID {99999999999999999999}\r\n", "* CAPABILITY LOGINDISABLED  \r\na OK\r\n* LIST () \"/\" {2}\r\nab\r\n"},
	{false, "CAPA\r\nAUTH\r\nAUTH PLAIN\r\nx\r\n", "+OK <1@x>\r\n+OK\r\nSASL  A-PLUS  B\r\nUSER\r\nSTLS\r\nstls\r\n.\r\n+OK\r\nA\r\n.\r\n+ \r\n+OK\r\n"},
	{false, "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a>\r\nDATA\r\nx\r\n.\r\n", "220 x\r\n250-x\r\n250-AUTH A-PLUS B\r\n250 starttls\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n"},
	{false, "LHLO x\r\nBDAT 3 LAST\r\nabcNOOP\r\n", "220 x\r\n250\r\n250 ok\r\n421 bye\r\n"},
}

// seedTalk makes the stretches of a talk between the beginnings of TLS into seeds.
func seedTalk(f *testing.F, file string) {
	talk := readTalk(f, file)
	which := uint8(slices.Index(All, talk.dialect))
	var said [2][]byte
	var order uint64
	inside, turns := false, 0
	for _, turn := range append(talk.turns, turn{tls: true}) {
		if turn.tls {
			f.Add(which, inside, said[Client], said[Server], order)
			said, order, inside, turns = [2][]byte{}, 0, true, 0
			continue
		}
		order |= uint64(turn.says) << (turns % 64)
		said[turn.says] = append(said[turn.says], turn.raw...)
		turns++
	}
}

// converse passes two streams through a gateway as it would, one request at a time.
func converse(t *testing.T, d *Dialect, inside bool, said [2][]byte, order uint64) {
	whole, drip := newLegs(d, inside), newLegs(d, inside)
	for turn := range 40 {
		first := Side(order >> (turn % 64) & 1)
		done := 0
		for _, says := range []Side{first, 1 - first} {
			if says == Client && whole.legs[Client].Pending() {
				continue
			}
			before := whole.twin()
			m, out, n, err := whole.pass(says, said[says])
			if n == 0 && err == nil {
				continue
			}
			arrival(t, drip, says, said[says], m, n, err)
			if err != nil {
				return
			}
			raw := said[says][:n]
			switch { // by the dialect itself
			case !m.Edited():
				echo(t, before, says, raw, out)
			case d == &XMPP || d == &XMPPServer:
				if len(out) > 0 || len(bytes.TrimSpace(raw)) > 0 {
					t.Fatalf("strip: %q said on as %q", raw, out)
				}
			default:
				httpStripped(t, raw, out)
			}
			if says == Server && (m.Kind == Greeting || m.Kind == Caps) {
				edits(t, before, m)
			}
			said[says], done = said[says][n:], n
			break
		}
		if done == 0 {
			arrival(t, drip, Server, said[Server], Message{}, 0, nil) // what is left is no message yet
			return
		}
	}
}

// arrival reads the same message on legs where its bytes come a few at a time.
func arrival(t *testing.T, drip *legs, says Side, buf []byte, whole Message, n int, wholeErr error) {
	t.Helper()
	end := n
	if n == 0 {
		end = len(buf)
	}
	for cut := range end {
		if cut > 100 && end-cut > 100 && cut%61 != 0 {
			continue // long messages: at the ends, and here and there
		}
		m, _, got, err := drip.pass(says, buf[:cut])
		if err != nil && wholeErr != nil {
			return
		}
		if got != 0 || err != nil {
			t.Fatalf("arrival: %s %v: %q is message %+v error %v, but %q is message %+v error %v",
				drip.dialect.Name, says, buf[:cut], m, err, buf, whole, wholeErr)
		}
	}
	m, _, got, err := drip.pass(says, buf[:end])
	m.Raw, whole.Raw = nil, nil
	if got != n || (err == nil) != (wholeErr == nil) || !reflect.DeepEqual(m, whole) {
		t.Fatalf("arrival: %s %v: %q alone is %+v (%d, %v), in %q it is %+v (%d, %v)",
			drip.dialect.Name, says, buf[:end], m, got, err, buf, whole, n, wholeErr)
	}
}

// echo checks that a message was said on as it was heard, but for what a patcher numbers anew.
func echo(t *testing.T, before *legs, says Side, raw, out []byte) {
	t.Helper()
	want := bytes.Clone(raw)
	if s, ok := before.twin().legs[says].(speech); ok {
		if p, ok := s.grammar.(patcher); ok {
			p.patch(says, want)
		}
	}
	if !bytes.Equal(out, want) {
		t.Fatalf("echo: %s %v: %q said on as %q", before.dialect.Name, says, raw, out)
	}
}

// edits says a server's list with each offer, and reads it back as the client would. before are legs
// that have not heard it yet.
func edits(t *testing.T, before *legs, m Message) {
	t.Helper()
	for offer := Unsaid; offer <= Required; offer++ {
		if before.dialect == &Telnet {
			telnetEdits(t, before.twin().legs[Server], m, offer)
			continue
		}
		out := before.twin().legs[Server].Write(nil, m.Offering(offer).Unbound())
		again, n, err := before.twin().legs[Client].Read(out)
		fail := func(why string) {
			t.Helper()
			t.Fatalf("edit: %s: %q offering %v is said as %q: %s (%+v, %v)", before.dialect.Name, m.Raw, offer, out, why, again, err)
		}
		if err != nil || n != len(out) || again.Kind != m.Kind || again.Re != m.Re || again.Tag != m.Tag {
			fail("not the same message")
		}
		// Where a message has no place for an offer, it stays as it is. The lists in rests have one.
		rest := rests[before.dialect.Name]
		// An LDAP client may not have asked for one, and PostgreSQL's is of mechanisms only.
		silent := m.Kind == Greeting || rest == nil || before.dialect == &LDAP || before.dialect == &Postgres
		silent = silent && before.dialect != &ACAP && before.dialect != &MTQP // their greeting is a list
		silent = silent && m.Offer == Unsaid && again.Offer == Unsaid
		if stays := stays[before.dialect.Name]; stays != nil {
			silent = silent || stays(before, m, again)
		}
		if !silent && (again.Offer == Unsaid) != (offer == Unsaid) {
			fail("another offer")
		}
		if !silent && offer == Required && len(again.Mechs) > 0 {
			fail("mechanisms not held back")
		}
		if slices.ContainsFunc(again.Mechs, bound) {
			fail("a mechanism with channel binding")
		}
		if twice := before.twin().legs[Server].Write(nil, again.Offering(offer).Unbound()); !bytes.Equal(twice, out) {
			fail(fmt.Sprintf("and edited again as %q", twice))
		}
		if rest != nil {
			if a, b := rest(m.Raw), rest(out); !slices.Equal(a, b) {
				fail(fmt.Sprintf("the rest was %q and is %q", a, b))
			}
		}
	}
}

// stays tell where a list is not ours to change, though the protocol has a word for TLS in lists.
var stays = map[string]func(before *legs, m, again Message) bool{
	"nbd": nbdStays, "vnc": vncStays, "tds": tdsStays,
}

// rests tell what of a list an edit must not change.
var rests = map[string]func(raw []byte) []string{
	"smtp":     smtpRest,
	"lmtp":     smtpRest,
	"ldap":     ldapRest,
	"postgres": postgresRest,
	"mysql":    mysqlRest,
	"nbd":      nbdRest,
	"tds":      tdsRest,
	"sieve":    sieveRest,
	"nntp":     nntpRest,
	"ftp":      ftpRest,
	"irc":      ircRest,
	"acap":     acapRest,
	"mtqp":     mtqpRest,
	"xmpp":     xmppRest, "xmpp-server": xmppRest,
	"nats": natsRest,
	"imap": func(raw []byte) (rest []string) {
		from, to, ok := capList(raw)
		if !ok {
			return []string{string(raw)}
		}
		for _, word := range words(string(raw[from:to])) {
			if up := upper(word); up != "STARTTLS" && up != "LOGINDISABLED" && !strings.HasPrefix(up, "AUTH=") {
				rest = append(rest, word)
			}
		}
		return append(rest, string(raw[:from]), string(raw[to:]))
	},
	"pop3": func(raw []byte) (rest []string) {
		for _, line := range lines(raw) {
			text, _ := chomp(line)
			if key, _ := splitVerb(text); key != "STLS" && key != "SASL" && key != "USER" {
				rest = append(rest, string(line))
			}
		}
		return rest
	},
}

func smtpRest(raw []byte) (rest []string) {
	for i, line := range lines(raw) {
		text, _ := chomp(line)
		text = text[min(4, len(text)):]
		key, _ := splitVerb(text)
		if i == 0 || key != "STARTTLS" && key != "REQUIRETLS" && key != "AUTH" && !strings.HasPrefix(key, "AUTH=") {
			rest = append(rest, text)
		}
	}
	return rest
}
