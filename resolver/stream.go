package resolver

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	maxIdle  = 4                // connections to one server that wait for the next question
	idleTime = 10 * time.Second // how long they do (RFC 7766 §6.2.3)
)

// byTCP asks by TCP or TLS, on a connection of an earlier question if there is one. The server may have
// closed that any time, so then a new one is tried.
func (c *client) byTCP(ctx context.Context, s server, q *dns.Msg) (*reply, error) {
	ctx, cancel := context.WithTimeout(ctx, tcpTime)
	defer cancel()
	for {
		conn := c.idle.take(s)
		used := conn != nil
		if !used {
			var err error
			if conn, err = c.connect(ctx, s); err != nil {
				return nil, err
			}
		}
		r, err := converse(ctx, conn, q)
		if err == nil {
			c.idle.put(s, conn)
			return r, nil
		}
		conn.Close()
		if !used || ctx.Err() != nil {
			return nil, err
		}
	}
}

// connect opens a connection. The handshake of TLS comes with the first message.
func (c *client) connect(ctx context.Context, s server) (net.Conn, error) {
	conn, err := c.dial(ctx, "tcp", s.addr.String())
	if err != nil || s.name == "" {
		return conn, err
	}
	config := c.tls.Clone()
	config.ServerName = s.name // RFC 7858 §3.2
	return tls.Client(conn, config), nil
}

// converse asks on a connection, and takes its next message as the answer.
func converse(ctx context.Context, conn net.Conn, q *dns.Msg) (*reply, error) {
	release := bounded(ctx, conn)
	defer release()
	m, out, err := disguised(q)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	in := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, in); err != nil {
		return nil, err
	}
	a := new(dns.Msg)
	switch err := a.Unpack(in); {
	case err != nil:
		return nil, err
	case !answers(a, m):
		return nil, errors.New("its answer is to another question")
	case a.Truncated:
		return nil, errors.New("its answer is truncated, and not by UDP")
	case !release():
		return nil, ctx.Err()
	}
	return newReply(a), nil
}

// A pool keeps connections that are idle. What is too old is closed when the pool is next used.
type pool struct {
	mu    sync.Mutex
	conns map[server][]idleConn
}

type idleConn struct {
	net.Conn
	since time.Time
}

// take returns the connection to a server that was used last, or nil.
func (p *pool) take(s server) net.Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.prune(s)
	conns := p.conns[s]
	if len(conns) == 0 {
		return nil
	}
	newest := conns[len(conns)-1]
	p.conns[s] = conns[:len(conns)-1]
	return newest.Conn
}

// put keeps a connection, or closes it if there are enough.
func (p *pool) put(s server, conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.prune(s)
	if len(p.conns[s]) >= maxIdle {
		conn.Close()
		return
	}
	if p.conns == nil {
		p.conns = make(map[server][]idleConn)
	}
	p.conns[s] = append(p.conns[s], idleConn{conn, time.Now()})
}

// prune closes connections that have been idle for too long; the oldest come first.
func (p *pool) prune(s server) {
	conns := p.conns[s]
	for len(conns) > 0 && time.Since(conns[0].since) > idleTime {
		conns[0].Close()
		conns = conns[1:]
	}
	if p.conns != nil {
		p.conns[s] = conns
	}
}
