package starttls

import (
	"net"
	"sync/atomic"

	"starttls/dialect"
)

// carriedConn carries a handshake in the packets of a protocol. Once it is over, bytes pass as they
// are.
type carriedConn struct {
	net.Conn
	carrier *dialect.Carrier
	over    atomic.Bool
	raw     []byte // read and not unpacked
	payload []byte // unpacked and not read
}

// maxCarried is the longest packet that is waited for.
const maxCarried = 64 << 10

func (c *carriedConn) Read(p []byte) (int, error) {
	for len(c.payload) == 0 && !c.over.Load() {
		payload, n, err := c.carrier.Unpack(c.raw)
		if err != nil {
			return 0, err
		}
		if n > 0 {
			c.payload, c.raw = payload, c.raw[n:]
			continue
		}
		if len(c.raw) >= maxCarried {
			return 0, ErrTooLong
		}
		more := make([]byte, 4<<10)
		if n, err = c.Conn.Read(more); n == 0 {
			return 0, err
		}
		c.raw = append(c.raw, more[:n]...)
	}
	from := &c.payload
	if len(c.payload) == 0 {
		from = &c.raw
	}
	if len(*from) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, *from)
	*from = (*from)[n:]
	return n, nil
}

// NetConn returns the connection below, as that of tls.Conn does.
func (c *carriedConn) NetConn() net.Conn { return c.Conn }

func (c *carriedConn) Write(p []byte) (int, error) {
	if c.over.Load() {
		return c.Conn.Write(p)
	}
	if _, err := c.Conn.Write(c.carrier.Pack(nil, p)); err != nil {
		return 0, err
	}
	return len(p), nil
}
