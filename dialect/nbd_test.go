package dialect

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

var (
	nbdHello = []byte("NBDMAGICIHAVEOPT\x00\x03")
	nbdFlag  = []byte{0, 0, 0, 3}
)

func nbdOpt(option uint32, data string) []byte {
	out := nbdOption(nil, option)
	binary.BigEndian.PutUint32(out[12:], uint32(len(data)))
	return append(out, data...)
}

func nbdRep(option, kind uint32, data string) []byte {
	out := binary.BigEndian.AppendUint32([]byte(nbdAnswer), option)
	out = binary.BigEndian.AppendUint32(out, kind)
	out = binary.BigEndian.AppendUint32(out, uint32(len(data)))
	return append(out, data...)
}

// nbdLeg returns a leg on which these were said, the server's and the client's by turns. The first two
// are the greeting and the client's flags.
func nbdLeg(we Side, inside bool, said ...[]byte) Speech {
	s := NBD.Speak(we, inside)
	if !inside && len(said) == 0 {
		said = [][]byte{nbdHello, nbdFlag}
	}
	for i, raw := range said {
		hear(s, we, Side(1-i%2), raw)
	}
	return s
}

func TestNBDGreetings(t *testing.T) {
	for name, row := range map[string]struct {
		raw     string
		n       int
		kind    Kind
		offer   Offer
		settled bool
	}{
		"fixed newstyle": {raw: "NBDMAGICIHAVEOPT\x00\x03", kind: Greeting, offer: Offered},
		"with more":      {raw: "NBDMAGICIHAVEOPT\xff\xff", kind: Greeting, offer: Offered},
		"newstyle":       {raw: "NBDMAGICIHAVEOPT\x00\x02", kind: Greeting},
		"oldstyle":       {raw: nbdMagic + nbdOld, kind: No, settled: true},
	} {
		s := NBD.Speak(Client, false)
		m := readOne(t, s, []byte(row.raw))
		if m.Kind != row.kind || m.Offer != row.offer || s.Pending() || s.Settled() != row.settled {
			t.Errorf("%s is %+v, settled %v", name, m, s.Settled())
		}
		for cut := range row.raw {
			if m, n, err := NBD.Speak(Client, false).Read([]byte(row.raw[:cut])); n != 0 || err != nil {
				t.Errorf("%s cut at %d: %v, %v", name, cut, m, err)
			}
		}
	}
	for name, raw := range map[string]string{
		"no magic": "NBDMAGIX", "another style": "NBDMAGICIHAVEOPX", "TLS": "\x16\x03\x01", "text": "220 mx ESMTP\r\n",
	} {
		t.Run(name, func(t *testing.T) { refuses(t, NBD.Speak(Client, false), []byte(raw)) })
	}
}

