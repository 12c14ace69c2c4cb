package tryout

import (
	"io"
	"strings"
)

// ldap has the root DSE and a directory of two entries, for everybody (RFC 4511).
var ldap = protocol{"ldap", func(s *session) error {
	return (&ldapConn{session: s}).serve()
}, ""}

const (
	ldapLimit      = 256 << 10 // of a request
	ldapWhoAmI     = "1.3.6.1.4.1.4203.1.11.3"
	ldapDisconnect = "1.3.6.1.4.1.1466.20036"
)

// Operations (RFC 4511 §4.2-4.12).
const (
	ldapBind     = 0x60
	ldapUnbind   = 0x42
	ldapSearch   = 0x63
	ldapEntry    = 0x64
	ldapAbandon  = 0x50
	ldapExtended = 0x77
)

// ldapAnswers are the operations that end the answers.
var ldapAnswers = map[byte]byte{
	ldapBind: 0x61, ldapSearch: 0x65, ldapExtended: 0x78, 0x66: 0x67, /* modify */
	0x68: 0x69 /* add */, 0x4a: 0x6b /* delete */, 0x6c: 0x6d /* modify DN */, 0x6e: 0x6f, /* compare */
}

// Result codes (RFC 4511 §4.1.9).
const (
	ldapSuccess            = 0
	ldapProtocolError      = 2
	ldapMethodNotSupported = 7
	ldapCriticalExtension  = 12
	ldapNoSuchObject       = 32
	ldapInvalidCredentials = 49
	ldapUnwilling          = 53
)

// An ldapConn is a client and who it is.
type ldapConn struct {
	*session
	id  []byte // of the request that is being answered, said again as it was heard
	who string // the authorization identity (RFC 4513 §5.2.1.8)
}

// serve ends with a Notice of Disconnection where what comes is no request (RFC 4511 §4.1.1, §4.4.1).
func (c *ldapConn) serve() error {
	for {
		in, err := c.hear()
		if err == nil {
			err = c.request(in)
		}
		switch err {
		case nil:
			continue
		case io.EOF:
			return nil
		case errBER: // RFC 4511 §4.1.1
			c.id = []byte{0}
			c.answer(ldapAnswers[ldapExtended], ldapProtocolError, "no request", element(0x8a, []byte(ldapDisconnect)))
		}
		return err
	}
}

// hear reads an LDAPMessage.
func (c *ldapConn) hear() (ber, error) {
	tag, size, err := readHead(c.r, ldapLimit)
	if err != nil {
		return ber{}, err
	}
	if tag != berSequence {
		return ber{}, errBER
	}
	body, err := c.take(size)
	return ber{rest: body}, err
}

// request answers one request. The error io.EOF means that the client has left.
func (c *ldapConn) request(in ber) error {
	c.id = in.take(berInteger)
	tag, body := in.next()
	critical := ldapCritical(&in)
	answer, known := ldapAnswers[tag]
	op := ber{rest: body}
	switch {
	case in.bad || len(c.id) == 0 || len(c.id) > 4:
		return errBER
	case tag == ldapUnbind:
		return io.EOF
	case tag == ldapAbandon: // there is never anything to abandon, and no answer
	case !known:
		return errBER
	case critical:
		c.answer(answer, ldapCriticalExtension, "no control is known")
	case tag == ldapBind:
		c.bind(&op)
	case tag == ldapSearch:
		c.search(&op)
	case tag == ldapExtended:
		c.extended(&op)
	default:
		c.answer(answer, ldapUnwilling, "nothing here can be changed or compared")
	}
	if op.bad {
		return errBER
	}
	return nil
}

// ldapCritical reads controls, of which none is known, and reports whether one is critical (RFC 4511
// §4.1.11).
func ldapCritical(in *ber) (critical bool) {
	if len(in.rest) == 0 {
		return false
	}
	for controls := (ber{rest: in.take(0xa0)}); len(controls.rest) > 0; {
		control := ber{rest: controls.take(berSequence)}
		control.take(berOctets)
		if len(control.rest) > 0 {
			tag, body := control.next()
			critical = critical || tag == berBoolean && len(body) == 1 && body[0] != 0
		}
		in.bad = in.bad || controls.bad || control.bad
	}
	return critical
}

// send writes an LDAPMessage.
func (c *ldapConn) send(op []byte) {
	c.w.Write(element(berSequence, element(berInteger, c.id), op))
}

// answer writes an LDAPResult (RFC 4511 §4.1.9), with what more belongs to it.
func (c *ldapConn) answer(tag, code byte, text string, more ...[]byte) {
	parts := append([][]byte{element(berEnumerated, []byte{code}), octets(""), octets(text)}, more...)
	c.send(element(tag, parts...))
}

// bind takes any name with any password, simple or by SASL PLAIN. A name without a password is refused,
// because programs take what comes of it for a login (RFC 4513 §5.1.2).
func (c *ldapConn) bind(in *ber) {
	version, name := in.take(berInteger), string(in.take(berOctets))
	tag, secret := in.next()
	c.who = "" // RFC 4511 §4.2.1
	code, who := byte(ldapSuccess), "dn:"+name
	switch {
	case in.bad:
		return
	case len(version) != 1 || version[0] != 3:
		code = ldapProtocolError
	case tag == 0xa3:
		name, code = ldapSASL(ber{rest: secret})
		who = "u:" + name
	case tag != 0x80:
		code = ldapMethodNotSupported
	case name == "":
		who = "" // anonymous
	case len(secret) == 0:
		code = ldapUnwilling
	}
	if code == ldapSuccess && who != "" {
		c.who = who
		c.tell("%s logged in", name)
	}
	c.answer(ldapAnswers[ldapBind], code, "")
}

// ldapSASL reads SaslCredentials (RFC 4511 §4.2). PLAIN is done in one step, with its answer in it.
func ldapSASL(in ber) (name string, code byte) {
	if mech := string(in.take(berOctets)); !strings.EqualFold(mech, "PLAIN") {
		return "", ldapMethodNotSupported
	}
	name, ok := plainName(string(in.take(berOctets)))
	if !ok {
		return "", ldapInvalidCredentials
	}
	return name, ldapSuccess
}

// extended answers WhoAmI (RFC 4532). What is not known is a protocol error (RFC 4511 §4.12).
func (c *ldapConn) extended(in *ber) {
	if string(in.take(0x80)) == ldapWhoAmI {
		c.answer(ldapAnswers[ldapExtended], ldapSuccess, "", element(0x8b, []byte(c.who)))
	} else if !in.bad {
		c.answer(ldapAnswers[ldapExtended], ldapProtocolError, "operation not known")
	}
}
