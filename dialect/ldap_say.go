package dialect

import (
	"bytes"
	"strconv"
	"strings"
)

// An ldapAttr is a name of an attribute type: the short name in lower case, and the OID.
type ldapAttr struct{ name, oid string }

// Attributes of the root DSE that matter for TLS (RFC 4512 §5.1).
var (
	supportedExtension      = ldapAttr{"supportedextension", "1.3.6.1.4.1.1466.101.120.7"}
	supportedSASLMechanisms = ldapAttr{"supportedsaslmechanisms", "1.3.6.1.4.1.1466.101.120.14"}
)

func (a ldapAttr) is(name string) bool { return strings.ToLower(name) == a.name || name == a.oid }

// caps reads an entry of the root DSE, whichever of the lists it has.
func (l *ldap) caps(m *Message, op element) error {
	in := ber{rest: op.body}
	in.take(berOctets) // objectName
	attrs := ber{rest: in.take(berSequence)}
	m.Kind = Caps
	for attrs.more() {
		name, vals := readAttribute(&attrs)
		switch {
		case supportedExtension.is(name):
			for vals.more() {
				if string(vals.take(berOctets)) == ldapStartTLS {
					m.Offer = Offered
				}
			}
		case supportedSASLMechanisms.is(name):
			for vals.more() {
				m.Mechs = append(m.Mechs, strings.ToUpper(string(vals.take(berOctets))))
			}
		}
		attrs.bad = attrs.bad || vals.bad
	}
	if in.bad || attrs.bad {
		return noise("a malformed root DSE")
	}
	return nil
}

// readAttribute reads a PartialAttribute (RFC 4511 §4.1.7).
func readAttribute(attrs *ber) (name string, vals ber) {
	in := ber{rest: attrs.take(berSequence)}
	name = string(in.take(berOctets))
	vals.rest = in.take(berSet)
	attrs.bad = attrs.bad || in.bad
	return name, vals
}

// editCaps changes the lists of a root DSE: our offer for the server's, and mechanisms held back where
// they must not be used. All other parts stay byte for byte.
func (l *ldap) editCaps(dst []byte, m Message) []byte {
	msg, n, err := cutLDAP(m.Raw)
	in := ber{rest: msg.op.body}
	name := in.next()
	old := in.take(berSequence)
	attrs := l.editAttributes(old, m)
	if n == 0 || err != nil || in.bad || bytes.Equal(attrs, old) {
		return append(dst, m.Raw...)
	}
	op := newElement(ldapEntry, name.raw, newElement(berSequence, attrs), in.rest)
	return appendElement(dst, berSequence, msg.rawID, op, msg.rest)
}

func (l *ldap) editAttributes(old []byte, m Message) []byte {
	var out []byte
	offer := m.edit.offer && m.Offer != Unsaid // and has not been said yet
	attrs := ber{rest: old}
	for attrs.more() {
		at := attrs
		a := attrs.next()
		switch name, _ := readAttribute(&at); {
		case m.edit.offer && supportedExtension.is(name):
			a.raw = editValues(a, func(value string) bool {
				if value != ldapStartTLS {
					return true
				}
				first := offer
				offer = false
				return first
			}, &offer)
		case m.edit.offer && m.Offer == Required && supportedSASLMechanisms.is(name):
			a.raw = nil
		case m.edit.unbound && supportedSASLMechanisms.is(name):
			a.raw = editValues(a, func(value string) bool { return !bound(strings.ToUpper(value)) }, nil)
		}
		out = append(out, a.raw...)
	}
	if offer && l.extensions {
		// The server has no extension at all, or names none; the client wanted to know.
		out = append(out, newAttribute("supportedExtension", ldapStartTLS)...)
	}
	return out
}

// editValues returns an attribute with the values that pass keep, and with the StartTLS OID if add is
// true then. An attribute without values is nothing.
func editValues(a element, keep func(string) bool, add *bool) []byte {
	in := ber{rest: a.body}
	name, set := in.next(), ber{rest: in.take(berSet)}
	old := set.rest
	var vals []byte
	for set.more() {
		if v := set.next(); keep(string(v.body)) {
			vals = append(vals, v.raw...)
		}
	}
	if add != nil && *add {
		vals = appendElement(vals, berOctets, []byte(ldapStartTLS))
		*add = false
	}
	switch {
	case bytes.Equal(vals, old):
		return a.raw
	case len(vals) == 0:
		return nil
	}
	return newElement(berSequence, name.raw, newElement(berSet, vals), in.rest)
}

