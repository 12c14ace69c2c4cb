package starttls

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

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
	if l.Dialect.Named {
		ctx = context.WithValue(ctx, askedKey{}, l.asked)
	}
	again := slices.Clone(m.Raw)
	l.hello = &helloConn{Conn: l.Conn, rest: l.Rest(), stray: l.Dialect.Stray}
	conn, err := l.shake(ctx, l.hello, config, true)
	if err == nil && (l.Dialect.Again || l.Dialect.Retold) {
		l.buf, l.w = again, len(again)
	}
	return conn, err
}

// BeginTLS shakes hands as a server with a client that begins with TLS and is owed no go-ahead.
func (l *Leg) BeginTLS(ctx context.Context, config *tls.Config) (*tls.Conn, error) {
	l.hello = &helloConn{Conn: l.Conn, rest: l.Rest()}
	return l.shake(ctx, l.hello, config, false)
}

// BeginClient shakes hands as a client: after [Leg.Walk], or at once for implicit TLS. config needs a
// ServerName, or its own verification.
func (l *Leg) BeginClient(ctx context.Context, config *tls.Config) (*tls.Conn, error) {
	if l.r < l.w {
		l.Conn.Close()
		return nil, l.fail(dialect.Ready, ErrInjected)
	}
	l.Rest()
	inBand := !l.inside
	conn, err := l.shake(ctx, l.Conn, config, inBand)
	if err == nil && inBand && l.Dialect.Again && l.Dialect.Script.ServerFirstInside() {
		_, err = l.Hear() // the answer to the upgrade as a request: nobody else has asked
	}
	return conn, err
}

// shake is the handshake over conn, in-band in the protocol's packets where it has a carrier.
func (l *Leg) shake(ctx context.Context, conn net.Conn, config *tls.Config, inBand bool) (*tls.Conn, error) {
	carried := l.carry(conn, inBand)
	if carried != nil {
		conn = carried
		if l.hello != nil {
			l.hello.begun = true // the first byte is that of a packet, and a wrong one is noise
		}
	}
	side := tls.Client
	if l.we == dialect.Server {
		side = tls.Server
	}
	secured := side(conn, Strict(config, l.Dialect))
	if err := secured.HandshakeContext(ctx); err != nil {
		l.Conn.Close()
		err = l.unnamed(secured, err)
		// A server that speaks in the clear behind its go-ahead may do so in a segment of its own.
		if _, clear := errors.AsType[tls.RecordHeaderError](err); clear && inBand && l.we == dialect.Client {
			return nil, l.fail(dialect.Upgrade, fmt.Errorf("%w, %w: %w", ErrInjected, ErrTLS, err))
		}
		if l.Injected() > 0 {
			return nil, l.fail(dialect.Upgrade, fmt.Errorf("%w, %w: %w", ErrInjected, ErrTLS, err))
		}
		return nil, l.fail(dialect.Upgrade, fmt.Errorf("%w: %w", ErrTLS, err))
	}
	if carried != nil {
		carried.over.Store(true)
	}
	l.Conn, l.speech, l.inside = secured, l.Dialect.Speak(l.we, true), true
	return secured, nil
}

// unnamed says what befell when GetCertificate had no certificate for the client, which crypto/tls tells only as a
// lack of any (and the client as unrecognized_name, RFC 6066 §3).
func (l *Leg) unnamed(conn *tls.Conn, err error) error {
	if l.we != dialect.Server || err.Error() != "tls: no certificates configured" {
		return err
	}
	asked := cmp.Or(conn.ConnectionState().ServerName, l.asked)
	return fmt.Errorf("the client asks for %q, and no certificate is for it", asked[:min(len(asked), 255)])
}

// carry returns the connection that packs an in-band handshake over conn, nil where the protocol has no
// packets for it.
func (l *Leg) carry(conn net.Conn, inBand bool) *carriedConn {
	if !inBand || l.Dialect.Carrier == nil {
		return nil
	}
	return &carriedConn{Conn: conn, carrier: l.Dialect.Carrier}
}

// Bare returns the connection on which the handshake of a client is due, in the place of
// [Leg.BeginClient], for who speaks TLS by himself. Bytes that stand behind the go-ahead already are
// ErrInjected. The leg is not to be used any more.
func (l *Leg) Bare() (net.Conn, error) {
	if l.r < l.w {
		return nil, l.fail(dialect.Ready, ErrInjected)
	}
	l.Rest()
	if carried := l.carry(l.Conn, !l.inside); carried != nil {
		return carried, nil
	}
	return l.Conn, nil
}

// Injected returns how many bytes stood where the client's ClientHello must stand and were not one, as
// far as they were read.
func (l *Leg) Injected() int {
	if l.hello == nil {
		return 0
	}
	return l.hello.injected
}

// Strict returns config with the protocol's ALPN ids, unless it has its own: crypto/tls then refuses a
// peer that offers only others (RFC 7301 §3.2). Where packets carry the handshake, TLS 1.2 is the
// highest version: what TLS 1.3 sends after the handshake would belong neither in packets nor outside.
// A config that is fit already is returned as it is; who uses it for many connections calls Strict once,
// so that they share its ticket keys.
func Strict(config *tls.Config, d *dialect.Dialect) *tls.Config {
	alpn := config.NextProtos == nil && d.ALPN != nil
	carried := d.Carrier != nil && (config.MaxVersion == 0 || config.MaxVersion > tls.VersionTLS12)
	if !alpn && !carried {
		return config
	}
	config = config.Clone()
	if alpn {
		config.NextProtos = d.ALPN
	}
	if carried {
		config.MaxVersion = tls.VersionTLS12
	}
	return config
}

type askedKey struct{}

// AskedFor returns the host that a client asked for in the clear, in the protocols in which it does
// (XMPP, MTQP), from the context of a ClientHelloInfo. It is for choosing a certificate when the client
// names none in its ClientHello.
func AskedFor(ctx context.Context) string {
	name, _ := ctx.Value(askedKey{}).(string)
	return name
}

// helloConn hands the handshake what was read already, and counts what cannot be a handshake.
type helloConn struct {
	net.Conn
	rest     []byte
	stray    int // how many blanks may still come before the ClientHello
	begun    bool
	foreign  bool
	injected int
}

func (c *helloConn) Read(p []byte) (n int, err error) {
	for n == 0 && err == nil {
		if n, err = c.next(p); c.stray > 0 && !c.begun {
			n = c.skip(p, n)
		}
	}
	if !c.begun && n > 0 {
		c.begun, c.foreign = true, p[0] != recordHandshake
	}
	if c.foreign {
		c.injected += n
	}
	return n, err
}

// NetConn returns the connection below, as that of tls.Conn does.
func (c *helloConn) NetConn() net.Conn { return c.Conn }

// next reads what was read already, then what comes.
func (c *helloConn) next(p []byte) (n int, err error) {
	if len(c.rest) == 0 {
		return c.Conn.Read(p)
	}
	n = copy(p, c.rest)
	if c.rest = c.rest[n:]; len(c.rest) == 0 {
		c.rest = nil
	}
	return n, nil
}

// skip drops blanks at the start of p[:n] and returns how much is left.
func (c *helloConn) skip(p []byte, n int) int {
	blanks := 0
	for blanks < n && blanks < c.stray && strings.IndexByte(" \t\r\n", p[blanks]) >= 0 {
		blanks++
	}
	c.stray -= blanks
	return copy(p, p[blanks:n])
}

// recordHandshake is the first byte of every TLS connection (RFC 8446 §5.1).
const recordHandshake = 0x16
