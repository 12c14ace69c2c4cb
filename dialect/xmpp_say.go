package dialect

import (
	"bytes"
	"crypto/rand"
)

func (s *xmpp) say(dst []byte, m Message) []byte {
	switch {
	case m.Raw != nil && m.Kind == Caps:
		return s.editFeatures(dst, m)
	case m.Raw != nil && m.Kind == Other && m.edit.offer && len(bytes.TrimSpace(m.Raw)) == 0:
		return dst // space in a login
	case m.Raw != nil:
		return append(dst, m.Raw...)
	}
	switch m.Kind {
	case Hello:
		return append(dst, "<?xml version='1.0'?><stream:stream xmlns='"+s.content+"' xmlns:stream='"+xmppStreams+"'"+
			xmppAttr("to", m.Name)+" version='1.0'>"...)
	case Upgrade:
		return append(dst, "<starttls xmlns='"+xmppTLS+"'/>"...)
	case Caps:
		return s.features(s.header(dst, m), m)
	case Ready:
		return append(dst, "<proceed xmlns='"+xmppTLS+"'/>"...)
	case No:
		return s.refuse(dst, m)
	case Bye:
		side := Client
		if m.Re == Bye {
			side = Server
		}
		return s.end(dst, side)
	}
	return dst
}

// header opens the server's stream unless that is done. The id is unique and not to be guessed
// (RFC 6120 §4.7.3).
func (s *xmpp) header(dst []byte, m Message) []byte {
	if s.opened {
		return dst
	}
	ask := s.said[Client].root
	from := ask.attr("to")
	if from == "" {
		from = m.Name
	}
	return append(dst, "<?xml version='1.0'?><stream:stream xmlns='"+s.content+"' xmlns:stream='"+xmppStreams+"'"+
		xmppAttr("from", from)+xmppAttr("to", ask.attr("from"))+" id='"+rand.Text()+"' version='1.0' xml:lang='en'>"...)
}

func xmppAttr(name, value string) string {
	if value == "" {
		return ""
	}
	return " " + name + "='" + xmlEscaper.Replace(value) + "'"
}

// features are our own words. Their prefix is that of the header.
func (s *xmpp) features(dst []byte, m Message) []byte {
	list := xmppOffers[m.Offer]
	if m.Offer != Required {
		for _, mech := range m.Mechs {
			if !m.edit.unbound || !bound(mech) {
				list += "<mechanism>" + xmlEscaper.Replace(mech) + "</mechanism>"
			}
		}
	}
	if at := len(xmppOffers[m.Offer]); at < len(list) {
		list = list[:at] + "<mechanisms xmlns='" + xmppSASL + "'>" + list[at:] + "</mechanisms>"
	}
	return append(dst, "<stream:features xmlns:stream='"+xmppStreams+"'>"+list+"</stream:features>"...)
}

// refuse says why the stream ends, and ends it: there is no other way to refuse (RFC 6120 §4.9.1.1,
// §5.4.2.2).
func (s *xmpp) refuse(dst []byte, m Message) []byte {
	if s.said[Server].over {
		return dst
	}
	at := len(dst)
	dst = s.header(dst, m)
	root := s.said[Server].root.name
	if len(dst) > at {
		root = "stream:stream"
	}
	if s.shut = true; m.Re == Upgrade {
		dst = append(dst, "<failure xmlns='"+xmppTLS+"'/>"...)
	} else {
		dst = append(dst, "<stream:error xmlns:stream='"+xmppStreams+"'><"+xmppRefusals[m.Why]+" xmlns='"+xmppErrors+"'/>"...)
		dst = append(dst, "</stream:error>"...)
	}
	return append(dst, "</"+root+">"...)
}

// end says the end of a side's stream, if it has begun and not ended.
func (s *xmpp) end(dst []byte, side Side) []byte {
	if x := s.said[side]; x.root.name != "" && !x.over && (side == Client || s.opened) {
		dst = append(dst, "</"+x.root.name+">"...)
	}
	return dst
}

// xmppRefusals are stream errors (RFC 6120 §4.9.3). A server behind a gateway is of the same domain, so
// that it cannot be reached is an internal error (§4.9.3.15).
var xmppRefusals = [...]string{
	Unknown:        "unsupported-stanza-type",
	TLSRequired:    "policy-violation",
	TLSUnavailable: "internal-server-error",
	AlreadyTLS:     "policy-violation",
	BadSyntax:      "bad-format",
	NotNow:         "not-authorized",
	Unavailable:    "internal-server-error",
	TooMuch:        "resource-constraint",
}
