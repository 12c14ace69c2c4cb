package dialect

import (
	"slices"
	"strings"
)

// POP3 is STLS in the Post Office Protocol.
var POP3 = Dialect{
	Early:   true, // APOP's stamp stands in the greeting
	Name:    "pop3",
	Spec:    "RFC 2595 §4",
	Schemes: []Scheme{{Name: "pop3", Port: 110, Beside: "pop3s"}, {Name: "pop3s", Port: 995, Implicit: true}},
	Script:  script("G a C? u R | a C?"),
	ALPN:    []string{"pop3"},
	Tells:   "xclient",
	Work:    "USER verify\r\n",
	Login:   userPass,
	Tried:   []string{"Dovecot 2.3.19.1", "curl 7.88.1", "fetchmail 6.4.37", "OpenSSL 3.0", "GnuTLS 3.7.9"},
	Limit:   16 << 10,
	Speak:   func(we Side, inside bool) Speech { return teller{speech{&pop3{inside: inside}, we}} },
}

type pop3 struct {
	inside bool

	begun bool   // something was said
	verb  string // what the outstanding answer is to
	arg   bool   // and whether it had an argument
	kind  Kind   // its kind
	wait  bool   // it is outstanding
	sasl  bool   // the client's next line is one of an AUTH exchange
	user  bool   // USER was taken, PASS is to follow

	heard   bool // the server has said what it can do
	offered bool // and STLS was in it
	secret  bool // real work has begun
	authed  bool

	xclient bool // the server takes XCLIENT from us
	guarded bool // a client's own must be seen
}

func (s *pop3) Pending() bool { return s.wait }

// Settled: STLS is valid only before authentication (RFC 2595 §4).
func (s *pop3) Settled() bool {
	return s.authed || s.secret && s.heard && !s.offered && !s.guarded
}

// tell says XCLIENT as Dovecot knows it, which takes it before the login and goes on. It names it in its
// greeting, and so not after STLS: there it is asked without.
func (s *pop3) tell(w Who) (Message, bool) {
	return xclient(nil, [2]string{"ADDR", w.Addr}, [2]string{"PORT", w.Port}), s.xclient || s.inside && s.heard
}

func (s *pop3) guard() { s.guarded = true }

func (s *pop3) pass(m Message) (Message, bool) { return m, !saysWord(m.Raw, 0, "XCLIENT") }

func (s *pop3) request(buf []byte) (Message, int, error) {
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
	verb, arg := splitVerb(line)
	m := Message{Kind: Secret}
	switch {
	case laxWord(line, 0) == "STLS":
		// Between USER and PASS it would carry a name that was said in the clear into the session inside TLS.
		m.Kind, m.Why = Upgrade, refusal(s.inside, crlf && verb == "STLS" && arg == "", s.user || s.authed)
	case verb == "CAPA":
		m.Kind = Ask
	case verb == "NOOP", verb == "UTF8":
		m.Kind = Other
	case verb == "QUIT":
		m.Kind = Bye
	}
	s.begun, s.verb, s.arg, s.kind, s.wait = true, verb, arg != "", m.Kind, true
	s.secret = s.secret || m.Kind == Secret
	return m, n, nil
}

