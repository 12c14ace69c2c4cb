package gateway

import (
	"net"
	"sync"
	"sync/atomic"

	"starttls"
)

// readSize is how much is read at once: from a socket as much as comes, inside TLS a record
// (RFC 8446 §5.1).
const readSize = 64 << 10

// buffers are for what moves. What waits has none: it costs memory ten thousand times.
var buffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// splice writes what was read from a leg and not taken as a message, and then all that follows, until
// the end of that direction, which is io.EOF. It counts the bytes.
func (s *session) splice(to net.Conn, from *starttls.Leg, count *atomic.Int64) error {
	if rest := from.Rest(); len(rest) > 0 {
		if _, err := to.Write(rest); err != nil {
			return err
		}
		count.Add(int64(len(rest)))
	}
	return s.copy(to, from.Conn, count)
}

// copy writes what is read until that fails, at the end with io.EOF.
func (s *session) copy(to, from net.Conn, count *atomic.Int64) error {
	for {
		var buf *[readSize]byte
		var n int
		err := await(from, func() (err error) {
			buf = buffers.Get().(*[readSize]byte)
			switch n, err = from.Read(buf[:]); {
			case n == 0:
				buffers.Put(buf)
			case err == errNotNow: // crypto/tls has looked for the end
				err = nil
			}
			return err
		})
		s.seen()
		if n > 0 {
			count.Add(int64(n))
			if _, werr := to.Write(buf[:n]); werr != nil {
				return werr
			}
			buffers.Put(buf)
		}
		if err != nil {
			return err
		}
	}
}

// closeWrite ends one direction: inside TLS with the alert that says so, and below it with a FIN.
func closeWrite(conn net.Conn) {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
	}
	if c, ok := conn.(interface{ NetConn() net.Conn }); ok {
		closeWrite(c.NetConn())
	}
}
