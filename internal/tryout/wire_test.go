package tryout

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A wire is bytes of a client of a binary protocol and of the server's answer, in hexadecimal, or
// between apostrophes. A blank means nothing.
type wire struct {
	server, name string
	say, hear    string
	out          string
}

func bytesOf(text string) string {
	var out []byte
	for i, part := range strings.Split(text, "'") {
		if i%2 == 1 {
			out = append(out, part...)
			continue
		}
		b, err := hex.DecodeString(strings.Join(strings.Fields(part), ""))
		if err != nil {
			panic(err)
		}
		out = append(out, b...)
	}
	return string(out)
}

func TestWires(t *testing.T) {
	for _, w := range slices.Concat(wires, nbdWires, binaryWires) {
		t.Run(w.server+"/"+w.name, func(t *testing.T) {
			s, out := newServer(t, w.server)
			heard := converse(t, s, bytesOf(w.say))
			if want := bytesOf(w.hear); heard != want {
				t.Errorf("heard:\n%swant:\n%s", hex.Dump([]byte(heard)), hex.Dump([]byte(want)))
			}
			if out.String() != w.out {
				t.Errorf("told %q, want %q", out, w.out)
			}
		})
	}
}

const (
	ldapNotice = "30 2e 02 01 00 78 29 0a 01 02 04 00 04 0a 'no request' 8a 16 '1.3.6.1.4.1.1466.20036'"
	// ldapBound is a bind that succeeds.
	ldapBound = "30 0c 02 01 01 61 07 0a 01 00 04 00 04 00"
)

