package dialect

import (
	"slices"
	"strings"
)

// XCLIENT as Postfix knows it (XCLIENT_README) and Dovecot's LMTP after it: it is listed for those who may say
// it, takes attributes in xtext, and is answered by a greeting, after which the session begins anew.

// smtpUnknown is what a name is that nobody has looked up. Else that of the gateway would stay.
const smtpUnknown = "[UNAVAILABLE]"

func (s *smtp) tell(w Who) (Message, bool) {
	for _, a := range s.xclient {
		if a == "ADDR" {
			return xclient(s.xclient, [2]string{"NAME", smtpUnknown}, [2]string{"REVERSE_NAME", smtpUnknown},
				[2]string{"ADDR", smtpAddr(w.Addr)}, [2]string{"PORT", w.Port},
				[2]string{"DESTADDR", smtpAddr(w.ToAddr)}, [2]string{"DESTPORT", w.ToPort}), true
		}
	}
	return Message{}, false
}

// smtpAddr is an address as RFC 5321 §4.1.3 has it in literals.
func smtpAddr(addr string) string {
	if strings.Contains(addr, ":") {
		return "IPV6:" + addr
	}
	return addr
}

func (s *smtp) guard() { s.guarded = true }

// pass: what is no plain word could be XCLIENT to a laxer server. BDAT is kept from servers because its octets
// are commands to one that refuses it; and a lone dot that ends mail data for some and not for others, with
// line ends that are not CRLF, would let commands hide in data (SMTP smuggling).
func (s *smtp) pass(m Message) (Message, bool) {
	switch s.mode {
	case smtpSASL, smtpChunk:
		return m, true
	case smtpData:
		text := string(m.Raw)
		if s.mid && !s.lax {
			text = "x" + text // of a line that has begun
		}
		return m, text == ".\r\n" && !s.mid || !slices.Contains(strings.FieldsFunc(text, lineEnd), ".")
	}
	verb := laxWord(string(m.Raw), 0)
	return m, strings.Trim(verb, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" && !smtpGateways[verb]
}

// lineEnd reports whether a line may end there, to the laxest server.
func lineEnd(c rune) bool { return c == '\r' || c == '\n' }

// smtpGateways are the extensions that a server must not offer to, nor hear of, clients of a gateway that it
// believes.
var smtpGateways = map[string]bool{"XCLIENT": true, "XFORWARD": true, "BDAT": true, "CHUNKING": true}

// anew begins the session after XCLIENT.
func (s *smtp) anew() { *s = smtp{inside: s.inside, hello: s.hello, guarded: s.guarded} }
