package tryout

import (
	"encoding/binary"
	"errors"
	"strings"
)

// postgres answers any query with a row that says it again. It asks for no password: a password that
// would be taken whatever it is need not be sent.
var postgres = protocol{"postgres", func(s *session) error {
	return (&postgresConn{session: s}).serve()
}, ""}

// What a client may begin with (PostgreSQL: Message Formats).
const (
	postgresVersion = 3 // the upper half of the number
	postgresCancel  = 80877102
	postgresSSL     = 80877103
	postgresGSS     = 80877104
)

// Bounds of messages, before the login and after it.
const (
	postgresStartup = 10000   // bytes, as in the real one
	postgresMessage = 1 << 20 // bytes
)

type postgresConn struct {
	*session
	skipping bool // an extended query failed: nothing counts until Sync
}

var errPostgres = errors.New("no message of PostgreSQL")

// serve says what clients want to know of a session before the first query: without some of it, psql
// takes the server for a very old one.
func (c *postgresConn) serve() error {
	user, err := c.startup()
	if err != nil || user == "" {
		return err
	}
	c.tell("%s logged in", user)
	c.send('R', "\x00\x00\x00\x00") // AuthenticationOk
	for _, parameter := range []string{
		"server_version\x0015.0", "server_encoding\x00UTF8", "client_encoding\x00UTF8",
		"standard_conforming_strings\x00on", "integer_datetimes\x00on", "DateStyle\x00ISO, MDY",
		"IntervalStyle\x00postgres", "TimeZone\x00UTC", "is_superuser\x00off",
		"session_authorization\x00" + user,
	} {
		c.send('S', parameter+"\x00")
	}
	c.send('K', "\x00\x00\x00\x01\x00\x00\x00\x01") // for cancelling, which never works
	c.ready()
	for {
		kind, body, err := c.message()
		if err != nil || kind == 'X' {
			return err
		}
		if err := c.answer(kind, body); err != nil {
			return err
		}
	}
}

// startup gets to the name of the user. It is empty if the client is not to be served.
func (c *postgresConn) startup() (user string, err error) {
	for asked := 0; asked <= 2; {
		body, err := c.sized(postgresStartup)
		if err != nil || len(body) < 4 {
			return "", err
		}
		switch code := binary.BigEndian.Uint32(body); {
		case code == postgresSSL, code == postgresGSS:
			asked++
			c.w.WriteByte('N')
		case code == postgresCancel:
			return "", nil
		case code>>16 != postgresVersion:
			c.fail("FATAL", "0A000", "only version 3 of the protocol is spoken")
			return "", nil
		default:
			return c.begin(code&0xffff, string(body[4:])), nil
		}
	}
	return "", nil
}

// begin reads the names and values of a StartupMessage. Minor versions and options that came after 3.0
// are declined (NegotiateProtocolVersion).
func (c *postgresConn) begin(minor uint32, text string) (user string) {
	words := strings.Split(text, "\x00")
	var options []string
	for i := 0; i+1 < len(words) && words[i] != ""; i += 2 {
		if words[i] == "user" {
			user = words[i+1]
		}
		if strings.HasPrefix(words[i], "_pq_.") {
			options = append(options, words[i]+"\x00")
		}
	}
	if minor > 0 || len(options) > 0 {
		head := binary.BigEndian.AppendUint32(nil, postgresVersion<<16)
		head = binary.BigEndian.AppendUint32(head, uint32(len(options)))
		c.send('v', string(head)+strings.Join(options, ""))
	}
	if user == "" {
		c.fail("FATAL", "28000", "no user name")
	}
	return user
}

// message reads a message after the startup.
func (c *postgresConn) message() (kind byte, body []byte, err error) {
	if kind, err = c.r.ReadByte(); err == nil {
		body, err = c.sized(postgresMessage)
	}
	if err == errPostgres {
		c.fail("FATAL", "08P01", "no message, or too long")
	}
	return kind, body, err
}

// sized reads what follows a length, which counts itself.
func (c *postgresConn) sized(limit int) ([]byte, error) {
	head, err := c.take(4)
	if err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head)
	if n < 4 || n > uint32(limit) {
		return nil, errPostgres
	}
	return c.take(int(n) - 4)
}

// answer answers a message. After an error in an extended query, all up to Sync is skipped, or the
// client would count more errors than it has asked questions.
func (c *postgresConn) answer(kind byte, body []byte) error {
	switch kind {
	case 'S': // Sync
		c.skipping = false
		c.ready()
	case 'Q':
		c.skipping = false
		query, _, _ := strings.Cut(string(body), "\x00")
		c.query(strings.TrimSpace(query))
		c.ready()
	case 'P', 'B', 'D', 'E', 'C': // Parse, Bind, Describe, Execute, Close
		if !c.skipping {
			c.fail("ERROR", "0A000", "the try-out server knows only simple queries")
		}
		c.skipping = true
	case 'F': // FunctionCall
		c.fail("ERROR", "0A000", "there are no functions")
		c.ready()
	case 'H', 'd', 'c', 'f': // Flush, and what is left of a COPY
	default:
		c.fail("FATAL", "08P01", "message not known")
		return errPostgres
	}
	return nil
}

// query answers with one column of type text and one row.
func (c *postgresConn) query(query string) {
	if query == "" {
		c.send('I', "")
		return
	}
	// Name, table, column, type text (25), of any size, without modifier, as text.
	c.send('T', "\x00\x01answer\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x19\xff\xff\xff\xff\xff\xff\x00\x00")
	row := echoed(query)
	c.send('D', "\x00\x01"+string(binary.BigEndian.AppendUint32(nil, uint32(len(row))))+row)
	c.send('C', "SELECT 1\x00")
}

// ready says ReadyForQuery, outside of a transaction.
func (c *postgresConn) ready() { c.send('Z', "I") }

// fail says an ErrorResponse: severity, the same unlocalised, SQL state, text.
func (c *postgresConn) fail(severity, code, text string) {
	c.send('E', "S"+severity+"\x00V"+severity+"\x00C"+code+"\x00M"+text+"\x00\x00")
}

func (c *postgresConn) send(kind byte, body string) {
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4))
	c.w.Write(append(head, body...))
}
