package dialect

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// RDP is Enhanced RDP Security with TLS (PROTOCOL_SSL). CredSSP binds the TLS key of the server, which
// is not ours: it cannot pass a gateway, and a client that wants nothing else is refused.
//
// What was agreed on is repeated behind the handshake (MS-RDPBCGR §2.2.1.3.2, §2.2.1.4.2), so that the
// first message of each side is read there, and set right for its leg.
var RDP = Dialect{
	Name:    "rdp",
	Spec:    "MS-RDPBCGR §5.4.2",
	Schemes: []Scheme{{Name: "rdp", Port: 3389}},
	Script:  script("u R |"),
	Retold:  true, // a server in the clear needs a connection request as well
	Tried:   []string{"xrdp 0.9.21", "rdesktop 1.9.0, as far as the login window"},
	Limit:   rdpLimit,
	Speak:   newRDP,
}

const (
	rdpLimit = 16 << 10
	rdpFixed = 11 // TPKT 4, length, code, two references, class (§2.2.1.1)
	rdpNeg   = 8  // type, flags, length 2, protocols 4 (§2.2.1.1.1)
)

// X.224 codes: connection request, confirm, disconnect request, data.
const (
	rdpCR = 0xe0
	rdpCC = 0xd0
	rdpDR = 0x80
	rdpDT = 0xf0
)

// Protocols (§2.2.1.1.1).
const (
	rdpStandard = 0
	rdpSSL      = 1
)

type rdpPhase uint8

const (
	rdpStart  rdpPhase = iota // the client's connection request
	rdpAsked                  // the server's confirm
	rdpReady                  // TLS follows on this leg and nothing else
	rdpAgain                  // inside: the connection request once more, or as rdpJoin
	rdpJoin                   // the client's MCS Connect Initial
	rdpJoined                 // the server's MCS Connect Response
	rdpOpen                   // nothing that follows concerns TLS
	rdpOver                   // the server closes
)

type rdp struct {
	we     Side
	inside bool
	phase  rdpPhase
	kind   Kind   // of the connection request
	heard  bool   // one was heard, and it had
	neg    bool   // a negotiation request, for
	asked  uint32 // these protocols
	speaks uint32 // the protocol of this leg
}

func newRDP(we Side, inside bool) Speech {
	r := &rdp{we: we, inside: inside}
	if inside {
		r.phase, r.speaks = rdpAgain, rdpSSL
	}
	return crosser{speech{r, we}}
}

func (r *rdp) Pending() bool { return r.phase == rdpAsked || r.phase == rdpJoined }
func (r *rdp) Settled() bool { return r.phase == rdpOpen }
func (r *rdp) over() bool    { return r.phase == rdpOver }

// cutTPKT cuts a packet (T.123 §8) and returns its X.224 code.
func cutTPKT(buf []byte) (code byte, n int, err error) {
	if buf[0] != 3 || len(buf) > 1 && buf[1] != 0 {
		return 0, 0, noise("no TPKT")
	}
	if len(buf) < 4 {
		return 0, 0, nil
	}
	n = int(binary.BigEndian.Uint16(buf[2:]))
	if n < 7 || n > rdpLimit {
		return 0, 0, noise("a TPKT of %d bytes", n)
	}
	if len(buf) < n {
		return 0, 0, nil
	}
	code = buf[5] & 0xf0
	if code != rdpDT && (int(buf[4]) != n-5 || n < rdpFixed) {
		return 0, 0, noise("an X.224 packet of %d bytes that names %d", n-5, buf[4])
	}
	return code, n, nil
}

func (r *rdp) request(buf []byte) (Message, int, error) {
	switch r.phase {
	case rdpOpen:
		return Message{Kind: Secret}, 1, nil
	case rdpStart, rdpAgain, rdpJoin:
	default:
		return Message{}, 0, noise("the client speaks out of turn")
	}
	code, n, err := cutTPKT(buf)
	switch {
	case n == 0 || err != nil:
		return Message{}, 0, err
	case code == rdpCR && r.phase != rdpJoin:
		return r.connect(buf[:n])
	case code == rdpDT && r.phase != rdpStart:
		r.kind, r.phase = Secret, rdpJoined
		return Message{Kind: Secret}, n, nil
	}
	return Message{}, 0, noise("X.224 code 0x%02x", code)
}

// connect reads a connection request: perhaps a cookie or a routing token, perhaps a negotiation request.
func (r *rdp) connect(raw []byte) (Message, int, error) {
	rest, cookie := raw[rdpFixed:], ""
	if len(rest) > 0 && rest[0] != 1 {
		end := bytes.Index(rest, []byte("\r\n"))
		if end < 0 {
			return Message{}, 0, noise("a cookie without an end")
		}
		cookie, rest = string(rest[:end]), rest[end+2:]
	}
	r.neg, r.asked = false, rdpStandard
	if len(rest) > 0 {
		if len(rest) < rdpNeg || rest[0] != 1 || binary.LittleEndian.Uint16(rest[2:]) != rdpNeg {
			return Message{}, 0, noise("no negotiation request")
		}
		r.neg, r.asked = true, binary.LittleEndian.Uint32(rest[4:])
	}
	r.heard = true
	if r.inside {
		r.phase = rdpJoin
		return Message{}, len(raw), nil
	}
	m := Message{Kind: Secret}
	switch {
	case r.asked&rdpSSL != 0:
		m.Kind = Upgrade
		m.Name, _ = strings.CutPrefix(cookie, "Cookie: mstshash=")
	case r.asked != rdpStandard:
		m.Why = TLSRequired // CredSSP and nothing else
	}
	r.kind, r.phase = m.Kind, rdpAsked
	return m, len(raw), nil
}

func (r *rdp) reply(buf []byte) (Message, int, error) {
	switch r.phase {
	case rdpOpen:
		return Message{}, 1, nil
	case rdpAsked, rdpJoined:
	default:
		return Message{}, 0, noise("the server speaks out of turn")
	}
	code, n, err := cutTPKT(buf)
	switch {
	case n == 0 || err != nil:
		return Message{}, 0, err
	case code == rdpDR:
		r.phase = rdpOver
		return Message{Kind: No, Re: r.kind, Text: "disconnected"}, n, nil
	case code == rdpCC && r.phase == rdpAsked:
		return r.confirmed(buf[rdpFixed:n], n)
	case code == rdpDT && r.phase == rdpJoined:
		r.phase = rdpOpen
		return Message{Re: Secret}, n, nil
	}
	return Message{}, 0, noise("X.224 code 0x%02x", code)
}
