package dialect

import (
	"bytes"
	"encoding/binary"
	"strconv"
)

// MySQL is the SSLRequest of MySQL and MariaDB.
var MySQL = Dialect{
	Name:       "mysql",
	Spec:       "MySQL client/server protocol, Protocol::SSLRequest",
	Schemes:    []Scheme{{Name: "mysql", Port: 3306}},
	Script:     script("G u"),
	Early:      true, // the greeting has the salt
	LoginFirst: true, // MariaDB takes the capabilities of the SSLRequest for all that follows
	Tried:      []string{"MariaDB 10.11", "OpenSSL 3.0", "go-mysql 1.1 as a server with caching_sha2_password"},
	Limit:      64 << 10,
	Speak:      newMySQL,
}

// Capabilities. Only the first is our business.
const (
	mysqlSSL        = 1 << 11
	mysqlProtocol41 = 1 << 9
	// mysqlDefault is what a client of our own can do: LONG_PASSWORD, PROTOCOL_41, SSL, TRANSACTIONS,
	// SECURE_CONNECTION, PLUGIN_AUTH.
	mysqlDefault = 1 | mysqlProtocol41 | mysqlSSL | 1<<13 | 1<<15 | 1<<19
)

const (
	mysqlHeader  = 4  // length 3, number 1
	mysqlRequest = 32 // contents of an SSLRequest: a login up to the user name
)

type mysqlPhase uint8

const (
	mysqlGreet mysqlPhase = iota // the server greets
	mysqlLogin                   // the client's SSLRequest or login
	mysqlReady                   // TLS follows on this leg, or the server refuses
	mysqlAuth                    // login until the server has said OK or ERR
	mysqlOpen                    // nothing that follows concerns TLS or packet numbers
	mysqlOver                    // the server closes
)

// Packets are numbered through both directions, from the greeting to the end of the login, and TLS
// does not begin the count anew. So each leg has its own count: where only one of two legs went
// through an SSLRequest, its numbers are one ahead.
type mysql struct {
	we      Side
	inside  bool
	phase   mysqlPhase
	number  byte // of the next packet, whoever says it
	offered bool // the greeting has CLIENT_SSL
	kind    Kind // of the client's last packet
	pending bool
	plugin  string // that the login is for
	salt    []byte // of the server, for it
	full    bool   // the server wants the password itself
}

func newMySQL(we Side, inside bool) Speech {
	s := &mysql{we: we, inside: inside}
	if inside {
		s.phase, s.number = mysqlLogin, 2 // greeting and SSLRequest were said in the clear
	}
	if we == Client && !inside {
		return mysqlSealer{speech{s, we}, s}
	}
	return speech{s, we}
}

func (s *mysql) Pending() bool { return s.pending }

// Settled: with the login the count of packets ends, and there is no second one.
func (s *mysql) Settled() bool { return s.phase == mysqlOpen }

// cut cuts one packet, which must have the next number. It does not count it.
func (s *mysql) cut(buf []byte) (contents []byte, n int, err error) {
	if len(buf) < 3 {
		return nil, 0, nil
	}
	n = mysqlHeader + (int(buf[0]) | int(buf[1])<<8 | int(buf[2])<<16)
	if n > 64<<10 {
		return nil, 0, noise("a packet of %d bytes before login", n)
	}
	if len(buf) > 3 && buf[3] != s.number {
		return nil, 0, noise("packet number %d where %d was due", buf[3], s.number)
	}
	if len(buf) < n {
		return nil, 0, nil
	}
	return buf[mysqlHeader:n], n, nil
}

func (s *mysql) request(buf []byte) (Message, int, error) {
	switch s.phase {
	case mysqlOpen:
		return Message{Kind: Secret}, 1, nil
	case mysqlGreet, mysqlReady, mysqlOver:
		return Message{}, 0, noise("the client speaks out of turn")
	}
	contents, n, err := s.cut(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	m := Message{Kind: Secret}
	if s.phase == mysqlLogin {
		if len(contents) < 5 {
			return Message{}, 0, noise("a login of %d bytes", len(contents))
		}
		m = s.opened(contents)
	}
	if m.Kind == Secret {
		if s.phase == mysqlLogin {
			s.plugin = mysqlPlugin(contents)
		}
		s.phase, s.pending = mysqlAuth, true
	}
	s.kind = m.Kind
	s.number++
	return m, n, nil
}

// opened reads the client's first packet: an SSLRequest or a login. A server that sees CLIENT_SSL
// begins TLS at the end of this packet whatever its length, so one of another length than that of an
// SSLRequest is refused, and never taken for a login.
func (s *mysql) opened(contents []byte) Message {
	flags := int(binary.LittleEndian.Uint16(contents))
	whole := len(contents) == mysqlRequest && flags&mysqlProtocol41 != 0
	m := Message{Kind: Upgrade}
	switch {
	case flags&mysqlSSL == 0, s.inside && !whole:
		m.Kind = Secret
	case s.inside:
		m.Why = AlreadyTLS
	case !whole:
		m.Why = BadSyntax
	case !s.offered:
		m.Why = TLSUnavailable
	default:
		s.phase = mysqlReady
	}
	return m
}

func (s *mysql) reply(buf []byte) (Message, int, error) {
	if s.phase == mysqlOpen {
		return Message{}, 1, nil
	}
	contents, n, err := s.cut(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	first := -1
	if len(contents) > 0 {
		first = int(contents[0])
	}
	m := Message{Re: s.kind}
	switch {
	case first == 0xff && len(contents) >= 3 && s.phase != mysqlOver:
		m.Kind = No
		m.Text, m.Why = mysqlError(contents)
		s.phase = mysqlOver
	case s.phase == mysqlGreet && first >= 0:
		s.greeted(&m, contents)
	case s.phase != mysqlAuth:
		return Message{}, 0, noise("the server speaks out of turn")
	case first == 0x00:
		s.phase = mysqlOpen // OK; anything else is one more round of the login
	default:
		s.follow(contents)
	}
	s.pending = false
	s.number++
	return m, n, nil
}

// greeted reads HandshakeV10. Other versions have nothing to say of TLS.
func (s *mysql) greeted(m *Message, contents []byte) {
	if contents[0] != 10 {
		m.Kind, m.Text = No, "protocol version "+strconv.Itoa(int(contents[0]))
		s.phase = mysqlOver
		return
	}
	m.Kind, s.phase, s.salt = Greeting, mysqlLogin, mysqlSalt(contents)
	version, _, _ := bytes.Cut(contents[1:], []byte{0})
	m.Name = string(version)
	if at := mysqlFlags(contents); at > 0 && binary.LittleEndian.Uint16(contents[at:])&mysqlSSL != 0 {
		m.Offer, s.offered = Offered, true
	}
}

// mysqlFlags finds the lower two bytes of the capabilities in HandshakeV10, or returns 0.
func mysqlFlags(contents []byte) int {
	at := bytes.IndexByte(contents, 0) + 1
	if at == 0 {
		return 0
	}
	at += 4 + 8 + 1 // thread, salt, filler
	if at+2 > len(contents) {
		return 0 // the short form of old servers
	}
	return at
}

// mysqlError reads an ERR packet. Before the login it has no SQL state.
func mysqlError(contents []byte) (text string, why Reason) {
	code, words := binary.LittleEndian.Uint16(contents[1:]), contents[3:]
	if len(words) >= 6 && words[0] == '#' {
		words = words[6:]
	}
	switch code {
	case 3159:
		why = TLSRequired
	case 1040, 1053, 1129, 1130:
		why = Unavailable
	}
	return strconv.Itoa(int(code)) + " " + string(words), why
}
