package tryout

import (
	"cmp"
	"encoding/binary"
	"errors"
)

// amqp opens a connection, sessions in it and links in these. It accepts every message, and has none to
// give (OASIS AMQP 1.0).
var amqp = protocol{"amqp", func(s *session) error {
	return (&amqpConn{session: s, sessions: map[uint16]*amqpSession{}}).serve()
}, ""}

const (
	amqpHeader     = "AMQP\x00\x01\x00\x00"
	amqpSASL       = "AMQP\x03\x01\x00\x00"
	amqpFrameLimit = 64 << 10 // bytes
)

// Types of frames, and descriptors of what is in them.
const (
	amqpFrame     = 0
	amqpSASLFrame = 1

	amqpOpen        = 0x10
	amqpBegin       = 0x11
	amqpAttach      = 0x12
	amqpFlow        = 0x13
	amqpTransfer    = 0x14
	amqpDisposition = 0x15
	amqpDetach      = 0x16
	amqpEnd         = 0x17
	amqpClose       = 0x18
	amqpMechanisms  = 0x40
	amqpInit        = 0x41
	amqpOutcome     = 0x44
)

var errAMQP = errors.New("no frame of AMQP, or too long")

type amqpConn struct {
	*session
	opened   bool
	sessions map[uint16]*amqpSession // by channel
}

// serve hears the headers, with SASL or without.
func (c *amqpConn) serve() error {
	header, err := c.take(len(amqpHeader))
	if err != nil {
		return err
	}
	if string(header) == amqpSASL {
		if err := c.login(); err != nil {
			return err
		}
		if header, err = c.take(len(amqpHeader)); err != nil {
			return err
		}
	}
	c.w.WriteString(amqpHeader) // also where it is only what would have been right (§2.2)
	if string(header) != amqpHeader {
		return errAMQP
	}
	for on := true; on && err == nil; {
		on, err = c.frame()
	}
	return err
}

// login takes any name and any password, or none.
func (c *amqpConn) login() error {
	c.w.WriteString(amqpSASL)
	// An array of two symbols: its size, their number, their type.
	c.send(amqpSASLFrame, 0, amqpMechanisms, 1, "\xe0\x12\x02\xa3\x09ANONYMOUS\x05PLAIN")
	kind, _, body, err := c.read()
	descriptor, fields := amqpDescribed(body)
	if err != nil || kind != amqpSASLFrame || descriptor != amqpInit {
		return cmp.Or(err, errAMQP)
	}
	mechanism, rest := amqpWord(fields)
	response, _ := amqpWord(rest)
	name, ok := plainName(response)
	if mechanism == "PLAIN" && ok {
		c.tell("%s logged in", name)
	} else if mechanism != "ANONYMOUS" {
		c.send(amqpSASLFrame, 0, amqpOutcome, 1, "\x50\x01")
		return errAMQP
	}
	c.send(amqpSASLFrame, 0, amqpOutcome, 1, "\x50\x00")
	return nil
}

// frame answers a frame, unless it was the last. An empty one, which says only that the client is
// there, is answered by another.
func (c *amqpConn) frame() (on bool, err error) {
	kind, channel, body, err := c.read()
	if err != nil || kind != amqpFrame {
		return false, cmp.Or(err, errAMQP)
	}
	if len(body) == 0 {
		c.w.WriteString("\x00\x00\x00\x08\x02\x00\x00\x00")
		return true, nil
	}
	descriptor, fields := amqpDescribed(body)
	if c.opened == (descriptor == amqpOpen) {
		return false, errAMQP
	}
	switch descriptor {
	case amqpOpen:
		c.opened = true
		// Our name, the client's name for us, bytes of a frame, the highest channel, and the longest
		// silence in milliseconds.
		name := c.name()[:min(len(c.name()), 200)]
		fields := "\xa1" + string([]byte{byte(len(name))}) + name + "\x40" + "\x70\x00\x01\x00\x00" + "\x60\xff\xff\x70"
		c.send(amqpFrame, 0, amqpOpen, 5, fields+string(binary.BigEndian.AppendUint32(nil, uint32(idle.Milliseconds()))))
	case amqpBegin:
		if len(c.sessions) >= amqpMost {
			return false, errAMQP
		}
		next, _ := amqpNumber(amqpField(fields, 1))
		c.sessions[channel] = &amqpSession{next: next, links: map[string]*amqpLink{}}
		// The client's channel, the number of the next transfer, and the two windows.
		fields := string(binary.BigEndian.AppendUint16([]byte{0x60}, channel))
		c.send(amqpFrame, channel, amqpBegin, 4, fields+"\x43"+amqpWindow+amqpWindow)
	case amqpEnd, amqpClose:
		delete(c.sessions, channel)
		c.send(amqpFrame, channel, descriptor, 0, "")
	default:
		err = c.inSession(channel, descriptor, fields)
	}
	return descriptor != amqpClose, err
}

// read reads a frame: size, words before the body, type, channel (§2.3.1).
func (c *amqpConn) read() (kind byte, channel uint16, body []byte, err error) {
	head, err := c.take(8)
	if err != nil {
		return 0, 0, nil, err
	}
	size, offset := binary.BigEndian.Uint32(head), 4*uint32(head[4])
	if size > amqpFrameLimit || offset < 8 || size < offset {
		return 0, 0, nil, errAMQP
	}
	if body, err = c.take(int(size) - 8); err != nil {
		return 0, 0, nil, err
	}
	return head[5], binary.BigEndian.Uint16(head[6:]), body[offset-8:], nil
}

// send sends a frame with a list of so many fields, which take less than amqpFields bytes.
func (c *amqpConn) send(kind byte, channel uint16, descriptor, count byte, fields string) {
	frame := binary.BigEndian.AppendUint32(nil, uint32(8+6+len(fields)))
	frame = binary.BigEndian.AppendUint16(append(frame, 2, kind), channel)
	frame = append(frame, 0, 0x53, descriptor, 0xc0, byte(1+len(fields)), count)
	c.w.Write(append(frame, fields...))
}
