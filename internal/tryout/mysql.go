package tryout

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
)

// mysql answers any query with a row that says it again (MySQL: Client/Server Protocol).
var mysql = protocol{"mysql", func(s *session) error {
	return (&mysqlConn{session: s}).serve()
}, ""}

const (
	mysqlSalt   = "starttls-try-out-20b" // any answer to it will do
	mysqlNative = "mysql_native_password"
	mysqlSHA2   = "caching_sha2_password"
	mysqlLimit  = 1 << 20 // bytes of a packet
)

// Capabilities.
const (
	mysqlWithDB     = 1 << 3
	mysqlProtocol41 = 1 << 9
	mysqlTLS        = 1 << 11
	mysqlSecure     = 1 << 15
	mysqlPlugins    = 1 << 19
	mysqlLenenc     = 1 << 21
	// LONG_PASSWORD and TRANSACTIONS have no name here, nothing depends on them.
	mysqlOurs = 1 | mysqlWithDB | mysqlProtocol41 | 1<<13 | mysqlSecure | mysqlPlugins
)

// Commands.
const (
	mysqlQuit   = 0x01
	mysqlInitDB = 0x02
	mysqlQuery  = 0x03
	mysqlPing   = 0x0e
	mysqlReset  = 0x1f
)

type mysqlConn struct {
	*session
	number byte // of the next packet, whoever says it
}

var errMySQL = errors.New("no packet of MySQL")

// serve greets first, then numbers packets anew for each command.
func (c *mysqlConn) serve() error {
	c.send(mysqlGreeting())
	packet, err := c.packet()
	if err != nil {
		return err
	}
	name, plugin, ok := readLogin(packet)
	if !ok {
		c.fail(1043, "08S01", "Bad handshake")
		return errMySQL
	}
	if err := c.authenticate(plugin); err != nil {
		return err
	}
	c.tell("%s logged in", name)
	c.ok()
	for {
		c.number = 0
		packet, err := c.packet()
		if err != nil || len(packet) == 0 || packet[0] == mysqlQuit {
			return err
		}
		c.command(packet[0], string(packet[1:]))
	}
}

// mysqlGreeting is HandshakeV10.
func mysqlGreeting() []byte {
	g := append([]byte{10}, "5.5.5-10.11.0-starttls-try-out\x00\x01\x00\x00\x00"+mysqlSalt[:8]+"\x00"...)
	g = binary.LittleEndian.AppendUint16(g, mysqlOurs&0xffff)
	g = append(g, 45, 2, 0) // utf8mb4_general_ci, autocommit
	g = binary.LittleEndian.AppendUint16(g, mysqlOurs>>16)
	g = append(g, byte(len(mysqlSalt)+1))
	g = append(g, make([]byte, 10)...)
	return append(g, mysqlSalt[8:]+"\x00"+mysqlNative+"\x00"...)
}

// readLogin reads HandshakeResponse41: capabilities, sizes and charset in 32 bytes, then the name, the
// proof after its length, the database, and the plugin that the proof is for. A request for TLS, which
// was not offered, is none.
func readLogin(packet []byte) (name, plugin string, ok bool) {
	if len(packet) < 33 {
		return "", "", false
	}
	caps := binary.LittleEndian.Uint32(packet) & (mysqlOurs | mysqlTLS | mysqlLenenc)
	user, rest, ended := bytes.Cut(packet[32:], []byte{0})
	if caps&mysqlProtocol41 == 0 || caps&mysqlTLS != 0 || !ended {
		return "", "", false
	}
	proof := bytes.IndexByte(rest, 0) + 1 // before SECURE_CONNECTION it ended in a zero
	if caps&(mysqlSecure|mysqlLenenc) != 0 && len(rest) > 0 {
		proof = 1 + int(rest[0])
	}
	rest = rest[min(proof, len(rest)):]
	if caps&mysqlWithDB != 0 {
		_, rest, _ = bytes.Cut(rest, []byte{0})
	}
	if caps&mysqlPlugins != 0 {
		word, _, _ := bytes.Cut(rest, []byte{0})
		plugin = string(word)
	}
	return string(user), plugin, true
}

// authenticate brings a client to where it takes an OK. Those of MySQL 8 and later, which begin with a
// plugin of their own, hear that their proof was found in the cache; others are sent to the old one.
func (c *mysqlConn) authenticate(plugin string) error {
	switch plugin {
	case "", mysqlNative:
		return nil
	case mysqlSHA2:
		c.send([]byte{1, 3})
		return nil
	}
	c.send([]byte("\xfe" + mysqlNative + "\x00" + mysqlSalt + "\x00"))
	_, err := c.packet()
	return err
}

// command answers a command of which the client expects no more than an OK, or asks a query.
func (c *mysqlConn) command(command byte, text string) {
	switch command {
	case mysqlPing, mysqlInitDB, mysqlReset:
		c.ok()
	case mysqlQuery:
		c.query(strings.TrimSpace(text))
	default:
		c.fail(1047, "08S01", "Unknown command")
	}
}

// query answers with one row. Drivers begin with settings, and want an OK for these.
func (c *mysqlConn) query(query string) {
	if verb, _, _ := strings.Cut(query, " "); strings.EqualFold(verb, "set") {
		c.ok()
		return
	}
	c.send([]byte{1}) // column
	// Catalog, schema and two tables, two names, then charset, length, type VAR_STRING, flags.
	column := "\x03def\x00\x00\x00\x06answer\x00\x0c\x2d\x00\x00\x10\x00\x00\xfd\x00\x00\x00\x00\x00"
	c.send([]byte(column))
	end := []byte{0xfe, 0, 0, 2, 0}
	c.send(end)
	row := echoed(query)
	c.send(append([]byte{0xfc, byte(len(row)), byte(len(row) >> 8)}, row...))
	c.send(end)
}

// ok says OK: no rows, no id, autocommit, no warnings.
func (c *mysqlConn) ok() { c.send([]byte{0, 0, 0, 2, 0, 0, 0}) }

func (c *mysqlConn) fail(code uint16, state, text string) {
	packet := binary.LittleEndian.AppendUint16([]byte{0xff}, code)
	c.send(append(packet, "#"+state+text...))
}

// packet reads a packet, which must have the next number.
func (c *mysqlConn) packet() ([]byte, error) {
	head, err := c.take(4)
	if err != nil {
		return nil, err
	}
	n := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	if head[3] != c.number {
		c.fail(1156, "08S01", "Got packets out of order")
		return nil, errMySQL
	}
	c.number++
	if n > mysqlLimit {
		c.fail(1153, "08S01", "Got a packet bigger than 1 MiB")
		return nil, errMySQL
	}
	return c.take(n)
}

func (c *mysqlConn) send(packet []byte) {
	n := len(packet)
	c.w.Write(append([]byte{byte(n), byte(n >> 8), byte(n >> 16), c.number}, packet...))
	c.number++
}
