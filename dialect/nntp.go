package dialect

import (
	"strconv"
	"strings"
)

// NNTP is STARTTLS in the Network News Transfer Protocol. nntp_say.go has its lists and our words.
var NNTP = Dialect{
	Name:    "nntp",
	Spec:    "RFC 4642",
	Schemes: []Scheme{{Name: "nntp", Port: 119}, {Name: "nntps", Port: 563, Implicit: true}},
	Script:  script("G a C u R | a C"),
	ALPN:    []string{"nntp"},
	Work:    "AUTHINFO USER verify\r\n",
	Login:   nntpLogin,
	Tried:   []string{"INN 2.7.1", "Cyrus 3.6.1", "Python nntplib 3.11", "OpenSSL 3.0"},
	Limit:   16 << 10,
	Speak:   func(we Side, inside bool) Speech { return speech{&nntp{inside: inside}, we} },
}

type nntp struct {
	inside bool

	begun bool   // something was said
	verb  string // what the outstanding answer is to
	kind  Kind   // its kind
	wait  bool   // it is outstanding
	sasl  bool   // the client's next line is one of an AUTHINFO SASL exchange (RFC 4643 §2.4)
	post  block  // the client's next bytes are an article
	text  block  // the server's next bytes are the rest of an answer

	heard  bool // the server has said what it can do
	later  bool // and it may offer STARTTLS to who asks again
	secret bool // real work has begun
	opaque bool // logged in, or compressed: STARTTLS is not valid any more
}

// Pending: in the clear no question is asked before the greeting, so that it is no answer to one.
func (s *nntp) Pending() bool { return s.wait || !s.begun && !s.inside }

// Settled: STARTTLS is not valid after authentication (RFC 4642 §2.2.1) or compression (RFC 8054 §2.2.2).
func (s *nntp) Settled() bool { return s.opaque || s.secret && s.heard && !s.later }

func (s *nntp) request(buf []byte) (Message, int, error) {
	if s.post.open {
		n := s.post.piece(buf)
		if n == 0 {
			return Message{}, 0, nil
		}
		s.wait = !s.post.open
		return Message{Kind: Secret}, n, nil
	}
	n, err := cutLine(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	if s.sasl {
		s.sasl, s.wait = false, true
		return Message{Kind: Secret}, n, nil
	}
	line, crlf := chomp(buf[:n])
	if err := foreign(line); err != nil {
		return Message{}, 0, err
	}
	s.begun = true
	m := Message{Kind: s.command(line, crlf)}
	if m.Kind == Upgrade {
		m.Why = refusal(s.inside, crlf && upper(strings.TrimRight(line, " \t")) == "STARTTLS", s.opaque)
	}
	s.kind, s.wait = m.Kind, true
	s.secret = s.secret || m.Kind == Secret
	if s.verb == "TAKETHIS" { // the article follows without leave (RFC 4644 §2.5)
		s.post, s.wait = block{open: true}, false
	}
	return m, n, nil
}

// command tells what a command line is. MODE READER passes at all times. In the clear it does no harm:
// STARTTLS does not undo it. Inside TLS a client must not say it (RFC 4642 §2.2.2), but many always do,
// and a server with nothing to switch answers 200 and does nothing (RFC 3977 §5.3.2).
func (s *nntp) command(line string, crlf bool) Kind {
	verb, arg := splitVerb(line)
	s.verb = verb
	switch {
	case laxWord(line, 0) == "STARTTLS":
		return Upgrade
	case verb == "CAPABILITIES":
		return Ask
	case verb == "QUIT":
		return Bye
	case verb == "HELP", verb == "DATE":
		return Other
	case verb == "MODE" && upper(arg) == "READER":
		s.verb = "MODE READER"
		return Other
	}
	return Secret
}

func (s *nntp) reply(buf []byte) (Message, int, error) {
	if s.text.open {
		n := s.text.piece(buf)
		s.wait = s.text.open
		return Message{Re: s.kind}, n, nil
	}
	n, err := cutLine(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	text, _ := chomp(buf[:n])
	code, err := strconv.Atoi(text[:min(3, len(text))])
	if err != nil || code < 100 || code > 599 || len(text) > 3 && text[3] != ' ' {
		return Message{}, 0, noise("a reply without a code")
	}
	m := Message{Re: s.kind}
	switch {
	case !s.begun && (code == 200 || code == 201):
		m.Kind, m.Re = Greeting, Other
	case !s.begun:
		m.Kind, m.Re, m.Text = No, Other, text // RFC 3977 §5.1.1
		if code == 400 {
			m.Why = Unavailable
		}
	case !s.wait && code == 400: // and hangs up
		m.Kind, m.Re, m.Text = Bye, Other, text
	case !s.wait:
		return Message{}, 0, noise("an answer to no command")
	case code == 101 && s.kind == Ask:
		if n, err = cutDotted(buf); n == 0 || err != nil {
			return Message{}, 0, err
		}
		s.learn(&m, buf[:n])
	case code >= 400 || s.kind == Upgrade && code != 382:
		m.Kind, m.Why, m.Text = No, s.why(code), text
	default:
		s.yes(&m, code)
	}
	s.begun, s.wait = true, s.text.open
	return m, n, nil
}

// nntpTexts are the codes behind which a text follows: RFC 3977 appendix C, and XGTITLE of RFC 2980.
var nntpTexts = map[int]bool{
	100: true, 101: true, 215: true, 220: true, 221: true, 222: true, 224: true, 225: true, 230: true, 231: true, 282: true,
}

// yes reads an answer that is no refusal.
func (s *nntp) yes(m *Message, code int) {
	s.text.open = nntpTexts[code] || code == 211 && s.verb == "LISTGROUP"
	switch {
	case code == 382 && s.kind == Upgrade:
		m.Kind = Ready
	case code == 205 && s.kind == Bye:
		m.Kind = Bye
	case code == 340, code == 335:
		s.post = block{open: true}
	case code == 383: // a challenge (RFC 4643 §2.4.2)
		s.sasl = true
	case code == 281, code == 283, code == 206, code == 290: // 290: XFEATURE COMPRESS GZIP
		s.opaque = true
	case s.verb == "MODE READER":
		s.heard = false // it may have become another server
	}
}

// why reads the code of a refusal (RFC 4642 §4, RFC 3977 §3.2.1).
func (s *nntp) why(code int) Reason {
	switch {
	case s.kind == Upgrade && (code == 580 || code == 400 || code == 403):
		return TLSUnavailable
	case code == 483:
		return TLSRequired
	case code == 400:
		return Unavailable
	}
	return Unknown
}
