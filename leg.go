package starttls

import (
	"io"
	"net"
	"sync"

	"starttls/dialect"
)

// A Leg is one connection with one peer: the reader and the writer of its messages before TLS and,
// for who stands between two peers, for the few inside it. It is what gateways and checkers are made
// of; a plain client or server needs only [Client] and [Server].
//
// One goroutine may read (Fill) while another writes, but the calls that move the conversation on,
// Next and Say, must not run at the same time.
type Leg struct {
	Conn    net.Conn
	Dialect *dialect.Dialect
	// Show, if not nil, is told each message as it is heard or said; raw are its bytes on the wire, good
	// until Show returns. They hold secrets where m.Kind is Secret.
	Show func(says dialect.Side, m dialect.Message, raw []byte)

	we     dialect.Side
	inside bool // TLS has begun, or does so with the first byte
	speech dialect.Speech
	asked  string // the Name of the client's last Hello or Upgrade
	buf    []byte // from firstBuf, nil when nothing is held
	r, w   int    // unread: buf[r:w]
	hello  *helloConn
}

// NewLeg returns the leg of a connection on which nothing was said yet. inside says that TLS begins on
// it with the first byte.
func NewLeg(conn net.Conn, d *dialect.Dialect, we dialect.Side, inside bool) *Leg {
	return &Leg{Conn: conn, Dialect: d, we: we, inside: inside, speech: d.Speak(we, inside)}
}

// firstBuf holds buffers of the size with which every leg begins.
var firstBuf = sync.Pool{New: func() any { return new([firstSize]byte) }}

// firstSize holds nearly every message; a leg that waits for one keeps it.
const firstSize = 1 << 10

// Next cuts the next message off what was read. ok is false when more bytes are needed. The message's
// Raw is good until the next Fill.
func (l *Leg) Next() (m dialect.Message, ok bool, err error) {
	if l.silentHello() {
		return dialect.Message{Kind: dialect.Upgrade}, true, nil
	}
	m, n, err := l.speech.Read(l.buf[l.r:l.w])
	if err != nil || n == 0 {
		return dialect.Message{}, false, err
	}
	l.r += n
	if l.we == dialect.Server && m.Name != "" && (m.Kind == dialect.Hello || m.Kind == dialect.Upgrade) {
		l.asked = m.Name
	}
	l.show(1-l.we, m, m.Raw)
	return m, true, nil
}

// silentHello reports whether a ClientHello stands where the client's next message would, in a dialect
// in which that is how TLS is asked for.
func (l *Leg) silentHello() bool {
	next := l.buf[l.r:l.w]
	if !l.Dialect.Silent || l.inside || l.we == dialect.Client {
		return false
	}
	if c := l.Dialect.Carrier; c != nil {
		next, _, _ = c.Unpack(next)
	}
	return len(next) > 0 && next[0] == recordHandshake
}

// Fill reads once from the peer. It fails with ErrTooLong when the dialect's limit is reached and no
// message is whole.
func (l *Leg) Fill() error {
	if l.buf == nil {
		l.buf = firstBuf.Get().(*[firstSize]byte)[:]
	}
	if l.r > 0 {
		l.w = copy(l.buf, l.buf[l.r:l.w])
		l.r = 0
	}
	if l.w == len(l.buf) {
		if l.w >= l.Dialect.Limit {
			return ErrTooLong
		}
		bigger := make([]byte, min(4*len(l.buf), max(l.Dialect.Limit, firstSize)))
		copy(bigger, l.buf[:l.w])
		l.letGo()
		l.buf = bigger
	}
	n, err := l.Conn.Read(l.buf[l.w:])
	l.w += n
	if n > 0 {
		return nil
	}
	if l.w == 0 {
		l.Rest() // who waits for the next message above the connection needs no buffer for it
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// Hear returns the next message, reading as often as it takes.
func (l *Leg) Hear() (dialect.Message, error) {
	for {
		m, ok, err := l.Next()
		if ok || err != nil {
			return m, err
		}
		if err := l.Fill(); err != nil {
			return m, err
		}
	}
}

// Say writes a message in one Write. A kind for which the protocol has no words writes nothing.
func (l *Leg) Say(m dialect.Message) error {
	out := l.Words(m)
	if len(out) == 0 {
		return nil
	}
	_, err := l.Conn.Write(out)
	return err
}

// Words returns a message as our side says it, for the caller to write in its own way. The leg takes it
// as said.
func (l *Leg) Words(m dialect.Message) []byte {
	out := l.speech.Write(nil, m)
	if len(out) > 0 {
		l.show(l.we, m, out)
	}
	return out
}

func (l *Leg) show(says dialect.Side, m dialect.Message, raw []byte) {
	if l.Show != nil {
		l.Show(says, m, raw)
	}
}

// Pending reports whether a request has not been answered in full.
func (l *Leg) Pending() bool { return l.speech.Pending() }

// Owes reports whether the peer may still answer something for which the next message did not wait.
func (l *Leg) Owes() bool {
	o, ok := l.speech.(interface{ Owes() bool })
	return ok && o.Owes()
}

// Settled reports whether nothing that follows on this leg concerns TLS.
func (l *Leg) Settled() bool { return l.speech.Settled() }

// Over reports whether the conversation has ended with our refusal, so that all that is left is to close.
func (l *Leg) Over() bool {
	o, ok := l.speech.(interface{ Over() bool })
	return ok && o.Over()
}

// Across returns m, which was heard on a gateway's other leg, as it is to be said on this one. It reports
// false when it is not for this leg's peer: see [dialect.Crosser].
func (l *Leg) Across(m dialect.Message) (dialect.Message, bool) {
	if c, ok := l.speech.(dialect.Crosser); ok {
		return c.Across(m)
	}
	return m, true
}

// Crosses reports whether Across may say anything of messages.
func (l *Leg) Crosses() bool {
	_, ok := l.speech.(dialect.Crosser)
	return ok
}

// Sealer returns the leg's speech if a password has to be sealed on it: see [dialect.Sealer].
func (l *Leg) Sealer() (dialect.Sealer, bool) {
	s, ok := l.speech.(dialect.Sealer)
	return s, ok
}

// Teller returns the leg's speech if its server can be told who the client of a gateway is: see
// [dialect.Teller].
func (l *Leg) Teller() (dialect.Teller, bool) {
	t, ok := l.speech.(dialect.Teller)
	return t, ok
}

// Unread returns what was read and not yet cut into messages, good until the next Fill.
func (l *Leg) Unread() []byte { return l.buf[l.r:l.w] }

// Rest takes what was read and not yet cut into messages. The leg holds no buffer afterwards.
func (l *Leg) Rest() []byte {
	var rest []byte
	if l.r < l.w {
		rest = append(rest, l.buf[l.r:l.w]...)
	}
	l.letGo()
	l.buf, l.r, l.w = nil, 0, 0
	return rest
}

// letGo gives the buffer back if it is one of the common size.
func (l *Leg) letGo() {
	if len(l.buf) == firstSize {
		clear(l.buf) // it held what a peer said, secrets included
		firstBuf.Put((*[firstSize]byte)(l.buf))
	}
}

// fail wraps err as a failure of this leg at a step.
func (l *Leg) fail(at dialect.Kind, err error) error {
	return &Error{Dialect: l.Dialect.Name, At: at, Err: err}
}

// refused wraps the peer's refusal m.
func (l *Leg) refused(at dialect.Kind, m dialect.Message) error {
	return &Error{Dialect: l.Dialect.Name, At: at, Reason: m.Why, Text: m.Text, Gone: m.Kind == dialect.Bye, Err: ErrRefused}
}
