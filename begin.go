package starttls

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"starttls/dialect"
)

// This file is the only one that decides about bytes behind the upgrade; no dialect can.
//
// As a server, whatever stands behind the client's upgrade goes to the TLS handshake and nowhere else.
// If it is a ClientHello that was sent early, the handshake succeeds; if it is anything else, the
// handshake fails on it (RFC 9051 §6.2.1 names both this and dropping it; dropping would also lose the
// early ClientHello). It is never read as part of the protocol.
//
// As a client, anything behind the server's go-ahead ends the connection: no server has a reason to
// speak there (response injection).

// BeginServer answers the upgrade request m with the go-ahead and shakes hands. Whatever fails, the
// connection is closed and nothing is written in the clear anymore. On success the leg goes on inside
// TLS and what was said before is forgotten.
func (l *Leg) BeginServer(ctx context.Context, m dialect.Message, config *tls.Config) (*tls.Conn, error) {
	if err := l.Say(m.Reply(dialect.Ready, dialect.Unknown)); err != nil {
		return nil, errors.Join(l.fail(dialect.Ready, err), l.Conn.Close())
	}
	return l.BeginTLS(ctx, config)
}

// BeginTLS shakes hands as a server that owes no go-ahead: implicit TLS.
func (l *Leg) BeginTLS(ctx context.Context, config *tls.Config) (*tls.Conn, error) {
	l.hello = &helloConn{Conn: l.Conn, rest: l.Rest()}
	return l.shake(ctx, tls.Server(l.hello, l.strict(config)))
}

// BeginClient shakes hands as a client after [Leg.Walk], or at once for implicit TLS. config needs a
// ServerName, or its own verification.
func (l *Leg) BeginClient(ctx context.Context, config *tls.Config) (*tls.Conn, error) {
	if l.r < l.w {
		l.Conn.Close()
		return nil, l.fail(dialect.Ready, ErrInjected)
	}
	l.Rest()
	return l.shake(ctx, tls.Client(l.Conn, l.strict(config)))
}

func (l *Leg) shake(ctx context.Context, conn *tls.Conn) (*tls.Conn, error) {
	if err := conn.HandshakeContext(ctx); err != nil {
		l.Conn.Close()
		if l.Injected() > 0 {
			return nil, l.fail(dialect.Upgrade, fmt.Errorf("%w, %w: %w", ErrInjected, ErrTLS, err))
		}
		return nil, l.fail(dialect.Upgrade, fmt.Errorf("%w: %w", ErrTLS, err))
	}
	l.Conn, l.speech = conn, l.Dialect.Speak(l.we, true)
	return conn, nil
}

// Injected returns how many bytes stood where the client's ClientHello must stand and were not one, as
// far as they were read.
func (l *Leg) Injected() int {
	if l.hello == nil {
		return 0
	}
	return l.hello.injected
}

// strict returns config with the protocol's ALPN ids, unless it has its own: crypto/tls then refuses a
// peer that offers only others (RFC 7301 §3.2).
func (l *Leg) strict(config *tls.Config) *tls.Config {
	if config.NextProtos != nil || l.Dialect.ALPN == nil {
		return config
	}
	config = config.Clone()
	config.NextProtos = l.Dialect.ALPN
	return config
}

// helloConn hands the handshake what was read already, and counts what cannot be a handshake.
type helloConn struct {
	net.Conn
	rest     []byte
	begun    bool
	foreign  bool
	injected int
}

func (c *helloConn) Read(p []byte) (n int, err error) {
	if len(c.rest) > 0 {
		n = copy(p, c.rest)
		if c.rest = c.rest[n:]; len(c.rest) == 0 {
			c.rest = nil
		}
	} else {
		n, err = c.Conn.Read(p)
	}
	if !c.begun && n > 0 {
		c.begun, c.foreign = true, p[0] != recordHandshake
	}
	if c.foreign {
		c.injected += n
	}
	return n, err
}

// recordHandshake is the first byte of every TLS connection (RFC 8446 §5.1).
const recordHandshake = 0x16
