package dialect

import (
	"encoding/json"
	"strings"
)

// NATS is TLS behind the INFO of a NATS server. Nobody asks for it: the client's ClientHello stands
// where its first line would.
var NATS = Dialect{
	Name: "nats",
	Spec: "NATS client protocol, INFO: tls_required, tls_available",
	// A server that shakes hands first says its INFO inside.
	Schemes: []Scheme{{Name: "nats", Port: 4222}, {Name: "natss", Port: 4222, Implicit: true}},
	Script:  script("G u |"),
	Early:   true, // INFO has the nonce that a login by key signs, and is not said again inside TLS
	Silent:  true,
	Work:    "CONNECT {}\r\n",
	Tried:   []string{"nats-server 2.9.10"},
	Limit:   64 << 10, // connect_urls of a large cluster
	Speak:   func(we Side, inside bool) Speech { return speech{&nats{inside: inside}, we} },
}

type nats struct {
	inside bool
	begun  bool // the server has greeted
	secret bool // real work has begun
	shut   bool // we have refused
}

func (s *nats) Pending() bool { return false }

// Settled: TLS begins before the client's first line, or not at all.
func (s *nats) Settled() bool { return s.secret }

// request cuts a line of the client. Each is work: a server that demands TLS hears none of them.
func (s *nats) request(buf []byte) (Message, int, error) {
	_, _, n, err := cutRequest(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	if s.shut {
		return Message{}, 0, noise("a line behind the last word")
	}
	s.secret = true
	return Message{Kind: Secret}, n, nil
}

func (s *nats) reply(buf []byte) (Message, int, error) {
	n, err := cutLine(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	line, _ := chomp(buf[:n])
	verb := upper(line[:max(0, strings.IndexAny(line+" ", " \t{"))])
	m := Message{}
	switch {
	case verb == "INFO":
		if err := s.learn(&m, buf[:n]); err != nil {
			return Message{}, 0, err
		}
	case verb == "-ERR":
		m.Kind, m.Text = No, strings.Trim(line[len(verb):], " '")
		if s.secret {
			m.Re = Secret
		}
	case !s.begun && !s.inside:
		return Message{}, 0, noise("no INFO")
	}
	s.begun = true
	return m, n, nil
}

// learn reads an INFO. The first is the greeting; a later one tells of changes in the cluster.
func (s *nats) learn(m *Message, line []byte) error {
	info, ok := natsInfo(line)
	if !ok {
		return noise("an INFO that is no JSON object")
	}
	if m.Kind = Greeting; s.begun {
		m.Kind = Caps
	}
	for _, member := range info.members {
		switch {
		case member.is("server_name"):
			json.Unmarshal(member.value, &m.Name) // no string: no name
		case string(member.value) != "true":
		case member.is("tls_required"):
			m.Offer = Required
		case member.is("tls_available"):
			m.Offer = max(m.Offer, Offered)
		}
	}
	return nil
}

func (s *nats) say(dst []byte, m Message) []byte {
	switch {
	case m.Raw != nil && !m.edit.offer:
		return append(dst, m.Raw...)
	case m.Raw != nil:
		return natsEdit(dst, m)
	}
	switch m.Kind {
	case Greeting, Caps:
		name, _ := json.Marshal(m.Name)
		info := `INFO {"server_id":"starttls","server_name":` + string(name) + `,"version":"2.9.0","proto":1,"max_payload":1048576`
		return append(dst, info+natsOffers[m.Offer]+"} \r\n"...)
	case No:
		s.shut = true
		return append(dst, "-ERR '"+natsRefusals[m.Why]+"'\r\n"...)
	}
	return dst
}

var natsOffers = [...]string{Unsaid: "", Offered: `,"tls_available":true`, Required: `,"tls_required":true`}

// natsRefusals are the words of nats-server, where it has some.
var natsRefusals = [...]string{
	Unknown:        "Unknown Protocol Operation",
	TLSRequired:    "Secure Connection - TLS Required",
	TLSUnavailable: "TLS Not Available",
	AlreadyTLS:     "Unknown Protocol Operation",
	BadSyntax:      "Parser Error",
	NotNow:         "Unknown Protocol Operation",
	Unavailable:    "Server Not Available",
	TooMuch:        "Maximum Connections Exceeded",
}
