package socketmap

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"starttls/internal/accept"
)

// A Protocol is one of Postfix's table protocols.
type Protocol uint8

// The protocols of a server.
const (
	Socketmap Protocol = iota // socketmap_table(5): netstrings
	TCPTable                  // tcp_table(5): lines of at most 4096 bytes
)

// String returns the protocol's name in Postfix's table types.
func (p Protocol) String() string { return [...]string{"socketmap", "tcp"}[min(p, TCPTable)] }

// A Server answers questions on a listener: any number on one connection, in their order.
type Server struct {
	Answerer Answerer
	Protocol Protocol
	// Idle is how long a connection may be without a question. If zero, 5 minutes. Postfix ends its own
	// after 10 seconds without work and 100 in all; one that the server ends first can cost a delivery.
	Idle time.Duration
	// MaxConns is how many connections are served at once; others wait. If zero, 2000.
	MaxConns int
	// Log hears of clients that are not understood. If nil, nothing is logged.
	Log *slog.Logger
}

// requestTime is how long a request may take to arrive once it began, and an answer to be taken.
const requestTime = 30 * time.Second

// Serve answers on ln until ctx ends. It closes ln then, lets answers that are being made be told, and
// returns when all connections have ended. It fails when ln does.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // before the Wait
	free := make(chan struct{}, cmp.Or(s.MaxConns, 2000))
	return accept.Each(ctx, ln, s.log(), func(conn net.Conn) {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			conn.Close()
			return
		}
		conns.Go(func() {
			defer func() { <-free }()
			s.serve(ctx, conn)
		})
	})
}

func (s *Server) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

// serve answers on one connection. When ctx ends it reads no more; an answer that is being made is told.
func (s *Server) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	c := &connection{Server: s, Conn: conn}
	stop := context.AfterFunc(ctx, c.end)
	defer stop()
	err := c.talk(context.WithoutCancel(ctx))
	if _, wrong := errors.AsType[errQuery](err); wrong {
		c.hearOut()
		s.log().Warn("a request was not understood", "protocol", s.Protocol, "client", conn.RemoteAddr(), "error", err)
	}
}

// A connection is one client's.
type connection struct {
	*Server
	net.Conn
	wait  time.Duration // for the next bytes, from begun on
	begun time.Time
	mu    sync.Mutex
	ended bool
}

// end makes the connection read no more.
func (c *connection) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	c.SetReadDeadline(time.Unix(1, 0))
}

// Read reads what the client says, in time.
func (c *connection) Read(b []byte) (int, error) {
	c.mu.Lock()
	if !c.ended {
		c.SetReadDeadline(c.begun.Add(c.wait))
	}
	c.mu.Unlock()
	return c.Conn.Read(b)
}

// expect says for how long the next bytes are waited for.
func (c *connection) expect(wait time.Duration) { c.wait, c.begun = wait, time.Now() }

// talk answers questions until the client has none, or is not understood, or the time is over.
func (c *connection) talk(ctx context.Context) error {
	read, reply := readSocketmap, appendSocketmap
	if c.Protocol == TCPTable {
		read, reply = readTCPTable, appendTCPTable
	}
	r := bufio.NewReaderSize(c, maxLine+1)
	in, out := make([]byte, 0, 512), []byte(nil)
	for {
		if r.Buffered() == 0 {
			c.expect(cmp.Or(c.Idle, 5*time.Minute))
			if _, err := r.Peek(1); err != nil {
				return err
			}
			c.expect(requestTime)
		}
		table, key, err := read(r, in)
		wrong, ok := errors.AsType[errQuery](err)
		switch {
		case ok:
			out = reply(out, Reply{Status: Perm, Text: string(wrong)})
		case err != nil:
			return err
		default:
			out = reply(out, c.Answerer.Answer(ctx, table, key))
		}
		if r.Buffered() > 0 && err == nil && len(out) < maxReply {
			continue // several questions at once get their answers at once
		}
		c.SetWriteDeadline(time.Now().Add(requestTime))
		if _, werr := c.Write(out); werr != nil || err != nil {
			return cmp.Or(err, werr)
		}
		out = out[:0]
	}
}

// hearOut reads on for a moment after the last word: to close a connection with bytes unread resets it, and
// the client might not hear that word.
func (c *connection) hearOut() {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	c.begun, c.wait = time.Now(), time.Second
	io.CopyN(io.Discard, c, 1<<20)
}
