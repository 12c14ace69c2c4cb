package dialect

import "encoding/binary"

// patch gives a packet the number that is due on this leg. A login that comes with another number comes
// from a leg of the other sort, and its CLIENT_SSL is wrong here: in the clear it would begin TLS,
// and behind an SSLRequest it must repeat what that has said.
func (s *mysql) patch(says Side, raw []byte) {
	if s.phase == mysqlOpen || len(raw) < mysqlHeader || raw[3] == s.number {
		return
	}
	raw[3] = s.number
	if says == Client && s.phase == mysqlLogin && len(raw) >= mysqlHeader+2 {
		setMySQLSSL(raw[mysqlHeader:], s.inside)
	}
}

func setMySQLSSL(flags []byte, on bool) {
	flags[1] &^= mysqlSSL >> 8
	if on {
		flags[1] |= mysqlSSL >> 8
	}
}

func (s *mysql) say(dst []byte, m Message) []byte {
	if m.Raw != nil {
		at := len(dst)
		dst = append(dst, m.Raw...)
		contents := dst[min(at+mysqlHeader, len(dst)):]
		if flags := mysqlFlags(contents); m.Kind == Greeting && m.edit.offer && flags > 0 {
			setMySQLSSL(contents[flags:], m.Offer != Unsaid)
		}
		return dst
	}
	switch m.Kind {
	case Greeting:
		return s.packet(dst, mysqlGreeting(m))
	case Upgrade:
		return s.packet(dst, mysqlUpgrade(m.Login))
	case Other:
		return s.packet(dst, []byte{0, 0, 0, 2, 0, 0, 0}) // OK, autocommit
	case Bye:
		if s.we == Client && s.phase == mysqlOpen {
			return append(dst, 1, 0, 0, 0, 1) // COM_QUIT
		}
	case No:
		r := mysqlRefusals[m.Why]
		contents := binary.LittleEndian.AppendUint16([]byte{0xff}, r.code)
		if s.phase != mysqlGreet {
			contents = append(contents, '#')
			contents = append(contents, r.state...)
		}
		return s.packet(dst, append(contents, r.text...))
	}
	return dst
}

func (s *mysql) packet(dst, contents []byte) []byte {
	n := len(contents)
	return append(append(dst, byte(n), byte(n>>8), byte(n>>16), s.number), contents...)
}

// mysqlUpgrade returns an SSLRequest: the start of the login, or something sane.
func mysqlUpgrade(login []byte) []byte {
	contents := make([]byte, mysqlRequest)
	binary.LittleEndian.PutUint32(contents, mysqlDefault)
	binary.LittleEndian.PutUint32(contents[4:], 1<<24) // longest packet
	contents[8] = 45                                   // utf8mb4_general_ci
	if len(login) > mysqlHeader+mysqlRequest && binary.LittleEndian.Uint16(login[mysqlHeader:])&mysqlProtocol41 != 0 {
		copy(contents, login[mysqlHeader:])
	}
	setMySQLSSL(contents, true)
	return contents
}

// mysqlGreeting returns HandshakeV10 of a server of our own. Its salt is the Tag, if that has 20 bytes.
func mysqlGreeting(m Message) []byte {
	salt := "starttls-starttls-20"
	if len(m.Tag) == len(salt) {
		salt = m.Tag
	}
	flags := uint32(mysqlDefault)
	if m.Offer == Unsaid {
		flags &^= mysqlSSL
	}
	c := append([]byte{10}, "5.5.5-10.11.0-starttls\x00\x01\x00\x00\x00"...)
	c = append(append(c, salt[:8]...), 0)
	c = binary.LittleEndian.AppendUint16(c, uint16(flags))
	c = append(c, 45, 2, 0) // collation, autocommit
	c = binary.LittleEndian.AppendUint16(c, uint16(flags>>16))
	c = append(c, byte(len(salt)+1))
	c = append(c, make([]byte, 10)...)
	c = append(append(c, salt[8:]...), 0)
	return append(c, "mysql_native_password\x00"...)
}

// mysqlRefusals are numbers, SQL states and texts of the server error reference.
var mysqlRefusals = [...]struct {
	code        uint16
	state, text string
}{
	Unknown:        {1047, "08S01", "Unknown command"},
	TLSRequired:    {3159, "HY000", "Connections using insecure transport are prohibited"},
	TLSUnavailable: {1289, "HY000", "TLS is not available"},
	AlreadyTLS:     {1043, "08S01", "Bad handshake: TLS is active already"},
	BadSyntax:      {1043, "08S01", "Bad handshake"},
	NotNow:         {1043, "08S01", "Bad handshake: out of order"},
	Unavailable:    {1053, "08S01", "The server cannot be reached"},
	TooMuch:        {1040, "08004", "Too many connections"},
}
