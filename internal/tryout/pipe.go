package tryout

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeBuffer is how much may be under way in one direction. Without room, as in net.Pipe, two peers
// that write at the same time would wait for each other for ever.
const pipeBuffer = 64 << 10

// A half is one direction of a pipe.
type half struct {
	mu            sync.Mutex
	changed       *sync.Cond // of everything below
	buf           bytes.Buffer
	ended         bool // nothing more will be written
	gone          bool // nothing more will be read
	reader, write alarm
}

// An alarm is a deadline. Its timer wakes who waits.
type alarm struct {
	at    time.Time
	timer *time.Timer
}

func (a *alarm) rung() bool { return !a.at.IsZero() && !time.Now().Before(a.at) }

func newHalf() *half {
	h := new(half)
	h.changed = sync.NewCond(&h.mu)
	return h
}

// read waits for something to read, and for no more.
func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.gone:
			return 0, net.ErrClosed
		case h.reader.rung():
			return 0, os.ErrDeadlineExceeded
		case h.buf.Len() > 0:
			h.changed.Broadcast()
			return h.buf.Read(p)
		case h.ended:
			return 0, io.EOF
		}
		h.changed.Wait()
	}
}

// add writes all of p, waiting for room, and returns how much it has written.
func (h *half) add(p []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.ended:
			return n, net.ErrClosed
		case h.gone:
			return n, io.ErrClosedPipe
		case h.write.rung():
			return n, os.ErrDeadlineExceeded
		case len(p) == 0:
			return n, nil
		}
		if room := min(pipeBuffer-h.buf.Len(), len(p)); room > 0 {
			h.buf.Write(p[:room])
			n, p = n+room, p[room:]
			h.changed.Broadcast()
			continue
		}
		h.changed.Wait()
	}
}

// set sets one of the two deadlines; the zero time means none.
func (h *half) set(a *alarm, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if a.timer != nil {
		a.timer.Stop()
	}
	if a.at = at; !at.IsZero() {
		a.timer = time.AfterFunc(time.Until(at), h.wake)
	}
	h.changed.Broadcast() // the new deadline may be nearer than the old one
}

// wake takes the lock, so that it cannot fall between somebody's look and their wait.
func (h *half) wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changed.Broadcast()
}

// end is the writer's end of the direction: what was written can still be read.
func (h *half) end() {
	h.set(&h.write, time.Time{})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	h.changed.Broadcast()
}

// abandon is the reader's end of it: what was written is lost.
func (h *half) abandon() {
	h.set(&h.reader, time.Time{})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone, h.buf = true, bytes.Buffer{}
	h.changed.Broadcast()
}

// A pipeEnd is one end of a connection inside the process.
type pipeEnd struct{ in, out *half }

// pipe returns the two ends of a connection. Unlike those of net.Pipe, they can be closed for one
// direction, and have room for what is under way.
func pipe() (a, b *pipeEnd) {
	to, fro := newHalf(), newHalf()
	return &pipeEnd{fro, to}, &pipeEnd{to, fro}
}

func (e *pipeEnd) Read(p []byte) (int, error)  { return e.in.read(p) }
func (e *pipeEnd) Write(p []byte) (int, error) { return e.out.add(p) }

// CloseWrite ends our direction: the peer reads what is under way, then io.EOF.
func (e *pipeEnd) CloseWrite() error {
	e.out.end()
	return nil
}

// Close ends both directions: what we wrote can still be read, what we did not read is lost.
func (e *pipeEnd) Close() error {
	e.out.end()
	e.in.abandon()
	return nil
}

func (e *pipeEnd) SetDeadline(t time.Time) error {
	e.in.set(&e.in.reader, t)
	e.out.set(&e.out.write, t)
	return nil
}

func (e *pipeEnd) SetReadDeadline(t time.Time) error {
	e.in.set(&e.in.reader, t)
	return nil
}

func (e *pipeEnd) SetWriteDeadline(t time.Time) error {
	e.out.set(&e.out.write, t)
	return nil
}

func (e *pipeEnd) LocalAddr() net.Addr  { return inside }
func (e *pipeEnd) RemoteAddr() net.Addr { return inside }

// inside is the address of both ends: this machine, for that is where FTP puts its data connections.
var inside = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}
