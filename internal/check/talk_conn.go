package check

import (
	"net"

	"starttls/dialect"
)

// noise stands in talk.last for bytes that are not the protocol.
const noise = dialect.Kind(0xff)

// rush returns the client's words from the hello to the upgrade and what is glued to it.
func (c *conversation) rush() (all []byte) {
	speech := c.endpoint.Dialect.Speak(dialect.Client, false)
	for _, line := range c.endpoint.Dialect.Script.Clear {
		if line.Says == dialect.Client {
			all = append(all, speech.Write(nil, dialect.Message{Kind: line.Kind, Name: c.calls()})...)
		}
	}
	return append(all, c.edit.glue...)
}

// rushes reports whether the words of a dialect's client up to the upgrade are two: more than the
// upgrade, and all of them known beforehand.
func rushes(d *dialect.Dialect) bool {
	lines := 0
	for _, line := range d.Script.Clear {
		if line.Says == dialect.Client {
			lines++
		}
	}
	return lines == 2 && d.Script.Acknowledged()
}

// rushConn writes all at the first Write, and nothing after.
type rushConn struct {
	net.Conn
	all  []byte
	said bool
}

func (c *rushConn) Write(p []byte) (int, error) {
	if c.said {
		return len(p), nil
	}
	c.said = true
	_, err := c.Conn.Write(c.all)
	return len(p), err
}

// Read reads byte by byte: what is read past the list would be taken for something that nobody has asked
// for, and it is the go-ahead.
func (c *rushConn) Read(p []byte) (int, error) { return c.Conn.Read(p[:min(1, len(p))]) }

// restConn reads what was read already, then what comes.
type restConn struct {
	net.Conn
	rest []byte
}

func (c *restConn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// recordConn keeps what is read, up to a limit that is far above a handshake.
type recordConn struct {
	net.Conn
	kept *[]byte
	held bool // stays open when the handshake fails: there may be more to hear
}

// Close leaves a connection that is held to who has opened it.
func (c *recordConn) Close() error {
	if c.held {
		return nil
	}
	return c.Conn.Close()
}

func (c *recordConn) Read(p []byte) (int, error) {
	const most = 128 << 10
	n, err := c.Conn.Read(p)
	*c.kept = append(*c.kept, p[:min(n, most-len(*c.kept))]...)
	return n, err
}

// NetConn returns the connection below, as that of tls.Conn does.
func (c *recordConn) NetConn() net.Conn { return c.Conn }

// closeWrite ends our side of the session inside TLS and below.
func (c *conversation) closeWrite() {
	if conn, ok := c.leg.Conn.(interface{ CloseWrite() error }); ok {
		conn.CloseWrite()
	}
	if conn, ok := c.conn.(interface{ CloseWrite() error }); ok {
		conn.CloseWrite()
	}
}
