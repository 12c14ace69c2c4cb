package dialect

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
)

// confirmed reads the negotiation of a confirm: a response, a failure, or nothing, which is Standard RDP
// Security (§2.2.1.2).
func (r *rdp) confirmed(neg []byte, n int) (Message, int, error) {
	m := Message{Re: r.kind}
	chosen := uint32(rdpStandard)
	if len(neg) > 0 {
		if len(neg) != rdpNeg || binary.LittleEndian.Uint16(neg[2:]) != rdpNeg || !r.neg {
			return Message{}, 0, noise("a negotiation of %d bytes", len(neg))
		}
		chosen = binary.LittleEndian.Uint32(neg[4:])
		switch neg[0] {
		case 2:
		case 3:
			r.phase = rdpOver
			m.Kind, m.Why, m.Text = No, rdpReason(chosen), "failure "+strconv.FormatUint(uint64(chosen), 10)
			return m, n, nil
		default:
			return Message{}, 0, noise("negotiation type %d", neg[0])
		}
	}
	switch {
	case chosen == rdpSSL && r.kind == Upgrade:
		m.Kind, r.phase = Ready, rdpReady
	case chosen != rdpStandard && (chosen&r.asked != chosen || chosen == rdpSSL):
		return Message{}, 0, noise("protocol 0x%x, asked was 0x%x", chosen, r.asked)
	case chosen != rdpStandard:
		m.Kind, m.Why, m.Text, r.phase = No, TLSUnavailable, "CredSSP", rdpOver
	case r.kind == Upgrade:
		m.Kind, m.Why, m.Text, r.phase = No, TLSUnavailable, "Standard RDP Security", rdpJoin
	default:
		r.phase = rdpJoin
	}
	return m, n, nil
}

// rdpReason reads a failure code (§2.2.1.2.2).
func rdpReason(code uint32) Reason {
	switch code {
	case 1, 6: // SSL_REQUIRED_BY_SERVER, SSL_WITH_USER_AUTH_REQUIRED_BY_SERVER
		return TLSRequired
	case 2, 3, 5: // SSL_NOT_ALLOWED_BY_SERVER, SSL_CERT_NOT_ON_SERVER, HYBRID_REQUIRED_BY_SERVER
		return TLSUnavailable
	}
	return Unknown
}

func (r *rdp) say(dst []byte, m Message) []byte {
	switch m.Kind {
	case Upgrade:
		return rdpConnect(dst, rdpCR, 0, 1, 0, rdpSSL)
	case Ready: // flags: extended client data
		return rdpConnect(dst, rdpCC, 0x1234, 2, 1, rdpSSL)
	case Other: // in place of a server that has heard a request of ours
		return r.sayPlain(dst)
	case No:
		return r.sayNo(dst, m.Why)
	}
	return dst
}

// sayPlain confirms Standard RDP Security.
func (r *rdp) sayPlain(dst []byte) []byte {
	switch {
	case r.phase != rdpAsked:
		return dst
	case r.neg:
		return rdpConnect(dst, rdpCC, 0x1234, 2, 1, rdpStandard)
	}
	return append(dst, 3, 0, 0, rdpFixed, rdpFixed-5, rdpCC, 0, 0, 0x12, 0x34, 0)
}

// rdpConnect appends a request or a confirm with a negotiation of that type.
func rdpConnect(dst []byte, code byte, ref uint16, kind, flags byte, value uint32) []byte {
	dst = append(dst, 3, 0, 0, rdpFixed+rdpNeg, rdpFixed+rdpNeg-5, code, 0, 0)
	dst = binary.BigEndian.AppendUint16(dst, ref)
	dst = append(dst, 0, kind, flags, rdpNeg, 0)
	return binary.LittleEndian.AppendUint32(dst, value)
}

