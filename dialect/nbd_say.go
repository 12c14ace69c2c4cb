package dialect

import "encoding/binary"

// say never says NO_ZEROES for us: the flags of a back leg are said before a client's are heard, and
// the two must agree on what follows EXPORT_NAME. It is taken out of a server's greeting as well.
func (s *nbd) say(dst []byte, m Message) []byte {
	switch m.Kind {
	case Greeting:
		if m.Raw != nil {
			at := len(dst)
			dst = append(dst, m.Raw...)
			dst[at+17] &^= nbdNoZeroes
			return dst
		}
		return append(dst, nbdMagic+nbdNew+"\x00\x01"...)
	case Hello:
		flags := byte(0)
		if s.fixed {
			flags = nbdFixed
		}
		return append(dst, 0, 0, 0, flags)
	case Upgrade:
		return nbdOption(dst, nbdStartTLS)
	case Ready, Other:
		return s.answer(dst, nbdAck, "")
	case Bye:
		if s.we == Client && s.phase == nbdOptions && s.fixed {
			return nbdOption(dst, nbdAbort)
		} else if s.we == Server && s.kind == Bye {
			return s.answer(dst, nbdAck, "")
		}
	case No:
		return s.sayNo(dst, m.Why)
	}
	return dst
}

func nbdOption(dst []byte, option uint32) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, nbdNew...), option)
	return append(dst, 0, 0, 0, 0)
}

func (s *nbd) answer(dst []byte, kind uint32, words string) []byte {
	if s.phase != nbdAsked {
		return dst
	}
	dst = binary.BigEndian.AppendUint32(append(dst, nbdAnswer...), s.option)
	dst = binary.BigEndian.AppendUint32(dst, kind)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(words)))
	return append(dst, words...)
}

// sayNo says an error where an option waits for its reply. There is none to EXPORT_NAME and before the
// first option: all that a server can do is close ("NBD_OPT_EXPORT_NAME", "FORCEDTLS mode").
func (s *nbd) sayNo(dst []byte, why Reason) []byte {
	if s.phase != nbdAsked {
		s.phase = nbdOver
		return dst
	}
	r := nbdRefusals[why]
	return s.answer(dst, r.kind, r.text)
}

var nbdRefusals = [...]struct {
	kind uint32
	text string
}{
	Unknown:        {nbdUnsup, "not supported"},
	TLSRequired:    {nbdTLSReqd, "TLS is required"},
	TLSUnavailable: {nbdPolicy, "TLS is not available"},
	AlreadyTLS:     {nbdInvalid, "TLS is active already"},
	BadSyntax:      {nbdInvalid, "malformed option"},
	NotNow:         {nbdInvalid, "STARTTLS must come before options that change the session"},
	Unavailable:    {nbdShutdown, "the server cannot be reached"},
	TooMuch:        {nbdShutdown, "too many options"},
}

// across keeps the client's flags from a server that has heard ours.
func (s *nbd) across(m Message) (Message, bool) {
	return m, s.we == Server || m.Kind != Hello || s.phase == nbdFlags
}
