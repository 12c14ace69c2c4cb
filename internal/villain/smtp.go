package villain

import (
	"bytes"

	"starttls/dialect"
)

// smtp: only 220 begins TLS (RFC 3207 §4). HELO is what a client says that was refused its EHLO, and no
// work yet.
var smtp = accent{
	names: []string{"smtp", "lmtp"},
	mild:  func(raw []byte) bool { return len(raw) > 5 && bytes.EqualFold(raw[:5], []byte("HELO ")) },
	villains: []Villain{
		{Name: "250", ID: "client.refused", Does: "STARTTLS is answered with 250, which is not 220", upgrade: says, raw: always("250 2.0.0 OK\r\n")},
		{Name: "354", ID: "client.refused", Does: "STARTTLS is answered with 354", upgrade: says, raw: always("354 Go on\r\n")},
		{Name: "501", ID: "client.refused", Does: "STARTTLS is answered with 501", upgrade: says, raw: always("501 5.5.4 Syntax error\r\n")},
	},
}

// always is the same answer whatever was asked.
func always(words string) func(dialect.Message) string {
	return func(dialect.Message) string { return words }
}
