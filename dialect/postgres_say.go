package dialect

import "encoding/binary"

func (p *postgres) say(dst []byte, m Message) []byte {
	switch m.Kind {
	case Caps:
		return p.sayCaps(dst, m)
	case Upgrade:
		dst = binary.BigEndian.AppendUint32(dst, 8)
		return binary.BigEndian.AppendUint32(dst, pgSSL)
	case Ready:
		return append(dst, 'S')
	case No:
		return p.sayNo(dst, m.Why)
	case Bye:
		if m.Re != Bye && p.phase == pgOpen { // before the startup there is nothing to terminate
			return append(dst, 'X', 0, 0, 0, 4)
		}
	}
	return dst
}

// sayCaps says AuthenticationSASL. That is no place to offer TLS, only one to leave out mechanisms.
func (p *postgres) sayCaps(dst []byte, m Message) []byte {
	mechs := m.Mechs
	if m.Raw != nil {
		mechs, _ = pgMechs(m.Raw)
	}
	var list []byte
	dropped := false
	for _, mech := range mechs {
		if m.edit.unbound && bound(mech) {
			dropped = true
			continue
		}
		list = append(append(list, mech...), 0)
	}
	if m.Raw != nil && !dropped {
		return append(dst, m.Raw...)
	}
	dst = binary.BigEndian.AppendUint32(append(dst, 'R'), uint32(4+4+len(list)+1))
	dst = binary.BigEndian.AppendUint32(dst, 10)
	return append(append(dst, list...), 0)
}

// sayNo says 'N' where that is the answer and the conversation may go on, else a fatal error.
func (p *postgres) sayNo(dst []byte, why Reason) []byte {
	switch p.phase {
	case pgAskSSL:
		if why == Unknown || why == TLSUnavailable {
			return append(dst, 'N')
		}
	case pgAskGSS:
		if why == Unknown || why == TLSRequired || why == TLSUnavailable || why == AlreadyTLS {
			return append(dst, 'N')
		}
	}
	r := pgRefusals[why]
	if p.old {
		return append(dst, "EFATAL:  "+r.text+"\n\x00"...)
	}
	fields := "SFATAL\x00VFATAL\x00C" + r.code + "\x00M" + r.text + "\x00\x00"
	dst = binary.BigEndian.AppendUint32(append(dst, 'E'), uint32(4+len(fields)))
	return append(dst, fields...)
}

// pgRefusals are SQLSTATE codes of PostgreSQL's Appendix A, and texts.
var pgRefusals = [...]struct{ code, text string }{
	Unknown:        {"0A000", "not supported"},
	TLSRequired:    {"28000", "TLS is required (sslmode=require or better)"},
	TLSUnavailable: {"57P03", "TLS is not available"},
	AlreadyTLS:     {"08P01", "TLS is active already"},
	BadSyntax:      {"08P01", "unsupported startup packet"},
	NotNow:         {"08P01", "an SSLRequest is answered once"},
	Unavailable:    {"57P03", "the server cannot be reached"},
	TooMuch:        {"53300", "too many connections or requests"},
}
