package villain

import "bytes"

// smtp: only 220 greets, only 250 answers EHLO (RFC 5321 §4.3.2), and only 220 begins TLS (RFC 3207 §4). HELO
// is what a client says that was refused its EHLO, and no work yet.
var smtp = accent{
	names: []string{"smtp", "lmtp"},
	mild:  func(raw []byte) bool { return len(raw) > 5 && bytes.EqualFold(raw[:5], []byte("HELO ")) },
	villains: []Villain{
		greets("greets-221", "221 2.0.0 Bye\r\n"),
		greets("greets-354", "354 Go on\r\n"),
		greets("greets-421", "421 4.3.2 Come again\r\n"),
		greets("greets-554", "554 5.3.2 No mail here\r\n"),
		hears("ehlo-221", "221 2.0.0 Bye\r\n"),
		hears("ehlo-354", "354 Go on\r\n"),
		hears("ehlo-421", "421 4.3.2 Come again\r\n"),
		hears("ehlo-530", "530 5.7.0 Not without TLS\r\n"),
		answers("200", "200 OK\r\n"),
		answers("221", "221 2.0.0 Bye\r\n"),
		answers("250", "250 2.0.0 OK\r\n"),
		answers("354", "354 Go on\r\n"),
		answers("421", "421 4.3.2 Come again\r\n"),
		answers("500", "500 5.5.1 What?\r\n"),
		answers("501", "501 5.5.4 Syntax error\r\n"),
		answers("530", "530 5.7.0 Not without TLS\r\n"),
	},
}
