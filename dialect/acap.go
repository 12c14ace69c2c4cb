package dialect

import (
	"strconv"
	"strings"
)

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
	inside bool

	greeted bool
	ours    int    // how many tags of our own we have used
	tag     string // of the last command, legal or not
	verb    string // of it, in upper case
	kind    Kind   // of it
	open    bool   // it has no tagged answer yet
	wait    bool   // and the next word is the server's
	more    bool   // the server has asked for more of it with "+"
	literal int    // how many octets the client has announced for then

	offered bool
	secret  bool // real work has begun
	authed  bool
}

// Pending: before the greeting no question is asked, so that it is no answer to one.
func (s *acap) Pending() bool { return s.wait || !s.greeted }

// Settled: STARTTLS is valid only before authentication (RFC 2595 §5.1).
func (s *acap) Settled() bool { return s.authed || s.secret && s.greeted && !s.offered }

func (s *acap) request(buf []byte) (Message, int, error) {
	octets := 0
	if s.more {
		octets = s.literal
	}
	n, first, announced, err := cutCommand(buf, octets)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	if s.more { // a literal, or a line of a SASL exchange
		s.more, s.wait, s.literal = false, true, max(0, announced)
		return Message{Kind: Secret, Tag: s.tag}, n, nil
	}
	line, crlf := chomp(buf[:first])
	if err := foreign(line); err != nil {
		return Message{}, 0, err
	}
	m := s.command(line, crlf, announced < 0 && first == n)
	s.literal = max(0, announced)
	return m, n, nil
}

// command tells what a command line is, as the IMAP dialect does: a line without a legal tag is never
// one of the clear and is refused with an untagged BAD, and what a laxer reader could take for STARTTLS
// is an upgrade to be refused. alone says that it has no literal.
func (s *acap) command(line string, crlf, alone bool) Message {
	tag, rest, _ := strings.Cut(line, " ")
	verb, _, _ := strings.Cut(rest, " ")
	m := Message{Kind: Secret, Tag: tag}
	legal := len(tag) <= 32 && legalTag(strings.ReplaceAll(tag, "%", "x")) // RFC 2244 §8 has % in tags
	if !legal {
		m.Tag = "*"
	}
	switch verb = upper(verb); {
	case laxWord(line, 1) == "STARTTLS":
		m.Kind, m.Why = Upgrade, s.refusal(legal && alone && crlf && upper(rest) == "STARTTLS")
	case !legal, !alone:
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

// refusal is why STARTTLS must be refused, if it must.
func (s *acap) refusal(exact bool) Reason {
	switch {
	case s.inside:
		return AlreadyTLS
	case !exact:
		return BadSyntax
	case s.authed:
		return NotNow
	}
	return Unknown
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
			s.open, s.wait, s.more = false, false, false
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

// goOn reads a "+": the client may say more of its command.
func (s *acap) goOn(text string) Message {
	if !s.open || s.more {
		return Message{}
	}
	m := Message{Re: s.kind, Tag: s.tag}
	if s.wait = false; s.kind != Secret {
		s.open = false // there is no more of it: the server has not understood
		m.Kind, m.Text = No, "+ "+text
		return m
	}
	s.more = true
	return m
}

// answer reads the tagged answer to the open command.
func (s *acap) answer(status, text string) Message {
	s.open, s.wait, s.more = false, false, false
	m := Message{Re: s.kind, Tag: s.tag}
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

// ask says a command under a tag of our own.
func (s *acap) ask(dst []byte, verb string) []byte {
	s.ours++
	return append(dst, "s"+strconv.Itoa(s.ours)+" "+verb+"\r\n"...)
}
