package starttls

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"time"

	"starttls/dialect"
)

// DefaultTimeout bounds the whole way to TLS where a Config names no other time.
const DefaultTimeout = time.Minute

// A Config says how to get to TLS. The zero Config is good for [Dial], and for [Client] if TLS is given
// a ServerName.
type Config struct {
	// TLS is the configuration of the handshake. If nil, that of an empty tls.Config. A server needs
	// certificates in it. If its NextProtos is nil, the protocol's own ALPN ids are put in, and a peer
	// that offers only others is refused.
	TLS *tls.Config
	// Name is what we call ourselves, in a greeting or a hello. If empty, "localhost".
	Name string
	// Timeout bounds the whole way to TLS, from the first byte to the end of the handshake. If zero,
	// DefaultTimeout; if negative, only the context bounds it.
	Timeout time.Duration
	// Show, if not nil, is told each message in the clear. See [Leg.Show] on secrets.
	Show func(says dialect.Side, m dialect.Message, raw []byte)
}

func (c *Config) tls() *tls.Config {
	if c.TLS == nil {
		return &tls.Config{}
	}
	return c.TLS
}

func (c *Config) name() string {
	if c.Name == "" {
		return "localhost"
	}
	return c.Name
}

// calls returns the name that a client of d says: its own, or the server's where that is asked for.
func (c *Config) calls(d *dialect.Dialect) string {
	if d.Named && c.tls().ServerName != "" {
		return c.tls().ServerName
	}
	return c.name()
}

// A Conn is a connection on which TLS has begun.
type Conn struct {
	*tls.Conn
	// Heard is what the server said in the clear. It is empty for a server and for implicit TLS.
	Heard Heard
	// Request is what a client of HTTP asked for with its upgrade and a server has still to answer, as
	// it was sent. It is nil if that was nothing but TLS, and for every other protocol.
	Request []byte
}

// Client asks the server at the other end of conn for TLS and shakes hands. conn must be fresh: nothing
// was read from it or written to it. On any error conn is closed. What the server said in the clear is
// forgotten: the caller asks anew for what it can do.
//
// For dialects that say their upgrade with the login (MySQL), the capabilities in it are defaults.
func Client(ctx context.Context, conn net.Conn, d *dialect.Dialect, config *Config) (*Conn, error) {
	l := NewLeg(conn, d, dialect.Client, false)
	var c Conn
	err := bounded(ctx, conn, config, func(ctx context.Context) (err error) {
		l.Show = config.Show
		if c.Heard, err = l.Walk(config.calls(d)); err != nil {
			return err
		}
		c.Conn, err = l.BeginClient(ctx, config.tls())
		return err
	})
	if err != nil {
		return nil, err
	}
	return &c, nil
}

// Server serves the client at the other end of conn until it asks for TLS, and shakes hands. Before
// TLS the client may name itself, ask what there is, and leave; everything else is refused. On any
// error conn is closed. No greeting is sent inside TLS.
func Server(ctx context.Context, conn net.Conn, d *dialect.Dialect, config *Config) (*Conn, error) {
	l := NewLeg(conn, d, dialect.Server, false)
	var c Conn
	err := bounded(ctx, conn, config, func(ctx context.Context) error {
		l.Show = config.Show
		m, err := l.Attend(config.name())
		if err != nil {
			return err
		}
		if c.Conn, err = l.BeginServer(ctx, m, config.tls()); err != nil {
			return err
		}
		return c.owed(l)
	})
	if err != nil {
		return nil, err
	}
	return &c, nil
}

// owed answers an upgrade that was a request of its own, or leaves it to the caller if it asks for more
// than TLS.
func (c *Conn) owed(l *Leg) error {
	if !l.Dialect.Again || !l.Dialect.Script.ServerFirstInside() {
		return nil
	}
	m, err := l.Hear()
	if err != nil {
		return err
	}
	if m.Kind == dialect.Ask {
		return l.Say(m.Reply(dialect.Caps, dialect.Unknown))
	}
	c.Request = slices.Clone(m.Raw)
	return nil
}

// bounded runs a conversation on conn under config's timeout and ctx. When it fails, conn is closed.
func bounded(ctx context.Context, conn net.Conn, config *Config, talk func(context.Context) error) error {
	timeout := config.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	err := talk(ctx)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		conn.Close()
	}
	return err
}

// Dial parses a URL and connects there, see [Endpoint.Dial]. If config is nil, the defaults are taken.
func Dial(ctx context.Context, url string, config *Config) (*Conn, error) {
	e, err := ParseEndpoint(url)
	if err != nil {
		return nil, err
	}
	if config == nil {
		config = &Config{}
	}
	return e.Dial(ctx, config)
}

// Dial connects to an endpoint such as imap://mail.example.org or ldaps://ldap.example.org:1636, and
// gets to TLS there: in-band, or from the first byte if the scheme says so. If config's TLS names no
// server, the endpoint's host is what the certificate must be for. A server that cannot be reached is
// the error of net.Dial; a failure after that is an [*Error], or that of the context.
func (e Endpoint) Dial(ctx context.Context, config *Config) (*Conn, error) {
	c := *config
	if t := c.tls(); t.ServerName == "" {
		t = t.Clone()
		t.ServerName = e.Host
		c.TLS = t
	}
	conn, err := new(net.Dialer).DialContext(ctx, e.Network, e.Address)
	if err != nil {
		return nil, err
	}
	if !e.Implicit {
		return Client(ctx, conn, e.Dialect, &c)
	}
	var secured Conn
	err = bounded(ctx, conn, &c, func(ctx context.Context) error {
		l := NewLeg(conn, e.Dialect, dialect.Client, true)
		secured.Conn, err = l.BeginClient(ctx, c.tls())
		return err
	})
	if err != nil {
		return nil, err
	}
	return &secured, nil
}