var wires = []wire{
	{"ldap", "bind, who am I, unbind",
		"30 12 02 01 01 60 0d 02 01 03 04 04 'cn=x' 80 02 'pw'" +
			"30 1e 02 01 02 77 19 80 17 '1.3.6.1.4.1.4203.1.11.3'" + "30 05 02 01 03 42 00" + "30 00",
		ldapBound + "30 15 02 01 02 78 10 0a 01 00 04 00 04 00 8b 07 'dn:cn=x'",
		"cn=x logged in\n"},
	{"ldap", "lengths of all forms",
		"30 84 00 00 00 1b 02 81 01 01 60 82 00 13 02 84 00 00 00 01 03 04 83 00 00 02 'cn' 80 81 02 'pw'",
		ldapBound, "cn logged in\n"},
	{"ldap", "anonymous, and a name without password",
		"30 0c 02 01 01 60 07 02 01 03 04 00 80 00" + "30 0d 02 01 01 60 08 02 01 03 04 01 'x' 80 00" +
			"30 0c 02 01 01 60 07 02 01 02 04 00 80 00",
		ldapBound + "30 0c 02 01 01 61 07 0a 01 35 04 00 04 00" + "30 0c 02 01 01 61 07 0a 01 02 04 00 04 00", ""},
	{"ldap", "sasl",
		"30 1c 02 01 01 60 17 02 01 03 04 00 a3 10 04 05 'PLAIN' 04 07 00 'joe' 00 'pw'" +
			"30 15 02 01 01 60 10 02 01 03 04 00 a3 09 04 07 'UNKNOWN'",
		ldapBound + "30 0c 02 01 01 61 07 0a 01 07 04 00 04 00", "joe logged in\n"},
	{"ldap", "root DSE, one attribute",
		"30 37 02 01 02 63 32 04 00 0a 01 00 0a 01 00 02 01 00 02 01 00 01 01 00 87 0b 'objectClass'" +
			"30 12 04 10 'namingcontexts  '",
		"30 09 02 01 02 64 04 04 00 30 00" + "30 0c 02 01 02 65 07 0a 01 00 04 00 04 00", ""},
	{"ldap", "other operations are answered in kind",
		"30 06 02 01 05 4a 01 'x'" + "30 05 02 01 06 50 00" + "30 07 02 01 07 77 02 80 00",
		"30 33 02 01 05 6b 2e 0a 01 35 04 00 04 27 'nothing here can be changed or compared'" +
			"30 1f 02 01 07 78 1a 0a 01 02 04 00 04 13 'operation not known'", ""},
	{"ldap", "a critical control",
		"30 1e 02 01 05 60 07 02 01 03 04 00 80 00 a0 10 30 0e 04 03 '1.2' 01 01 ff 04 04 'abcd'",
		"30 1f 02 01 05 61 1a 0a 01 0c 04 00 04 13 'no control is known'", ""},
	{"ldap", "no operation", "30 05 02 01 01 41 00", ldapNotice, ""},
	{"ldap", "indefinite length", "30 80 02 01 01 42 00 00 00", ldapNotice, ""},
	{"ldap", "not the protocol", "'EHLO x'", ldapNotice, ""},

	{"postgres", "declines, then another version", "00 00 00 08 04 d2 16 2f 00 00 00 08 04 d2 16 30 00 00 00 08 00 02 00 00",
		"'NN' 'E' 00 00 00 44 'SFATAL' 00 'VFATAL' 00 'C0A000' 00 'Monly version 3 of the protocol is spoken' 00 00", ""},
	{"postgres", "no name", "00 00 00 09 00 03 00 00 00",
		"'E' 00 00 00 28 'SFATAL' 00 'VFATAL' 00 'C28000' 00 'Mno user name' 00 00", ""},
	{"postgres", "cancel", "00 00 00 10 04 d2 16 2e 00 00 00 01 00 00 00 01", "", ""},
	{"postgres", "endless requests", strings.Repeat("00 00 00 08 04 d2 16 2f", 9), "'NNN'", ""},

	{"mysql", "out of order", "01 00 00 07 01", mysqlHello + "21 00 00 01 ff 84 04 '#08S01Got packets out of order'", ""},
	{"mysql", "asks for TLS", "20 00 00 01 00 0a 00 00" + strings.Repeat("00", 28), mysqlHello + "16 00 00 02 ff 13 04 '#08S01Bad handshake'", ""},
	{"mysql", "login, ping, what is not known, quit",
		mysqlJoe("09 82 08 00", "02 'pw' 'db' 00 'mysql_native_password' 00") + "01 00 00 00 0e" + "01 00 00 00 42" + "01 00 00 00 01",
		mysqlHello + mysqlOK("02") + mysqlOK("01") + "18 00 00 01 ff 17 04 '#08S01Unknown command'", "joe logged in\n"},
	{"mysql", "newer plugin", mysqlJoe("00 82 08 00", "00 'caching_sha2_password' 00"),
		mysqlHello + "02 00 00 02 01 03" + mysqlOK("03"), "joe logged in\n"},
	{"mysql", "other plugin", mysqlJoe("00 82 08 00", "00 'client_ed25519' 00") + "02 00 00 03 'xy'",
		mysqlHello + "2c 00 00 02 fe 'mysql_native_password' 00 'starttls-try-out-20b' 00" + mysqlOK("04"), "joe logged in\n"},
	{"mysql", "a setting", mysqlJoe("00 02 00 00", "00") + "0b 00 00 00 03 'SET NAMES x'",
		mysqlHello + mysqlOK("02") + mysqlOK("01"), "joe logged in\n"},
}

const mysqlHello = "62 00 00 00 0a '5.5.5-10.11.0-starttls-try-out' 00 01 00 00 00 'starttls' 00 09 a2 2d 02 00 08 00 15" +
	"00 00 00 00 00 00 00 00 00 00 '-try-out-20b' 00 'mysql_native_password' 00"

func mysqlOK(number string) string { return "07 00 00 " + number + " 00 00 00 02 00 00 00" }

// mysqlJoe is a login of joe with the capabilities and what follows the name.
func mysqlJoe(caps, rest string) string {
	return fmt.Sprintf("%02x 00 00 01", 36+len(bytesOf(rest))) + caps + strings.Repeat("00", 28) + "'joe' 00" + rest
}

