package starttls

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"starttls/dialect"
)

// Listen listens at a URL such as "smtp://:25" or "ldaps+unix:/run/ldap.sock". A connection that it
// accepts gets to TLS in its first Read or Write, as with tls.Listen, so that one slow client does not
// keep others from being accepted. config needs certificates.
func Listen(url string, config *Config) (net.Listener, error) {
	e, err := ParseEndpoint(url)
	if err != nil {
		return nil, err
	}
	if config == nil {
		config = &Config{}
	}
	if t := config.TLS; t == nil || len(t.Certificates) == 0 && t.GetCertificate == nil && t.GetConfigForClient == nil {
		return nil, errors.New("starttls: a listener needs a certificate")
	}
	ln, err := net.Listen(e.Network, e.Address)
	if err != nil {
		return nil, err
	}
	c := *config
	c.TLS = Strict(config.TLS, e.Dialect) // once, so that all connections share its ticket keys
	return &listener{ln, e, &c}, nil
}

type listener struct {
	net.Listener
	endpoint Endpoint
	config   *Config
}

func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &ServerConn{Conn: conn, listener: l}, nil
}

// A ServerConn is a connection accepted by [Listen].
type ServerConn struct {
	net.Conn // as accepted
	listener *listener
	once     sync.Once
	err      error // of the upgrade
	secured  atomic.Pointer[Conn]
}

// Upgrade gets to TLS, if that was not done before, and returns the connection inside TLS.
func (c *ServerConn) Upgrade(ctx context.Context) (*Conn, error) {
	c.once.Do(func() {
		var secured *Conn
		if secured, c.err = c.upgrade(ctx); c.err == nil {
			c.secured.Store(secured)
		}
	})
	return c.secured.Load(), c.err
}

func (c *ServerConn) upgrade(ctx context.Context) (*Conn, error) {
	d, config := c.listener.endpoint.Dialect, c.listener.config
	if !c.listener.endpoint.Implicit {
		return Server(ctx, c.Conn, d, config)
	}
	var secured Conn
	err := bounded(ctx, c.Conn, config, func(ctx context.Context) (err error) {
		secured.Conn, err = NewLeg(c.Conn, d, dialect.Server, true).BeginTLS(ctx, config.tls())
		return err
	})
	return &secured, err
}

// Read reads inside TLS.
func (c *ServerConn) Read(p []byte) (int, error) {
	s, err := c.Upgrade(context.Background())
	if err != nil {
		return 0, err
	}
	return s.Read(p)
}

// Write writes inside TLS.
func (c *ServerConn) Write(p []byte) (int, error) {
	s, err := c.Upgrade(context.Background())
	if err != nil {
		return 0, err
	}
	return s.Write(p)
}

// Close closes the connection, inside TLS with the alert that says so. An upgrade on its way fails.
func (c *ServerConn) Close() error {
	if s := c.secured.Load(); s != nil {
		return s.Close()
	}
	return c.Conn.Close()
}
