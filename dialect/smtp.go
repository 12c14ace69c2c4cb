package dialect

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// SMTP is STARTTLS in SMTP and submission.
var SMTP = Dialect{
	Name: "smtp",
	Spec: "RFC 3207",
	Schemes: []Scheme{
		{Name: "smtp", Port: 25, Open: true}, {Name: "submission", Port: 587, Beside: "submissions"},
		{Name: "smtps", Port: 465, Implicit: true}, {Name: "submissions", Port: 465, Implicit: true},
	},
	Script: script("G h C u R | h C"),
	Tells:  "xclient",
	Work:   "MAIL FROM:<>\r\n",
	Login:  smtpLogin,
	Tried:  []string{"Postfix 3.7.11", "Exim 4.96", "swaks 20201014", "curl 7.88.1", "msmtp 1.8.23", "s-nail 14.9.24", "OpenSSL 3.0", "GnuTLS 3.7.9"},
	Limit:  16 << 10,
	Speak:  func(we Side, inside bool) Speech { return teller{speech{&smtp{inside: inside, hello: "EHLO"}, we}} },
}

// LMTP is SMTP with another hello and an answer for each recipient (RFC 2033).
var LMTP = Dialect{
	Name:    "lmtp",
	Spec:    "RFC 2033, RFC 3207",
	Schemes: []Scheme{{Name: "lmtp", Port: 24, Open: true}},
	Script:  SMTP.Script,
	Tells:   SMTP.Tells,
	Work:    SMTP.Work,
	Tried:   []string{"Dovecot 2.3.19.1", "swaks 20201014", "OpenSSL 3.0"},
	Limit:   SMTP.Limit,
	Speak:   func(we Side, inside bool) Speech { return teller{speech{&smtp{inside: inside, hello: "LHLO"}, we}} },
}

// smtpMode is what the client's next bytes are.
type smtpMode uint8

const (
	smtpCommand smtpMode = iota
	smtpSASL             // one line of an AUTH exchange
	smtpData             // lines up to the lone dot
	smtpChunk            // octets of BDAT (RFC 3030)
)

// smtpPiece is the longest piece of mail data that counts as one message.
const smtpPiece = 1024

type smtp struct {
	inside bool
	hello  string // the verb: EHLO or LHLO

	begun bool     // something was said
	named bool     // the client has named itself in this speech
	verb  string   // what the outstanding answers are to
	kind  Kind     // its kind
	want  int      // how many answers are outstanding
	mode  smtpMode // of the client's next bytes
	mid   bool     // mail data: the last piece did not end in CRLF
	lax   bool     // but in LF
	chunk int      // octets left of a BDAT
	last  bool     // of the last BDAT
	rcpts int      // recipients taken in this transaction

	heard   bool // the server has said what it can do
	offered bool // and STARTTLS was in it
	secret  bool // real work has begun

	xclient []string // the attributes of XCLIENT that the server takes from us
	guarded bool     // a client's own XCLIENT must be seen
}

func (s *smtp) Pending() bool { return s.want > 0 }

// Settled: once real work has begun towards a server that offers no STARTTLS of its own, no later
// EHLO can show one (RFC 3207 §4.2 forbids to offer it inside TLS).
func (s *smtp) Settled() bool { return s.secret && s.heard && !s.offered && !s.guarded }

