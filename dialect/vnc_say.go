package dialect

import (
	"encoding/binary"
	"slices"
)

func (v *vnc) say(dst []byte, m Message) []byte {
	switch m.Kind {
	case Greeting:
		if m.Raw != nil {
			return append(dst, m.Raw...)
		}
		return append(dst, "RFB 003.008\n"...)
	case Hello:
		return v.sayHello(dst)
	case Caps:
		return v.sayCaps(dst, m)
	case Upgrade:
		if kind := v.pick(m.Login); kind != 0 {
			return binary.BigEndian.AppendUint32(dst, kind)
		}
	case Ready:
		return append(dst, 1)
	case No:
		return v.sayNo(dst, m.Why)
	}
	return dst
}

// sayHello says the client's next step towards the list of kinds, as far as the server goes along.
func (v *vnc) sayHello(dst []byte) []byte {
	switch v.phase {
	case vncHello:
		return append(dst, "RFB 003.00"+string(rune('0'+v.server))+"\n"...)
	case vncChoose:
		if slices.Contains(v.list, vncVeNCrypt) {
			return append(dst, vncVeNCrypt)
		}
	case vncAnswer:
		return append(dst, 0, 2)
	}
	return dst
}

// pick returns the kind to ask for: that which goes with a client's choice (a security type, or a kind
// of its own), or the server's favourite; 0 when the server has not listed it.
func (v *vnc) pick(login []byte) (kind uint32) {
	if v.phase != vncPick {
		return 0
	}
	switch len(login) {
	case 0:
		if at := slices.IndexFunc(v.list, vncX509); at >= 0 {
			kind = v.list[at]
		}
	case 1:
		kind = vncTwins[uint32(login[0])]
	case 4:
		kind = binary.BigEndian.Uint32(login)
	}
	if !vncX509(kind) || !slices.Contains(v.list, kind) {
		return 0
	}
	return kind
}

// sayCaps says what is due to the client, out of any list of the server's, or of our own.
func (v *vnc) sayCaps(dst []byte, m Message) []byte {
	switch {
	case m.Raw != nil && (!m.edit.offer || v.version < 7): // version 3.3 has no list
		return append(dst, m.Raw...)
	case v.version < 7:
		return dst
	}
	switch v.phase {
	case vncTypes:
		return v.sayTypes(dst, m)
	case vncVersion:
		if m.Raw != nil && m.Offer == Unsaid {
			return append(dst, 0, 0)
		}
		return append(dst, 0, 2)
	case vncKinds:
		return v.sayKinds(dst, m)
	}
	return dst
}

// sayTypes lists security types. VeNCrypt stands first where we offer TLS, and alone where we demand it;
// of the server's own TLS nothing is said. The client must find something: 0 is a type that nobody has.
func (v *vnc) sayTypes(dst []byte, m Message) []byte {
	list := []byte(nil)
	v.kinds = []uint32{vncX509None}
	if m.Raw != nil {
		list, v.kinds = v.served(m.Raw)
	}
	switch {
	case m.Offer == Required || m.Raw == nil:
		list = []byte{vncVeNCrypt}
	case m.Offer == Offered && (len(v.kinds) > 0 || len(list) == 0):
		list = append([]byte{vncVeNCrypt}, list[:min(len(list), 254)]...)
	case len(list) == 0:
		list = []byte{vncInvalid}
	}
	return append(append(dst, byte(len(list))), list...)
}

// sayKinds lists the kinds that go with the types we have listed, or those of the server's: with X.509,
// or without an offer those without TLS.
func (v *vnc) sayKinds(dst []byte, m Message) []byte {
	kinds := v.kinds
	if kinds == nil {
		for _, kind := range vncKindsIn(m.Raw) {
			if vncX509(kind) == (m.Offer != Unsaid) && !vncAnonymous(kind) {
				kinds = append(kinds, kind)
			}
		}
	}
	dst = append(dst, 0, byte(len(kinds)))
	for _, kind := range kinds {
		dst = binary.BigEndian.AppendUint32(dst, kind)
	}
	return dst
}

// sayNo refuses, where the protocol has words for it. To a client that has chosen a type it has none
// before the end of that type's exchange: a word in place of a challenge would be answered with a proof.
func (v *vnc) sayNo(dst []byte, why Reason) []byte {
	reason := vncReasons[why]
	before := v.phase
	v.phase = vncOver
	switch before {
	case vncTypes:
		dst = append(dst, 0)
		if v.version < 7 {
			dst = append(dst, 0, 0, 0)
		}
	case vncKinds:
		return append(dst, 0xff)
	case vncAck:
		return append(dst, 0)
	case vncOpen:
		if v.chosen != vncNone || v.version < 8 {
			return dst
		}
		dst = append(dst, 0, 0, 0, 1) // SecurityResult
	default:
		return dst
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(reason)))
	return append(dst, reason...)
}

var vncReasons = [...]string{
	Unknown:        "Not supported",
	TLSRequired:    "TLS is required (VeNCrypt with X.509)",
	TLSUnavailable: "TLS is not available",
	AlreadyTLS:     "TLS is active already",
	BadSyntax:      "No such security type",
	NotNow:         "Out of order",
	Unavailable:    "The server cannot be reached",
	TooMuch:        "Too many connections",
}

// across: a server hears the client's version unless it has heard ours, nothing of the TLS that the
// client asks us for, and of a kind the type that it stands for; on a leg with TLS of its own, the kind
// was said by the upgrade.
func (v *vnc) across(m Message) (Message, bool) {
	if v.we == Server || m.Kind != Hello && m.Kind != Secret {
		return m, true
	}
	switch {
	case len(m.Raw) == 12:
		return m, v.phase == vncHello
	case m.Kind == Hello, v.inside:
		return m, false
	case len(m.Raw) == 4 && v.phase == vncChoose:
		kind := binary.BigEndian.Uint32(m.Raw)
		for t, twin := range vncTwins {
			if twin == kind {
				m.Raw = []byte{byte(t)}
				return m, true
			}
		}
		return m, false
	}
	return m, true
}
