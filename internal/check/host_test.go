package check

import (
	"bytes"
	"context"
	"io"
	"net"

	"starttls"
	"starttls/dialect"
	"starttls/internal/tryout"
)

// A host is a server of any dialect that speaks by the dialect's own words, with some flaw. The zero host has
// none: it offers TLS, takes no work before it, and forgets what it heard.
type host struct {
	*dialect.Dialect
	hides   bool // lists no TLS, and takes the upgrade all the same
	refuses bool // lists TLS, and refuses the upgrade
	cuts    bool // goes ahead, and hangs up
	plain   bool // goes ahead, and goes on in the clear
	keeps   bool // reads what stands behind the upgrade as if it had come inside TLS
	behind  bool // answers it in the clear
	drops   bool // throws it away, a ClientHello too
	lax     bool // takes the upgrade in other words
	offers  bool // lists TLS inside TLS
	goesOn  bool // goes ahead inside TLS
}

const hostName = "mx.example.org"

func (h host) serve(conn net.Conn) {
	wire := conn
	if h.lax {
		wire = &laxConn{conn}
	}
	in := starttls.NewLeg(wire, h.Dialect, dialect.Server, false)
	offer := dialect.Required
	if h.hides {
		offer = dialect.Unsaid
	}
	if h.Script.ServerFirst() && in.Say(dialect.Message{Kind: dialect.Greeting, Name: hostName, Offer: offer}) != nil {
		return
	}
	for {
		m, err := in.Hear()
		if err != nil {
			return
		}
		if m.Kind == dialect.Upgrade && m.Why == dialect.Unknown && !h.refuses {
			h.upgrade(in, m)
			return
		}
		answer := in.Words(answerTo(m, offer))
		if _, err := in.Conn.Write(answer); err != nil || m.Kind == dialect.Bye || m.Kind == dialect.Upgrade && len(answer) == 0 {
			return // who has no word for a refusal hangs up
		}
	}
}

// answerTo is the answer of a server that lists TLS as offer says.
func answerTo(m dialect.Message, offer dialect.Offer) dialect.Message {
	answer := starttls.Answer(m, hostName)
	if answer.Kind == dialect.Caps {
		answer.Offer = offer
	}
	if m.Kind == dialect.Upgrade && answer.Why == dialect.TLSRequired {
		answer.Why = dialect.TLSUnavailable
	}
	return answer
}

func (h host) upgrade(in *starttls.Leg, m dialect.Message) {
	var rest []byte
	m.Raw = bytes.Clone(m.Raw)
	if h.keeps || h.drops || h.behind {
		rest = in.Rest()
	}
	behind := h.answer(rest)
	if h.cuts || h.plain || len(behind) > 0 {
		in.Say(m.Reply(dialect.Ready, dialect.Unknown))
		in.Conn.Write(behind)
		if len(behind) > 0 {
			in.Conn.Read(make([]byte, 1)) // a ClientHello, or the end
		}
		return
	}
	secured, err := in.BeginServer(context.Background(), m, serverTLS())
	if err != nil {
		return
	}
	if h.keeps {
		in.Conn = &restConn{Conn: secured, rest: rest}
	}
	h.inside(in)
	secured.CloseWrite()
	io.Copy(io.Discard, secured)
}

// answer is what is said in the clear behind the go-ahead: to what stood behind the upgrade, a try-out server's
// answer.
func (h host) answer(rest []byte) []byte {
	if h.plain {
		return []byte("220 and so on\r\n")
	}
	speech := h.Speak(dialect.Server, false)
	speech.Write(nil, dialect.Message{Kind: dialect.Greeting, Name: hostName})
	if _, n, err := speech.Read(rest); err != nil || n == 0 || !h.behind {
		return nil
	}
	server, _ := tryout.New(h.Name)
	back, err := server.Dial(context.Background())
	if err != nil {
		return nil
	}
	defer back.Close()
	words := make([]byte, 1<<10)
	if h.Script.ServerFirst() {
		back.Read(words)
	}
	back.Write(rest)
	n, _ := back.Read(words)
	return words[:n]
}

// inside serves the session inside TLS.
func (h host) inside(in *starttls.Leg) {
	offer := dialect.Unsaid
	if h.offers {
		offer = dialect.Offered
	}
	if h.Script.ServerFirstInside() && !h.Again {
		greeting := in.Words(dialect.Message{Kind: dialect.Greeting, Name: hostName, Offer: offer})
		if len(greeting) == 0 {
			greeting = []byte("welcome\r\n") // Telnet has no words of its own for it
		}
		if _, err := in.Conn.Write(greeting); err != nil {
			return
		}
	}
	for {
		m, err := in.Hear()
		if err != nil {
			return
		}
		answer := answerTo(m, offer)
		if m.Kind == dialect.Upgrade && h.goesOn {
			answer = m.Reply(dialect.Ready, dialect.Unknown)
		}
		if in.Say(answer) != nil || m.Kind == dialect.Bye {
			return
		}
	}
}

// laxConn reads an upgrade where another word stands.
type laxConn struct{ net.Conn }

func (c *laxConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	// STARTTLSX, STLSX, AUTH TLSX
	return copy(p, bytes.Replace(p[:n], []byte("TLSX"), []byte("TLS"), 1)), err
}