// found is the names of the entries that a search has found.
func found(t *testing.T, base string, scope byte, filter []byte) (names []string) {
	t.Helper()
	s, _ := newServer(t, "ldap")
	number := func(tag byte) []byte { return element(tag, []byte{0}) }
	heard := converse(t, s, string(element(berSequence, element(berInteger, []byte{1}),
		element(0x63, octets(base), element(berEnumerated, []byte{scope}), number(berEnumerated), number(berInteger),
			number(berInteger), number(berBoolean), filter, element(berSequence)))))
	for in := (ber{rest: []byte(heard)}); len(in.rest) > 0; {
		message := ber{rest: in.take(berSequence)}
		message.take(berInteger)
		if tag, body := message.next(); tag == 0x64 {
			op := ber{rest: body}
			names = append(names, "<"+string(op.take(berOctets))+">")
		} else if code := body[2]; code != 0 {
			names = append(names, fmt.Sprint(code))
		}
	}
	return names
}

func TestLDAPSearch(t *testing.T) {
	equal := func(name, value string) []byte { return element(0xa3, octets(name), octets(value)) }
	all := element(0x87, []byte("objectClass"))
	none := element(0xa2, all)
	deep := all
	for range 200 {
		deep = element(0xa2, deep)
	}
	const suffix, joe = "dc=example,dc=test", "uid=joe,dc=example,dc=test"
	for _, c := range []struct {
		base   string
		scope  byte
		filter []byte
		want   string
	}{
		{"", 0, all, "[<>]"},
		{"", 1, all, "[<dc=example,dc=test>]"},
		{"", 2, all, "[<dc=example,dc=test> <uid=joe,dc=example,dc=test>]"},
		{suffix, 0, all, "[<dc=example,dc=test>]"},
		{suffix, 1, all, "[<uid=joe,dc=example,dc=test>]"},
		{"DC=Example, dc=test", 2, all, "[<dc=example,dc=test> <uid=joe,dc=example,dc=test>]"},
		{joe, 0, all, "[<uid=joe,dc=example,dc=test>]"},
		{joe, 1, all, "[]"},
		{"dc=other", 2, all, "[32]"},
		{suffix, 2, equal("UID", "JOE"), "[<uid=joe,dc=example,dc=test>]"},
		{suffix, 2, equal("uid", "ann"), "[]"},
		{suffix, 2, element(0xa0, all, equal("sn", "example")), "[<uid=joe,dc=example,dc=test>]"},
		{suffix, 2, element(0xa1, none, equal("dc", "example")), "[<dc=example,dc=test>]"},
		{suffix, 2, none, "[]"},
		{suffix, 2, element(0xa4, octets("uid"), element(berSequence)), "[]"}, // substrings: undefined
		{suffix, 2, element(0xa2, element(0xa4, octets("uid"), element(berSequence))), "[]"},
		{suffix, 2, deep, "[]"},
	} {
		if got := fmt.Sprint(found(t, c.base, c.scope, c.filter)); got != c.want {
			t.Errorf("%q scope %d filter %.60q: %s, want %s", c.base, c.scope, c.filter, got, c.want)
		}
	}
}

// A conversation of the database protocols in which the order of answers is what matters.
func TestPostgresMessages(t *testing.T) {
	message := func(kind, body string) string {
		return kind + string([]byte{0, 0, 0, byte(len(body) + 4)}) + body
	}
	s, out := newServer(t, "postgres")
	heard := converse(t, s, message("", "\x00\x03\x00\x02user\x00joe\x00_pq_.x\x00y\x00\x00")+
		message("Q", "select 1;\x00")+message("Q", " \x00")+
		message("P", "")+message("B", "")+message("S", "")+message("F", "")+message("X", "")+"more")
	var order []byte
	for rest := []byte(heard); len(rest) > 5; rest = rest[1+int(rest[3])<<8+int(rest[4]):] {
		order = append(order, rest[0])
	}
	if want := "vRSSSSSSSSSSKZTDCZIZEZEZ"; string(order) != want {
		t.Errorf("heard %s, want %s", order, want)
	}
	if !bytes.Contains([]byte(heard), []byte("starttls try-out: select 1;")) || out.String() != "joe logged in\n" {
		t.Errorf("heard %q, told %q", heard, out)
	}
}
