package dialect

import "strings"

// answer reads a server's element.
func (s *xmpp) answer(m *Message, all []xmlElement, raw []byte) error {
	e := all[0]
	switch {
	case e.is(xmppStreams, "features"):
		s.learn(m, all, raw)
	case e.is(xmppStreams, "error"):
		m.Kind, s.wait = Bye, false // RFC 6120 §4.9.1.1
		m.Why, m.Text = xmppError(all, raw)
	case s.wait && s.kind == Upgrade:
		return s.upgraded(m, e, raw)
	case e.ns == xmppTLS:
		return noise("an answer to no STARTTLS")
	case e.ns == xmppSASL, e.ns == xmppSASL2:
		s.sasl(m, e.local())
	case e.is(xmppDialback, "result") && e.attr("type") == "valid", e.is(xmppCompress, "compressed"):
		s.finished = s.secret // no features follow (XEP-0220); no XML follows (XEP-0138)
	}
	return nil
}

// upgraded reads the answer to STARTTLS. Nothing may be said between (RFC 6120 §5.4.3.1).
func (s *xmpp) upgraded(m *Message, e xmlElement, raw []byte) error {
	switch {
	case e.is(xmppTLS, "proceed") && e.empty(raw):
		m.Kind = Ready
	case e.is(xmppTLS, "failure"):
		m.Kind, m.Why, m.Text = Bye, TLSUnavailable, e.local() // RFC 6120 §5.4.2.2: it closes
	default:
		return noise("no answer to STARTTLS")
	}
	s.wait = false
	return nil
}

// sasl reads a step of a login. Each element of the client is answered by one.
func (s *xmpp) sasl(m *Message, step string) {
	s.wait = s.wait && s.kind != Secret
	switch step {
	case "success":
		s.authed = s.login
	case "failure":
		m.Kind, m.Text, s.login = No, step, false
	}
}

// learn reads features.
func (s *xmpp) learn(m *Message, all []xmlElement, raw []byte) {
	m.Kind, s.heard = Caps, true
	if s.wait = s.wait && s.kind != Hello; s.wait {
		m.Re = Other
	}
	m.Offer, m.Mechs = xmppFeatures(all, raw)
	s.offered = s.offered || m.Offer != Unsaid
	s.finished = s.finished || s.authed
}

// xmppError reads a stream error (RFC 6120 §4.9.2): a condition, and a text for people.
func xmppError(all []xmlElement, raw []byte) (why Reason, text string) {
	for _, e := range all[1:] {
		switch {
		case e.depth != 1 || e.ns != xmppErrors:
		case e.local() == "text":
			words, _ := e.text(raw)
			text += ": " + words
		default:
			text = e.local() + text
			why = xmppReasons[e.local()]
		}
	}
	return why, strings.TrimPrefix(text, ": ")
}

var xmppReasons = map[string]Reason{
	"connection-timeout": Unavailable, "host-gone": Unavailable, "internal-server-error": Unavailable,
	"remote-connection-failed": Unavailable, "reset": Unavailable, "resource-constraint": Unavailable,
	"system-shutdown": Unavailable,
}
