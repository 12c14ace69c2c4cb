package dialect

import (
	"bytes"
	"slices"
	"strings"
)

// learn reads the answer to CAPABILITIES (RFC 3977 §5.2).
func (s *nntp) learn(m *Message, text []byte) {
	m.Kind, s.heard, s.later = Caps, true, false
	for _, line := range lines(text)[1:] {
		text, _ := chomp(line)
		switch key, arg := splitVerb(text); key {
		case "STARTTLS":
			m.Offer, s.later = Offered, true
		case "MODE-READER":
			s.later = true
		case "SASL":
			m.Mechs = append(m.Mechs, words(upper(arg))...)
		}
	}
}

// edit changes a list of capabilities. All other lines stay byte for byte.
func (s *nntp) edit(dst []byte, m Message) []byte {
	said := !m.edit.offer || m.Offer == Unsaid
	all := lines(m.Raw)
	for i, line := range all {
		text, _ := chomp(line)
		switch key, arg := splitVerb(text); {
		case i == 0:
		case i == len(all)-1 && !said:
			dst = append(dst, "STARTTLS\r\n"...)
		case key == "STARTTLS" && m.edit.offer:
			if said {
				continue
			}
			said = true
		case key == "MODE-READER" && m.edit.offer && s.inside:
			continue // RFC 4642 §2.2.2
		case key == "AUTHINFO" && arg != "" && m.edit.offer && m.Offer == Required:
			line = []byte("AUTHINFO\r\n") // no login in this state (RFC 4643 §2.1)
		case key == "SASL" && m.edit.offer && m.Offer == Required:
			continue
		case key == "SASL" && m.edit.unbound && slices.ContainsFunc(words(upper(arg)), bound):
			line = dropWords(bytes.TrimRight(line, "\r\n"), bound)
			if len(words(string(line))) < 2 {
				continue
			}
			line = append(line, "\r\n"...)
		}
		dst = append(dst, line...)
	}
	return dst
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
	case Ask:
		return append(dst, "CAPABILITIES\r\n"...)
	case Upgrade:
		return append(dst, "STARTTLS\r\n"...)
	case Caps:
		return append(dst, nntpCaps(m)...)
	case Ready:
		return append(dst, "382 Continue with TLS negotiation\r\n"...)
	case Other:
		return append(dst, s.other()...)
	case No:
		s.post = block{} // the server has not heard of a TAKETHIS that is refused: its article are commands there
		return append(dst, nntpRefusals[m.Why]...)
	case Bye:
		if m.Re == Bye {
			return append(dst, "205 Closing connection\r\n"...)
		}
		return append(dst, "QUIT\r\n"...)
	}
	return dst
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
var nntpRefusals = [...]string{
	Unknown:        "500 Unknown command\r\n",
	TLSRequired:    "483 Encryption or stronger authentication required\r\n",
	TLSUnavailable: "580 Can not initiate TLS negotiation\r\n",
	AlreadyTLS:     "502 STARTTLS not allowed with active TLS layer\r\n",
	BadSyntax:      "501 Syntax error (no arguments allowed)\r\n",
	NotNow:         "502 Command not allowed in this state\r\n",
	Unavailable:    "400 Service not available, closing connection\r\n",
	TooMuch:        "400 Too many commands or errors, closing connection\r\n",
}
