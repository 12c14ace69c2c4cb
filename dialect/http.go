package dialect

import (
	"slices"
	"strings"
)

// HTTP is the upgrade of HTTP/1.1 to TLS. CUPS is who uses it. http_head.go reads heads, http_say.go has
// the words.
//
// The upgrade is a request of its own, and it is answered inside TLS: there it is heard once more
// (RFC 2817 §3.3). Since nobody may ask for TLS a second time, a request loses what asks for it when it
// is said on: Read returns it edited.
var HTTP = Dialect{
	Name:    "http",
	Spec:    "RFC 2817",
	Schemes: []Scheme{{Name: "http", Port: 80}, {Name: "ipp", Port: 631}},
	Script:  script("u R | C"),
	Named:   true, // by Host
	Again:   true,
	Work:    "GET / HTTP/1.1\r\nHost: verify.invalid\r\n\r\n",
	Tried:   []string{"cupsd and lpstat 2.4.2", "curl 7.88.1"},
	Limit:   64 << 10,
	Speak:   func(we Side, inside bool) Speech { return speech{&http{inside: inside}, we} },
}

type http struct {
	inside bool

	begun  bool     // the server has answered
	kind   Kind     // of the last request
	wait   bool     // its answer is outstanding
	last   httpHead // the request itself
	secret bool     // real work has begun
	open   bool     // what follows are bytes: a body, or another protocol
	shut   bool     // we close
}

func (s *http) Pending() bool { return s.wait }

// Settled: whoever works in the clear does so to the end.
func (s *http) Settled() bool { return s.secret }

func (s *http) request(buf []byte) (Message, int, error) {
	switch {
	case s.shut || s.wait:
		return Message{}, 0, noise("a request out of turn")
	case s.open:
		return Message{Kind: Secret}, 1, nil
	}
	h, err := cutHead(buf)
	if h.n == 0 || err != nil {
		return Message{}, 0, err
	}
	m := Message{Kind: Secret, Name: h.host()}
	asks := h.asksTLS()
	// An upgrade in HTTP/1.0, or without its Connection, must be ignored (RFC 9110 §7.8).
	if h.token() != "" && !s.inside && h.version != "HTTP/1.0" && h.has("connection", "UPGRADE") {
		m.Kind = Upgrade
		if !strings.HasPrefix(h.first, "OPTIONS * ") {
			m.Re = Secret // it asks for more than TLS
		}
		if !h.exact || h.body() {
			m.Why = BadSyntax // where the request ends is where TLS begins
		}
	}
	if s.inside && strings.HasPrefix(h.first, "OPTIONS * ") {
		m.Kind = Ask // whoever wanted nothing but TLS
	}
	m.edit.offer = asks && m.Kind != Upgrade
	s.kind, s.wait, s.last = m.Kind, true, h
	s.secret = s.secret || m.Kind == Secret
	return m, h.n, nil
}

func (s *http) reply(buf []byte) (Message, int, error) {
	if s.open {
		return Message{}, 1, nil
	}
	h, err := cutHead(buf)
	if h.n == 0 || err != nil {
		return Message{}, 0, err
	}
	// Inside, the first answer is to the request that was said outside.
	if s.inside && !s.begun && !s.wait {
		s.wait, s.kind = true, Upgrade
	}
	if h.status == 0 || !s.wait {
		return Message{}, 0, noise("an answer to no request")
	}
	m := Message{Re: s.kind}
	switch {
	case h.status == 101 && s.kind == Upgrade && !s.inside && h.asksTLS():
		m.Kind = Ready // cupsd says "Connection: Keep-Alive" with it
	case h.status == 101 && s.kind == Upgrade:
		return Message{}, 0, noise("a switch to something else")
	case h.status == 101:
		s.open = true
	case h.status < 200:
		return m, h.n, nil
	case s.kind == Secret && (s.inside || h.status != 426):
		s.open = true // we need not know where its body ends
	default:
		return s.whole(m, h, buf)
	}
	s.begun, s.wait = true, false
	return m, h.n, nil
}

// whole cuts an answer with its body, and says what it means for TLS.
func (s *http) whole(m Message, h httpHead, buf []byte) (Message, int, error) {
	body, err := h.cutBody(buf[h.n:], s.last.method == "HEAD")
	if err != nil || body < 0 {
		return Message{}, 0, err
	}
	switch {
	case s.inside:
		m.Kind = Caps
	case h.status == 426:
		m.Kind, m.Why, s.secret = No, TLSRequired, false // RFC 2817 §4.2: now ask
	case h.status >= 500:
		m.Kind, m.Why = No, TLSUnavailable
	default:
		m.Kind = No // RFC 2817 §3.1: answered in the clear
	}
	if m.Kind == No {
		if m.Text = h.first; h.version == "HTTP/1.0" || h.has("connection", "CLOSE") {
			m.Kind = Bye
		}
	}
	s.begun, s.wait = true, false
	return m, h.n + body, nil
}

// An httpField is a header field and where it stands: its line, and those that continue it.
type httpField struct {
	name, value string // the name in lower case
	from, to    int
}

// asks reports whether the field is an Upgrade that names TLS, or looks so to a lax reader.
func (f httpField) asks() bool {
	return f.name == "upgrade" && strings.Contains(upper(f.value), "TLS/")
}

// asksTLS reports whether TLS is asked for, or seems to be.
func (h httpHead) asksTLS() bool { return slices.ContainsFunc(h.fields, httpField.asks) }

// token is the first version of TLS that is asked for, or nothing. It tells nothing of the one that is
// agreed upon; RFC 2817 has but one.
func (h httpHead) token() string {
	for _, f := range h.fields {
		for _, word := range httpList(f.value) {
			if f.name == "upgrade" && strings.HasPrefix(upper(word), "TLS/") {
				return word
			}
		}
	}
	return ""
}

// has reports whether the list of a field has this word, in upper case.
func (h httpHead) has(name, word string) bool {
	return slices.ContainsFunc(h.fields, func(f httpField) bool {
		return f.name == name && slices.Contains(httpList(upper(f.value)), word)
	})
}

func (h httpHead) value(name string) string {
	for _, f := range h.fields {
		if f.name == name {
			return f.value
		}
	}
	return ""
}

// body reports whether bytes follow the head of a request, or may.
func (h httpHead) body() bool {
	return slices.ContainsFunc(h.fields, func(f httpField) bool {
		return f.name == "transfer-encoding" || f.name == "content-length" && f.value != "0" || f.name == "expect"
	})
}

// host is the name that is asked for, without the port.
func (h httpHead) host() string {
	host := h.value("host")
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	if strings.Trim(upper(host), "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]") != "" {
		return ""
	}
	return host
}

// httpList splits a list between commas.
func httpList(value string) []string {
	all := strings.Split(value, ",")
	for i := range all {
		all[i] = strings.TrimFunc(all[i], blank)
	}
	return slices.DeleteFunc(all, func(word string) bool { return word == "" })
}
