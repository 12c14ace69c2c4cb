package dialect

import "strings"

// edit changes a list of capabilities. All other lines stay byte for byte, and so does a list of
// mechanisms that loses none.
func (s *sieve) edit(dst []byte, m Message) []byte {
	said := !m.edit.offer || m.Offer == Unsaid
	for rest := m.Raw; len(rest) > 0; {
		status, all, n, err := cutSieve(rest)
		if n == 0 || err != nil {
			return append(dst, rest...)
		}
		line := rest[:n]
		rest = rest[n:]
		switch {
		case status != "" && !said:
			dst = append(dst, "\"STARTTLS\"\r\n"...)
		case status != "":
		case upper(all[0]) == "STARTTLS" && m.edit.offer:
			if said {
				continue
			}
			said = true
		case upper(all[0]) == "SASL" && len(all) > 1:
			mechs := words(all[1])
			kept := m.keeps(mechs) // RFC 5804 §1.7: empty when TLS must come first
			if len(kept) < len(mechs) {
				line = []byte("\"SASL\" " + quote(strings.Join(kept, " ")) + "\r\n")
			}
		}
		dst = append(dst, line...)
	}
	return dst
}

func (s *sieve) say(dst []byte, m Message) []byte {
	switch {
	case m.Raw != nil && m.Kind == Caps:
		return s.edit(dst, m)
	case m.Raw != nil:
		return append(dst, m.Raw...)
	}
	switch m.Kind {
	case Greeting, Caps:
		return append(dst, sieveBlock(m)...)
	case Ask:
		return append(dst, "CAPABILITY\r\n"...)
	case Upgrade:
		return append(dst, "STARTTLS\r\n"...)
	case Ready:
		return append(dst, "OK \"Begin TLS negotiation now\"\r\n"...)
	case Other:
		return append(dst, "OK\r\n"...)
	case No:
		return append(dst, sieveRefusals[m.Why]...)
	case Bye:
		if m.Re == Bye {
			return append(dst, "OK \"Logging out\"\r\n"...)
		}
		return append(dst, "LOGOUT\r\n"...)
	}
	return dst
}

// sieveBlock is a list of our own, with the capabilities that RFC 5804 §1.7 demands.
func sieveBlock(m Message) string {
	mechs := m.Mechs
	if m.Offer == Required {
		mechs = nil
	}
	list := "\"IMPLEMENTATION\" " + quote(m.Name) + "\r\n\"VERSION\" \"1.0\"\r\n\"SIEVE\" \"\"\r\n"
	list += "\"SASL\" " + quote(strings.Join(mechs, " ")) + "\r\n"
	if m.Offer != Unsaid {
		list += "\"STARTTLS\"\r\n"
	}
	return list + "OK\r\n"
}

// sieveRefusals have the response codes of RFC 5804 §1.3.
var sieveRefusals = [...]string{
	Unknown:        "NO \"Unknown command\"\r\n",
	TLSRequired:    "NO (ENCRYPT-NEEDED) \"Issue STARTTLS first\"\r\n",
	TLSUnavailable: "NO (TRYLATER) \"TLS not available due to temporary reason\"\r\n",
	AlreadyTLS:     "NO \"TLS is active already\"\r\n",
	BadSyntax:      "NO \"Syntax error (no arguments allowed)\"\r\n",
	NotNow:         "NO \"Not in this state\"\r\n",
	Unavailable:    "BYE (TRYLATER) \"Service not available\"\r\n",
	TooMuch:        "BYE (TRYLATER) \"Too many commands or errors\"\r\n",
}
