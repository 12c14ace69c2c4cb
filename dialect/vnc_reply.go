package dialect

import (
	"encoding/binary"
	"slices"
	"strings"
)

func (v *vnc) reply(buf []byte) (Message, int, error) {
	switch v.phase {
	case vncOpen, vncAgain:
		return Message{}, 1, nil
	case vncGreet:
		minor, n, err := vncMinor(buf)
		if n == 0 || err != nil {
			return Message{}, 0, err
		}
		v.phase, v.server = vncHello, minor
		return Message{Kind: Greeting}, n, nil
	case vncTypes:
		if v.version < 7 {
			return v.decided(buf)
		}
		return v.types(buf)
	case vncVersion:
		return v.encrypts(buf)
	case vncKinds:
		return v.listed(buf)
	case vncAck:
		if buf[0] == 1 {
			v.phase = vncReady
			return Message{Kind: Ready, Re: Upgrade}, 1, nil
		}
		v.phase = vncOver
		return Message{Kind: No, Re: Upgrade, Why: TLSUnavailable}, 1, nil
	}
	return Message{}, 0, noise("the server speaks out of turn")
}

// decided reads the security type of version 3.3.
func (v *vnc) decided(buf []byte) (Message, int, error) {
	if len(buf) < 4 {
		return Message{}, 0, nil
	}
	if binary.BigEndian.Uint32(buf) == vncInvalid {
		return v.failed(buf, 4)
	}
	v.phase = vncOpen
	return Message{Kind: Caps, Re: Secret}, 4, nil
}

// types reads the list of security types.
func (v *vnc) types(buf []byte) (Message, int, error) {
	n := 1 + int(buf[0])
	if n == 1 {
		return v.failed(buf, 1)
	}
	if len(buf) < n {
		return Message{}, 0, nil
	}
	v.phase, v.list = vncChoose, nil
	for _, t := range buf[1:n] {
		v.list = append(v.list, uint32(t))
	}
	m := Message{Kind: Caps, Re: Hello}
	if slices.Contains(v.list, vncVeNCrypt) {
		m.Offer = Offered
		if len(v.list) == 1 {
			m.Offer = Required
		}
	}
	return m, n, nil
}

// failed reads why there is no security type. The reason stands at that place.
func (v *vnc) failed(buf []byte, at int) (Message, int, error) {
	if len(buf) < at+4 {
		return Message{}, 0, nil
	}
	size := binary.BigEndian.Uint32(buf[at:])
	if size > vncLimit-8 {
		return Message{}, 0, noise("a reason of %d bytes", size)
	}
	n := at + 4 + int(size)
	if len(buf) < n {
		return Message{}, 0, nil
	}
	v.phase = vncOver
	return Message{Kind: No, Re: Hello, Text: strings.TrimSpace(string(buf[at+4 : n]))}, n, nil
}

// encrypts reads the server's VeNCrypt version. 0.0 is none at all; 0.1 is another protocol.
func (v *vnc) encrypts(buf []byte) (Message, int, error) {
	if len(buf) < 2 {
		return Message{}, 0, nil
	}
	m := Message{Kind: Caps, Re: Hello}
	switch {
	case buf[0] == 0 && buf[1] >= 2:
		m.Offer = Offered
	case buf[0] != 0 || buf[1] != 0:
		return Message{}, 0, noise("VeNCrypt %d.%d", buf[0], buf[1])
	}
	v.phase = vncAnswer
	return m, 2, nil
}

// listed reads whether the server agrees to the version, and the kinds.
func (v *vnc) listed(buf []byte) (Message, int, error) {
	if buf[0] != 0 {
		v.phase = vncOver
		return Message{Kind: No, Re: Hello}, 1, nil
	}
	if len(buf) < 2 || len(buf) < 2+4*int(buf[1]) {
		return Message{}, 0, nil
	}
	n := 2 + 4*int(buf[1])
	v.phase, v.list = vncPick, vncKindsIn(buf[:n])
	m := Message{Kind: Caps, Re: Hello}
	if slices.ContainsFunc(v.list, vncX509) {
		m.Offer = Offered
	}
	return m, n, nil
}

func vncKindsIn(raw []byte) (kinds []uint32) {
	for at := 2; at+4 <= len(raw); at += 4 {
		kinds = append(kinds, binary.BigEndian.Uint32(raw[at:]))
	}
	return kinds
}

// served returns what a server's list, of types or of kinds, amounts to for our client: the types that
// it can have in the clear, and the kinds in TLS. In version 3.7 a client of the type None hears no
// result, and one of X509None does: the two are no twins there.
func (v *vnc) served(raw []byte) (types []byte, kinds []uint32) {
	kinds = []uint32{}
	add := func(t, kind uint32) {
		if t != 0 {
			types = append(types, byte(t))
		}
		if kind != 0 && !slices.Contains(kinds, kind) && (kind != vncX509None || v.version >= 8) {
			kinds = append(kinds, kind)
		}
	}
	if raw[0] > 0 {
		for _, t := range raw[1:] {
			if t != vncInvalid && t != vncTLS && t != vncVeNCrypt {
				add(uint32(t), vncTwins[uint32(t)])
			}
		}
		return types, kinds
	}
	for _, kind := range vncKindsIn(raw) {
		var twin uint32
		for t, k := range vncTwins {
			if k == kind && (t != vncNone || v.version >= 8) {
				twin = t
			}
		}
		if vncX509(kind) {
			add(twin, kind)
		}
	}
	return types, kinds
}
