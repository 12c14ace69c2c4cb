package dialect

import "strings"

// NUT is STARTTLS in the protocol of Network UPS Tools. Lines end in LF; nothing is offered, so that a
// client finds out by asking.
var NUT = Dialect{
	Name:    "nut",
	Spec:    "RFC 9271",
	Schemes: []Scheme{{Name: "nut", Port: 3493}},
	Script:  script("u R |"),
	Work:    "USERNAME verify\n",
	Tried:   []string{"upsd, upsc and upsmon 2.8.0"},
	Limit:   16 << 10,
	Speak:   func(we Side, inside bool) Speech { return speech{&nut{inside: inside}, we} },
}

type nut struct {
	inside bool

	verb  string // what the outstanding answer is to
	kind  Kind   // its kind
	wait  bool   // it is outstanding
	list  bool   // and has begun: a list
	maybe bool   // an empty line was said, which some servers answer

	secret bool // real work has begun
	authed bool // a password was taken
}

func (s *nut) Pending() bool { return s.wait }

// Settled: upsd knows STARTTLS at any time. Inside TLS it refuses it; in the clear nobody comes back to
// it who has said a password.
func (s *nut) Settled() bool { return s.authed || s.inside && s.secret }

func (s *nut) request(buf []byte) (Message, int, error) {
	line, _, n, err := cutRequest(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	verb, arg := splitVerb(line)
	m := Message{Kind: Secret}
	switch {
	case nutUpgrade(line):
		m.Kind, m.Why = Upgrade, refusal(s.inside, verb == "STARTTLS" && arg == "", false)
	case strings.Trim(line, " \t") == "":
		s.maybe = true
		return Message{}, n, nil
	case nutHarmless[verb]:
		m.Kind = Other
	case verb == "LOGOUT":
		m.Kind = Bye
	}
	s.verb, s.kind, s.wait, s.maybe = verb, m.Kind, true, false
	s.secret = s.secret || m.Kind == Secret
	return m, n, nil
}

// nutHarmless tells of the server and not of what it watches over. All else is real work, reading too:
// where TLS is demanded, the state of a power supply is not for the clear.
var nutHarmless = map[string]bool{"VER": true, "NETVER": true, "PROTVER": true, "HELP": true}

// nutUpgrade reports whether upsd reads STARTTLS at the start of a line: it takes quotes away, and a
// backslash before any character.
func nutUpgrade(line string) bool {
	line = strings.TrimLeftFunc(line, blank)
	quoted, word := false, ""
	for i := 0; i < len(line) && len(word) < 10 && (quoted || !blank(rune(line[i]))); i++ {
		switch c := line[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && i+1 < len(line):
			i++
			word += line[i : i+1]
		default:
			word += line[i : i+1]
		}
	}
	return upper(word) == "STARTTLS"
}

func (s *nut) reply(buf []byte) (Message, int, error) {
	n, err := cutLine(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	text, _ := chomp(buf[:n])
	status, rest, _ := strings.Cut(text, " ")
	code, _, _ := strings.Cut(rest, " ")
	m := Message{Re: s.kind}
	switch {
	case s.list:
		s.list = status != "END" || code != "LIST"
	case !s.wait && !s.maybe:
		return Message{}, 0, noise("an answer to nothing")
	case !s.wait:
		m.Re = Other
	case status == "ERR":
		m.Kind, m.Why, m.Text = No, nutWhy[code], text
	case s.kind == Upgrade && status == "OK" && code == "STARTTLS":
		m.Kind = Ready
	case s.kind == Upgrade && status == "OK":
		m.Kind, m.Text = No, text // it is no go-ahead
	case s.kind == Upgrade:
		return Message{}, 0, noise("no answer to STARTTLS")
	case s.kind == Bye: // "OK Goodbye", or "Goodbye..." of old
		m.Kind = Bye
	case s.verb == "LIST":
		s.list = status == "BEGIN"
	case s.verb == "PASSWORD":
		s.authed = status == "OK"
	}
	s.wait, s.maybe = s.list, false
	return m, n, nil
}

// nutWhy are the errors of RFC 9271 that concern us.
var nutWhy = map[string]Reason{
	"FEATURE-NOT-CONFIGURED": TLSUnavailable,
	"FEATURE-NOT-SUPPORTED":  TLSUnavailable,
	"ALREADY-SSL-MODE":       AlreadyTLS,
	"DRIVER-NOT-CONNECTED":   Unavailable,
}

func (s *nut) say(dst []byte, m Message) []byte {
	switch m.Kind {
	case Upgrade:
		return append(dst, "STARTTLS\n"...)
	case Ready:
		return append(dst, "OK STARTTLS\n"...)
	case Other:
		if !s.wait {
			return dst
		}
		return append(dst, "OK\n"...)
	case No:
		if m.Re == Upgrade && m.Why == Unknown {
			m.Why = TLSUnavailable
		}
		return append(dst, nutRefusals[m.Why]...)
	case Bye:
		if m.Re == Bye {
			return append(dst, "OK Goodbye\n"...)
		}
		return append(dst, "LOGOUT\n"...)
	}
	return append(dst, m.Raw...)
}

// nutRefusals are of RFC 9271. That the server cannot be reached has no word: for a client it is as
// if the server could not reach the device.
var nutRefusals = [...]string{
	Unknown:        "ERR UNKNOWN-COMMAND\n",
	TLSRequired:    "ERR ACCESS-DENIED\n",
	TLSUnavailable: "ERR FEATURE-NOT-CONFIGURED\n",
	AlreadyTLS:     "ERR ALREADY-SSL-MODE\n",
	BadSyntax:      "ERR INVALID-ARGUMENT\n",
	NotNow:         "ERR ACCESS-DENIED\n",
	Unavailable:    "ERR DRIVER-NOT-CONNECTED\n",
	TooMuch:        "ERR ACCESS-DENIED\n",
}