func newAttribute(name string, values ...string) []byte {
	var set []byte
	for _, v := range values {
		set = appendElement(set, berOctets, []byte(v))
	}
	return newElement(berSequence, newElement(berOctets, []byte(name)), newElement(berSet, set))
}

func (l *ldap) say(dst []byte, m Message) []byte {
	switch {
	case m.Raw != nil && m.Kind == Caps:
		return l.editCaps(dst, m)
	case m.Raw != nil:
		return append(dst, m.Raw...)
	}
	switch m.Kind {
	case Upgrade:
		return l.ask(dst, newElement(ldapExtended, newElement(0x80, []byte(ldapStartTLS))))
	case Ask:
		return l.ask(dst, ldapAskRootDSE)
	case Bye:
		if l.we == Client {
			return l.ask(dst, newElement(ldapUnbind))
		}
		if m.Re != Bye {
			return disconnect(dst, Unavailable)
		}
	case Ready:
		return l.result(dst, m, ldapSuccess, "")
	case Caps:
		return l.ownCaps(dst, m)
	case Other:
		if l.want {
			return l.result(dst, m, ldapSuccess, "")
		}
	case No:
		// What cannot be tied to a request is said of the session (RFC 4511 §4.4.1).
		if !l.want || m.Why == TooMuch {
			return disconnect(dst, m.Why)
		}
		r := ldapRefusals[m.Why]
		return l.result(dst, m, r.code, r.text)
	}
	return dst
}

// ldapRefusals are the results of RFC 4511 §4.14.2 and §A.2 and RFC 4513 §3.1.1.
var ldapRefusals = [...]ldapResult{
	Unknown:        {code: ldapProtocolError, text: "unsupported operation"},
	TLSRequired:    {code: ldapConfidentialityRequired, text: "StartTLS first"},
	TLSUnavailable: {code: ldapUnavailable, text: "TLS is not available"},
	AlreadyTLS:     {code: ldapOperationsError, text: "TLS is active already"},
	BadSyntax:      {code: ldapProtocolError, text: "malformed request"},
	NotNow:         {code: ldapOperationsError, text: "not while another operation is outstanding"},
	Unavailable:    {code: ldapUnavailable, text: "the server cannot be reached"},
	TooMuch:        {code: ldapBusy, text: "too many connections, requests or errors"},
}

var ldapAskRootDSE = newElement(ldapSearch,
	newElement(berOctets), newNumber(berEnumerated, 0), newNumber(berEnumerated, 0),
	newNumber(berInteger, 0), newNumber(berInteger, 0), newElement(berBoolean, []byte{0}),
	newElement(0x87, []byte("objectClass")), // present
	newElement(berSequence,
		newElement(berOctets, []byte("supportedExtension")), newElement(berOctets, []byte("supportedSASLMechanisms"))))

// ask appends a request of our own. Its ID is one that nobody has used on this leg.
func (l *ldap) ask(dst, op []byte) []byte {
	return appendElement(dst, berSequence, newNumber(berInteger, l.last%ldapMaxID+1), op)
}

// answerID is the ID to which an answer of our own is tied.
func (l *ldap) answerID(m Message) []byte {
	id, err := strconv.Atoi(m.Tag)
	if err != nil || id < 0 || id > ldapMaxID {
		id = l.id
	}
	return newNumber(berInteger, id)
}

// result appends the end of an answer in the operation that fits the request.
func (l *ldap) result(dst []byte, m Message, code int, text string) []byte {
	tag := byte(ldapExtendedDone)
	if l.want {
		tag = l.answer
	}
	op := newElement(tag, newNumber(berEnumerated, code), newElement(berOctets), newElement(berOctets, []byte(text)))
	return appendElement(dst, berSequence, l.answerID(m), op)
}

func (l *ldap) ownCaps(dst []byte, m Message) []byte {
	var attrs []byte
	if m.Offer != Unsaid {
		attrs = append(attrs, newAttribute("supportedExtension", ldapStartTLS)...)
	}
	if len(m.Mechs) > 0 && m.Offer != Required {
		attrs = append(attrs, newAttribute("supportedSASLMechanisms", m.Mechs...)...)
	}
	op := newElement(ldapEntry, newElement(berOctets), newElement(berSequence, attrs))
	dst = appendElement(dst, berSequence, l.answerID(m), op)
	return l.result(dst, m, ldapSuccess, "")
}

func disconnect(dst []byte, why Reason) []byte {
	r := ldapRefusals[why]
	op := newElement(ldapExtendedDone, newNumber(berEnumerated, r.code), newElement(berOctets),
		newElement(berOctets, []byte(r.text)), newElement(0x8a, []byte(ldapDisconnect)))
	return appendElement(dst, berSequence, newNumber(berInteger, 0), op)
}
