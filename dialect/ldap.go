package dialect

import (
	"strconv"
)

// LDAP is the StartTLS operation of LDAP.
var LDAP = Dialect{
	Name: "ldap",
	Spec: "RFC 4511 §4.14, RFC 4513 §3",
	Schemes: []Scheme{
		{Name: "ldap", Port: 389},
		{Name: "ldaps", Port: 636, Implicit: true},
	},
	Script: script("u R"),
	// Below cn=config, which OpenLDAP always has: of an entry that is nowhere it says that the password is
	// wrong, before it looks whether there must be TLS.
	Work:     "\x30\x26\x02\x01\x01\x60\x21\x02\x01\x03\x04\x13cn=verify,cn=config\x80\x07verify!",
	Password: true,
	Tried:    []string{"OpenLDAP 2.5.13 (slapd, ldapsearch)", "OpenSSL 3.0", "GnuTLS 3.7.9"},
	Limit:    ldapLimit,
	Speak:    func(we Side, inside bool) Speech { return speech{&ldap{we: we, inside: inside}, we} },
}

const (
	ldapLimit      = 256 << 10
	ldapMaxID      = 1<<31 - 1                // RFC 4511 §4.1.1
	ldapStartTLS   = "1.3.6.1.4.1.1466.20037" // RFC 4511 §4.14
	ldapDisconnect = "1.3.6.1.4.1.1466.20036" // RFC 4511 §4.4.1
)

// Operations of RFC 4511 §4.2-4.13 that are read, not only passed on.
const (
	ldapBind     = 0x60
	ldapUnbind   = 0x42
	ldapSearch   = 0x63
	ldapEntry    = 0x64
	ldapAbandon  = 0x50
	ldapExtended = 0x77

	ldapDone         = 0x65
	ldapExtendedDone = 0x78
)

// ldapAnswers gives the operation that ends the answer to each request; 0 where there is none.
var ldapAnswers = map[byte]byte{
	ldapBind: 0x61, ldapUnbind: 0, ldapSearch: ldapDone, 0x66: 0x67 /* modify */, 0x68: 0x69, /* add */
	0x4a: 0x6b /* delete */, 0x6c: 0x6d /* modify DN */, 0x6e: 0x6f, /* compare */
	ldapAbandon: 0, ldapExtended: ldapExtendedDone,
}

// Result codes of RFC 4511 §4.1.9.
const (
	ldapSuccess                 = 0
	ldapOperationsError         = 1
	ldapProtocolError           = 2
	ldapConfidentialityRequired = 13
	ldapSaslBindInProgress      = 14
	ldapBusy                    = 51
	ldapUnavailable             = 52
)

type ldap struct {
	we     Side
	inside bool

	last   int  // the highest message ID of a request
	id     int  // of the outstanding request
	want   bool // an answer is outstanding
	kind   Kind // of that request
	answer byte // the operation that ends its answer

	extensions bool // an Ask: the client wants to see supportedExtension
	typesOnly  bool // an Ask: it wants no values
	binding    bool // a SASL bind is half done
	secret     bool // real work has begun
}

func (l *ldap) Pending() bool { return l.want }

// Settled: StartTLS may be named in the root DSE at any time, inside TLS too (RFC 4513 §3.1 binds the
// request, not the list), so that real work ends our interest.
func (l *ldap) Settled() bool { return l.secret }

// An ldapMessage is an LDAPMessage (RFC 4511 §4.1.1) in its parts.
type ldapMessage struct {
	id    int
	rawID []byte
	op    element
	rest  []byte // controls
}

func cutLDAP(buf []byte) (ldapMessage, int, error) {
	if buf[0] != berSequence {
		return ldapMessage{}, 0, noise("no LDAPMessage")
	}
	e, n, err := cutElement(buf, ldapLimit)
	if n == 0 || err != nil {
		return ldapMessage{}, 0, err
	}
	in := ber{rest: e.body}
	msg := ldapMessage{id: in.number(berInteger)}
	msg.rawID = e.body[:len(e.body)-len(in.rest)]
	msg.op = in.next()
	msg.rest = in.rest
	if in.bad {
		return ldapMessage{}, 0, noise("a malformed LDAPMessage")
	}
	return msg, n, nil
}

