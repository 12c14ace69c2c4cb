package dialect

import "bytes"

func (s *telnet) say(dst []byte, m Message) []byte {
	if m.Raw != nil {
		return telnetEdit(dst, m)
	}
	switch m.Kind {
	case Greeting, Caps:
		if m.Offer != Unsaid {
			return append(dst, telnetOffer...)
		}
	case Upgrade:
		return append(dst, telnetUpgrade...)
	case Ready:
		return append(dst, telnetFollows...)
	case Other: // to an option that is offered or asked for: no, thank you
		switch s.ask {
		case telnetWILL:
			return append(dst, telnetIAC, telnetDONT, s.option)
		case telnetDO:
			return append(dst, telnetIAC, telnetWONT, s.option)
		}
	case No:
		if m.Re == Upgrade {
			return append(dst, telnetRefuse...)
		}
		s.shut = true
		return append(dst, telnetRefusals[m.Why]+"\r\n"...)
	}
	return dst
}

// telnetEdit says our offer before the server's first words, unless they are one, and leaves out the
// server's. What is left out becomes a NOP: something is due there.
func telnetEdit(dst []byte, m Message) []byte {
	offers := bytes.Equal(m.Raw, telnetOffer)
	switch {
	case m.edit.offer && offers && m.Offer == Unsaid:
		return append(dst, telnetNothing...)
	case m.edit.offer && !offers && m.Offer != Unsaid:
		dst = append(dst, telnetOffer...)
	}
	return append(dst, m.Raw...)
}

// telnetRefusals are for the people who read them.
var telnetRefusals = [...]string{
	Unknown:        "Not understood.",
	TLSRequired:    "This server demands TLS (START_TLS).",
	TLSUnavailable: "TLS is not available.",
	AlreadyTLS:     "TLS is active already.",
	BadSyntax:      "Not understood.",
	NotNow:         "Not understood.",
	Unavailable:    "The service is not available.",
	TooMuch:        "Too many connections, commands or errors.",
}
