package dialect

import "strings"

// ACAP is STARTTLS in the Application Configuration Access Protocol. The greeting lists what the server
// can do, and comes again inside TLS (RFC 2595 §5.1).
var ACAP = Dialect{
	Name:    "acap",
	Spec:    "RFC 2595 §5",
	Schemes: []Scheme{{Name: "acap", Port: 674}},
	Script:  script("G u R | G"),
	Fresh:   true,
	Work:    "v AUTHENTICATE \"PLAIN\"\r\n",
	Limit:   16 << 10,
	Speak:   func(we Side, inside bool) Speech { return speech{&acap{inside: inside}, we} },
}

type acap struct {
	tagged
	inside bool

	greeted bool
	offered bool
	secret  bool // real work has begun
	authed  bool
}

// Pending: before the greeting no question is asked, so that it is no answer to one.
func (s *acap) Pending() bool { return s.wait || !s.greeted }

// Settled: STARTTLS is valid only before authentication (RFC 2595 §5.1).
func (s *acap) Settled() bool { return s.authed || s.secret && s.greeted && !s.offered }

func (s *acap) request(buf []byte) (Message, int, error) {
	c, n, err := s.cut(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	if c.rest {
		s.wait = true
		return Message{Kind: Secret, Tag: s.tag}, n, nil
	}
	return s.command(c), n, nil
}

// command tells what a command line is, as the IMAP dialect does: a line without a legal tag is never
// one of the clear and is refused with an untagged BAD, and what a laxer reader could take for STARTTLS
// is an upgrade to be refused.
func (s *acap) command(c clientLine) Message {
	tag, rest, _ := strings.Cut(c.text, " ")
	verb, _, _ := strings.Cut(rest, " ")
	m := Message{Kind: Secret, Tag: tag}
	legal := len(tag) <= 32 && legalTag(strings.ReplaceAll(tag, "%", "x")) // RFC 2244 §8 has % in tags
	if !legal {
		m.Tag = "*"
	}
	switch verb = upper(verb); {
	case laxWord(c.text, 1) == "STARTTLS":
		m.Kind, m.Why = Upgrade, refusal(s.inside, legal && c.alone && c.crlf && upper(rest) == "STARTTLS", s.authed)
	case !legal, !c.alone:
	case verb == "NOOP", verb == "LANG":
		m.Kind = Other
	case verb == "LOGOUT":
		m.Kind = Bye
	}
	s.tag, s.verb, s.kind = tag, verb, m.Kind
	s.open, s.wait = true, legal
	s.secret = s.secret || m.Kind == Secret
	return m
}

func (s *acap) reply(buf []byte) (Message, int, error) {
	first, err := cutLine(buf)
	if first == 0 || err != nil {
		return Message{}, 0, err
	}
	n := cutData(buf)
	if n == 0 {
		return Message{}, 0, nil
	}
	text, _ := chomp(buf[:first])
	tag, text, _ := strings.Cut(text, " ")
	word, _, _ := strings.Cut(text, " ")
	word = upper(word)
	var m Message
	switch {
	case tag == "*" && word == "BYE":
		m.Kind, m.Text = Bye, text
		if s.open && s.kind == Bye {
			m.Re = Bye // the tagged OK follows
		} else {
			s.closed()
		}
	case !s.greeted && (tag != "*" || word != "ACAP" || n != first):
		return Message{}, 0, noise("a greeting that is none")
	case !s.greeted:
		if m.Kind = Greeting; !s.learn(&m, buf[:n]) {
			return Message{}, 0, noise("a greeting that is none")
		}
	case tag == "*":
	case strings.HasPrefix(tag, "+"):
		m = s.goOn(text)
	case !s.open || tag != s.tag:
		// An answer to a question that was not asked (yet) is an attempt to forge one.
		return Message{}, 0, noise("an answer to no command")
	case word == "OK", word == "NO", word == "BAD":
		m = s.answer(word, text)
	default:
		m.Re, m.Tag = s.kind, s.tag // what comes before the answer (RFC 2244 §2.2.2)
	}
	s.greeted = true
	return m, n, nil
}

// answer reads the tagged answer to the open command.
func (s *acap) answer(status, text string) Message {
	m := s.closed()
	_, code, _ := strings.Cut(upper(text), "(")
	switch code, _, _ = strings.Cut(code, ")"); {
	case status != "OK":
		if m.Kind, m.Text = No, text; status == "NO" {
			m.Why = map[string]Reason{"ENCRYPT-NEEDED": TLSRequired, "TRYLATER": Unavailable}[code]
			if s.kind == Upgrade {
				m.Why = TLSUnavailable
			}
		}
	case s.kind == Upgrade:
		m.Kind = Ready
	case s.verb == "AUTHENTICATE":
		s.authed = true
	}
	return m
}
