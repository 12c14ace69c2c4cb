package dialect

import (
	"encoding/binary"
	"slices"
)

// VNC is the VeNCrypt security type of the Remote Framebuffer protocol. Sections are those of
// rfbproto, which numbers none. TLS kinds without a certificate (TLSNone and their like, and the
// security type 18) are no TLS to us: anybody on the path may answer them.
var VNC = Dialect{
	Name:    "vnc",
	Spec:    "rfbproto, VeNCrypt",
	Schemes: []Scheme{{Name: "vnc", Port: 5900}},
	// Versions, security types, VeNCrypt versions and kinds; each h is the client's answer.
	Script:     script("G h C h C h C u R |"),
	Early:      true, // the security types are the server's to list
	LoginFirst: true, // the kind says how the client will log in
	Retold:     true, // as a security type
	Tried:      []string{"Xtigervnc and xtigervncviewer 1.12.0"},
	Limit:      vncLimit,
	Speak:      newVNC,
}

const vncLimit = 4 << 10 // of a reason

// Security types, and VeNCrypt's kinds.
const (
	vncInvalid  = 0
	vncNone     = 1
	vncAuth     = 2
	vncTLS      = 18 // anonymous
	vncVeNCrypt = 19
	vncSASL     = 20

	vncX509None  = 260
	vncX509Auth  = 261
	vncX509Plain = 262
	vncX509SASL  = 264
	vncX509Ident = 267
)

// vncTwins are the kinds that are a security type inside TLS.
var vncTwins = map[uint32]uint32{vncNone: vncX509None, vncAuth: vncX509Auth, vncSASL: vncX509SASL}

// vncX509 reports whether a kind is TLS with a certificate.
func vncX509(kind uint32) bool {
	switch kind {
	case vncX509None, vncX509Auth, vncX509Plain, vncX509SASL, vncX509Ident:
		return true
	}
	return false
}

// vncAnonymous reports whether a kind is TLS without one.
func vncAnonymous(kind uint32) bool {
	return kind > 256 && kind < vncX509None || kind == 263 || kind == 266
}

type vncPhase uint8

const (
	vncGreet   vncPhase = iota // the server's version
	vncHello                   // the client's version
	vncTypes                   // the server lists security types, or says which (version 3.3)
	vncChoose                  // the client chooses one
	vncVersion                 // the server's VeNCrypt version
	vncAnswer                  // the client's
	vncKinds                   // the server agrees and lists kinds
	vncPick                    // the client picks one
	vncAck                     // the server's byte
	vncReady                   // TLS follows on this leg and nothing else
	vncAgain                   // inside: the client's pick, heard once more
	vncOpen                    // nothing that follows concerns TLS
	vncOver                    // the conversation has ended
)

type vnc struct {
	we      Side
	inside  bool
	phase   vncPhase
	server  int      // minor version that the server can speak
	version int      // that is spoken: 3, 7 or 8
	list    []uint32 // what the server has listed last: types, or kinds
	kinds   []uint32 // what goes with the types that we have listed, as a server
	chosen  byte     // security type
}

func newVNC(we Side, inside bool) Speech {
	v := &vnc{we: we, inside: inside, server: 8, version: 8}
	if inside {
		v.phase = vncOpen
		if we == Server {
			v.phase = vncAgain
		}
	}
	return crosser{speech{v, we}}
}

func (v *vnc) Pending() bool {
	return v.phase == vncTypes || v.phase == vncVersion || v.phase == vncKinds || v.phase == vncAck
}

// Settled: there is one choice of a security type.
func (v *vnc) Settled() bool { return v.phase == vncOpen }

func (v *vnc) over() bool { return v.phase == vncOver }

func (v *vnc) request(buf []byte) (m Message, n int, err error) {
	switch v.phase {
	case vncOpen:
		return Message{Kind: Secret}, 1, nil
	case vncHello:
		return v.hello(buf)
	case vncChoose:
		v.phase, v.chosen = vncOpen, buf[0]
		m.Kind = Secret
		if v.chosen == vncVeNCrypt {
			v.phase, m.Kind = vncVersion, Hello
		}
		if !slices.Contains(v.list, uint32(v.chosen)) {
			m.Why = BadSyntax
		}
		return m, 1, nil
	case vncAnswer:
		if len(buf) < 2 {
			return m, 0, nil
		}
		v.phase, m.Kind = vncKinds, Hello
		if buf[0] != 0 || buf[1] != 2 {
			m.Why = BadSyntax
		}
		return m, 2, nil
	case vncPick, vncAgain:
		if len(buf) < 4 {
			return m, 0, nil
		}
		return v.picked(binary.BigEndian.Uint32(buf)), 4, nil
	}
	return m, 0, noise("the client speaks out of turn")
}

// hello reads the client's version. Before 3.7 the server decides, and there is no VeNCrypt: such a
// client goes on in the clear.
func (v *vnc) hello(buf []byte) (Message, int, error) {
	minor, n, err := vncMinor(buf)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	v.phase, v.version = vncTypes, min(minor, v.server)
	if v.version < 7 {
		return Message{Kind: Secret}, n, nil
	}
	return Message{Kind: Hello}, n, nil
}

// vncMinor reads "RFB xxx.yyy\n" and returns what it amounts to: 3, 7 or 8. There are servers that
// call themselves 3.889, 4.0 and 5.0; they speak 3.8.
func vncMinor(buf []byte) (minor, n int, err error) {
	const form = "RFB 000.000\n"
	for i, b := range buf[:min(len(buf), len(form))] {
		if b != form[i] && (form[i] != '0' || b < '0' || b > '9') {
			return 0, 0, noise("no RFB version")
		}
	}
	switch {
	case len(buf) < len(form):
		return 0, 0, nil
	case string(buf[4:11]) < "003.007":
		return 3, len(form), nil // also 3.4 and 3.6, which were never published
	case string(buf[4:11]) == "003.007":
		return 7, len(form), nil
	}
	return 8, len(form), nil
}

// picked reads the client's choice of a kind. Heard inside TLS it tells the server behind what login
// follows.
func (v *vnc) picked(kind uint32) Message {
	if v.phase == vncAgain {
		v.phase = vncOpen
		return Message{Kind: Secret}
	}
	m := Message{Kind: Upgrade}
	switch listed := slices.Contains(v.list, kind); {
	case vncX509(kind) || vncAnonymous(kind):
		v.phase = vncAck
		if !listed || vncAnonymous(kind) {
			m.Why = TLSUnavailable
		}
	default: // VeNCrypt without TLS
		v.phase, m.Kind = vncOpen, Secret
		if !listed {
			m.Why = BadSyntax
		}
	}
	return m
}
