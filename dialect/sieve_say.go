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
		case upper(all[0]) == "XCLIENT" && m.edit.guarded:
			continue
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
	if m.Kind == Greeting || m.Kind == Caps {
		return append(dst, sieveBlock(m)...)
	}
	return sievePhrases.say(dst, m)
}

var sievePhrases = phrases{
	ask: "CAPABILITY\r\n", upgrade: "STARTTLS\r\n", ready: "OK \"Begin TLS negotiation now\"\r\n", other: "OK\r\n",
	quit: "LOGOUT\r\n", bye: "OK \"Logging out\"\r\n", no: sieveRefusals,
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
var sieveRefusals = []string{
	Unknown:        "NO \"Unknown command\"\r\n",
	TLSRequired:    "NO (ENCRYPT-NEEDED) \"Issue STARTTLS first\"\r\n",
	TLSUnavailable: "NO (TRYLATER) \"TLS not available due to temporary reason\"\r\n",
	AlreadyTLS:     "NO \"TLS is active already\"\r\n",
	BadSyntax:      "NO \"Syntax error (no arguments allowed)\"\r\n",
	NotNow:         "NO \"Not in this state\"\r\n",
	Unavailable:    "BYE (TRYLATER) \"Service not available\"\r\n",
	TooMuch:        "BYE (TRYLATER) \"Too many connections, commands or errors\"\r\n",
}
