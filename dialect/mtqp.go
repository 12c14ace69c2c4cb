package dialect

import (
	"slices"
	"strings"
)

// MTQP is STARTTLS in the Message Tracking Query Protocol. The greeting lists options, and comes again
// inside TLS. The Name of an upgrade is the host that the client asks for: who says it (Walk) must give
// the server's name, not its own.
var MTQP = Dialect{
	Name:    "mtqp",
	Spec:    "RFC 3887",
	Schemes: []Scheme{{Name: "mtqp", Port: 1038, Open: true}},
	Script:  script("G u R | G"),
	Named:   true,
	Fresh:   true,
	Limit:   16 << 10,
	Speak:   func(we Side, inside bool) Speech { return speech{&mtqp{inside: inside}, we} },
}

type mtqp struct {
	inside bool

	greeted bool
	verb    string // what the outstanding answer is to
	kind    Kind   // its kind
	wait    bool   // it is outstanding
	text    block  // and has begun: the server's next bytes are the rest of it

	offered bool
	secret  bool // real work has begun
}

// Pending: before the greeting no question is asked, so that it is no answer to one.
func (s *mtqp) Pending() bool { return s.wait || !s.greeted }

// Settled: there is no login, but a server that offers no STARTTLS has none.
func (s *mtqp) Settled() bool { return s.secret && s.greeted && !s.offered }

func (s *mtqp) request(buf []byte) (Message, int, error) {
	line, crlf, n, err := cutRequest(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	all := words(line)
	m := Message{Kind: Secret}
	verb := laxWord(line, 0)
	switch exact, _ := splitVerb(line); {
	case verb == "STARTTLS":
		m.Kind = Upgrade
		if s.inside {
			m.Why = AlreadyTLS
		} else if !crlf || verb != exact && !strings.HasPrefix(exact, verb+"\t") || len(all) != 2 || !domain(all[1]) {
			m.Why = BadSyntax
		} else {
			m.Name = all[1]
		}
	case verb != exact:
	case verb == "COMMENT":
		m.Kind = Other
	case verb == "QUIT":
		m.Kind = Bye
	}
	s.verb, s.kind, s.wait = verb, m.Kind, true
	s.secret = s.secret || m.Kind == Secret
	return m, n, nil
}

// domain reports whether a word may be the name of a host.
func domain(word string) bool {
	return len(word) <= 255 && !strings.ContainsFunc(word, func(r rune) bool {
		return r != '-' && r != '.' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

func (s *mtqp) reply(buf []byte) (Message, int, error) {
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
	word, _, _ := strings.Cut(text, " ")
	status, info, _ := strings.Cut(word, "/")
	yes := status == "+OK" || status == "+OK+"
	m := Message{Re: s.kind}
	switch {
	case !yes && !mtqpNo[status]:
		return Message{}, 0, noise("a line that is no response")
	case !s.greeted && !s.wait && yes && upper(info) != "MTQP":
		return Message{}, 0, noise("a greeting that is none")
	case !s.greeted && !s.wait && yes:
		if status == "+OK+" {
			if n, err = cutDotted(buf); n == 0 || err != nil {
				return Message{}, 0, err
			}
		}
		m.Kind, m.Re = Greeting, Other
		s.learn(&m, buf[:n])
	case !s.wait && yes:
		return Message{}, 0, noise("an answer to no command")
	case !yes:
		m.Kind, m.Text = No, text
		if status == "-TEMP" {
			m.Why = Unavailable
		}
		if !s.wait {
			m.Re = Other
		} else if s.kind == Upgrade && status == "-TEMP" {
			m.Why = TLSUnavailable
		}
	case s.kind == Upgrade && status == "+OK":
		m.Kind = Ready
	case s.kind == Upgrade:
		return Message{}, 0, noise("a text for an answer to STARTTLS")
	case s.kind == Bye:
		m.Kind = Bye
	default:
		s.text.open = status == "+OK+"
	}
	s.greeted, s.wait = true, s.text.open
	return m, n, nil
}

var mtqpNo = map[string]bool{"-TEMP": true, "-ERR": true, "-BAD": true}

// mtqpOption tells whether a line of a greeting is the option STARTTLS, and whether it is required.
func mtqpOption(line []byte) (is, required bool) {
	text, _ := chomp(line)
	return line[0] != ' ' && laxWord(text, 0) == "STARTTLS", laxWord(text, 1) == "REQUIRED"
}

// learn reads the options of a greeting.
func (s *mtqp) learn(m *Message, text []byte) {
	for _, line := range lines(text)[1:] {
		if is, required := mtqpOption(line); is {
			if m.Offer, s.offered = Offered, true; required {
				m.Offer = Required
			}
		}
	}
}

// edit changes the options of a greeting. All other lines stay byte for byte, with what continues them.
func (s *mtqp) edit(dst []byte, m Message) []byte {
	all := lines(m.Raw)
	option := mtqpOffers[m.Offer]
	if len(all) == 1 {
		if option == "" {
			return append(dst, m.Raw...)
		}
		text, _ := chomp(all[0])
		_, rest, _ := strings.Cut(text, "/")
		all = [][]byte{[]byte("+OK+/" + rest + "\r\n"), []byte(".\r\n")}
	}
	drop := false
	rest := slices.DeleteFunc(all[1:len(all)-1:len(all)-1], func(line []byte) bool {
		if is, _ := mtqpOption(line); is || line[0] != ' ' {
			drop = is
		}
		return drop
	})
	dst = append(dst, all[0]...)
	for _, line := range rest {
		dst = append(dst, line...)
	}
	return append(append(dst, option...), ".\r\n"...)
}

var mtqpOffers = [...]string{Unsaid: "", Offered: "STARTTLS\r\n", Required: "STARTTLS required\r\n"}

func (s *mtqp) say(dst []byte, m Message) []byte {
	switch {
	case m.Raw != nil && m.Kind == Greeting && m.edit.offer:
		return s.edit(dst, m)
	case m.Raw != nil:
		return append(dst, m.Raw...)
	}
	switch m.Kind {
	case Greeting:
		if m.Offer == Unsaid {
			return append(dst, "+OK/MTQP "+strings.TrimLeft(m.Name+" ", " ")+"MTQP server ready\r\n"...)
		}
		return append(dst, "+OK+/MTQP "+strings.TrimLeft(m.Name+" ", " ")+"MTQP server ready\r\n"+mtqpOffers[m.Offer]+".\r\n"...)
	case Upgrade:
		return append(dst, strings.TrimRight("STARTTLS "+m.Name, " ")+"\r\n"...)
	}
	return mtqpPhrases.say(dst, m)
}

var mtqpPhrases = phrases{
	ready: "+OK Begin TLS negotiation\r\n", other: "+OK\r\n", quit: "QUIT\r\n", bye: "+OK Bye\r\n", no: mtqpRefusals,
}

// mtqpRefusals: -TEMP may be tried again, -ERR may not, -BAD was no command.
var mtqpRefusals = []string{
	Unknown:        "-BAD Unknown command\r\n",
	TLSRequired:    "-ERR Must issue a STARTTLS command first\r\n",
	TLSUnavailable: "-TEMP TLS not available due to temporary reason\r\n",
	AlreadyTLS:     "-ERR TLS is active already\r\n",
	BadSyntax:      "-BAD Syntax error (one domain)\r\n",
	NotNow:         "-ERR Command not valid in this state\r\n",
	Unavailable:    "-TEMP Service not available, closing connection\r\n",
	TooMuch:        "-TEMP Too many connections, commands or errors, closing connection\r\n",
}
