package tryout

import (
	"cmp"
	"encoding/binary"
	"errors"
	"strings"
	"unicode/utf16"
)

// tds answers any batch with a row that says it again (MS-TDS), in the versions from 7.2 on.
var tds = protocol{"tds", func(s *session) error {
	return (&tdsConn{session: s}).serve()
}, ""}

// Types of messages (§2.2.3.1.1).
const (
	tdsBatch       = 0x01
	tdsRPC         = 0x03
	tdsResponse    = 0x04
	tdsAttention   = 0x06
	tdsBulk        = 0x07
	tdsTransaction = 0x0e
	tdsLogin       = 0x10
	tdsPrelogin    = 0x12
)

const (
	tdsHeader = 8       // bytes: type, status, length 2, process 2, number, window
	tdsLimit  = 1 << 20 // bytes of a message

	tdsNewest    = 0x74000004 // 7.4
	tdsStrict    = 0x08000000 // 8.0
	tdsCollation = "\x09\x04\xd0\x00\x34"
	// Behind two options and the end of the list: version 16, no encryption.
	tdsHello = "\x00\x00\x0b\x00\x06\x01\x00\x11\x00\x01\xff" + "\x10\x00\x00\x00\x00\x00" + "\x02"
)

// Bits of a DONE (§2.2.7.6).
const (
	tdsFailed    = 0x02
	tdsCounted   = 0x10
	tdsAttending = 0x20
)

type tdsConn struct{ *session }

var errTDS = errors.New("no message of TDS, or too long")

// serve hears PRELOGIN, which a client may leave out, then the login, then what there is.
func (c *tdsConn) serve() error {
	kind, body, err := c.message()
	if err == nil && kind == tdsPrelogin {
		c.send(tdsHello)
		kind, body, err = c.message()
	}
	if err != nil || kind != tdsLogin || !c.login(body) {
		return cmp.Or(err, errTDS)
	}
	for {
		if kind, body, err = c.message(); err != nil {
			return err
		}
		switch kind {
		case tdsBatch:
			c.batch(body)
		case tdsAttention:
			c.send(tdsDone(tdsAttending, 0))
		case tdsRPC, tdsBulk, tdsTransaction:
			c.send(tdsError("the try-out server knows only batches") + tdsDone(tdsFailed, 0))
		default:
			return errTDS
		}
	}
}

// login reads LOGIN7: numbers, then where in it each text is and how many characters it has; the name
// of the user is the second of them.
func (c *tdsConn) login(body []byte) bool {
	if len(body) < 94 {
		return false
	}
	version := binary.LittleEndian.Uint32(body[4:])
	from, n := int(binary.LittleEndian.Uint16(body[40:])), 2*int(binary.LittleEndian.Uint16(body[42:]))
	if from+n > len(body) || version>>24 < 0x72 && version != tdsStrict {
		return false
	}
	if name := tdsText(body[from : from+n]); name != "" {
		c.tell("%s logged in", name)
	}
	// LOGINACK: Transact-SQL, the version, our name, our version 16. Before it, what the client need
	// not guess: database, collation, size of packets.
	ack := "\x01" + string(binary.BigEndian.AppendUint32(nil, min(version, tdsNewest))) +
		tdsShort("starttls try-out") + "\x10\x00\x00\x00"
	c.send(tdsToken(0xe3, "\x01"+tdsShort("try")+"\x00") + tdsToken(0xe3, "\x07\x05"+tdsCollation+"\x00") +
		tdsToken(0xe3, "\x04"+tdsShort("4096")+tdsShort("4096")) + tdsToken(0xad, ack) + tdsDone(0, 0))
	return true
}

// batch answers with one row. Clients begin with settings, and want a mere DONE for these.
func (c *tdsConn) batch(body []byte) {
	if len(body) < 4 || uint64(binary.LittleEndian.Uint32(body)) > uint64(len(body)) {
		c.send(tdsError("malformed batch") + tdsDone(tdsFailed, 0))
		return
	}
	query := strings.TrimSpace(tdsText(body[binary.LittleEndian.Uint32(body):])) // behind headers
	verb, _, _ := strings.Cut(query, " ")
	if query == "" || strings.EqualFold(verb, "set") || strings.EqualFold(verb, "use") {
		c.send(tdsDone(0, 0))
		return
	}
	row := tdsWide(echoed(query))
	// COLMETADATA: one column, user type, flags, NVARCHAR of 4000 characters, its name. ROW: length, text.
	c.send("\x81\x01\x00" + "\x00\x00\x00\x00\x00\x00" + "\xe7\x40\x1f" + tdsCollation + tdsShort("answer") +
		"\xd1" + tdsSize(len(row)) + row + tdsDone(tdsCounted, 1))
}

// message reads the packets of a message. All but the last have something in them, or there could be no
// end of them.
func (c *tdsConn) message() (kind byte, body []byte, err error) {
	for {
		head, err := c.take(tdsHeader)
		if err != nil {
			return 0, nil, err
		}
		n := int(binary.BigEndian.Uint16(head[2:])) - tdsHeader
		if kind == 0 {
			kind = head[0]
		}
		last := head[1]&1 != 0
		if n < 0 || head[0] != kind || len(body)+n > tdsLimit || n == 0 && !last {
			return 0, nil, errTDS
		}
		part, err := c.take(n)
		if err != nil {
			return 0, nil, err
		}
		body = append(body, part...)
		if last {
			return kind, body, nil
		}
	}
}

// send sends a message in one packet: all are shorter than 4096 bytes.
func (c *tdsConn) send(body string) {
	head := binary.BigEndian.AppendUint16([]byte{tdsResponse, 1}, uint16(tdsHeader+len(body)))
	c.w.Write(append(append(head, 0, 0, 1, 0), body...))
}

func tdsDone(status, rows byte) string {
	return string([]byte{0xfd, status, 0, 0, 0, rows, 0, 0, 0, 0, 0, 0, 0})
}

// tdsError is an ERROR: number 50000, state 1, class 16, text, server, procedure, line.
func tdsError(text string) string {
	wide := tdsWide(text)
	return tdsToken(0xaa, "\x50\xc3\x00\x00\x01\x10"+tdsSize(len(wide)/2)+wide+"\x00\x00\x01\x00\x00\x00")
}

// tdsToken is a token with its length.
func tdsToken(token byte, body string) string {
	return string([]byte{token}) + tdsSize(len(body)) + body
}

func tdsSize(n int) string { return string(binary.LittleEndian.AppendUint16(nil, uint16(n))) }

// tdsShort is a text of less than 256 characters behind their number.
func tdsShort(text string) string { return string([]byte{byte(len(text))}) + tdsWide(text) }

func tdsWide(text string) string {
	out, _ := binary.Append(nil, binary.LittleEndian, utf16.Encode([]rune(text)))
	return string(out)
}

func tdsText(wide []byte) string {
	units := make([]uint16, len(wide)/2)
	binary.Decode(wide, binary.LittleEndian, units)
	return string(utf16.Decode(units))
}
