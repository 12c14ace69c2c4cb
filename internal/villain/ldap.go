package villain

import (
	"strconv"

	"starttls/dialect"
)

// ldap: only success to the request's own message ID begins TLS (RFC 4511 §4.14.2).
var ldap = accent{names: []string{"ldap"}, villains: []Villain{
	{Name: "referral", ID: "client.refused", Does: "StartTLS is answered with a referral", upgrade: says,
		raw: func(m dialect.Message) string { return ldapExtended(m.Tag, 10) }},
	{Name: "wrong-id", ID: "client.refused", Does: "success is said to a request that was not made", upgrade: says,
		raw: func(m dialect.Message) string { return ldapExtended(nextTag(m.Tag), 0) }},
	{Name: "disconnects", ID: "client.refused", Does: "StartTLS is answered with a notice of disconnection", upgrade: says,
		raw: func(dialect.Message) string { return ldapNotice }}, // RFC 4511 §4.4.1
}}

// ldapNotice has the message ID 0, unavailable (52), and the OID of a notice of disconnection.
const ldapNotice = "\x30\x24\x02\x01\x00\x78\x1f\x0a\x01\x34\x04\x00\x04\x00\x8a\x161.3.6.1.4.1.1466.20036"

// ldapExtended is an ExtendedResponse (RFC 4511 §4.12) with a small message ID.
func ldapExtended(tag string, code byte) string {
	id, _ := strconv.ParseUint(tag, 10, 7)
	return string([]byte{0x30, 12, 2, 1, byte(id), 0x78, 7, 0x0a, 1, code, 4, 0, 4, 0})
}