func TestNBDOptions(t *testing.T) {
	for name, row := range map[string]struct {
		leg     Speech
		raw     []byte
		kind    Kind
		why     Reason
		settled bool
	}{
		"flags":                      {leg: nbdLeg(Server, false, nbdHello), raw: nbdFlag, kind: Hello},
		"STARTTLS":                   {leg: nbdLeg(Server, false), raw: nbdOpt(nbdStartTLS, ""), kind: Upgrade},
		"STARTTLS with data":         {leg: nbdLeg(Server, false), raw: nbdOpt(nbdStartTLS, "x"), kind: Upgrade, why: BadSyntax},
		"STARTTLS inside":            {leg: nbdLeg(Server, true), raw: nbdOpt(nbdStartTLS, ""), kind: Upgrade, why: AlreadyTLS},
		"a client that is not fixed": {leg: nbdLeg(Server, false, nbdHello, []byte{0, 0, 0, 2}), raw: nbdOpt(nbdStartTLS, ""), kind: Upgrade, why: TLSUnavailable},
		"a server that is not fixed": {leg: nbdLeg(Server, false, []byte("NBDMAGICIHAVEOPT\x00\x02"), nbdFlag), raw: nbdOpt(nbdStartTLS, ""), kind: Upgrade, why: TLSUnavailable},
		"LIST":                       {leg: nbdLeg(Server, false), raw: nbdOpt(nbdList, ""), kind: Secret},
		"GO":                         {leg: nbdLeg(Server, false), raw: nbdOpt(nbdGo, "\x00\x00\x00\x00\x00\x00"), kind: Secret},
		"EXPORT_NAME":                {leg: nbdLeg(Server, false), raw: nbdOpt(nbdExportName, "disk"), kind: Secret, settled: true},
		"ABORT":                      {leg: nbdLeg(Server, false), raw: nbdOpt(nbdAbort, "bye"), kind: Bye},
		"an option of the future":    {leg: nbdLeg(Server, false), raw: nbdOpt(0xffffffff, "x"), kind: Secret},
		"the longest":                {leg: nbdLeg(Server, true), raw: nbdOpt(nbdInfo, strings.Repeat("x", nbdLimit-16)), kind: Secret},
	} {
		if m := readOne(t, row.leg, row.raw); m.Kind != row.kind || m.Why != row.why || row.leg.Settled() != row.settled {
			t.Errorf("%s is %v (%v), settled %v", name, m.Kind, m.Why, row.leg.Settled())
		}
	}
	long := nbdOpt(nbdInfo, "")
	for _, size := range []uint32{nbdLimit - 15, 1 << 31, 1<<32 - 1} {
		binary.BigEndian.PutUint32(long[12:], size)
		refuses(t, nbdLeg(Server, true), long)
	}
	for name, raw := range map[string][]byte{"no magic": []byte("IHAVEOPX"), "TLS": {0x16, 3, 1}} {
		t.Run(name, func(t *testing.T) { refuses(t, nbdLeg(Server, false), raw) })
	}
	t.Run("unknown flags", func(t *testing.T) { refuses(t, nbdLeg(Server, false, nbdHello), []byte{0, 0, 0, 4}) })
	t.Run("flags in front", func(t *testing.T) { refuses(t, nbdLeg(Server, false, nbdHello), []byte{0x80}) })
	t.Run("no flags", func(t *testing.T) { refuses(t, nbdLeg(Server, false, nbdHello), nbdOpt(nbdStartTLS, "")) })
	t.Run("before the greeting", func(t *testing.T) { refuses(t, NBD.Speak(Server, false), nbdFlag) })
	t.Run("behind an open question", func(t *testing.T) {
		refuses(t, nbdLeg(Server, false, nbdHello, nbdFlag, nil, nbdOpt(nbdList, "")), nbdOpt(nbdStartTLS, ""))
	})
}

