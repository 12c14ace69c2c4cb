package dialect

import "strings"

// IMAP is STARTTLS in IMAP4rev1 and IMAP4rev2. imap_caps.go has its capability lists and our words.
var IMAP = Dialect{
	Name:    "imap",
	Spec:    "RFC 9051 §6.2.1",
	Schemes: []Scheme{{Name: "imap", Port: 143, Beside: "imaps"}, {Name: "imaps", Port: 993, Implicit: true}},
	Script:  script("G a C u R | a C"),
	ALPN:    []string{"imap"},
	Tells:   "id",
	Work:    "v AUTHENTICATE PLAIN\r\n",
	Guess:   "v LOGIN verify verify\r\n",
	Login:   imapLogin,
	Tried:   []string{"Dovecot 2.3.19.1", "curl 7.88.1", "mbsync 1.4.4", "fetchmail 6.4.37", "OpenSSL 3.0", "GnuTLS 3.7.9"},
	Limit:   64 << 10,
	Speak:   func(we Side, inside bool) Speech { return teller{speech{&imap{inside: inside}, we}} },
}

type imap struct {
	tagged
	inside bool

	begun   bool // something was said
	heard   bool // the server has said what it can do
	offered bool // and STARTTLS was in it
	secret  bool // real work has begun
	authed  bool

	id      bool // the server knows ID
	guarded bool // a client's own must be seen
}

func (s *imap) Pending() bool { return s.wait }

// Settled: STARTTLS is valid only before authentication (RFC 9051 §6.2.1).
func (s *imap) Settled() bool {
	return s.authed || s.secret && s.heard && !s.offered && !s.guarded
}

func (s *imap) request(buf []byte) (Message, int, error) {
	c, n, err := s.cut(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	if c.rest {
		s.wait = legalTag(s.tag)
		return Message{Kind: Secret, Tag: s.tag}, n, nil
	}
	return s.command(c), n, nil
}

// command tells what a command line is.
//
// A line that bears no legal tag is never a command of the clear. It has the tag "*", so that it is
// refused as servers do it, with an untagged BAD. It is Secret, which keeps it from the server where
// TLS is demanded; where it is not, the server may judge it. The exception is what a laxer reader
// could take for STARTTLS: that is an Upgrade to be refused at every level, because a server that
// obeyed it would begin TLS behind our back. A command with a literal is Secret as well: to a server
// that knows no "{n+}" the octets are commands.
func (s *imap) command(c clientLine) Message {
	tag, rest, _ := strings.Cut(c.text, " ")
	verb, _, _ := strings.Cut(rest, " ")
	verb = upper(verb)
	m := Message{Kind: Secret, Tag: tag}
	legal := legalTag(tag)
	if !legal {
		m.Tag = "*"
	}
	switch {
	case laxWord(c.text, 1) == "STARTTLS":
		m.Kind = Upgrade
		m.Why = refusal(s.inside, legal && c.alone && c.crlf && upper(rest) == "STARTTLS", s.authed)
	case !legal, !c.alone:
	case verb == "CAPABILITY":
		m.Kind = Ask
	case verb == "NOOP", verb == "ID":
		m.Kind = Other
	case verb == "LOGOUT":
		m.Kind = Bye
	}
	s.begun, s.tag, s.verb, s.kind = true, tag, verb, m.Kind
	s.secret = s.secret || m.Kind == Secret
	// Whether and how a line without a legal tag is answered is not written anywhere.
	s.open, s.wait = true, legal
	return m
}

func (s *imap) reply(buf []byte) (Message, int, error) {
	n, err := cutLine(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	text, _ := chomp(buf[:n])
	tag, text, _ := strings.Cut(text, " ")
	status, _, _ := strings.Cut(text, " ")
	status = upper(status)
	var m Message
	switch known := imapStatus[status]; {
	case tag == "*" && known:
		m = s.untagged(status, text)
	case !s.begun && !s.inside:
		return Message{}, 0, noise("a greeting that is none")
	case strings.HasPrefix(tag, "+"):
		m = s.goOn(text)
	case tag == "*":
		if n = cutData(buf); n == 0 {
			return Message{}, 0, nil
		}
	case !known || status == "BYE" || status == "PREAUTH":
		return Message{}, 0, noise("a line that is no response")
	case !s.open || tag != s.tag:
		// An answer to a question that was not asked (yet) is an attempt to forge one. Only where the
		// client's last line bore no legal tag, the server may have made one up.
		if legalTag(tag) || legalTag(s.tag) {
			return Message{}, 0, noise("an answer to no command")
		}
	default:
		m = s.answer(status, text)
	}
	s.begun = true
	s.learn(&m, buf[:n])
	return m, n, nil
}

// imapStatus are the words of status responses (RFC 9051 §7.1). Their text holds no literal.
var imapStatus = map[string]bool{"OK": true, "NO": true, "BAD": true, "PREAUTH": true, "BYE": true}

// untagged reads a status that answers no command: a greeting (RFC 9051 §7.1), a BYE, a remark.
func (s *imap) untagged(status, text string) Message {
	greeting := !s.begun
	switch {
	case status == "BYE":
		if s.open && s.kind == Bye {
			return Message{Kind: Bye, Re: Bye, Text: text} // the tagged OK follows
		}
		s.closed()
		return Message{Kind: Bye, Text: text}
	case greeting && status == "PREAUTH":
		if s.authed = true; !s.inside {
			return Message{Kind: No, Why: NotNow, Text: text} // TLS cannot begin any more
		}
		return Message{Kind: Greeting}
	case greeting && status == "OK":
		return Message{Kind: Greeting}
	case greeting:
		return Message{Kind: No, Text: text}
	}
	return Message{}
}

// answer reads the tagged answer to the open command.
func (s *imap) answer(status, text string) Message {
	m := s.closed()
	switch {
	case status != "OK":
		m.Kind, m.Why, m.Text = No, s.why(status, text), text
	case s.kind == Upgrade:
		m.Kind = Ready
	case s.verb == "LOGIN", s.verb == "AUTHENTICATE":
		s.authed = true
	}
	return m
}

// why reads the response code of a NO (RFC 9051 §7.1).
func (s *imap) why(status, text string) Reason {
	_, code, _ := strings.Cut(text, "[")
	code, _, _ = strings.Cut(upper(code), "]")
	switch {
	case status != "NO":
		return Unknown
	case s.kind == Upgrade:
		return TLSUnavailable
	case code == "PRIVACYREQUIRED":
		return TLSRequired
	case code == "UNAVAILABLE":
		return Unavailable
	}
	return Unknown
}
