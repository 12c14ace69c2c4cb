package dialect

import (
	"slices"
	"strings"
)

// ircList finds the list of a line of an answer to CAP LS, and whether another line follows (IRCv3
// capability negotiation). The list is the last parameter, with a colon or, of one word, without.
func ircList(line []byte) (l ircLine, from int, more, ok bool) {
	text, _ := chomp(line)
	l = cutIRC(text)
	if l.command != "CAP" || upper(l.param(1)) != "LS" || len(l.params) < 3 {
		return l, 0, false, false
	}
	if !l.colon {
		text = strings.TrimRight(text, " ")
	}
	return l, len(text) - len(l.params[len(l.params)-1]), len(l.params) > 3 && l.params[2] == "*", true
}

// list reads an answer to CAP LS: all lines of it are one message, with what a server says between.
func (s *irc) list(buf []byte) (Message, int, error) {
	m := Message{Kind: Caps}
	for n := 0; ; {
		end, err := cutLine(buf[n:])
		if end == 0 || err != nil {
			return Message{}, 0, err
		}
		line := buf[n : n+end]
		n += end
		l, from, more, ok := ircList(line)
		text, _ := chomp(line)
		if ok {
			s.caps(&m, text[from:])
		} else if l.command == "CAP" && upper(l.param(1)) == "LS" {
			return Message{}, 0, noise("a list that is none")
		}
		if more || !ok {
			continue
		}
		if s.asked {
			m.Re = Ask
		}
		s.asked = false
		return m, n, nil
	}
}

// caps reads one list.
func (s *irc) caps(m *Message, list string) {
	for _, word := range strings.Split(list, " ") {
		switch key, value, _ := strings.Cut(word, "="); upper(key) {
		case "TLS":
			m.Offer = Offered
		case "SASL":
			m.Mechs = append(m.Mechs, strings.FieldsFunc(upper(value), func(r rune) bool { return r == ',' })...)
		}
	}
}

// edit changes an answer to CAP LS. What the server says of STS stays unless we have a policy of our own:
// it is about another port.
func (s *irc) edit(dst []byte, m Message) []byte {
	said := !m.edit.offer || m.Offer == Unsaid
	sts := s.sts(m)
	for _, line := range lines(m.Raw) {
		l, from, more, ok := ircList(line)
		if !ok {
			dst = append(dst, line...)
			continue
		}
		text, _ := chomp(line)
		var kept []string
		for _, word := range strings.Split(text[from:], " ") {
			key, value, _ := strings.Cut(word, "=")
			switch upper(key) {
			case "TLS":
				if m.edit.offer && said {
					continue
				}
				said = true
			case "STS":
				if m.edit.sts != "" {
					continue
				}
			case "SASL":
				if word = ircSASL(word, value, m); word == "" {
					continue
				}
			}
			kept = append(kept, word)
		}
		if !more && (!said || sts != "") {
			if last := len(kept) - 1; last >= 0 && kept[last] == "" {
				kept = kept[:last] // servers end the list with a blank
			}
			if !said {
				kept = append(kept, "tls")
			}
			kept = append(kept, strings.Fields(sts)...)
		}
		list := strings.Join(kept, " ")
		if !l.colon {
			list = ":" + list // it may be of two words, or none, now
		}
		dst = append(append(append(dst, text[:from]...), list...), line[len(text):]...)
	}
	return dst
}

// ircSASL returns the capability sasl as it may be said, or "". Its mechanisms are listed since IRCv3.2.
func ircSASL(word, value string, m Message) string {
	if m.holdsBack() {
		return ""
	}
	mechs := strings.Split(value, ",")
	if !m.edit.unbound || !slices.ContainsFunc(mechs, func(mech string) bool { return bound(upper(mech)) }) {
		return word
	}
	mechs = slices.DeleteFunc(mechs, func(mech string) bool { return bound(upper(mech)) })
	if len(mechs) == 0 {
		return ""
	}
	return word[:len(word)-len(value)] + strings.Join(mechs, ",")
}

func (s *irc) say(dst []byte, m Message) []byte {
	switch {
	case m.Raw != nil && m.Kind == Caps:
		return s.edit(dst, m)
	case m.Raw != nil:
		return append(dst, m.Raw...)
	}
	from := ":" + s.server + " "
	switch {
	case m.Name != "" && !strings.ContainsFunc(m.Name, blank):
		from = ":" + m.Name + " "
	case s.server == "":
		from = ":irc.invalid " // a numeric needs a prefix (RFC 2812 §2.4), and clients count on it
	}
	switch m.Kind {
	case Ask:
		// CAP LS holds registration back until CAP END, also for who says neither inside TLS.
		return append(dst, "CAP LS 302\r\nCAP END\r\n"...)
	case Upgrade:
		return append(dst, "STARTTLS\r\n"...)
	case Caps:
		list := map[bool]string{true: "tls"}[m.Offer != Unsaid]
		if m.Offer != Required && len(m.Mechs) > 0 {
			list = strings.TrimSpace(list + " sasl=" + strings.Join(m.Mechs, ","))
		}
		list = strings.TrimSpace(list + " " + s.sts(m))
		return append(dst, from+"CAP * LS :"+list+"\r\n"...)
	case Ready:
		return append(dst, from+"670 * :STARTTLS successful, proceed with TLS handshake\r\n"...)
	case No:
		return append(dst, s.refuse(from, m)...)
	case Bye:
		if m.Re == Bye {
			return append(dst, "ERROR :Closing link\r\n"...)
		}
		return append(dst, "QUIT\r\n"...)
	}
	return dst // most commands have no answer
}

// refuse words a No. Before TLS nobody is registered: 451 is what a server says to whatever comes before
// its time (RFC 2812 §5.2). No numeric says that TLS is required.
func (s *irc) refuse(from string, m Message) string {
	switch {
	case m.Why == Unavailable:
		return "ERROR :Closing link: service not available\r\n"
	case m.Why == TooMuch:
		return "ERROR :Closing link: too many commands or errors\r\n"
	case m.Re == Upgrade && m.Why != Unknown:
		return from + "691 * :STARTTLS failed (" + ircRefusals[m.Why] + ")\r\n"
	case m.Why == Unknown:
		verb, _, _ := strings.Cut(strings.TrimLeft(s.verb, ":"), "\r")
		if m.Re == Upgrade {
			verb = "STARTTLS"
		}
		return from + "421 * " + verb + " :Unknown command\r\n"
	}
	return from + "451 * :You have not registered: " + ircRefusals[m.Why] + "\r\n"
}

var ircRefusals = [...]string{
	TLSRequired:    "say STARTTLS first",
	TLSUnavailable: "TLS not available due to temporary reason",
	AlreadyTLS:     "TLS is active already",
	BadSyntax:      "syntax error",
	NotNow:         "not in this state",
}
