package gateway_test

import (
	"encoding/binary"
	"strings"

	"starttls/dialect"
)

// tlv is a BER element with a short length.
func tlv(tag byte, parts ...string) string {
	body := strings.Join(parts, "")
	if len(body) > 127 {
		return string([]byte{tag, 0x82, byte(len(body) >> 8), byte(len(body))}) + body
	}
	return string([]byte{tag, byte(len(body))}) + body
}

func ldapMessage(id byte, op ...string) string {
	return tlv(0x30, tlv(0x02, string(rune(id))), strings.Join(op, ""))
}

func ldapResult(tag, code byte, more ...string) string {
	return tlv(tag, tlv(0x0a, string(rune(code))), tlv(0x04), tlv(0x04), strings.Join(more, ""))
}

const (
	startTLSOID   = "1.3.6.1.4.1.1466.20037"
	disconnectOID = "1.3.6.1.4.1.1466.20036"
)

// ldapSearch asks for an attribute of an entry; of the root DSE if base is empty.
func ldapSearch(id byte, base, attr string) string {
	return ldapMessage(id, tlv(0x63, tlv(0x04, base), tlv(0x0a, "\x00"), tlv(0x0a, "\x00"), tlv(0x02, "\x00"),
		tlv(0x02, "\x00"), tlv(0x01, "\x00"), tlv(0x87, "objectClass"), tlv(0x30, tlv(0x04, attr))))
}

func ldapBind(id byte, name string) string {
	return ldapMessage(id, tlv(0x60, tlv(0x02, "\x03"), tlv(0x04, name), tlv(0x80, secret)))
}

// cutBER returns the length of the first element, or 0.
func cutBER(buf string) int {
	if len(buf) < 2 {
		return 0
	}
	size, head := int(buf[1]), 2
	if size > 0x80 {
		if head += size & 0x7f; len(buf) < head {
			return 0
		}
		size = 0
		for _, c := range []byte(buf[2:head]) {
			size = size<<8 | int(c)
		}
	}
	if len(buf) < head+size {
		return 0
	}
	return head + size
}

// ldapOp returns the ID and the operation of a message whose lengths are short or of two octets.
func ldapOp(m string) (id, op byte) {
	at := 2
	if m[1] == 0x82 {
		at = 4
	} else if m[1] == 0x84 {
		at = 6
	}
	return m[at+2], m[at+3]
}

var ldap = &proto{
	Dialect:  &dialect.LDAP,
	hello:    ldapSearch(1, "", "supportedExtension"),
	upgrade:  ldapMessage(2, tlv(0x77, tlv(0x80, startTLSOID))),
	probe:    ldapMessage(7, tlv(0x60, tlv(0x02, "\x03"), tlv(0x04), tlv(0x80))),
	work:     ldapBind(9, "cn=joe"),
	offer:    startTLSOID,
	sorry:    "\x0a\x01\x34",
	required: "\x0a\x01\x0d",
	ready:    func(answer string) bool { return strings.Contains(answer, "\x02\x01\x02\x78\x07\x0a\x01\x00") },
	bye:      "\x42\x00",
	request:  cutBER,
	reply: func(buf string) (n int) {
		for {
			end := cutBER(buf[n:])
			if end == 0 {
				return 0
			}
			message := buf[n : n+end]
			n += end
			if _, op := ldapOp(message); op != 0x64 {
				return n
			}
		}
	},
	polite: func() func(string) string {
		return func(request string) string {
			switch id, op := ldapOp(request); op {
			case 0x63:
				attr := "supportedExtension"
				if !strings.Contains(request, attr) {
					attr = "namingContexts"
				}
				entry := tlv(0x64, tlv(0x04), tlv(0x30, tlv(0x30, tlv(0x04, attr), tlv(0x31, tlv(0x04, "1.2.3")))))
				return ldapMessage(id, entry) + ldapMessage(id, ldapResult(0x65, 0))
			case 0x60:
				if id == 7 {
					return ldapMessage(id, tlv(0x61, tlv(0x0a, "\x00"), tlv(0x04), tlv(0x04, "probe")))
				}
				return ldapMessage(id, ldapResult(0x61, 0))
			case 0x77:
				return ldapMessage(id, ldapResult(0x78, 2))
			}
			return ""
		}
	},
}

// pgOpening is a packet of the opening of PostgreSQL: a length, a code, what follows.
func pgOpening(code uint32, rest string) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(8+len(rest)))
	return string(binary.BigEndian.AppendUint32(b, code)) + rest
}