func (s *pop3) reply(buf []byte) (Message, int, error) {
	n, err := cutLine(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	text, _ := chomp(buf[:n])
	status, _, _ := strings.Cut(text, " ")
	m := Message{Re: s.kind}
	switch {
	case status == "-ERR":
		s.no(&m, text)
	case status == "+" && s.wait && s.verb == "AUTH" && s.arg: // RFC 5034 §4
		s.sasl = true
	case status != "+OK", s.begun && !s.wait:
		// RFC 1939 §3 knows no other words. What answers nothing was meant for a later question.
		return Message{}, 0, noise("a line that is no answer")
	case !s.begun:
		m.Kind, m.Re = Greeting, Other // the stamp for APOP is in it: it is never changed
		s.xclient = strings.HasPrefix(text, "+OK [XCLIENT]")
	case s.verb == "CAPA", s.verb == "AUTH" && !s.arg:
		if n, err = cutDotted(buf); n == 0 || err != nil {
			return Message{}, 0, err
		}
		s.learn(&m, buf[:n])
	default:
		s.yes(&m)
	}
	s.begun, s.wait = true, false
	return m, n, nil
}

// cutDotted returns the length of an answer of many lines, the lone dot included (RFC 1939 §3).
func cutDotted(buf []byte) (n int, err error) {
	for {
		end, err := cutLine(buf[n:])
		if end == 0 || err != nil {
			return 0, err
		}
		line, _ := chomp(buf[n : n+end])
		if n += end; line == "." {
			return n, nil
		}
	}
}

// yes reads an answer of one line.
func (s *pop3) yes(m *Message) {
	s.user = s.verb == "USER" || s.user && s.verb != "PASS"
	switch s.verb {
	case "STLS":
		m.Kind = Ready
	case "QUIT":
		m.Kind, m.Re = Bye, Bye
	case "PASS", "APOP", "AUTH":
		s.authed = true
	}
}

// no reads a refusal, with the codes of RFC 3206.
func (s *pop3) no(m *Message, text string) {
	m.Kind, m.Text = No, text
	if strings.HasPrefix(text, "-ERR [SYS/TEMP]") {
		if m.Why = Unavailable; s.wait && s.kind == Upgrade {
			m.Why = TLSUnavailable
		}
	}
	if !s.wait {
		m.Re = Other
	}
	s.user = s.user && s.verb != "PASS"
}

// learn reads the answer to CAPA. That to an AUTH without a mechanism, which is older than CAPA and
// lists mechanisms, says nothing of TLS: it is cut like this one, and passes.
func (s *pop3) learn(m *Message, text []byte) {
	if s.verb != "CAPA" {
		return
	}
	m.Kind, s.heard = Caps, true
	s.xclient = slices.Contains(readCaps(m, text, "STLS"), "XCLIENT")
	s.offered = s.offered || m.Offer == Offered
}

// edit changes a list of capabilities.
func (s *pop3) edit(dst []byte, m Message) []byte {
	return editCaps(dst, m, "STLS", func(key, _ string, line []byte) []byte {
		if key == "XCLIENT" && m.edit.guarded {
			return nil
		}
		if key == "USER" && m.holdsBack() {
			return nil // it says that such a login works now (RFC 2449 §6.2)
		}
		return line
	})
}

func (s *pop3) say(dst []byte, m Message) []byte {
	switch {
	case m.Raw != nil && m.Kind == Caps:
		return s.edit(dst, m)
	case m.Raw != nil:
		return append(dst, m.Raw...)
	}
	switch m.Kind {
	case Greeting:
		return append(dst, "+OK "+strings.TrimLeft(m.Name+" ", " ")+"POP3 ready\r\n"...)
	case Caps:
		return append(dst, pop3Caps(m)...)
	}
	return pop3Phrases.say(dst, m)
}

var pop3Phrases = phrases{
	ask: "CAPA\r\n", upgrade: "STLS\r\n", ready: "+OK Begin TLS negotiation\r\n", other: "+OK\r\n",
	quit: "QUIT\r\n", bye: "+OK Bye\r\n", no: pop3Refusals,
}

// pop3Caps is a list of our own.
func pop3Caps(m Message) string {
	list := "+OK Capability list follows\r\n"
	if m.Offer != Unsaid {
		list += "STLS\r\n"
	}
	if m.Offer != Required && len(m.Mechs) > 0 {
		list += "SASL " + strings.Join(m.Mechs, " ") + "\r\n"
	}
	return list + ".\r\n"
}

// pop3Refusals have a code of RFC 3206 only where one is meant: [AUTH] would make a client ask its user
// for another password, and nothing is wrong with the first.
var pop3Refusals = []string{
	Unknown:        "-ERR Unknown command\r\n",
	TLSRequired:    "-ERR Must issue a STLS command first\r\n",
	TLSUnavailable: "-ERR [SYS/TEMP] TLS not available due to temporary reason\r\n",
	AlreadyTLS:     "-ERR Command not permitted when TLS active\r\n",
	BadSyntax:      "-ERR Syntax error (no parameters allowed)\r\n",
	NotNow:         "-ERR Command not valid in this state\r\n",
	Unavailable:    "-ERR [SYS/TEMP] Service not available, closing connection\r\n",
	TooMuch:        "-ERR Too many connections, commands or errors, closing connection\r\n",
}
