package dialect

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A talk is a recorded conversation, testdata/<dialect>-<what>.talk:
//
//	# a comment: which client, which server, which versions
//	S: 220 mx.example.test ESMTP     the server says this line and CRLF
//	= greeting name=mx.example.test  all since the last '=' is one message of this kind
//	C: EHLO vm                       the client says
//	= hello pending=true
//	S' <proceed/>                    the server says this; no line end is added
//	S< 30 0c 02 01                   the server says these bytes, in hex; no line end is added
//	C< 30 1d                         the client says these bytes
//	| TLS                            TLS begins: new speeches, inside. As the first line: implicit TLS
//
// Behind the kind stand what else is expected, as key=value: re, tag, name, why, offer, mechs (with
// commas; "-" for none), pending, settled. "= noise" says that the bytes are refused. A message may be
// several lines, and a last S: or C: may stay without '=' when it is not meant to be whole.
type talk struct {
	dialect *Dialect
	turns   []turn
}

// A turn is one message of a talk, or the beginning of TLS.
type turn struct {
	line int // in the file
	tls  bool
	says Side
	raw  []byte
	kind string            // as expected
	want map[string]string // the rest that is expected
}

func readTalk(t testing.TB, file string) talk {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimSuffix(filepath.Base(file), ".talk")
	d, _ := ByScheme(name)
	for d == nil && strings.Contains(name, "-") { // the longest that is a dialect: xmpp-server
		name = name[:strings.LastIndexByte(name, '-')]
		d, _ = ByScheme(name)
	}
	if d == nil {
		t.Fatalf("%s: no dialect %s", file, name)
	}
	talk, cur := talk{dialect: d}, turn{}
	for i, line := range strings.Split(string(text), "\n") {
		mark, rest := line, ""
		if len(line) > 2 {
			mark, rest = line[:2], strings.TrimPrefix(line[2:], " ")
		}
		switch {
		case line == "", line[0] == '#':
		case line == "| TLS":
			talk.turns = append(talk.turns, turn{line: i + 1, tls: true})
		case mark == "= ":
			words := strings.Fields(rest)
			cur.line, cur.kind, cur.want = i+1, words[0], map[string]string{}
			for _, word := range words[1:] {
				key, value, _ := strings.Cut(word, "=")
				cur.want[key] = value
			}
			talk.turns, cur = append(talk.turns, cur), turn{}
		case mark == "S:", mark == "C:", mark == "S'", mark == "C'", mark == "S<", mark == "C<":
			says := Client
			if line[0] == 'S' {
				says = Server
			}
			if len(cur.raw) > 0 && cur.says != says {
				t.Fatalf("%s:%d: the other side speaks before '='", file, i+1)
			}
			said := []byte(rest + "\r\n")
			switch line[1] {
			case '\'':
				said = []byte(rest)
			case '<':
				if said, err = hex.DecodeString(strings.ReplaceAll(rest, " ", "")); err != nil {
					t.Fatalf("%s:%d: %v", file, i+1, err)
				}
			}
			cur.says, cur.raw = says, append(cur.raw, said...)
		default:
			t.Fatalf("%s:%d: %q is no line of a talk", file, i+1, line)
		}
	}
	return talk
}

func talks(t testing.TB) []string {
	files, err := filepath.Glob("testdata/*.talk")
	if err != nil || len(files) == 0 {
		t.Fatal("no talks", err)
	}
	return files
}

// expect compares a message with what a talk says of it.
func (w turn) expect(m Message, s Speech) error {
	if m.Kind.String() != w.kind {
		return fmt.Errorf("kind %v, want %s (%+v)", m.Kind, w.kind, m)
	}
	mechs := strings.Join(m.Mechs, ",")
	if mechs == "" {
		mechs = "-"
	}
	got := map[string]string{
		"re": m.Re.String(), "tag": m.Tag, "name": m.Name, "why": m.Why.String(), "offer": m.Offer.String(), "mechs": mechs,
		"pending": fmt.Sprint(s.Pending()), "settled": fmt.Sprint(s.Settled()),
	}
	for key, want := range w.want {
		if have, ok := got[key]; !ok || have != want {
			return fmt.Errorf("%s is %q, want %q", key, have, want)
		}
	}
	return nil
}

// TestTalks replays the recorded conversations through both legs of a gateway that changes nothing.
func TestTalks(t *testing.T) {
	for _, file := range talks(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			talk := readTalk(t, file)
			g := newLegs(talk.dialect, false)
			for _, turn := range talk.turns {
				if turn.tls {
					g = newLegs(talk.dialect, true)
					continue
				}
				m, out, n, err := g.pass(turn.says, turn.raw)
				if turn.kind == "noise" {
					if !errors.Is(err, ErrNoise) {
						t.Fatalf("%s:%d: error %v, want noise", file, turn.line, err)
					}
					return
				}
				if err == nil && n != len(turn.raw) {
					err = fmt.Errorf("%d bytes taken, want %d", n, len(turn.raw))
				}
				if err == nil && !m.Edited() && !bytes.Equal(out, turn.raw) {
					err = fmt.Errorf("said on as %q", out)
				}
				if err == nil {
					err = turn.expect(m, g.legs[Client])
				}
				if err != nil {
					t.Fatalf("%s:%d: %q: %v", file, turn.line, turn.raw, err)
				}
			}
		})
	}
}

// legs are the two legs of a gateway: it is the server towards the client, and the client towards the
// server.
type legs struct {
	dialect *Dialect
	inside  bool
	legs    [2]Speech // by our side: legs[Server] is the front, legs[Client] the back
	heard   []turn    // all that passed
}

func newLegs(d *Dialect, inside bool) *legs {
	return &legs{dialect: d, inside: inside, legs: [2]Speech{d.Speak(Client, inside), d.Speak(Server, inside)}}
}

// pass reads the first message that says says in buf on its leg, and writes it on to the other.
func (g *legs) pass(says Side, buf []byte) (m Message, out []byte, n int, err error) {
	m, n, err = g.legs[1-says].Read(buf)
	if err != nil || n == 0 {
		return m, nil, n, err
	}
	if n < 0 || n > len(buf) {
		return m, nil, n, fmt.Errorf("%d bytes taken of %d", n, len(buf))
	}
	g.heard = append(g.heard, turn{says: says, raw: bytes.Clone(buf[:n])})
	return m, g.legs[says].Write(nil, m), n, nil
}

// twin returns legs that have heard the same.
func (g *legs) twin() *legs {
	twin := newLegs(g.dialect, g.inside)
	for _, h := range g.heard {
		twin.pass(h.says, h.raw)
	}
	return twin
}
