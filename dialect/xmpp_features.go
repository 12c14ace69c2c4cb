package dialect

import (
	"bytes"
	"slices"
)

// xmppFeatures reads what features say of TLS and of logins. A server that shows STARTTLS alone demands
// it as well (RFC 6120 §5.3.1).
func xmppFeatures(all []xmlElement, raw []byte) (offer Offer, mechs []string) {
	shown := 0
	for _, e := range all[1:] {
		switch {
		case e.depth == 1:
			if shown++; e.is(xmppTLS, "starttls") {
				offer = max(offer, Offered)
			}
		case e.is(xmppTLS, "required") && all[e.up].is(xmppTLS, "starttls") && e.depth == 2:
			offer = Required
		case xmppMech(all, e):
			if mech, ok := e.text(raw); ok {
				mechs = append(mechs, upper(mech))
			}
		}
	}
	if offer == Offered && shown == 1 {
		offer = Required
	}
	return offer, mechs
}

// xmppMech reports whether e names a mechanism in one of the two lists that there are.
func xmppMech(all []xmlElement, e xmlElement) bool {
	return e.depth == 2 && e.local() == "mechanism" && e.ns == all[e.up].ns && (e.ns == xmppSASL || e.ns == xmppSASL2)
}

// xmppLogins are the namespaces of features that begin a login or an account.
var xmppLogins = []string{
	xmppSASL, xmppSASL2, xmppBinding, "http://jabber.org/features/iq-auth",
	"http://jabber.org/features/iq-register", "urn:xmpp:features:dialback",
}

// xmppDrops reports whether the feature e is left out.
func xmppDrops(all []xmlElement, e xmlElement, m Message) bool {
	switch {
	case e.depth == 1 && e.is(xmppTLS, "starttls"):
		return m.edit.offer
	case e.depth == 1 && m.edit.offer && m.Offer == Required && slices.Contains(xmppLogins, e.ns):
		return true
	case e.depth == 1:
		// With no binding mechanism left, this list would end the login (XEP-0440).
		return m.edit.unbound && e.ns == xmppBinding
	case m.edit.unbound && xmppMech(all, e):
		mech, ok := e.text(m.Raw)
		return !ok || bound(upper(mech))
	}
	return false
}

// editFeatures changes features. What is not left out stays byte for byte; STARTTLS comes first.
func (s *xmpp) editFeatures(dst []byte, m Message) []byte {
	all, n, err := cutXML(m.Raw, s.said[Server].root)
	if n == 0 || err != nil { // from a stream with other prefixes than the one that we have said
		return s.features(dst, m)
	}
	offer, e := "", all[0]
	if m.edit.offer {
		offer = xmppOffers[m.Offer]
	}
	kept := e.in
	switch {
	case e.end && offer != "": // it was empty
		dst = append(append(append(dst, bytes.TrimSuffix(m.Raw, []byte("/>"))...), '>'), offer...)
		return append(dst, "</"+e.name+">"...)
	default:
		dst = append(append(dst, m.Raw[:kept]...), offer...)
	}
	for _, e := range all[1:] {
		if e.from >= kept && xmppDrops(all, e, m) {
			dst = append(dst, m.Raw[kept:e.from]...)
			kept = e.to
		}
	}
	return append(dst, m.Raw[kept:]...)
}

// xmppOffers are the features of RFC 6120 §5.4.1.
var xmppOffers = [...]string{
	Unsaid:   "",
	Offered:  "<starttls xmlns='" + xmppTLS + "'/>",
	Required: "<starttls xmlns='" + xmppTLS + "'><required/></starttls>",
}
