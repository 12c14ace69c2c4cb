package dialect

import (
	"strconv"
	"strings"
)

// IMAP is STARTTLS in IMAP4rev1 and IMAP4rev2. imap_caps.go has its capability lists and our words.
var IMAP = Dialect{
	Name:     "imap",
	Spec:     "RFC 9051 §6.2.1",
	Schemes:  []Scheme{{Name: "imap", Port: 143}, {Name: "imaps", Port: 993, Implicit: true}},
	Script:   script("G a C u R | a C"),
	ALPN:     []string{"imap"},
	Work:     "v LOGIN verify verify\r\n",
	Password: true,
	Tried:    []string{"Dovecot 2.3.19.1", "curl 7.88.1", "mbsync 1.4.4", "fetchmail 6.4.37", "OpenSSL 3.0", "GnuTLS 3.7.9"},
	Limit:    64 << 10,
	Speak:    func(we Side, inside bool) Speech { return speech{&imap{inside: inside}, we} },
}

const (
	imapTag  = 256     // the longest tag that is taken for one; the grammar has no limit
	imapHuge = 1 << 30 // a literal of this size or more is longer than every limit
)

type imap struct {
	inside bool

	begun   bool   // something was said
	ours    int    // how many tags of our own we have used
	tag     string // of the last command, legal or not
	verb    string // of it, in upper case
	kind    Kind   // of it
	open    bool   // it has no tagged answer yet
	wait    bool   // and the next word is the server's
	more    bool   // the server has asked for more of it with "+"
	literal int    // how many octets the client has announced for then

	heard   bool // the server has said what it can do
	offered bool // and STARTTLS was in it
	secret  bool // real work has begun
	authed  bool
}

func (s *imap) Pending() bool { return s.wait }

// Settled: STARTTLS is valid only before authentication (RFC 9051 §6.2.1).
func (s *imap) Settled() bool { return s.authed || s.secret && s.heard && !s.offered }

func (s *imap) request(buf []byte) (Message, int, error) {
	octets := 0
	if s.more {
		octets = s.literal
	}
	n, first, announced, err := cutCommand(buf, octets)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	if s.more { // a literal, a line of a SASL exchange, DONE
		s.more, s.wait, s.literal = false, legalTag(s.tag), max(0, announced)
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

// cutCommand cuts a client's message that begins with octets that were announced before. A literal
// that needs the server's leave ends it, and its size is announced; one that needs none is part of it
// (RFC 7888). first is the length of the first line.
func cutCommand(buf []byte, octets int) (n, first, announced int, err error) {
	for n = octets; ; {
		if len(buf) <= n {
			return 0, 0, 0, nil
		}
		end, err := cutLine(buf[n:])
		if end == 0 || err != nil {
			return 0, 0, 0, err
		}
		size, free := literal(buf[n : n+end])
		if n += end; first == 0 {
			first = n
		}
		if size < 0 || !free {
			return n, first, size, nil
		}
		n += size
	}
}

// literal returns the size of the literal that a line announces at its end, or -1, and whether it
// follows without leave: "{n}" or "{n+}".
func literal(line []byte) (size int, free bool) {
	text, _ := chomp(line)
	text, ok := strings.CutSuffix(text, "}")
	brace := strings.LastIndexByte(text, '{')
	digits, free := strings.CutSuffix(text[brace+1:], "+")
	if !ok || brace < 0 || digits == "" || strings.Trim(digits, "0123456789") != "" {
		return -1, false
	}
	if size, err := strconv.Atoi(digits); err == nil && size < imapHuge {
		return size, free
	}
	return imapHuge, free
}

// command tells what a command line is. alone says that it has no literal.
//
// A line that bears no legal tag is never a command of the clear. It has the tag "*", so that it is
// refused as servers do it, with an untagged BAD. It is Secret, which keeps it from the server where
// TLS is demanded; where it is not, the server may judge it. The exception is what a laxer reader
// could take for STARTTLS: that is an Upgrade to be refused at every level, because a server that
// obeyed it would begin TLS behind our back. A command with a literal is Secret as well: to a server
// that knows no "{n+}" the octets are commands.
func (s *imap) command(line string, crlf, alone bool) Message {
	tag, rest, _ := strings.Cut(line, " ")
	verb, _, _ := strings.Cut(rest, " ")
	verb = upper(verb)
	m := Message{Kind: Secret, Tag: tag}
	legal := legalTag(tag)
	if !legal {
		m.Tag = "*"
	}
	switch {
	case laxWord(line, 1) == "STARTTLS":
		m.Kind = Upgrade
		m.Why = s.refusal(legal && alone && crlf && upper(rest) == "STARTTLS")
	case !legal, !alone:
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

// refusal is why STARTTLS must be refused, if it must.
func (s *imap) refusal(exact bool) Reason {
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

// legalTag: 1*<any ASTRING-CHAR except "+"> (RFC 9051 §9).
func legalTag(tag string) bool {
	for i := range len(tag) {
		if c := tag[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\+`, c) >= 0 {
			return false
		}
	}
	return tag != "" && len(tag) <= imapTag
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

// cutData returns the length of an untagged response, literals and all. They follow at once.
func cutData(buf []byte) int {
	for n := 0; n < len(buf); {
		end, err := cutLine(buf[n:])
		if end == 0 || err != nil {
			return 0
		}
		size, free := literal(buf[n : n+end])
		if n += end; size < 0 || free {
			return n
		}
		n += size
	}
	return 0
}

// untagged reads a status that answers no command: a greeting (RFC 9051 §7.1), a BYE, a remark.
func (s *imap) untagged(status, text string) Message {
	greeting := !s.begun
	switch {
	case status == "BYE":
		if s.open && s.kind == Bye {
			return Message{Kind: Bye, Re: Bye, Text: text} // the tagged OK follows
		}
		s.open, s.wait, s.more = false, false, false
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

// goOn reads a "+": the client may say more of its command.
func (s *imap) goOn(text string) Message {
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
func (s *imap) answer(status, text string) Message {
	s.open, s.wait, s.more = false, false, false
	m := Message{Re: s.kind, Tag: s.tag}
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
