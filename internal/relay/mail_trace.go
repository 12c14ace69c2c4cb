package relay

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// trace is the first part of the line by which a message tells that it came through here (RFC 5321 §4.4).
func (s *session) trace() string {
	from := s.conn.RemoteAddr().Network()
	if tcp, ok := s.conn.RemoteAddr().(*net.TCPAddr); ok {
		from = "[" + tcp.IP.String() + "]"
		if tcp.IP.To4() == nil {
			from = "[IPv6:" + tcp.IP.String() + "]"
		}
	}
	with := "ESMTP" // RFC 3848
	if s.each {
		with = "LMTP"
	}
	if s.secured {
		with += "S"
	}
	return fmt.Sprintf("from %s (%s)\r\n\tby %s with %s", word(s.named), from, s.Name, with)
}

// word makes what a client has said fit for a line of trace.
func word(said string) string {
	said = strings.Map(func(c rune) rune {
		if c <= ' ' || c >= 0x7f || strings.ContainsRune("()<>;,\\\"", c) {
			return '?'
		}
		return c
	}, said)
	return said[:min(len(said), 255)]
}

// trace is the whole line. Its id is that of the log.
func (d *delivery) trace() string {
	return fmt.Sprintf("Received: %s id %s;\r\n\t%s\r\n", d.env.trace, d.id, time.Now().Format(time.RFC1123Z))
}
