package dialect

import "encoding/binary"

// NBD is the NBD_OPT_STARTTLS of the Network Block Device protocol. Sections are those of its
// proto.md, which numbers none.
var NBD = Dialect{
	Name:    "nbd",
	Spec:    "NBD proto.md, TLS support",
	Schemes: []Scheme{{Name: "nbd", Port: 10809}}, // nbds: URIs mean STARTTLS, too
	Script:  script("G h u R |"),
	Early:   true, // the client's flags are said once, and the server needs them
	Tried:   []string{"nbdkit 1.32.5", "qemu-nbd and qemu-img 7.2", "nbdinfo 1.14.2"},
	Limit:   nbdLimit,
	Speak: func(we Side, inside bool) Speech {
		n := &nbd{we: we, inside: inside}
		if inside { // greeting and flags were said in the clear; "fixed" is what allowed TLS
			n.phase, n.fixed = nbdOptions, true
		}
		return crosser{speech{n, we}}
	},
}

const nbdLimit = 64 << 10 // of an option or a reply; export names have up to 4096 bytes

// "Newstyle negotiation", "Option types", "Option reply types".
const (
	nbdMagic  = "NBDMAGIC"
	nbdNew    = "IHAVEOPT"
	nbdOld    = "\x00\x00\x42\x02\x81\x86\x12\x53"
	nbdAnswer = "\x00\x03\xe8\x89\x04\x55\x65\xa9"

	nbdFixed    = 1 // NBD_FLAG_FIXED_NEWSTYLE, NBD_FLAG_C_FIXED_NEWSTYLE
	nbdNoZeroes = 2

	nbdExportName = 1
	nbdAbort      = 2
	nbdList       = 3
	nbdPeek       = 4
	nbdStartTLS   = 5
	nbdInfo       = 6
	nbdGo         = 7
	nbdListMeta   = 9

	nbdAck      = 1
	nbdError    = 1 << 31
	nbdUnsup    = nbdError + 1
	nbdPolicy   = nbdError + 2
	nbdInvalid  = nbdError + 3
	nbdPlatform = nbdError + 4
	nbdTLSReqd  = nbdError + 5
	nbdShutdown = nbdError + 7
)

type nbdPhase uint8

const (
	nbdGreet   nbdPhase = iota // the server greets
	nbdFlags                   // the client's flags
	nbdOptions                 // the client's next option
	nbdAsked                   // the final reply to one is due
	nbdReady                   // TLS follows on this leg and nothing else
	nbdOpen                    // transmission: nothing that follows concerns TLS
	nbdOver                    // the conversation has ended
)

type nbd struct {
	we     Side
	inside bool
	phase  nbdPhase
	fixed  bool   // both sides have said so: without it there is no TLS ("TLS support")
	option uint32 // that is to be answered
	kind   Kind   // of it
	kept   bool   // the server has taken an option that changes what it says later
}

func (s *nbd) Pending() bool { return s.phase == nbdAsked }
func (s *nbd) Settled() bool { return s.phase == nbdOpen }
func (s *nbd) over() bool    { return s.phase == nbdOver }

func (s *nbd) request(buf []byte) (Message, int, error) {
	switch s.phase {
	case nbdOpen:
		return Message{Kind: Secret}, 1, nil
	case nbdFlags:
		return s.flags(buf)
	case nbdOptions:
		return s.opted(buf)
	}
	return Message{}, 0, noise("the client speaks out of turn")
}

// flags reads the client's flags. A server must close when it does not know one ("Newstyle
// negotiation").
func (s *nbd) flags(buf []byte) (Message, int, error) {
	for i, b := range buf[:min(len(buf), 4)] {
		if b != 0 && (i < 3 || b > nbdFixed|nbdNoZeroes) {
			return Message{}, 0, noise("unknown client flags")
		}
	}
	if len(buf) < 4 {
		return Message{}, 0, nil
	}
	s.phase, s.fixed = nbdOptions, s.fixed && buf[3]&nbdFixed != 0
	return Message{Kind: Hello}, 4, nil
}

// opted reads an option: magic, number, length, data.
func (s *nbd) opted(buf []byte) (Message, int, error) {
	n, err := nbdCut(buf, nbdNew, 16)
	if n == 0 || err != nil {
		return Message{}, 0, err
	}
	s.phase, s.option = nbdAsked, binary.BigEndian.Uint32(buf[8:])
	m := Message{Kind: Secret}
	switch s.option {
	case nbdStartTLS:
		m.Kind, m.Why = Upgrade, s.hindrance(n > 16)
	case nbdAbort:
		m.Kind = Bye
	case nbdExportName:
		s.phase = nbdOpen // its answer is no reply, or the end of the connection
	}
	s.kind = m.Kind
	return m, n, nil
}

// hindrance says what stands against STARTTLS. What was negotiated in the clear must not be kept, and
// the server behind us cannot be made to forget it (CVE-2021-3716).
func (s *nbd) hindrance(data bool) Reason {
	switch {
	case s.inside:
		return AlreadyTLS
	case data:
		return BadSyntax
	case !s.fixed:
		return TLSUnavailable
	case s.kept:
		return NotNow
	}
	return Unknown
}

// nbdCut finds the end of what begins with magic and has its length at the end of a head of that size.
func nbdCut(buf []byte, magic string, head int) (n int, err error) {
	if i := min(len(buf), len(magic)); string(buf[:i]) != magic[:i] {
		return 0, noise("no %q", magic)
	}
	if len(buf) < head {
		return 0, nil
	}
	size := binary.BigEndian.Uint32(buf[head-4:])
	if size > nbdLimit-uint32(head) {
		return 0, noise("%d bytes of data before transmission", size)
	}
	if n = head + int(size); len(buf) < n {
		return 0, nil
	}
	return n, nil
}
