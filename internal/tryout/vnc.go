package tryout

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// vnc shows a small picture that never changes, and asks for no password (RFC 6143).
var vnc = protocol{"vnc", func(s *session) error {
	return (&vncConn{session: s}).serve()
}, ""}

const (
	vncWidth  = 64
	vncHeight = 48
	vncText   = 1 << 20 // bytes of a clipboard
)

// Messages of the client (§7.5), and how many bytes follow the number.
const (
	vncFormat    = 0
	vncEncodings = 2
	vncUpdate    = 3
	vncKey       = 4
	vncPointer   = 5
	vncCut       = 6
)

var vncSizes = map[byte]int{vncFormat: 19, vncEncodings: 3, vncUpdate: 9, vncKey: 7, vncPointer: 5, vncCut: 7}

var errVNC = errors.New("no message of RFB, or too long")

type vncConn struct {
	*session
	format []byte // of pixels, as in the messages: see pixel
	shown  bool
}

// serve agrees on a version and on no security, which each version has its own words for (§7.1,
// appendix A).
func (c *vncConn) serve() error {
	c.w.WriteString("RFB 003.008\n")
	version, err := c.take(12)
	if err != nil {
		return err
	}
	var major, minor int
	if _, err := fmt.Sscanf(string(version), "RFB %03d.%03d\n", &major, &minor); err != nil || major != 3 || minor < 3 {
		return errVNC
	}
	if minor < 7 {
		c.w.WriteString("\x00\x00\x00\x01")
	} else {
		c.w.WriteString("\x01\x01")
		choice, err := c.take(1)
		if err != nil {
			return err
		}
		if choice[0] != 1 {
			return errVNC
		}
		if minor >= 8 {
			c.w.WriteString("\x00\x00\x00\x00")
		}
	}
	if _, err := c.take(1); err != nil { // whether others may watch
		return err
	}
	// 32 bits, 24 of them used, little endian, true colour, 255 of each, at 16, 8 and 0.
	c.format = []byte("\x20\x18\x00\x01\x00\xff\x00\xff\x00\xff\x10\x08\x00\x00\x00\x00")
	name := "starttls try-out"
	c.w.Write(append([]byte{0, vncWidth, 0, vncHeight}, c.format...))
	c.w.Write(append([]byte{0, 0, 0, byte(len(name))}, name...))
	for err == nil {
		err = c.message()
	}
	return err
}

// message answers a message. What is typed and pointed at matters to nobody.
func (c *vncConn) message() error {
	kind, err := c.r.ReadByte()
	if err != nil {
		return err
	}
	size, ok := vncSizes[kind]
	if !ok {
		return errVNC
	}
	body, err := c.take(size)
	if err != nil {
		return err
	}
	switch kind {
	case vncFormat:
		if bits := body[3]; bits != 8 && bits != 16 && bits != 32 {
			return errVNC
		}
		c.format = body[3:]
	case vncEncodings: // all know the raw one
		_, err = c.r.Discard(4 * int(binary.BigEndian.Uint16(body[1:])))
	case vncCut:
		n := binary.BigEndian.Uint32(body[3:])
		if n > vncText {
			return errVNC
		}
		_, err = c.r.Discard(int(n))
	case vncUpdate:
		// Who asks for what is new hears nothing more, as from any server whose picture stands still.
		if again := body[0] != 0; !again || !c.shown {
			c.update(body[1:])
		}
	}
	return err
}

// update sends a rectangle in the raw encoding, as far as it is in the picture.
func (c *vncConn) update(area []byte) {
	number := func(at int) int { return int(binary.BigEndian.Uint16(area[at:])) }
	left, top := min(number(0), vncWidth), min(number(2), vncHeight)
	right, bottom := min(left+number(4), vncWidth), min(top+number(6), vncHeight)
	c.shown = true
	out := []byte{0, 0, 0, 1}
	for _, n := range []int{left, top, right - left, bottom - top, 0, 0} {
		out = binary.BigEndian.AppendUint16(out, uint16(n))
	}
	for y := top; y < bottom; y++ {
		for x := left; x < right; x++ {
			out = c.pixel(out, x, y)
		}
	}
	c.w.Write(out)
}

// pixel appends a pixel of a picture that runs from colour to colour, in the client's format: bits, bits
// used, big endian, true colour, the greatest red, green and blue, and where they are. A client with a
// map of colours sees its first one.
func (c *vncConn) pixel(out []byte, x, y int) []byte {
	f, value := c.format, uint32(0)
	for i, part := range []int{x * 255 / vncWidth, y * 255 / vncHeight, 128} {
		greatest := int(binary.BigEndian.Uint16(f[4+2*i:]))
		value |= uint32(part*greatest/255) << (f[10+i] & 31)
	}
	if f[3] == 0 {
		value = 0
	}
	switch bits, big := f[0], f[2] != 0; {
	case bits == 8:
		return append(out, byte(value))
	case bits == 16 && big:
		return binary.BigEndian.AppendUint16(out, uint16(value))
	case bits == 16:
		return binary.LittleEndian.AppendUint16(out, uint16(value))
	case big:
		return binary.BigEndian.AppendUint32(out, value)
	}
	return binary.LittleEndian.AppendUint32(out, value)
}