func pgMessage(kind byte, body string) string {
	return string(kind) + string(binary.BigEndian.AppendUint32(nil, uint32(4+len(body)))) + body
}

func pgStartup(user string) string { return pgOpening(3<<16, "user\x00"+user+"\x00\x00") }

var (
	pgSSLRequest = pgOpening(80877103, "")
	pgGSSRequest = pgOpening(80877104, "")
	pgCancel     = pgOpening(80877102, "pid.key.")
)

func cutPG(buf string) int {
	at := 0
	if buf != "" && buf[0] != 0 {
		at = 1
	}
	if len(buf) < at+4 {
		return 0
	}
	if n := at + int(binary.BigEndian.Uint32([]byte(buf[at:]))); n <= len(buf) {
		return n
	}
	return 0
}

var postgres = &proto{
	Dialect:  &dialect.Postgres,
	upgrade:  pgSSLRequest,
	probe:    pgStartup("probe"),
	work:     pgStartup(secret),
	sorry:    "C57P03\x00",
	required: "C28000\x00",
	ready:    func(answer string) bool { return answer == "S" },
	request:  cutPG,
	reply: func(buf string) int {
		if buf != "" && (buf[0] == 'S' || buf[0] == 'N' || buf[0] == 'G') {
			return 1
		}
		return cutPG(buf)
	},
	polite: func() func(string) string {
		return func(request string) string {
			switch {
			case request == pgSSLRequest, request == pgGSSRequest:
				return "N"
			case strings.HasPrefix(request, "Q"):
				return pgMessage('C', "SELECT 1\x00")
			case request[0] == 0 && len(request) > 16:
				user := strings.Split(request[8:], "\x00")[1]
				return pgMessage('R', "\x00\x00\x00\x03"+user)
			case strings.HasPrefix(request, "X"), request == pgCancel:
				return ""
			}
			return pgMessage('E', "SFATAL\x00C08P01\x00Mwhat?\x00\x00")
		}
	},
}

func mysqlPacket(number byte, body string) string {
	n := len(body)
	return string([]byte{byte(n), byte(n >> 8), byte(n >> 16), number}) + body
}

const (
	mysqlClear  = "\x85\xa2\x0a\x00" // PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH …
	mysqlSecure = "\x85\xaa\x0a\x00" // and SSL
)

func mysqlLogin(number byte, flags, user string) string {
	return mysqlPacket(number, flags+"\x00\x00\x00\x01\x2d"+strings.Repeat("\x00", 23)+user+"\x00\x00mysql_native_password\x00")
}

func mysqlGreeting(flags string) string {
	return mysqlPacket(0, "\x0a8.0.0-test\x00\x01\x00\x00\x00saltsalt\x00"+flags[:2]+"\x2d\x02\x00"+flags[2:]+"\x15"+
		strings.Repeat("\x00", 10)+"saltsaltsalt\x00mysql_native_password\x00")
}

var mysql = &proto{
	Dialect:  &dialect.MySQL,
	greeting: mysqlGreeting(mysqlClear),
	upgrade:  mysqlPacket(1, mysqlSecure+"\x00\x00\x00\x01\x2d"+strings.Repeat("\x00", 23)),
	again:    mysqlPacket(2, mysqlSecure+"\x00\x00\x00\x01\x2d"+strings.Repeat("\x00", 23)),
	probe:    mysqlLogin(2, mysqlSecure, "probe"),
	work:     mysqlLogin(1, mysqlClear, secret),
	sorry:    "\xff\x1d\x04",
	required: "\xff\x57\x0c",
	request:  cutMySQL,
	reply:    cutMySQL,
	polite: func() func(string) string {
		return func(request string) string {
			switch {
			case len(request) > 40: // a login
				user, _, _ := strings.Cut(request[36:], "\x00")
				return mysqlPacket(request[3]+1, "\x00\x00\x00\x02\x00\x00\x00"+user)
			case request == mysqlPacket(0, "\x01"): // quit
				return ""
			case len(request) == 5:
				return mysqlPacket(1, "\x00\x00\x00\x02\x00\x00\x00")
			}
			return mysqlPacket(request[3]+1, "\xff\x13\x04#08S01what?")
		}
	},
}

func cutMySQL(buf string) int {
	if len(buf) < 4 {
		return 0
	}
	if n := 4 + int(buf[0]) + int(buf[1])<<8 + int(buf[2])<<16; n <= len(buf) {
		return n
	}
	return 0
}