func (s *smtp) request(buf []byte) (Message, int, error) {
	switch s.mode {
	case smtpData:
		return s.data(buf)
	case smtpChunk:
		n := min(s.chunk, smtpPiece)
		if len(buf) < n {
			return Message{}, 0, nil
		}
		if s.chunk -= n; s.chunk == 0 {
			s.mode, s.want = smtpCommand, 1
			if s.last {
				s.want = s.verdicts()
			}
		}
		return Message{Re: s.kind}, n, nil
	}
	n, err := cutLine(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	line, crlf := chomp(buf[:n])
	if s.mode == smtpSASL {
		s.mode, s.want = smtpCommand, 1
		return Message{Kind: Secret}, n, nil
	}
	if err := foreign(line); err != nil {
		return Message{}, 0, err
	}
	return s.command(line, crlf), n, nil
}

func (s *smtp) command(line string, crlf bool) Message {
	verb, arg := splitVerb(line)
	if laxWord(line, 0) == "STARTTLS" {
		verb = "STARTTLS" // what some server takes for one must not reach it
	}
	m := Message{Kind: Secret}
	switch verb {
	case s.hello:
		m.Kind, m.Name = Hello, arg
	case "HELO":
		// A client that says HELO knows no extensions: in the clear it is as good as at work.
		if m.Name = arg; s.inside && s.hello == "EHLO" {
			m.Kind = Hello
		}
	case "STARTTLS":
		m.Kind = Upgrade // RFC 3207 §4: no parameters
		m.Why = refusal(s.inside, crlf && strings.TrimRight(upper(line), " \t") == "STARTTLS", false)
	case "NOOP", "RSET":
		m.Kind = Other
	case "QUIT":
		m.Kind = Bye
	}
	// The name that was given in the clear is forgotten; without one no work begins (RFC 3207 §4.2).
	if m.Kind == Secret && s.inside && !s.named {
		m.Why = NotNow
	}
	s.asked(verb, arg, m)
	return m
}

func (s *smtp) asked(verb, arg string, m Message) {
	s.begun, s.verb, s.kind, s.want = true, verb, m.Kind, 1
	if m.Why != Unknown {
		return
	}
	s.named = s.named || m.Kind == Hello
	s.secret = s.secret || m.Kind == Secret
	if verb == "BDAT" {
		size, last, _ := strings.Cut(arg, " ")
		s.last = upper(last) == "LAST"
		if n, err := strconv.Atoi(size); err == nil && n > 0 {
			s.mode, s.chunk, s.want = smtpChunk, n, 0 // the octets follow without an answer between
		}
	}
}

// verdicts is how many answers end a message: LMTP has one for each recipient (RFC 2033 §4.2).
func (s *smtp) verdicts() int {
	if s.hello == "LHLO" {
		return max(1, s.rcpts)
	}
	return 1
}

// data cuts a line of mail data. Only CRLF "." CRLF ends it: other line ends are data, as they are
// for a server that keeps to RFC 5321 §4.1.1.4 (anything laxer is SMTP smuggling).
func (s *smtp) data(buf []byte) (Message, int, error) {
	n := bytes.IndexByte(buf[:min(len(buf), smtpPiece)], '\n') + 1
	if n == 0 && len(buf) >= smtpPiece {
		n = smtpPiece
		if buf[n-1] == '\r' {
			n-- // a CRLF is not torn
		}
	}
	if n == 0 {
		return Message{}, 0, nil
	}
	if string(buf[:n]) == ".\r\n" && !s.mid {
		s.mode, s.verb, s.want = smtpCommand, ".", s.verdicts()
	}
	s.mid = !bytes.HasSuffix(buf[:n], []byte("\r\n"))
	s.lax = s.mid && buf[n-1] == '\n'
	return Message{Re: s.kind}, n, nil
}

func (s *smtp) reply(buf []byte) (Message, int, error) {
	n, code, text, err := cutReply(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	m := Message{Re: s.kind}
	switch {
	case s.want == 0 && !s.begun && code == 220:
		m.Kind, m.Re, m.Name = Greeting, Other, firstWord(text[0])
	case s.guarded && s.want > 0 && s.verb == "XCLIENT" && code == 220:
		m.Kind, m.Re, m.Name = Greeting, Other, firstWord(text[0])
		s.anew()
	case s.want == 0 && code == 421:
		m.Kind, m.Re, m.Text = Bye, Other, "421 "+strings.Join(text, " ")
	case s.want == 0:
		m.Re = Other
	case s.verb == "HELO" && code == 250:
		s.heard = true // a name and no list: extensions are for EHLO (RFC 5321 §4.1.1.1)
	case s.kind == Hello && code == 250:
		m.Kind = Caps
		s.caps(&m, text)
	case s.kind == Upgrade && code == 220:
		m.Kind = Ready
	}
	if m.Kind == Other && (code >= 400 || s.kind == Upgrade && s.want > 0) {
		m.Kind, m.Text = No, strconv.Itoa(code)+" "+strings.Join(text, " ")
		if code/100 == 4 {
			m.Why = Unavailable
			if m.Re == Upgrade {
				m.Why = TLSUnavailable
			}
		}
	}
	s.answered(code)
	return m, n, nil
}

func (s *smtp) answered(code int) {
	s.begun = true
	if s.want == 0 {
		return
	}
	s.want--
	switch {
	case s.verb == "DATA" && code == 354:
		s.mode, s.mid, s.lax = smtpData, false, false
	case s.verb == "AUTH" && code == 334:
		s.mode = smtpSASL
	case s.verb == "RCPT" && code/100 == 2:
		s.rcpts++
	case s.verb == "MAIL", s.verb == "RSET", s.kind == Hello:
		s.rcpts = 0
	}
}

// caps reads an EHLO answer: one extension a line, the first line is a greeting (RFC 5321 §4.1.1.1).
func (s *smtp) caps(m *Message, text []string) {
	m.Name = firstWord(text[0])
	s.heard, s.xclient = true, nil
	for _, line := range text[1:] {
		switch key, arg := splitVerb(line); {
		case key == "STARTTLS":
			m.Offer, s.offered = Offered, true
		case key == "AUTH":
			m.Mechs = append(m.Mechs, strings.Fields(strings.ToUpper(arg))...)
		case key == "XCLIENT":
			s.xclient = words(upper(arg))
		}
	}
}

// cutReply cuts a reply, all lines of it, which must begin with the same code (RFC 5321 §4.2.1).
func cutReply(buf []byte) (n, code int, text []string, err error) {
	for {
		end, err := cutLine(buf[n:])
		if end == 0 || err != nil {
			return 0, 0, nil, err
		}
		line, _ := chomp(buf[n : n+end])
		n += end
		if len(line) < 3 || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
			return 0, 0, nil, noise("a reply without a code")
		}
		c, err := strconv.Atoi(line[:3])
		if err != nil || c < 200 || c > 599 || code != 0 && c != code {
			return 0, 0, nil, noise("a reply without a code")
		}
		code = c
		text = append(text, line[min(4, len(line)):])
		if len(line) == 3 || line[3] == ' ' {
			return n, code, text, nil
		}
	}
}

// firstWord returns the name that stands at the start of a greeting.
func firstWord(text string) string {
	word, _, _ := strings.Cut(text, " ")
	return word
}

func (s *smtp) say(dst []byte, m Message) []byte {
	switch {
	case m.Raw != nil && m.Kind == Caps:
		return s.editCaps(dst, m)
	case m.Raw != nil:
		return append(dst, m.Raw...) // a greeting says nothing of TLS
	}
	switch m.Kind {
	case Hello:
		return append(dst, s.hello+" "+m.Name+"\r\n"...)
	case Greeting:
		return append(dst, "220 "+m.Name+map[string]string{"EHLO": " ESMTP\r\n", "LHLO": " LMTP\r\n"}[s.hello]...)
	case Caps:
		return s.ownCaps(dst, m)
	case No:
		// The server has not heard of a BDAT that is refused here: its octets are commands there.
		if s.mode == smtpChunk {
			s.mode, s.chunk = smtpCommand, 0
		}
	}
	return smtpPhrases.say(dst, m)
}

var smtpPhrases = phrases{
	upgrade: "STARTTLS\r\n", ready: "220 2.0.0 Ready to start TLS\r\n", other: "250 2.0.0 OK\r\n",
	quit: "QUIT\r\n", bye: "221 2.0.0 Bye\r\n", no: smtpRefusals,
}

// smtpRefusals are the words of RFC 3207 §4 and RFC 5321 §4.2.3, with codes of RFC 3463.
var smtpRefusals = []string{
	Unknown:        "502 5.5.1 Command not implemented\r\n",
	TLSRequired:    "530 5.7.0 Must issue a STARTTLS command first\r\n",
	TLSUnavailable: "454 4.7.0 TLS not available due to temporary reason\r\n",
	AlreadyTLS:     "503 5.5.1 TLS is active already\r\n",
	BadSyntax:      "501 5.5.4 Syntax error (no parameters allowed)\r\n",
	NotNow:         "503 5.5.1 Say hello first\r\n",
	Unavailable:    "421 4.3.2 Service not available, closing transmission channel\r\n",
	TooMuch:        "421 4.7.0 Too many connections, commands or errors, closing transmission channel\r\n",
}

func (s *smtp) ownCaps(dst []byte, m Message) []byte {
	keys := []string{m.Name}
	if m.Offer != Unsaid {
		keys = append(keys, "STARTTLS")
	}
	if len(m.Mechs) > 0 {
		keys = append(keys, "AUTH "+strings.Join(m.Mechs, " "))
	}
	for i, key := range keys {
		sep := "-"
		if i == len(keys)-1 {
			sep = " "
		}
		dst = append(dst, "250"+sep+key+"\r\n"...)
	}
	return dst
}

// editCaps changes the list of an EHLO answer: our offer for the server's, and mechanisms held back
// where they must not be used. All other lines stay byte for byte.
func (s *smtp) editCaps(dst []byte, m Message) []byte {
	all := lines(m.Raw)
	if len(all[0]) > 3 && all[0][3] < ' ' {
		all[0] = []byte("250 \r\n") // a code and nothing else
	}
	kept := [][]byte{all[0]}
	if m.edit.offer && m.Offer != Unsaid {
		kept = append(kept, []byte("250-STARTTLS\r\n"))
	}
	for _, line := range all[1:] {
		if line = smtpCap(line, m); len(line) > 0 {
			kept = append(kept, line)
		}
	}
	for i, line := range kept {
		at := len(dst)
		dst = append(dst, line...)
		if len(line) > 3 && (line[3] == '-' || line[3] == ' ') {
			dst[at+3] = '-'
			if i == len(kept)-1 {
				dst[at+3] = ' '
			}
		}
	}
	return dst
}

// smtpCap returns one line of an EHLO answer as it may be said, or nil.
func smtpCap(line []byte, m Message) []byte {
	text, _ := chomp(line)
	key, arg := splitVerb(text[min(4, len(text)):])
	auth := key == "AUTH" || strings.HasPrefix(key, "AUTH=") // the second form is for old clients
	switch {
	case m.edit.offer && key == "STARTTLS":
		return nil
	case m.edit.offer && m.Offer != Unsaid && key == "REQUIRETLS":
		return nil // RFC 8689 §2: only inside TLS
	case m.edit.offer && m.Offer == Required && auth, m.edit.guarded && smtpGateways[key]:
		return nil
	case m.edit.unbound && key == "AUTH" && slices.ContainsFunc(strings.Fields(strings.ToUpper(arg)), bound):
		mechs := slices.DeleteFunc(strings.Fields(arg), func(mech string) bool { return bound(strings.ToUpper(mech)) })
		if len(mechs) == 0 {
			return nil
		}
		return []byte("250-AUTH " + strings.Join(mechs, " ") + "\r\n")
	}
	return line
}