// sayNo says a failure, where the client has negotiated and there is one that fits, or that the connection
// ends. The server closes then (§3.3.5.3.2).
func (r *rdp) sayNo(dst []byte, why Reason) []byte {
	before := r.phase
	r.phase = rdpOver
	code := rdpFailures[why]
	switch {
	case before != rdpAsked && before != rdpJoined:
		return dst
	case before == rdpAsked && r.neg && code > 0:
		return rdpConnect(dst, rdpCC, 0x1234, 3, 0, code)
	}
	return append(dst, 3, 0, 0, rdpFixed, rdpFixed-5, rdpDR, 0, 0, 0x12, 0x34, 0)
}

// rdpFailures are codes of §2.2.1.2.2.
var rdpFailures = [...]uint32{
	Unknown: 2, TLSRequired: 1, TLSUnavailable: 3, AlreadyTLS: 4, BadSyntax: 4, NotNow: 4, Unavailable: 0, TooMuch: 0,
}

// across: a server with TLS of its own has heard a connection request, and one in the clear hears that
// TLS is not asked for; a client inside TLS has heard a confirm. What is repeated behind them is set to
// what was said on this leg.
func (r *rdp) across(m Message) (Message, bool) {
	if len(m.Raw) < 7 || r.phase == rdpOpen {
		return m, true
	}
	switch code := m.Raw[5] & 0xf0; {
	case code == rdpCR && r.we == Client:
		m.Raw = rdpPlain(m.Raw)
		return m, r.phase == rdpStart
	case code == rdpCC && r.we == Server:
		return m, !r.inside
	case code == rdpDT && r.we == Client:
		m.Raw = rdpPatch(m.Raw, "Duca", 0xc001, 212, r.speaks)
	case code == rdpDT && r.inside && rdpEncrypts(m.Raw): // where there is TLS there is no other (§5.4)
		no := m.Reply(No, TLSUnavailable)
		no.Text = "the server encrypts by itself below TLS: set its encryption level to none"
		return no, true
	case code == rdpDT && r.heard && r.neg:
		m.Raw = rdpPatch(m.Raw, "McDn", 0x0c01, 8, r.asked)
	}
	return m, true
}

// rdpPlain returns a connection request that asks for Standard RDP Security, and nothing that needs more.
// The negotiation stands behind the cookie, and it is the first thing there that begins so.
func rdpPlain(raw []byte) []byte {
	raw = slices.Clone(raw)
	at := rdpFixed
	if at < len(raw) && raw[at] != 1 {
		at += bytes.Index(raw[at:], []byte("\r\n")) + 2
	}
	if at+rdpNeg <= len(raw) {
		raw[at+1] &= 0x08 // CORRELATION_INFO_PRESENT stays
		binary.LittleEndian.PutUint32(raw[at+4:], rdpStandard)
	}
	return raw
}

// rdpPatch returns raw, an MCS connect, with value in that field, if it has it.
func rdpPatch(raw []byte, key string, block uint16, at int, value uint32) []byte {
	field := rdpField(raw, key, block, at)
	if field == 0 {
		return raw
	}
	out := slices.Clone(raw)
	binary.LittleEndian.PutUint32(out[field:], value)
	return out
}

// rdpField finds the field of 32 bits at that place of a block of the user data behind the H.221 key of a
// GCC conference in an MCS connect (T.124 §8.7, §2.2.1.3.1). It is 0 if there is none.
func rdpField(raw []byte, key string, block uint16, at int) int {
	from := bytes.Index(raw, []byte(key)) + len(key)
	if from < len(key) || from >= len(raw) {
		return 0
	}
	if raw[from]&0x80 != 0 { // PER: a length of two bytes
		from++
	}
	for from++; from+4 <= len(raw); {
		size := int(binary.LittleEndian.Uint16(raw[from+2:]))
		if size < 4 || from+size > len(raw) {
			break
		}
		if binary.LittleEndian.Uint16(raw[from:]) == block && size >= at+4 {
			return from + at
		}
		from += size
	}
	return 0
}

// rdpEncrypts reports whether the server, in an MCS Connect Response, has chosen a cipher of RDP's own
// (TS_UD_SC_SEC1, §2.2.1.4.3).
func rdpEncrypts(raw []byte) bool {
	method := rdpField(raw, "McDn", 0x0c02, 4)
	return method > 0 && binary.LittleEndian.Uint32(raw[method:]) != 0
}
