package tryout

import (
	"encoding/binary"
	"errors"
)

// rdp has no desktop to show: it confirms the connection, with RDP's own security, and disconnects when
// the client goes on to join (MS-RDPBCGR §1.3.1.1).
var rdp = protocol{"rdp", func(s *session) error {
	c := &rdpConn{s}
	request, err := c.packet(rdpRequest)
	if err != nil {
		return err
	}
	c.send(rdpConfirm, request[2], request[3], 0, 1, 0)
	if _, err := c.packet(rdpData); err != nil {
		return err
	}
	c.send(rdpDisconnect, request[2], request[3], 0, 1, 0x80) // a normal end
	return nil
}, ""}

// Codes of X.224 (§13).
const (
	rdpRequest    = 0xe0
	rdpConfirm    = 0xd0
	rdpDisconnect = 0x80
	rdpData       = 0xf0
)

const rdpLimit = 16 << 10 // bytes of a packet

var errRDP = errors.New("no packet of RDP, or too long")

type rdpConn struct{ *session }

// packet reads a packet that must have the code, and returns what is behind that: in a request the
// server's reference and the client's.
func (c *rdpConn) packet(code byte) ([]byte, error) {
	head, err := c.take(6)
	if err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(head[2:]))
	if head[0] != 3 || head[5]&0xf0 != code || n > rdpLimit || n < 7 || code == rdpRequest && n < 11 {
		return nil, errRDP
	}
	return c.take(n - 6)
}

// send sends a packet: the client's reference, ours, and the class or the reason.
func (c *rdpConn) send(code byte, rest ...byte) {
	c.w.Write(append([]byte{3, 0, 0, 11, 6, code}, rest...))
}
