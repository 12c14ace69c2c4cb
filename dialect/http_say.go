package dialect

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

func (s *http) say(dst []byte, m Message) []byte {
	if m.Raw != nil {
		return httpStrip(dst, m)
	}
	switch m.Kind {
	case Upgrade: // RFC 2817 §3.2: when only TLS will do
		return append(dst, "OPTIONS * HTTP/1.1\r\nHost: "+m.Name+"\r\nUpgrade: TLS/1.0\r\nConnection: Upgrade\r\n\r\n"...)
	case Ready:
		return append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: "+s.token()+", HTTP/1.1\r\nConnection: Upgrade\r\n\r\n"...)
	case Caps:
		return append(dst, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"...)
	case No:
		return s.refuse(dst, m)
	}
	return dst
}

// token is what we switch to: one that the client has asked for, where it has.
func (s *http) token() string { return cmp.Or(s.last.token(), "TLS/1.0") }

// httpStrip says a request without what asks for TLS in it: words of Upgrade, and of Connection if
// nothing is left to upgrade to. All else stays byte for byte.
func httpStrip(dst []byte, m Message) []byte {
	h, err := cutHead(m.Raw)
	if err != nil || h.n != len(m.Raw) || h.status != 0 || !m.edit.offer {
		return append(dst, m.Raw...)
	}
	isTLS := func(word string) bool { return strings.Contains(upper(word), "TLS/") }
	isUpgrade := func(word string) bool { return upper(word) == "UPGRADE" }
	left := slices.ContainsFunc(h.fields, func(f httpField) bool {
		return f.name == "upgrade" && len(slices.DeleteFunc(httpList(f.value), isTLS)) > 0
	})
	kept := 0
	for _, f := range h.fields {
		drop := isTLS
		switch {
		case f.name == "upgrade":
		case f.name == "connection" && !left:
			drop = isUpgrade
		default:
			continue
		}
		list := httpList(f.value)
		if !slices.ContainsFunc(list, drop) {
			continue
		}
		dst = append(dst, m.Raw[kept:f.from]...)
		if list = slices.DeleteFunc(list, drop); len(list) > 0 {
			dst = append(dst, f.name+": "+strings.Join(list, ", ")+"\r\n"...)
		}
		kept = f.to
	}
	return append(dst, m.Raw[kept:]...)
}

// refuse answers a request in the server's place. What follows a request with a body cannot be told
// from the body, so such a connection is closed.
func (s *http) refuse(dst []byte, m Message) []byte {
	r := httpRefusals[m.Why]
	if m.Re == Upgrade && m.Why == Unknown && s.last.method == "OPTIONS" {
		r = httpRefusal{status: "200 OK"} // RFC 2817 §3.1: not upgraded, and nothing else was asked
	}
	head := "HTTP/1.1 " + r.status + "\r\n"
	var connection []string
	if m.Why == TLSRequired {
		head += "Upgrade: " + s.token() + ", HTTP/1.1\r\n"
		connection = append(connection, "Upgrade")
	}
	if s.shut = r.close || s.last.body(); s.shut {
		connection = append(connection, "close")
	}
	if len(connection) > 0 {
		head += "Connection: " + strings.Join(connection, ", ") + "\r\n"
	}
	if r.text != "" {
		head += "Content-Type: text/plain\r\n"
	}
	head += "Content-Length: " + strconv.Itoa(len(r.text)) + "\r\n\r\n"
	if s.last.method != "HEAD" {
		head += r.text
	}
	return append(dst, head...)
}

type httpRefusal struct {
	status, text string
	close        bool
}

// httpRefusals are codes of RFC 9110 §15; that of RFC 2817 §4.2 should say why.
var httpRefusals = [...]httpRefusal{
	Unknown:        {status: "501 Not Implemented"},
	TLSRequired:    {status: "426 Upgrade Required", text: "This server answers inside TLS only (RFC 2817).\n"},
	TLSUnavailable: {status: "503 Service Unavailable", text: "TLS is not available.\n"},
	AlreadyTLS:     {status: "400 Bad Request", text: "TLS is active already.\n"},
	BadSyntax:      {status: "400 Bad Request", text: "An upgrade to TLS must have no body.\n", close: true},
	NotNow:         {status: "400 Bad Request", close: true},
	Unavailable:    {status: "502 Bad Gateway", text: "The server cannot be reached.\n", close: true},
	TooMuch:        {status: "503 Service Unavailable", text: "Too many requests.\n", close: true},
}
