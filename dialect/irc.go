package dialect

import (
	"strconv"
	"strings"
)

// IRC is STARTTLS in Internet Relay Chat, which IRCv3 has given up for a port of its own. irc_say.go
// has its capability lists and our words.
//
// Both sides speak when they like: servers send notices before anything was asked, and most commands
// have no answer. So only the way to TLS is a question here, and nothing else waits.
var IRC = Dialect{
	Name:    "irc",
	Spec:    "IRCv3 tls 3.1",
	Schemes: []Scheme{{Name: "irc", Port: 6667}, {Name: "ircs", Port: 6697, Implicit: true}},
	Script:  script("a? C? u R |"),
	ALPN:    []string{"irc"},
	STS:     checkIRCSTS,
	Work:    "NICK verify\r\n",
	Tried:   []string{"InspIRCd 3.15.0", "irssi 1.4.3", "OpenSSL 3.0"},
	Limit:   16 << 10,
	Speak:   func(we Side, inside bool) Speech { return speech{&irc{inside: inside}, we} },
}

type irc struct {
	inside bool

	server  string // its name, once heard
	verb    string // of the client's last message
	asked   bool   // for capabilities, and no answer yet
	values  bool   // the client understands values of capabilities
	upgrade bool   // for TLS, and no answer yet
	quit    bool
	authed  bool // registered
}

// Pending: what else the client asks, be it for capabilities, some servers never answer.
func (s *irc) Pending() bool { return s.upgrade }

// A client may say CAP LS and STARTTLS in one breath (irssi does), and reads the list before the go-ahead.
func (s *irc) owes() bool { return s.asked }

// Settled: STARTTLS comes before registration.
func (s *irc) Settled() bool { return s.authed }

// An ircLine is a message cut into its parts (RFC 2812 §2.3.1, IRCv3 message tags).
type ircLine struct {
	prefix  string
	command string   // in upper case
	params  []string // the last one without its colon
	colon   bool     // and whether it has one
}

func cutIRC(line string) (l ircLine) {
	next := func() string {
		word, rest, _ := strings.Cut(line, " ")
		line = strings.TrimLeft(rest, " ")
		return word
	}
	if strings.HasPrefix(line, "@") {
		next()
	}
	if strings.HasPrefix(line, ":") {
		l.prefix = next()[1:]
	}
	for l.command = upper(next()); line != ""; {
		if text, ok := strings.CutPrefix(line, ":"); ok {
			l.params, l.colon = append(l.params, text), true
			break
		}
		l.params = append(l.params, next())
	}
	return l
}

// param returns parameter i, or "".
func (l ircLine) param(i int) string {
	if i < len(l.params) {
		return l.params[i]
	}
	return ""
}

func (s *irc) request(buf []byte) (Message, int, error) {
	line, crlf, n, err := cutRequest(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	l := cutIRC(line)
	s.verb = l.command
	m := Message{Kind: Secret}
	switch {
	case ircUpgrade(line):
		m.Kind, m.Why = Upgrade, refusal(s.inside, crlf && upper(line) == "STARTTLS", s.authed)
		s.upgrade = true
	case l.command == "CAP" && upper(l.param(0)) == "LS":
		m.Kind, s.asked = Ask, true
		version, _ := strconv.Atoi(l.param(1))
		s.values = s.values || version >= 302
	case l.command == "CAP", l.command == "PING", l.command == "PONG", strings.TrimSpace(line) == "":
		m.Kind = Other
	case l.command == "QUIT":
		m.Kind, s.quit = Bye, true
	}
	return m, n, nil
}

// ircUpgrade reports whether the laxest reader sees a STARTTLS: such a reader ends lines at CR or NUL as
// well, and looks behind tags and a prefix.
func ircUpgrade(line string) bool {
	for _, part := range strings.FieldsFunc(line, func(r rune) bool { return r == '\r' || r == 0 }) {
		all := words(part)
		for len(all) > 1 && (all[0][0] == '@' || all[0][0] == ':') {
			all = all[1:]
		}
		if len(all) > 0 && upper(all[0]) == "STARTTLS" {
			return true
		}
	}
	return false
}

func (s *irc) reply(buf []byte) (Message, int, error) {
	n, err := cutLine(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	text, _ := chomp(buf[:n])
	l := cutIRC(text)
	numeric := len(l.command) == 3 && strings.Trim(l.command, "0123456789") == ""
	if text != "" && !numeric && (l.command == "" || strings.Trim(l.command, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "") {
		return Message{}, 0, noise("a line that is no message")
	}
	if numeric && l.prefix == "" { // RFC 2812 §2.4
		return Message{}, 0, noise("a numeric from nobody")
	}
	if numeric {
		s.server = l.prefix
	}
	var m Message
	switch l.command {
	case "670", "691", "421", "451":
		if err := s.answer(&m, l, text); err != nil {
			return Message{}, 0, err
		}
	case "001":
		s.authed = true
	case "ERROR": // RFC 2812 §3.7.4
		m.Kind, m.Text = Bye, text
		if s.quit {
			m.Re = Bye
		}
		s.asked, s.upgrade = false, false
	case "CAP":
		if upper(l.param(1)) == "LS" {
			return s.list(buf)
		}
	}
	return m, n, nil
}

// answer reads a numeric that may be the answer to STARTTLS or CAP LS.
func (s *irc) answer(m *Message, l ircLine, text string) error {
	about := upper(l.param(1))
	switch named := l.command == "421"; {
	case l.command == "670" && !s.upgrade:
		return noise("a go-ahead for nothing")
	case l.command == "670":
		m.Kind, m.Re, s.upgrade = Ready, Upgrade, false
	case s.upgrade && (!named || about == "STARTTLS"):
		m.Kind, m.Re, m.Text, s.upgrade = No, Upgrade, text, false
		if l.command == "691" {
			m.Why = TLSUnavailable
		}
	case l.command == "691":
		m.Kind, m.Text = No, text
	case s.asked && (!named || about == "CAP"):
		m.Kind, m.Re, m.Text, s.asked = No, Ask, text, false
	}
	return nil
}
