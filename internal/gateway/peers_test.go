package gateway_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// A recorder keeps what was read from a connection.
type recorder struct {
	net.Conn
	mu   sync.Mutex
	kept []byte
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.mu.Lock()
	r.kept = append(r.kept, p[:n]...)
	r.mu.Unlock()
	return n, err
}

func (r *recorder) CloseWrite() error { return r.Conn.(*net.TCPConn).CloseWrite() }

func (r *recorder) all() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return string(r.kept)
}

// A peer is one end of a connection, with what it read and did not take yet.
type peer struct {
	net.Conn // in the clear, or inside TLS
	p        *proto
	wire     *recorder // below TLS
	buf      string
	tag      string // of the last message, where a script needs it
}

func newPeer(conn net.Conn, p *proto) *peer {
	wire := &recorder{Conn: conn}
	conn.SetDeadline(time.Now().Add(patience))
	return &peer{Conn: wire, p: p, wire: wire}
}

// call connects to a server.
func call(addr string, p *proto) (*peer, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return newPeer(conn, p), nil
}

// greeted connects and hears the greeting, if the protocol has one.
func greeted(addr string, p *proto) (*peer, error) {
	c, err := call(addr, p)
	if err == nil && p.serverFirst() {
		_, err = c.hear()
	}
	return c, err
}

func (c *peer) say(s string) error {
	_, err := io.WriteString(c.Conn, s)
	return err
}

// take returns the next message as cut finds it.
func (c *peer) take(cut func(string) int) (string, error) {
	var piece [4096]byte
	for {
		if n := cut(c.buf); n > 0 {
			message := c.buf[:n]
			c.buf = c.buf[n:]
			return message, nil
		}
		n, err := c.Read(piece[:])
		c.buf += string(piece[:n])
		if n == 0 && err != nil {
			return "", fmt.Errorf("%w, with %s unread", err, show(c.buf))
		}
	}
}

// hear returns the server's next answer, and heard the client's next message.
func (c *peer) hear() (string, error)  { return c.take(c.p.reply) }
func (c *peer) heard() (string, error) { return c.take(c.p.request) }

func (c *peer) ask(s string) (string, error) {
	if err := c.say(s); err != nil {
		return "", err
	}
	return c.hear()
}

// expect asks, and wants the answer to hold a word.
func (c *peer) expect(s, want string) error {
	answer, err := c.ask(s)
	if err != nil {
		return fmt.Errorf("%s: no answer: %w", show(s), err)
	}
	if !strings.Contains(answer, want) {
		return fmt.Errorf("%s is answered with %s, and not %s", show(s), show(answer), show(want))
	}
	return nil
}

// shake begins TLS as a client. What was read behind the go-ahead is read as TLS, as any client would
// that does not look closely.
func (c *peer) shake(config *tls.Config) error {
	conn := tls.Client(&spilled{Conn: c.wire, rest: c.buf}, config)
	c.buf = ""
	if err := conn.Handshake(); err != nil {
		return err
	}
	c.Conn = conn
	return nil
}

// rest reads to the end.
func (c *peer) rest() string {
	all, _ := io.ReadAll(c.Conn)
	all = append([]byte(c.buf), all...)
	c.buf = ""
	return string(all)
}

// closeWrite ends our direction.
func (c *peer) closeWrite() {
	if conn, ok := c.Conn.(*tls.Conn); ok {
		conn.CloseWrite()
	}
	c.wire.CloseWrite()
}

// spilled is a connection of which some was read already.
type spilled struct {
	net.Conn
	rest string
}

func (s *spilled) Read(p []byte) (int, error) {
	if s.rest != "" {
		n := copy(p, s.rest)
		s.rest = s.rest[n:]
		return n, nil
	}
	return s.Conn.Read(p)
}

// A backend is a server in the clear that records all it hears.
type backend struct {
	p     *proto
	addr  string
	peers chan *peer // each that came

	mu           sync.Mutex
	came         []*peer
	dialed, gone int
}

// newBackend runs a polite server.
func newBackend(t testing.TB, p *proto) *backend {
	return scripted(t, p, func(c *peer) { serve(c, p.polite()) })
}

// scripted runs a server that does with each connection what script says.
func scripted(t testing.TB, p *proto, script func(c *peer)) *backend {
	t.Helper()
	ln := listen(t)
	b := &backend{p: p, addr: ln.Addr().String(), peers: make(chan *peer, 4096)}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			c := newPeer(conn, p)
			b.mu.Lock()
			b.came = append(b.came, c)
			b.mu.Unlock()
			b.peers <- c
			go func() {
				script(c)
				conn.Close()
				b.mu.Lock()
				b.gone++
				b.mu.Unlock()
			}()
		}
	}()
	return b
}

// dial connects to the backend.
func (b *backend) dial(ctx context.Context) (net.Conn, error) {
	b.mu.Lock()
	b.dialed++
	b.mu.Unlock()
	return new(net.Dialer).DialContext(ctx, "tcp", b.addr)
}

// serve greets and answers until the client is done.
func serve(c *peer, answer func(string) string) {
	c.say(c.p.greeting)
	serveOn(c, answer)
}

func serveOn(c *peer, answer func(string) string) {
	for {
		request, err := c.heard()
		if err != nil || c.say(answer(request)) != nil {
			return
		}
	}
}

// next returns the peer that came next.
func (b *backend) next(t testing.TB) *peer {
	t.Helper()
	select {
	case c := <-b.peers:
		return c
	case <-time.After(patience):
		t.Fatal("nobody comes to the backend")
		return nil
	}
}

// seen waits for the end of all connections that were dialled and returns what the backend has heard.
func (b *backend) seen() string {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		b.mu.Lock()
		over := b.gone >= b.dialed
		b.mu.Unlock()
		if over {
			break
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var all strings.Builder
	for _, c := range b.came {
		all.WriteString(c.wire.all())
	}
	return all.String()
}

// onlyTLS checks that bytes are records of TLS, and with alerts that they are alerts and nothing else.
func onlyTLS(raw string, alerts bool) error {
	for at := 0; at < len(raw); {
		kind := raw[at]
		if kind < 20 || kind > 23 || len(raw) > at+1 && raw[at+1] != 3 || alerts && kind != 21 {
			return fmt.Errorf("in the clear, where TLS must follow: %s", show(raw[at:]))
		}
		if len(raw) < at+5 {
			return nil
		}
		at += 5 + int(raw[at+3])<<8 + int(raw[at+4])
	}
	return nil
}

// isTimeout tells a peer that is silent from one that is gone.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
