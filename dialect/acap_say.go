package dialect

import "strings"

// An acapItem is a capability of a greeting: (NAME "string" ...).
type acapItem struct {
	gap  string // the blanks before it
	raw  string
	name string // in upper case
	strs []string
}

// cutACAP cuts a greeting into "* ACAP", its capabilities and the line end (RFC 2244 §8). Parentheses
// in strings are text.
func cutACAP(line string) (head string, items []acapItem, tail string, ok bool) {
	if i := strings.IndexByte(line, '('); i >= 0 {
		head = strings.TrimRight(line[:i], " ")
	} else {
		head = strings.TrimRight(line, " \r\n")
	}
	tail = line[len(head):]
	for {
		rest := strings.TrimLeft(tail, " ")
		if len(rest) == len(tail) || rest == "" || rest[0] != '(' {
			return head, items, tail, len(strings.Fields(head)) == 2 && strings.Trim(tail, " \r\n") == ""
		}
		end := 1
		for end < len(rest) && rest[end] != ')' {
			if rest[end] != '"' {
				end++
			} else if q := quoteEnd(rest[end:]); q > 0 {
				end += q
			} else {
				return "", nil, "", false
			}
		}
		if end == len(rest) {
			return "", nil, "", false
		}
		item := acapItem{gap: tail[:len(tail)-len(rest)], raw: rest[:end+1]}
		name, strs, _ := strings.Cut(rest[1:end], " ")
		item.name, item.strs = upper(name), quoted([]byte(strs+"\n"))
		items, tail = append(items, item), rest[end+1:]
	}
}

// learn reads the capabilities of a greeting, and reports whether it is one.
func (s *acap) learn(m *Message, line []byte) bool {
	_, items, _, ok := cutACAP(string(line))
	for _, item := range items {
		switch item.name {
		case "STARTTLS":
			m.Offer, s.offered = Offered, true
		case "SASL":
			for _, mech := range item.strs {
				m.Mechs = append(m.Mechs, upper(mech))
			}
		}
	}
	return ok
}

// edit changes the capabilities of a greeting. Mechanisms are held back with all of SASL, which has no
// empty list. All else stays byte for byte.
func (s *acap) edit(dst []byte, m Message) []byte {
	head, items, tail, _ := cutACAP(string(m.Raw))
	said := !m.edit.offer || m.Offer == Unsaid
	for _, item := range items {
		switch item.name {
		case "STARTTLS":
			if m.edit.offer && said {
				continue
			}
			said = true
		case "SASL":
			kept := m.keeps(item.strs)
			if len(kept) < len(item.strs) {
				item.raw = acapSASL(kept)
			}
			if len(kept) == 0 {
				continue
			}
		}
		head += item.gap + item.raw
	}
	if !said {
		head += " (STARTTLS)"
	}
	return append(dst, head+tail...)
}

func acapSASL(mechs []string) string {
	list := "(SASL"
	for _, mech := range mechs {
		list += " " + quote(mech)
	}
	return list + ")"
}

func (s *acap) say(dst []byte, m Message) []byte {
	switch {
	case m.Raw != nil && m.Kind == Greeting:
		return s.edit(dst, m)
	case m.Raw != nil:
		return append(dst, m.Raw...)
	}
	switch m.Kind {
	case Greeting:
		return append(dst, acapGreeting(m)...)
	case No:
		return append(dst, refuseTagged(m, acapRefusals)...)
	case Upgrade:
		return s.ask(dst, "", "STARTTLS")
	case Bye:
		if m.Re != Bye {
			return s.ask(dst, "", "LOGOUT")
		}
		dst = append(dst, "* BYE \"Logging out\"\r\n"...)
	}
	switch {
	case m.Tag == "":
	case m.Kind == Ready:
		dst = append(dst, m.Tag+" OK \"Begin TLS negotiation now\"\r\n"...)
	case m.Kind == Bye, m.Kind == Other:
		dst = append(dst, m.Tag+" OK \"Completed\"\r\n"...)
	}
	return dst
}

func acapGreeting(m Message) string {
	list := "* ACAP"
	if m.Name != "" {
		list += " (IMPLEMENTATION " + quote(m.Name) + ")"
	}
	if m.Offer != Required && len(m.Mechs) > 0 {
		list += " " + acapSASL(m.Mechs)
	}
	if m.Offer != Unsaid {
		list += " (STARTTLS)"
	}
	return list + "\r\n"
}

// acapRefusals are the words of a No, with codes of RFC 2244 §3.6.
var acapRefusals = []string{
	Unknown:        `BAD "Unknown command"`,
	TLSRequired:    `NO (ENCRYPT-NEEDED) "Issue STARTTLS first"`,
	TLSUnavailable: `NO (TRYLATER) "TLS not available due to temporary reason"`,
	AlreadyTLS:     `BAD "TLS is active already"`,
	BadSyntax:      `BAD "Syntax error"`,
	NotNow:         `BAD "Not in this state"`,
	Unavailable:    `BYE (TRYLATER) "Service not available"`,
	TooMuch:        `BYE (TRYLATER) "Too many connections, commands or errors"`,
}
