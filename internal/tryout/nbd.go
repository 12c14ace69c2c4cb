package tryout

import (
	"encoding/binary"
	"errors"
)

// nbd exports 1 MiB of zeros to read, by any name (NBD proto.md, fixed newstyle).
var nbd = protocol{"nbd", func(s *session) error {
	return (&nbdConn{session: s}).serve()
}, ""}

// Bounds: bytes of the export, of an option, and of a write, which is refused.
const (
	nbdSize   = 1 << 20
	nbdOption = 16 << 10
	nbdWrite  = 32 << 20
)

// Numbers of the protocol.
const (
	nbdMagic       = 0x4e42444d41474943 // NBDMAGIC
	nbdHave        = 0x49484156454f5054 // IHAVEOPT
	nbdOptionReply = 0x3e889045565a9
	nbdRequest     = 0x25609513
	nbdReply       = 0x67446698

	nbdExportName = 1
	nbdAbort      = 2
	nbdList       = 3
	nbdInfo       = 6
	nbdGo         = 7

	nbdACK         = 1
	nbdServer      = 2
	nbdInfoReply   = 3
	nbdUnsupported = 1<<31 + 1
	nbdInvalid     = 1<<31 + 3

	nbdReadOnly = 1 | 2 // there are flags; nothing can be written
	nbdEPERM    = 1
	nbdEINVAL   = 22
)

var errNBD = errors.New("no word of NBD, or too long")

type nbdConn struct {
	*session
	short bool // the client wants no zeros behind the answer to EXPORT_NAME
}

func (c *nbdConn) serve() error {
	c.put(uint64(nbdMagic), uint64(nbdHave), uint16(1|2)) // fixed newstyle, no zeros
	flags, err := c.take(4)
	if err != nil {
		return err
	}
	c.short = flags[3]&2 != 0
	on, err := c.options()
	for on && err == nil {
		on, err = c.request()
	}
	return err
}

// put says numbers and bytes.
func (c *nbdConn) put(parts ...any) {
	for _, part := range parts {
		binary.Write(c.w, binary.BigEndian, part) // an error stays in w
	}
}

// options haggles. on says that requests follow.
func (c *nbdConn) options() (on bool, err error) {
	for {
		head, err := c.take(16)
		if err != nil {
			return false, err
		}
		option, size := binary.BigEndian.Uint32(head[8:]), binary.BigEndian.Uint32(head[12:])
		if binary.BigEndian.Uint64(head) != nbdHave || size > nbdOption {
			return false, errNBD
		}
		data, err := c.take(int(size))
		if err != nil {
			return false, err
		}
		switch option {
		case nbdExportName:
			c.put(uint64(nbdSize), uint16(nbdReadOnly))
			if !c.short {
				c.put(make([]byte, 124))
			}
			return true, nil
		case nbdAbort:
			c.reply(option, nbdACK, nil)
			return false, nil
		case nbdList:
			c.reply(option, nbdServer, []byte("\x00\x00\x00\x05zeros"))
			c.reply(option, nbdACK, nil)
		case nbdInfo, nbdGo:
			if c.info(option, data) && option == nbdGo {
				return true, nil
			}
		default:
			c.reply(option, nbdUnsupported, nil)
		}
	}
}

// reply answers an option.
func (c *nbdConn) reply(option, kind uint32, data []byte) {
	c.put(uint64(nbdOptionReply), option, kind, uint32(len(data)), data)
}

// info tells of the export: INFO_EXPORT, which is due whatever was asked for.
func (c *nbdConn) info(option uint32, data []byte) bool {
	if len(data) < 6 || uint64(binary.BigEndian.Uint32(data))+6 > uint64(len(data)) {
		c.reply(option, nbdInvalid, nil)
		return false
	}
	export := binary.BigEndian.AppendUint64([]byte{0, 0}, nbdSize)
	c.reply(option, nbdInfoReply, binary.BigEndian.AppendUint16(export, nbdReadOnly))
	c.reply(option, nbdACK, nil)
	return true
}

// request answers a request, unless it is the last.
func (c *nbdConn) request() (on bool, err error) {
	head, err := c.take(28)
	if err != nil {
		return false, err
	}
	kind, cookie := binary.BigEndian.Uint16(head[6:]), head[8:16]
	from, size := binary.BigEndian.Uint64(head[16:]), uint64(binary.BigEndian.Uint32(head[24:]))
	if binary.BigEndian.Uint32(head) != nbdRequest {
		return false, errNBD
	}
	failure := uint32(nbdEINVAL)
	switch {
	case kind == 2: // DISC
		return false, nil
	case kind == 1 && size > nbdWrite:
		return false, errNBD
	case kind == 1: // WRITE
		failure = nbdEPERM
		if _, err := c.r.Discard(int(size)); err != nil {
			return false, err
		}
	case kind == 0 && from <= nbdSize && size <= nbdSize-from: // READ
		c.put(uint32(nbdReply), uint32(0), cookie, make([]byte, size))
		return true, nil
	}
	c.put(uint32(nbdReply), failure, cookie)
	return true, nil
}