func (l *ldap) request(buf []byte) (Message, int, error) {
	msg, n, err := cutLDAP(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	answer, known := ldapAnswers[msg.op.tag]
	if !known || msg.id == 0 {
		return Message{}, 0, noise("no LDAP request") // RFC 4511 §4.1.1, §4.1.1.1
	}
	m := Message{Kind: Secret, Tag: strconv.Itoa(msg.id)}
	switch in := (ber{rest: msg.op.body}); msg.op.tag {
	case ldapBind:
		if in.number(berInteger); len(in.take(berOctets)) == 0 && len(in.take(0x80)) == 0 && !in.bad {
			m.Kind = Other // anonymous: there is nothing to hide (RFC 4513 §5.1.1)
		}
	case ldapSearch:
		if l.rootDSE(in) {
			m.Kind = Ask
		}
	case ldapExtended:
		if string(in.take(0x80)) == ldapStartTLS {
			m.Kind, m.Why = Upgrade, l.hindrance(in)
		}
	case ldapUnbind:
		m.Kind = Bye
	case ldapAbandon:
		m.Kind = Other
	}
	l.last = max(l.last, msg.id)
	l.secret = l.secret || m.Kind == Secret
	if answer != 0 {
		l.want, l.id, l.kind, l.answer = true, msg.id, m.Kind, answer
	}
	return m, n, nil
}

// hindrance says what stands against a StartTLS request, of which in is left (RFC 4511 §4.14.1,
// RFC 4513 §3.1.1).
func (l *ldap) hindrance(in ber) Reason {
	switch {
	case l.inside:
		return AlreadyTLS
	case in.more():
		return BadSyntax // requestValue is always absent
	case l.want || l.binding:
		return NotNow
	}
	return Unknown
}

// rootDSE reads a SearchRequest and reports whether it asks for the root DSE (RFC 4512 §5.1), that
// is, what the server can do.
func (l *ldap) rootDSE(in ber) bool {
	base, scope := in.take(berOctets), in.number(berEnumerated)
	in.number(berEnumerated) // derefAliases
	in.number(berInteger)    // sizeLimit
	in.number(berInteger)    // timeLimit
	types := in.take(berBoolean)
	in.next() // filter
	attrs := ber{rest: in.take(berSequence)}
	if in.bad || len(base) != 0 || scope != 0 || len(types) != 1 {
		return false
	}
	l.typesOnly, l.extensions = types[0] != 0, false
	for attrs.more() {
		name := string(attrs.take(berOctets))
		l.extensions = l.extensions || name == "+" || supportedExtension.is(name) // RFC 3673
	}
	return !attrs.bad
}

func (l *ldap) reply(buf []byte) (Message, int, error) {
	msg, n, err := cutLDAP(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	tag, mine := msg.op.tag, l.want && msg.id == l.id
	m := Message{Tag: strconv.Itoa(msg.id)}
	if mine {
		m.Re = l.kind
	}
	switch {
	case msg.id == 0 && tag == ldapExtendedDone:
		err = l.notice(&m, msg.op)
	case l.want && l.kind == Upgrade && (mine || tag == ldapExtendedDone):
		err = l.upgraded(&m, msg.op, mine)
	case mine && tag == ldapEntry && l.kind == Ask && !l.typesOnly:
		err = l.caps(&m, msg.op)
	case mine && tag == l.answer:
		err = l.answered(&m, msg.op)
	}
	if err != nil {
		return Message{}, 0, err
	}
	return m, n, nil
}

// An ldapResult is what is common to all answers (RFC 4511 §4.1.9), and the name in an extended one.
type ldapResult struct {
	code int
	text string
	name string
}

func readResult(op element) (ldapResult, error) {
	in := ber{rest: op.body}
	r := ldapResult{code: in.number(berEnumerated)}
	in.take(berOctets) // matchedDN
	r.text = strconv.Itoa(r.code) + " " + string(in.take(berOctets))
	for in.more() {
		if e := in.next(); e.tag == 0x8a && op.tag == ldapExtendedDone {
			r.name = string(e.body)
		}
	}
	if in.bad {
		return r, noise("a malformed LDAPResult")
	}
	return r, nil
}

// notice reads an unsolicited notification. The Notice of Disconnection is the only one that is known.
func (l *ldap) notice(m *Message, op element) error {
	r, err := readResult(op)
	if err == nil && r.name == ldapDisconnect {
		m.Kind, m.Why, m.Text = Bye, ldapReason(r.code), r.text
		l.want = false
	}
	return err
}

// upgraded reads what came when an answer to StartTLS was due. Only success to this very request lets
// TLS begin (RFC 4511 §4.14.2).
func (l *ldap) upgraded(m *Message, op element, mine bool) error {
	l.want, m.Re = false, Upgrade
	if op.tag != ldapExtendedDone {
		m.Kind, m.Text = No, "another operation's answer"
		return nil
	}
	r, err := readResult(op)
	if r.code == ldapSuccess && mine && (r.name == "" || r.name == ldapStartTLS) {
		m.Kind = Ready
		return err
	}
	m.Kind, m.Text, m.Why = No, r.text, ldapReason(r.code)
	if m.Why == Unavailable {
		m.Why = TLSUnavailable
	}
	return err
}

func (l *ldap) answered(m *Message, op element) error {
	r, err := readResult(op)
	l.want = false
	l.binding = l.answer == 0x61 && r.code == ldapSaslBindInProgress
	switch r.code {
	case 0, 5, 6, 10, 14: // not errors (RFC 4511 §A.1)
	default:
		m.Kind, m.Text, m.Why = No, r.text, ldapReason(r.code)
	}
	return err
}

func ldapReason(code int) Reason {
	switch code {
	case ldapBusy, ldapUnavailable:
		return Unavailable
	case ldapConfidentialityRequired:
		return TLSRequired
	}
	return Unknown
}
