package dialect

import (
	"fmt"
	"slices"
	"strings"
)

// A Who is a client, and where it came to, as a gateway has seen it: numbers, and nothing that DNS or a peer
// has said.
type Who struct {
	Addr, Port     string // "192.0.2.7" or "2001:db8::7", and "41800"
	ToAddr, ToPort string // empty if they are not known
}

// A Teller is the Speech of a client's leg in a protocol with words for who the client of a gateway is (see
// [Dialect].Tells). A server that believes them of us believes them of whoever speaks through us, so that
// those of a client must not reach it.
type Teller interface {
	Speech
	// Tell returns the request that says so. It reports false if the server has not said, so far, that it
	// takes one from us.
	Tell(w Who) (Message, bool)
	// Guard says that from now on clients are heard on this leg through Pass: it is settled only when the
	// server takes no such word any more.
	Guard()
	// Pass returns a client's message as it may be said on this leg. It reports false if it must not be: it
	// says who the client is, or a server laxer than we are would hear that in it. It changes no state.
	Pass(m Message) (Message, bool)
}

// A teller makes a Teller of a grammar that has these.
type teller struct{ speech }

type tellGrammar interface {
	tell(w Who) (Message, bool)
	guard()
	pass(m Message) (Message, bool)
}

func (s teller) Tell(w Who) (Message, bool)     { return s.grammar.(tellGrammar).tell(w) }
func (s teller) Guard()                         { s.grammar.(tellGrammar).guard() }
func (s teller) Pass(m Message) (Message, bool) { return s.grammar.(tellGrammar).pass(m) }

// Guarded returns m without the words by which a server takes it from a gateway who the client is: they are
// not for clients. It changes only a Greeting or Caps.
func (m Message) Guarded() Message {
	if m.Kind == Greeting || m.Kind == Caps {
		m.edit.guarded = true
	}
	return m
}

// xtext encodes a value as in RFC 3461 §4.
func xtext(value string) string {
	var b strings.Builder
	for _, c := range []byte(value) {
		if c < '!' || c > '~' || c == '+' || c == '=' {
			fmt.Fprintf(&b, "+%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// xclient is the request XCLIENT with the attributes that have a value, of those that a server knows: all, if
// known is nil.
func xclient(known []string, attributes ...[2]string) Message {
	line := "XCLIENT"
	for _, a := range attributes {
		if a[1] != "" && (known == nil || slices.Contains(known, a[0])) {
			line += " " + a[0] + "=" + xtext(a[1])
		}
	}
	return Message{Raw: []byte(line + "\r\n")}
}

// saysWord reports whether word i of one of the lines of a message is that word, as the laxest reader sees
// it. Octets of literals are looked at like lines: to a server that knows no literals they are.
func saysWord(raw []byte, i int, word string) bool {
	return slices.ContainsFunc(strings.Split(string(raw), "\n"), func(line string) bool { return laxWord(line, i) == word })
}
