package gateway

import (
	"io"
	"net"
	"sync"
	"sync/atomic"

	"starttls"
)

// The two sizes of a read. A session that is idle waits with the small one on its stack, which is what
// keeps ten thousand of them cheap; one that moves bulk borrows the large one, which holds a full TLS
// record of 16 KiB and, from a socket, four.
const (
	smallRead = 1 << 10
	largeRead = 64 << 10
)

var largeBuffers = sync.Pool{New: func() any { return new([largeRead]byte) }}

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
	var small [smallRead]byte
	for {
		n, err := s.move(to, from, small[:], count)
		if n == len(small) && err == nil {
			err = s.bulk(to, from, count)
		}
		if err != nil {
			return err
		}
	}
}

// bulk moves large pieces for as long as they come.
func (s *session) bulk(to, from net.Conn, count *atomic.Int64) error {
	large := largeBuffers.Get().(*[largeRead]byte)
	defer largeBuffers.Put(large)
	for {
		n, err := s.move(to, from, large[:], count)
		if err != nil || n < smallRead {
			return err
		}
	}
}

// move reads once and writes what came.
func (s *session) move(to io.Writer, from io.Reader, buf []byte, count *atomic.Int64) (int, error) {
	n, err := from.Read(buf)
	s.seen()
	if n > 0 {
		count.Add(int64(n))
		if _, werr := to.Write(buf[:n]); werr != nil {
			return n, werr
		}
	}
	return n, err
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
