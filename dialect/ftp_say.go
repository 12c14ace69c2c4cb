package dialect

import (
	"slices"
	"strings"
)

// feature reads a line of an answer to FEAT (RFC 2389 §3.2). tls says that it is an AUTH with TLS.
func feature(line []byte) (key string, tls bool) {
	text, _ := chomp(line)
	key, arg := splitVerb(strings.TrimLeft(text, " "))
	mechs := strings.FieldsFunc(upper(arg), func(r rune) bool { return blank(r) || r == ';' || r == ',' })
	return key, key == "AUTH" && slices.ContainsFunc(mechs, func(mech string) bool { _, ok := ftpTLS[mech]; return ok })
}

// learn reads an answer to FEAT.
func (s *ftp) learn(m *Message, text []byte) {
	m.Kind = Caps
	all := lines(text)
	for _, line := range all[1:max(1, len(all)-1)] {
		if _, tls := feature(line); tls {
			m.Offer = Offered
		}
	}
}

// edit changes a list of features. RFC 4217 §6 wants AUTH TLS, PBSZ and PROT in it. Inside TLS the last
// two remain: with them a client protects its data connections. CCC is always refused, and an AUTH for
// something else is a way around TLS. All other lines stay byte for byte.
func (s *ftp) edit(dst []byte, m Message) []byte {
	if !m.edit.offer {
		return append(dst, m.Raw...)
	}
	all := lines(m.Raw)
	want := map[string]bool{"AUTH": m.Offer != Unsaid}
	want["PBSZ"] = want["AUTH"] || s.inside
	want["PROT"] = want["PBSZ"]
	if len(all) == 1 { // no features
		if !want["PBSZ"] {
			return append(dst, m.Raw...)
		}
		text, _ := chomp(all[0])
		all = [][]byte{[]byte("211-" + text[min(4, len(text)):] + "\r\n"), []byte("211 End\r\n")}
	}
	last := len(all) - 1
	dst = append(dst, all[0]...)
	for _, line := range all[1:last] {
		key, tls := feature(line)
		wanted, ours := want[key]
		switch {
		case key == "CCC", ours && key != "AUTH" && !wanted, tls && !wanted:
			continue
		case key == "AUTH" && !tls:
			if m.Offer == Required {
				continue
			}
		case ours: // once
			want[key] = false
		}
		dst = append(dst, line...)
	}
	for _, key := range []string{"AUTH", "PBSZ", "PROT"} {
		if want[key] {
			dst = append(dst, map[string]string{"AUTH": " AUTH TLS\r\n", "PBSZ": " PBSZ\r\n", "PROT": " PROT\r\n"}[key]...)
		}
	}
	return append(dst, all[last]...)
}

func (s *ftp) say(dst []byte, m Message) []byte {
	switch {
	case m.Raw != nil && m.Kind == Caps:
		return s.edit(dst, m)
	case m.Raw != nil:
		return append(dst, m.Raw...) // a greeting says nothing of TLS
	}
	switch m.Kind {
	case Greeting:
		return append(dst, "220 "+strings.TrimLeft(m.Name+" ", " ")+"FTP ready\r\n"...)
	case Caps:
		if m.Offer == Unsaid {
			return append(dst, "211 No features\r\n"...)
		}
		return append(dst, "211-Features:\r\n AUTH TLS\r\n PBSZ\r\n PROT\r\n211 End\r\n"...)
	case No:
		return append(dst, s.refusal(m)...)
	}
	return ftpPhrases.say(dst, m)
}

var ftpPhrases = phrases{
	ask: "FEAT\r\n", upgrade: "AUTH TLS\r\n", ready: "234 Begin TLS negotiation\r\n", other: "200 OK\r\n",
	quit: "QUIT\r\n", bye: "221 Bye\r\n", no: ftpRefusals,
}

// refusal words a No. CCC and the other mechanisms of AUTH have codes of their own (RFC 4217 §5,
// RFC 2228 §3).
func (s *ftp) refusal(m Message) string {
	switch {
	case s.verb == "CCC" && m.Why == NotNow && !s.inside:
		return "533 The control connection is not protected\r\n"
	case s.verb == "CCC" && m.Why == NotNow:
		return "534 The control connection stays protected\r\n"
	case m.Re == Rival && m.Why == TLSRequired:
		return "534 Use AUTH TLS\r\n"
	case m.Re == Upgrade && m.Why == BadSyntax:
		return "504 Unknown security mechanism\r\n"
	}
	return ftpPhrases.no[m.Why]
}

// ftpRefusals are codes of RFC 959 §4.2.2 and RFC 2228 §5.1.
var ftpRefusals = []string{
	Unknown:        "502 Command not implemented\r\n",
	TLSRequired:    "530 Must say AUTH TLS first\r\n",
	TLSUnavailable: "431 TLS not available due to temporary reason\r\n",
	AlreadyTLS:     "503 TLS is active already\r\n",
	BadSyntax:      "501 Syntax error\r\n",
	NotNow:         "503 Bad sequence of commands\r\n",
	Unavailable:    "421 Service not available, closing control connection\r\n",
	TooMuch:        "421 Too many connections, commands or errors, closing control connection\r\n",
}
