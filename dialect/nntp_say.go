package dialect

import (
	"slices"
	"strings"
)

// learn reads the answer to CAPABILITIES (RFC 3977 §5.2).
func (s *nntp) learn(m *Message, text []byte) {
	others := readCaps(m, text, "STARTTLS")
	m.Kind, s.heard = Caps, true
	s.later = m.Offer == Offered || slices.Contains(others, "MODE-READER")
}

// edit changes a list of capabilities.
func (s *nntp) edit(dst []byte, m Message) []byte {
	return editCaps(dst, m, "STARTTLS", func(key, arg string, line []byte) []byte {
		switch {
		case key == "MODE-READER" && m.edit.offer && s.inside:
			return nil // RFC 4642 §2.2.2
		case key == "AUTHINFO" && arg != "" && m.holdsBack():
			return []byte("AUTHINFO\r\n") // no login in this state (RFC 4643 §2.1)
		}
		return line
	})
}

func (s *nntp) say(dst []byte, m Message) []byte {
	switch {
	case m.Raw != nil && m.Kind == Caps:
		return s.edit(dst, m)
	case m.Raw != nil:
		return append(dst, m.Raw...) // a greeting says nothing of TLS
	}
	switch m.Kind {
	case Greeting:
		return append(dst, "200 "+strings.TrimLeft(m.Name+" ", " ")+"NNTP ready\r\n"...)
	case Caps:
		return append(dst, nntpCaps(m)...)
	case Other:
		return append(dst, s.other()...)
	case No:
		s.post = block{} // the server has not heard of a TAKETHIS that is refused: its article are commands there
	}
	return nntpPhrases.say(dst, m)
}

var nntpPhrases = phrases{
	ask: "CAPABILITIES\r\n", upgrade: "STARTTLS\r\n", ready: "382 Continue with TLS negotiation\r\n",
	quit: "QUIT\r\n", bye: "205 Closing connection\r\n", no: nntpRefusals,
}

// other answers in place of a server that is not there yet: it knows no date, and switches no modes.
func (s *nntp) other() string {
	switch s.verb {
	case "HELP":
		return "100 Help follows\r\nCAPABILITIES\r\nSTARTTLS\r\nQUIT\r\n.\r\n"
	case "MODE READER":
		return nntpRefusals[TLSRequired]
	}
	return "403 Not available here\r\n"
}

// nntpCaps is a list of our own.
func nntpCaps(m Message) string {
	list := "101 Capability list follows\r\nVERSION 2\r\n"
	if m.Offer != Unsaid {
		list += "STARTTLS\r\n"
	}
	if m.Offer != Required && len(m.Mechs) > 0 {
		list += "AUTHINFO SASL\r\nSASL " + strings.Join(m.Mechs, " ") + "\r\n"
	}
	return list + ".\r\n"
}

// nntpRefusals are codes of RFC 3977 §3.2.1. STARTTLS itself is never answered with 483 (RFC 4642
// §2.2.2); 400 is the last word of a connection.
var nntpRefusals = []string{
	Unknown:        "500 Unknown command\r\n",
	TLSRequired:    "483 Encryption or stronger authentication required\r\n",
	TLSUnavailable: "580 Can not initiate TLS negotiation\r\n",
	AlreadyTLS:     "502 STARTTLS not allowed with active TLS layer\r\n",
	BadSyntax:      "501 Syntax error (no arguments allowed)\r\n",
	NotNow:         "502 Command not allowed in this state\r\n",
	Unavailable:    "400 Service not available, closing connection\r\n",
	TooMuch:        "400 Too many connections, commands or errors, closing connection\r\n",
}
