package gateway

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"starttls"
)

// The sizes of a read. What waits costs memory ten thousand times: a socket is waited for without any
// buffer, and a connection inside TLS with the small one. What moves bulk borrows a large one: from a
// socket as much as comes, inside TLS a full record (RFC 8446 §5.1), which is all that one read gives.
const (
	socketRead = 64 << 10
	smallRead  = 1 << 10
	recordRead = 16 << 10
)

var (
	socketBuffers = sync.Pool{New: func() any { return new([socketRead]byte) }}
	recordBuffers = sync.Pool{New: func() any { return new([recordRead]byte) }}
)

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
	if socket, ok := from.(syscall.Conn); ok && canReadNow {
		if raw, err := socket.SyscallConn(); err == nil {
			return s.copySocket(to, raw, count)
		}
	}
	small := make([]byte, smallRead)
	for {
		n, err := s.move(to, from, small, count)
		if n == len(small) && err == nil {
			err = s.bulk(to, from, count)
		}
		if err != nil {
			return err
		}
	}
}

// bulk moves records for as long as they are full.
func (s *session) bulk(to, from net.Conn, count *atomic.Int64) error {
	record := recordBuffers.Get().(*[recordRead]byte)
	defer recordBuffers.Put(record)
	for {
		n, err := s.move(to, from, record[:], count)
		if err != nil || n < len(record) {
			return err
		}
	}
}

// copySocket copies from a socket, with a buffer only while there is something in it.
func (s *session) copySocket(to io.Writer, from syscall.RawConn, count *atomic.Int64) error {
	for {
		var buf *[socketRead]byte
		var n int
		var err error
		werr := from.Read(func(fd uintptr) bool {
			buf = socketBuffers.Get().(*[socketRead]byte)
			if n, err = readNow(fd, buf[:]); err == errNotNow {
				socketBuffers.Put(buf)
				buf = nil
				return false
			}
			return true
		})
		s.seen()
		if n > 0 {
			count.Add(int64(n))
			_, werr = to.Write(buf[:n])
		}
		if buf != nil {
			socketBuffers.Put(buf)
		}
		if werr != nil {
			return werr
		}
		if err != nil {
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