func TestNBDReplies(t *testing.T) {
	for name, row := range map[string]struct {
		option  uint32
		raw     []byte
		kind    Kind
		why     Reason
		pending bool
		settled bool
		text    string
	}{
		"ready":          {option: nbdStartTLS, raw: nbdRep(nbdStartTLS, nbdAck, ""), kind: Ready},
		"unsupported":    {option: nbdStartTLS, raw: nbdRep(nbdStartTLS, nbdUnsup, "no TLS\n"), kind: No, why: TLSUnavailable, text: "error 1 no TLS"},
		"by policy":      {option: nbdStartTLS, raw: nbdRep(nbdStartTLS, nbdPolicy, ""), kind: No, why: TLSUnavailable, text: "error 2"},
		"invalid":        {option: nbdStartTLS, raw: nbdRep(nbdStartTLS, nbdInvalid, ""), kind: No, text: "error 3"},
		"shutdown":       {option: nbdStartTLS, raw: nbdRep(nbdStartTLS, nbdShutdown, ""), kind: No, why: Unavailable, text: "error 7"},
		"another error":  {option: nbdStartTLS, raw: nbdRep(nbdStartTLS, 0xffffffff, ""), kind: No, text: "error 2147483647"},
		"needs TLS":      {option: nbdGo, raw: nbdRep(nbdGo, nbdTLSReqd, ""), kind: No, why: TLSRequired, text: "error 5"},
		"an export":      {option: nbdList, raw: nbdRep(nbdList, 2, "\x00\x00\x00\x01x"), kind: Other, pending: true},
		"all exports":    {option: nbdList, raw: nbdRep(nbdList, nbdAck, ""), kind: Other},
		"transmission":   {option: nbdGo, raw: nbdRep(nbdGo, nbdAck, ""), kind: Other, settled: true},
		"INFO":           {option: nbdInfo, raw: nbdRep(nbdInfo, nbdAck, ""), kind: Other},
		"goodbye":        {option: nbdAbort, raw: nbdRep(nbdAbort, nbdAck, ""), kind: Bye},
		"a sour goodbye": {option: nbdAbort, raw: nbdRep(nbdAbort, nbdUnsup, ""), kind: Bye, text: "error 1"},
	} {
		s := nbdLeg(Client, false)
		s.Write(nil, Message{Raw: nbdOpt(row.option, "")})
		asked := s.(crosser).grammar.(*nbd).kind
		m := readOne(t, s, row.raw)
		if m.Kind != row.kind || m.Why != row.why || m.Re != asked || m.Text != row.text || s.Pending() != row.pending || s.Settled() != row.settled {
			t.Errorf("%s is %+v, pending %v, settled %v", name, m, s.Pending(), s.Settled())
		}
	}
	asked := func() Speech {
		s := nbdLeg(Client, false)
		s.Write(nil, Message{Kind: Upgrade})
		return s
	}
	for name, raw := range map[string][]byte{
		"another option's": nbdRep(nbdGo, nbdAck, ""),
		"ready with data":  nbdRep(nbdStartTLS, nbdAck, "x"),
		"an export":        nbdRep(nbdStartTLS, 2, "\x00\x00\x00\x01x"),
		"no magic":         []byte("IHAVEOPT"),
		"too long":         append(nbdRep(nbdStartTLS, nbdUnsup, "")[:16], 0xff, 0xff, 0xff, 0xff),
	} {
		t.Run(name, func(t *testing.T) { refuses(t, asked(), raw) })
	}
	t.Run("unasked", func(t *testing.T) { refuses(t, nbdLeg(Client, false), nbdRep(nbdStartTLS, nbdAck, "")) })
	s := asked()
	readOne(t, s, nbdRep(nbdStartTLS, nbdAck, ""))
	t.Run("behind the go-ahead", func(t *testing.T) { refuses(t, s, nbdRep(8, nbdAck, "")) })
}

// CI-26 (CVE-2021-3716): what was agreed on in the clear must not hold inside TLS, and a server behind a
// gateway cannot be made to forget it.
func TestNBDState(t *testing.T) {
	for name, row := range map[string]struct {
		option, reply uint32
		why           Reason
	}{
		"STRUCTURED_REPLY":         {8, nbdAck, NotNow},
		"SET_META_CONTEXT":         {10, nbdAck, NotNow},
		"EXTENDED_HEADERS":         {11, nbdAck, NotNow},
		"of the future":            {0x7fffffff, nbdAck, NotNow},
		"STRUCTURED_REPLY refused": {8, nbdTLSReqd, Unknown},
		"LIST":                     {nbdList, nbdAck, Unknown},
		"INFO":                     {nbdInfo, nbdAck, Unknown},
		"LIST_META_CONTEXT":        {nbdListMeta, nbdAck, Unknown},
	} {
		s := nbdLeg(Server, false, nbdHello, nbdFlag, nil, nbdOpt(row.option, ""), nbdRep(row.option, row.reply, ""))
		m := readOne(t, s, nbdOpt(nbdStartTLS, ""))
		if m.Kind != Upgrade || m.Why != row.why {
			t.Errorf("STARTTLS behind %s is %v (%v)", name, m.Kind, m.Why)
		}
	}
	s := nbdLeg(Server, false)
	start, next := nbdOpt(nbdStartTLS, ""), nbdOpt(8, "")
	if m, n, err := s.Read(slices.Concat(start, next)); m.Kind != Upgrade || n != len(start) || err != nil {
		t.Fatal(m.Kind, n, err)
	}
	s.Write(nil, Message{Kind: Ready, Re: Upgrade})
	refuses(t, s, next)
}

