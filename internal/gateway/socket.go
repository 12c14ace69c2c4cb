package gateway

import (
	"net"
	"syscall"
)

// A socket is a connection as it was opened, on which its reader can wait for bytes without a buffer, and
// above TLS: see await. One goroutine reads it at a time.
type socket struct {
	net.Conn
	raw    syscall.RawConn
	fd     uintptr // while trying
	trying bool    // a read does not wait
}

// newSocket returns conn as a socket, or conn itself where it is none, or where read cannot do without
// waiting.
func newSocket(conn net.Conn) net.Conn {
	if c, ok := conn.(syscall.Conn); ok && canReadNow {
		if raw, err := c.SyscallConn(); err == nil {
			return &socket{Conn: conn, raw: raw}
		}
	}
	return conn
}

// Read reads, and while await tries, fails with errNotNow when there is nothing to read.
func (c *socket) Read(p []byte) (int, error) {
	if c.trying {
		return readNow(c.fd, p)
	}
	return c.Conn.Read(p)
}

// NetConn returns the connection below, as that of tls.Conn does.
func (c *socket) NetConn() net.Conn { return c.Conn }

// await calls read, which reads from conn once, each time that there may be something to read, until it
// does not fail with errNotNow. What waits meanwhile has no buffer, and of the stack only what is above
// conn: a read of crypto/tls that waits takes 4 kB more of it in each session. crypto/tls goes on where it
// was after an error that is temporary.
func await(conn net.Conn, read func() error) error {
	c := socketOf(conn)
	if c == nil {
		return read()
	}
	var err error
	broken := c.raw.Read(func(fd uintptr) bool {
		c.fd, c.trying = fd, true
		err = read()
		c.trying = false
		return err != errNotNow
	})
	if broken != nil {
		return broken
	}
	return err
}

// socketOf returns the socket below TLS, nil if there is none.
func socketOf(conn net.Conn) *socket {
	for {
		if c, ok := conn.(*socket); ok {
			return c
		}
		above, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		conn = above.NetConn()
	}
}

// aside runs f in a goroutine of its own and waits for it. A stack that has grown stays with its goroutine:
// that of a session, which waits for hours, is not to grow by a handshake.
func aside(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}
