package dialect

import "strings"

// capList finds the capability list of a server's line: behind an untagged CAPABILITY, or in the
// response code of a status (RFC 9051 §7.1, §7.2.2).
func capList(line []byte) (from, to int, ok bool) {
	const word = "CAPABILITY"
	text, _ := chomp(line)
	text = upper(text)
	tag, rest, _ := strings.Cut(text, " ")
	if status, code, _ := strings.Cut(rest, " "); imapStatus[status] {
		code, ok = strings.CutPrefix(code, "["+word)
		to = strings.IndexByte(text, ']')
		from = len(text) - len(code)
		return from, to, ok && from <= to && (from == to || blank(rune(text[from])))
	}
	list, ok := strings.CutPrefix(rest, word)
	return len(text) - len(list), len(text), ok && tag == "*" && (list == "" || blank(rune(list[0])))
}

// learn reads the capability list of a server's line, wherever it stands.
func (s *imap) learn(m *Message, line []byte) {
	from, to, ok := capList(line)
	if !ok || m.Kind != Other && m.Kind != Greeting {
		return
	}
	if m.Kind == Other {
		if m.Kind = Caps; s.open && s.kind == Ask {
			m.Re, m.Tag = Ask, s.tag
		}
	}
	var starttls, disabled bool
	s.id = false
	for _, word := range words(upper(string(line[from:to]))) {
		mech, auth := strings.CutPrefix(word, "AUTH=")
		if auth {
			m.Mechs = append(m.Mechs, mech)
		}
		starttls = starttls || word == "STARTTLS"
		disabled = disabled || word == "LOGINDISABLED"
		s.id = s.id || word == "ID"
	}
	if s.heard = true; starttls {
		s.offered, m.Offer = true, Offered
		if disabled {
			m.Offer = Required
		}
	}
}

// edit changes a capability list; the rest of the line stays byte for byte, and so do the other
// words of the list and the blanks between them. A LOGINDISABLED of the server's own stays as well:
// it knows why it takes no passwords.
func (s *imap) edit(dst []byte, m Message) []byte {
	from, to, ok := capList(m.Raw)
	if !ok {
		return append(dst, m.Raw...)
	}
	var starttls, disabled bool
	list := dropWords(m.Raw[from:to], func(word string) bool {
		switch mech, auth := strings.CutPrefix(word, "AUTH="); {
		case auth:
			return m.drops(mech)
		case word == "STARTTLS" && m.edit.offer:
			again := starttls
			starttls = true
			return again || m.Offer == Unsaid
		case word == "LOGINDISABLED" && m.edit.offer:
			again := disabled
			disabled = true
			return again
		}
		return false
	})
	if m.edit.offer && m.Offer != Unsaid && !starttls {
		list = append(list, " STARTTLS"...)
	}
	if m.edit.offer && m.Offer == Required && !disabled {
		list = append(list, " LOGINDISABLED"...) // RFC 9051 §6.2.3
	}
	return append(append(append(dst, m.Raw[:from]...), list...), m.Raw[to:]...)
}

func (s *imap) say(dst []byte, m Message) []byte {
	if m.Raw != nil {
		return s.edit(dst, m)
	}
	switch m.Kind {
	case Greeting:
		return append(dst, imapGreeting(m)...)
	case No:
		return append(dst, refuseTagged(m, imapRefusals)...)
	case Ask:
		return s.ask(dst, m.Tag, "CAPABILITY")
	case Upgrade:
		return s.ask(dst, m.Tag, "STARTTLS")
	case Bye:
		if m.Re != Bye {
			return s.ask(dst, m.Tag, "LOGOUT")
		}
		dst = append(dst, "* BYE Logging out\r\n"...)
	case Caps:
		dst = append(dst, "* "+imapList(m)+"\r\n"...)
	}
	// What is left is the end of an answer, if there was a question.
	switch {
	case m.Tag == "":
	case m.Kind == Ready:
		dst = append(dst, m.Tag+" OK Begin TLS negotiation now\r\n"...)
	case m.Kind == Caps, m.Kind == Bye, m.Kind == Other:
		dst = append(dst, m.Tag+" OK Completed\r\n"...)
	}
	return dst
}

// imapList is a capability list of our own.
func imapList(m Message) string {
	list := "CAPABILITY IMAP4rev1"
	if m.Offer != Unsaid {
		list += " STARTTLS"
	}
	if m.Offer == Required {
		return list + " LOGINDISABLED"
	}
	for _, mech := range m.Mechs {
		list += " AUTH=" + mech
	}
	return list
}

func imapGreeting(m Message) string {
	code := ""
	if m.Offer != Unsaid || len(m.Mechs) > 0 {
		code = "[" + imapList(m) + "] "
	}
	return "* OK " + code + strings.TrimLeft(m.Name+" ", " ") + "IMAP4rev1 ready\r\n"
}

// imapRefusals are the words of a No, with codes of RFC 9051 §7.1.
var imapRefusals = []string{
	Unknown:        "BAD Command not understood",
	TLSRequired:    "NO [PRIVACYREQUIRED] Issue STARTTLS first",
	TLSUnavailable: "NO [UNAVAILABLE] TLS not available due to temporary reason",
	AlreadyTLS:     "BAD TLS is active already",
	BadSyntax:      "BAD Syntax error",
	NotNow:         "BAD Not in this state",
	Unavailable:    "BYE [UNAVAILABLE] Service not available",
	TooMuch:        "BYE [LIMIT] Too many connections, commands or errors",
}