func TestNBDRefusals(t *testing.T) {
	for why, kind := range map[Reason]uint32{
		Unknown: nbdUnsup, TLSRequired: nbdTLSReqd, TLSUnavailable: nbdPolicy, AlreadyTLS: nbdInvalid,
		BadSyntax: nbdInvalid, NotNow: nbdInvalid, Unavailable: nbdShutdown, TooMuch: nbdShutdown,
	} {
		s := nbdLeg(Server, false)
		m := readOne(t, s, nbdOpt(nbdGo, "x"))
		got := s.Write(nil, m.Reply(No, why))
		if len(got) < 20 || binary.BigEndian.Uint32(got[8:]) != nbdGo || binary.BigEndian.Uint32(got[12:]) != kind || s.Pending() {
			t.Errorf("%v is said as %x", why, got)
		}
	}
	s := nbdLeg(Server, false)
	m := readOne(t, s, nbdOpt(nbdExportName, "x"))
	if got := s.Write(nil, m.Reply(No, TLSRequired)); len(got) > 0 || !s.(crosser).grammar.(*nbd).over() {
		t.Errorf("EXPORT_NAME is refused with %x", got)
	}
	m = readOne(t, nbdLeg(Server, false), nbdOpt(nbdAbort, ""))
	s = nbdLeg(Server, false, nbdHello, nbdFlag, nil, nbdOpt(nbdAbort, ""))
	if got := s.Write(nil, m.Reply(Bye, Unknown)); !bytes.Equal(got, nbdRep(nbdAbort, nbdAck, "")) {
		t.Errorf("goodbye is answered with %x", got)
	}
	if got := nbdLeg(Client, false).Write(nil, Message{Kind: Bye}); !bytes.Equal(got, nbdOpt(nbdAbort, "")) {
		t.Errorf("goodbye is said as %x", got)
	}
}

// The flags are said once on each leg, and never with NO_ZEROES by us.
func TestNBDAcross(t *testing.T) {
	for name, row := range map[string]struct {
		back Speech
		want bool
	}{
		"a server that waits for them": {nbdLeg(Client, false, nbdHello), true},
		"a server that has heard ours": {nbdLeg(Client, false), false},
		"a server inside TLS has, too": {nbdLeg(Client, true), false},
	} {
		if _, ok := row.back.(Crosser).Across(Message{Kind: Hello, Raw: nbdFlag}); ok != row.want {
			t.Errorf("%s: %v", name, ok)
		}
		if _, ok := row.back.(Crosser).Across(Message{Kind: Secret, Raw: nbdOpt(8, "")}); !ok {
			t.Errorf("%s: an option is kept back", name)
		}
	}
	if got := nbdLeg(Client, false, nbdHello).Write(nil, Message{Kind: Hello}); !bytes.Equal(got, []byte{0, 0, 0, 1}) {
		t.Errorf("our flags: %x", got)
	}
	if got := nbdLeg(Client, false, []byte("NBDMAGICIHAVEOPT\x00\x02")).Write(nil, Message{Kind: Hello}); !bytes.Equal(got, []byte{0, 0, 0, 0}) {
		t.Errorf("our flags: %x", got)
	}
}

// nbdRest is a greeting without NO_ZEROES.
func nbdRest(raw []byte) []string { return []string{string(raw[:17]), string(raw[17] &^ nbdNoZeroes)} }

// nbdStays: "fixed" stands for more than TLS.
func nbdStays(_ *legs, m, again Message) bool { return m.Offer == again.Offer }
