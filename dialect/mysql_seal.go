package dialect

import (
	"bytes"
	"encoding/binary"
)

// A Sealer is the Speech of a client's leg without TLS in a protocol in which a password is said as it is
// inside TLS, and sealed with the server's public key without. Who stands between a client inside TLS and
// this leg asks for the key and seals, in the client's place.
type Sealer interface {
	Speech
	// Bare reports whether m, heard from a client that trusts its own leg, is a password as it is, and
	// returns what is to be sealed of it: a copy, mixed with the server's salt. It changes no state.
	Bare(m Message) (plain []byte, ok bool)
	// AskKey is the request for the server's public key.
	AskKey() Message
	// Key returns the public key, in PEM, that m brings, or nil: the answer is none.
	Key(m Message) []byte
	// Sealed is the message that says what was sealed.
	Sealed(sealed []byte) Message
}

// mysqlSHA2 is the plugin of MySQL 8 and later. A server that does not know the password by its hash yet
// demands full authentication: the password itself.
const mysqlSHA2 = "caching_sha2_password"

// mysqlFull is the server's demand: AuthMoreData, "perform full authentication".
var mysqlFull = []byte{1, 4}

type mysqlSealer struct {
	speech
	s *mysql
}

// Bare: a password ends in a zero.
func (l mysqlSealer) Bare(m Message) ([]byte, bool) {
	if !l.s.full || len(l.s.salt) == 0 || len(m.Raw) <= mysqlHeader || m.Raw[len(m.Raw)-1] != 0 {
		return nil, false
	}
	plain := bytes.Clone(m.Raw[mysqlHeader:])
	for i := range plain {
		plain[i] ^= l.s.salt[i%len(l.s.salt)]
	}
	return plain, true
}

func (l mysqlSealer) AskKey() Message {
	return Message{Raw: l.s.packet(nil, []byte{2})}
}

func (l mysqlSealer) Key(m Message) []byte {
	if pem := m.Raw[min(mysqlHeader, len(m.Raw)):]; len(pem) > 1 && pem[0] == 1 {
		return pem[1:]
	}
	return nil
}

func (l mysqlSealer) Sealed(sealed []byte) Message {
	return Message{Kind: Secret, Raw: l.s.packet(nil, sealed)}
}

// follow keeps what the server says of plugin and salt in the course of a login.
func (s *mysql) follow(contents []byte) {
	if s.full = bytes.Equal(contents, mysqlFull) && s.plugin == mysqlSHA2; len(contents) > 1 && contents[0] == 0xfe {
		plugin, salt, _ := bytes.Cut(contents[1:], []byte{0})
		s.plugin, s.salt = string(plugin), bytes.Clone(bytes.TrimSuffix(salt, []byte{0}))
	}
}

// mysqlSalt returns the salt of HandshakeV10, which stands in two pieces before and behind what a server
// can do, or nil for the short form of old servers.
func mysqlSalt(contents []byte) []byte {
	flags := mysqlFlags(contents)
	rest := flags + 2 + 1 + 2 + 2 + 1 + 10 // capabilities, charset, status, capabilities, length, filler
	if flags == 0 || rest+12 > len(contents) {
		return nil
	}
	return append(bytes.Clone(contents[flags-9:flags-1]), contents[rest:rest+12]...)
}

// Capabilities that say how a login is laid out.
const (
	mysqlWithDB  = 1 << 3
	mysqlSecure  = 1 << 15
	mysqlPlugins = 1 << 19
	mysqlLenenc  = 1 << 21
)

// mysqlPlugin returns the plugin that a login (HandshakeResponse41) begins with, or "": behind the name,
// the proof and the database, where there is one.
func mysqlPlugin(login []byte) string {
	if len(login) <= mysqlRequest {
		return ""
	}
	flags := binary.LittleEndian.Uint32(login)
	_, rest, named := bytes.Cut(login[mysqlRequest:], []byte{0})
	if !named || len(rest) == 0 || flags&mysqlPlugins == 0 || flags&(mysqlSecure|mysqlLenenc) == 0 {
		return ""
	}
	rest = rest[min(1+int(rest[0]), len(rest)):] // no proof of any plugin is so long that its length takes more
	if flags&mysqlWithDB != 0 {
		_, rest, _ = bytes.Cut(rest, []byte{0})
	}
	plugin, _, _ := bytes.Cut(rest, []byte{0})
	return string(plugin)
}
