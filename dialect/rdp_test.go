package dialect

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// rdpRequest is a connection request with a cookie and these protocols; none without a negotiation.
func rdpRequest(cookie string, protocols ...uint32) []byte {
	out := append([]byte{3, 0, 0, 0, 0, rdpCR, 0, 0, 0, 0, 0}, cookie...)
	for _, p := range protocols {
		out = binary.LittleEndian.AppendUint32(append(out, 1, 0, 8, 0), p)
	}
	return rdpSized(out)
}

// rdpSized sets the two lengths of a request.
func rdpSized(raw []byte) []byte {
	binary.BigEndian.PutUint16(raw[2:], uint16(len(raw)))
	raw[4] = byte(len(raw) - 5)
	return raw
}

func rdpConfirm(kind byte, value uint32) []byte {
	return rdpConnect(nil, rdpCC, 0x1234, kind, 0, value)
}

var (
	rdpSilent = []byte{3, 0, 0, 11, 6, rdpCC, 0, 0, 0x12, 0x34, 0} // a confirm without a negotiation
	rdpGone   = []byte{3, 0, 0, 11, 6, rdpDR, 0, 0, 0, 0, 0}
)

// rdpLeg returns a leg on which these were said, by turns, the client first.
func rdpLeg(we Side, inside bool, said ...[]byte) Speech {
	s := RDP.Speak(we, inside)
	for i, raw := range said {
		hear(s, we, Side(i%2), raw)
	}
	return s
}

// rdpTalk are the messages of a recorded session in the clear: request, confirm, and the MCS connects.
func rdpTalk(t *testing.T) [4][]byte {
	var all [4][]byte
	for i, turn := range readTalk(t, "testdata/rdp-xrdp-clear.talk").turns {
		all[i] = turn.raw
	}
	return all
}

func TestRDPRequests(t *testing.T) {
	cookie := "Cookie: mstshash=eltons\r\n"
	long := "Cookie: mstshash=" + strings.Repeat("x", 254-6-8-19) + "\r\n"
	for name, row := range map[string]struct {
		raw  []byte
		kind Kind
		why  Reason
		name string
	}{
		"TLS":                   {raw: rdpRequest("", 1), kind: Upgrade},
		"TLS and CredSSP":       {raw: rdpRequest(cookie, 0xb), kind: Upgrade, name: "eltons"},
		"a routing token":       {raw: rdpRequest("Cookie: msts=3640205228.15629.0000\r\n", 1), kind: Upgrade, name: "Cookie: msts=3640205228.15629.0000"},
		"a long cookie":         {raw: rdpRequest(long, 1), kind: Upgrade, name: strings.Repeat("x", 254-6-8-19)},
		"every protocol":        {raw: rdpRequest("", 1<<32-1), kind: Upgrade},
		"CredSSP alone":         {raw: rdpRequest("", 2), kind: Secret, why: TLSRequired},
		"RDSTLS alone":          {raw: rdpRequest("", 4), kind: Secret, why: TLSRequired},
		"Standard RDP Security": {raw: rdpRequest(cookie, 0), kind: Secret},
		"no negotiation":        {raw: rdpRequest(cookie), kind: Secret},
		"nothing at all":        {raw: rdpRequest(""), kind: Secret},
		"with correlation":      {raw: rdpCorrelated(1), kind: Upgrade},
	} {
		s := RDP.Speak(Server, false)
		m := readOne(t, s, row.raw)
		if m.Kind != row.kind || m.Why != row.why || m.Name != row.name || !s.Pending() || s.Settled() {
			t.Errorf("%s is %+v", name, m)
		}
		for cut := range row.raw {
			if m, n, err := RDP.Speak(Server, false).Read(row.raw[:cut]); n != 0 || err != nil {
				t.Errorf("%s cut at %d: %v, %v", name, cut, m, err)
			}
		}
	}
	wrong := func(at int, value byte) []byte {
		raw := rdpRequest("", 1)
		raw[at] = value
		return raw
	}
	for name, raw := range map[string][]byte{
		"TLS at once":             {0x16, 3, 1},
		"another version":         wrong(0, 4),
		"a reserved byte":         wrong(1, 1),
		"64 KiB":                  {3, 0, 0xff, 0xff},
		"no length":               {3, 0, 0, 0},
		"shorter than its head":   {3, 0, 0, 6, 1, 0xe0},
		"shorter than fixed":      {3, 0, 0, 7, 2, 0xe0, 0},
		"X.224 says more":         wrong(4, 0x0f),
		"X.224 says less":         wrong(4, 6),
		"X.224 says the reserved": wrong(4, 0xff),
		"a confirm":               rdpConfirm(2, 1),
		"data":                    {3, 0, 0, 8, 2, 0xf0, 0x80, 0},
		"half a negotiation":      append([]byte{3, 0, 0, 15, 10}, rdpRequest("", 1)[5:15]...),
		"a negotiation of 9":      wrong(13, 9),
		"no negotiation":          wrong(11, 2),
		"a cookie without an end": rdpRequest("Cookie: mstshash=eltons"),
		"a cookie and half":       rdpRequest(cookie + "\x01\x00\x08\x00"),
	} {
		t.Run(name, func(t *testing.T) { refuses(t, RDP.Speak(Server, false), raw) })
	}
	for name, row := range map[string]struct {
		said [][]byte
		raw  []byte
	}{
		"CI-27 behind the request": {[][]byte{rdpRequest("", 1)}, rdpTalk(t)[2]},
		"CI-27 behind the confirm": {[][]byte{rdpRequest("", 1), rdpConfirm(2, 1)}, rdpTalk(t)[2]},
		"a second request":         {[][]byte{rdpRequest("", 0), rdpSilent}, rdpRequest("", 1)},
	} {
		t.Run(name, func(t *testing.T) { refuses(t, rdpLeg(Server, false, row.said...), row.raw) })
	}
}

// rdpCorrelated is a request with the correlation info behind the negotiation (§2.2.1.1.2).
func rdpCorrelated(protocols uint32) []byte {
	out := rdpRequest("", protocols)
	out[12] = 0x08 | 0x01
	out = append(out, 6, 0, 36, 0)
	out = append(out, bytes.Repeat([]byte{0x55}, 32)...)
	return rdpSized(out)
}

func TestRDPReplies(t *testing.T) {
	for name, row := range map[string]struct {
		asked []byte
		raw   []byte
		kind  Kind
		why   Reason
		text  string
		over  bool
	}{
		"ready":             {asked: rdpRequest("", 1), raw: rdpConfirm(2, 1), kind: Ready},
		"CredSSP":           {asked: rdpRequest("", 3), raw: rdpConfirm(2, 2), kind: No, why: TLSUnavailable, text: "CredSSP", over: true},
		"standard":          {asked: rdpRequest("", 1), raw: rdpConfirm(2, 0), kind: No, why: TLSUnavailable, text: "Standard RDP Security"},
		"an old server":     {asked: rdpRequest("", 1), raw: rdpSilent, kind: No, why: TLSUnavailable, text: "Standard RDP Security"},
		"wants CredSSP":     {asked: rdpRequest("", 1), raw: rdpConfirm(3, 5), kind: No, why: TLSUnavailable, text: "failure 5", over: true},
		"wants TLS":         {asked: rdpRequest("", 0), raw: rdpConfirm(3, 1), kind: No, why: TLSRequired, text: "failure 1", over: true},
		"fails anyhow":      {asked: rdpRequest("", 1), raw: rdpConfirm(3, 1<<32-1), kind: No, text: "failure 4294967295", over: true},
		"hangs up":          {asked: rdpRequest("", 1), raw: rdpGone, kind: No, text: "disconnected", over: true},
		"in the clear":      {asked: rdpRequest("", 0), raw: rdpConfirm(2, 0)},
		"in the clear, old": {asked: rdpRequest(""), raw: rdpSilent},
	} {
		s := rdpLeg(Client, false, row.asked)
		asked := s.(crosser).grammar.(*rdp).kind
		m := readOne(t, s, row.raw)
		if m.Kind != row.kind || m.Re != asked || m.Why != row.why || m.Text != row.text || s.Pending() || s.Settled() || s.(crosser).grammar.(*rdp).over() != row.over {
			t.Errorf("%s is %+v", name, m)
		}
	}
	for name, row := range map[string]struct{ asked, raw []byte }{
		"TLS that was not asked for":     {rdpRequest("", 0), rdpConfirm(2, 1)},
		"CredSSP that was not asked for": {rdpRequest("", 1), rdpConfirm(2, 2)},
		"an answer to no negotiation":    {rdpRequest(""), rdpConfirm(2, 0)},
		"a negotiation of type 4":        {rdpRequest("", 1), rdpConfirm(4, 1)},
		"a request":                      {rdpRequest("", 1), rdpRequest("", 1)},
		"data":                           {rdpRequest("", 1), rdpTalk(t)[3]},
		"a longer negotiation":           {rdpRequest("", 1), append([]byte{3, 0, 0, 20, 15}, append(rdpConfirm(2, 1)[5:], 0)...)},
		"TLS":                            {rdpRequest("", 1), []byte{0x16, 3, 3}},
	} {
		t.Run(name, func(t *testing.T) { refuses(t, rdpLeg(Client, false, row.asked), row.raw) })
	}
	t.Run("unasked", func(t *testing.T) { refuses(t, RDP.Speak(Client, false), rdpConfirm(2, 1)) })
	t.Run("behind the go-ahead", func(t *testing.T) {
		refuses(t, rdpLeg(Client, false, rdpRequest("", 1), rdpConfirm(2, 1)), rdpTalk(t)[3])
	})
}

func TestRDPRefusals(t *testing.T) {
	for name, row := range map[string]struct {
		raw  []byte
		why  Reason
		want []byte
	}{
		"needs TLS":             {rdpRequest("", 0), TLSRequired, rdpConfirm(3, 1)},
		"CredSSP alone":         {rdpRequest("", 2), TLSRequired, rdpConfirm(3, 1)},
		"no TLS in front":       {rdpRequest("", 1), Unknown, rdpConfirm(3, 2)},
		"no certificate":        {rdpRequest("", 1), TLSUnavailable, rdpConfirm(3, 3)},
		"no server":             {rdpRequest("", 1), Unavailable, []byte{3, 0, 0, 11, 6, rdpDR, 0, 0, 0x12, 0x34, 0}},
		"who did not negotiate": {rdpRequest(""), TLSRequired, []byte{3, 0, 0, 11, 6, rdpDR, 0, 0, 0x12, 0x34, 0}},
	} {
		s := RDP.Speak(Server, false)
		m := readOne(t, s, row.raw)
		if got := s.Write(nil, m.Reply(No, row.why)); !bytes.Equal(got, row.want) || !s.(crosser).grammar.(*rdp).over() {
			t.Errorf("%s: %x, want %x", name, got, row.want)
		}
	}
	if got := RDP.Speak(Server, true).Write(nil, Message{Kind: No, Why: Unavailable}); len(got) > 0 {
		t.Errorf("inside: %x", got)
	}
}

// A client in the clear is confirmed by us where the server has heard a request of ours.
func TestRDPPlain(t *testing.T) {
	for name, row := range map[string]struct{ raw, want []byte }{
		"negotiated": {rdpRequest("", 0), rdpConnect(nil, rdpCC, 0x1234, 2, 1, rdpStandard)},
		"not":        {rdpRequest(""), rdpSilent},
	} {
		s := RDP.Speak(Server, false)
		m := readOne(t, s, row.raw)
		if got := s.Write(nil, m.Reply(Other, Unknown)); !bytes.Equal(got, row.want) || s.Pending() {
			t.Errorf("%s: %x", name, got)
		}
	}
	if got := RDP.Speak(Server, true).Write(nil, Message{}); len(got) > 0 {
		t.Errorf("inside: %x", got)
	}
}

// What was agreed on is said again in the MCS connects: with TLS on one leg only, it is set right on both.
func TestRDPAcross(t *testing.T) {
	talk := rdpTalk(t)
	initial, response := slices.Clone(talk[2]), rdpWithCore(talk[3])
	core := bytes.Index(initial, []byte{0x01, 0xc0, 0xea, 0x00})
	setProtocol := func(value byte) []byte {
		raw := slices.Clone(initial)
		raw[core+212] = value
		return raw
	}
	front, back := RDP.Speak(Server, true).(Crosser), RDP.Speak(Client, false).(Crosser)
	again := readOne(t, front, rdpCorrelated(0xb))
	if again.Kind != Other {
		t.Fatalf("the request heard again is %+v", again)
	}
	plain, ok := back.Across(again)
	if want := rdpCorrelated(0); !ok || plain.Raw[12] != 8 || !bytes.Equal(plain.Raw[15:], want[15:]) {
		t.Fatalf("the server hears %x, %v", plain.Raw, ok)
	}
	back.Write(nil, plain)
	confirm := readOne(t, back, rdpConfirm(2, 0))
	if _, ok := front.Across(confirm); ok || confirm.Kind != Other {
		t.Errorf("a client inside TLS hears a confirm: %+v", confirm)
	}
	join, ok := back.Across(readOne(t, front, setProtocol(1)))
	if !ok || !bytes.Equal(join.Raw, setProtocol(0)) {
		t.Errorf("the server in the clear hears %x, %v", join.Raw[core:], ok)
	}
	back.Write(nil, join)
	joined, ok := front.Across(readOne(t, back, response))
	want := slices.Clone(response)
	want[bytes.Index(want, []byte{0x01, 0x0c, 0x0c, 0x00})+8] = 0xb
	if !ok || !bytes.Equal(joined.Raw, want) || !back.Settled() {
		t.Errorf("the client hears %x, %v; settled %v", joined.Raw, ok, back.Settled())
	}

	secured := RDP.Speak(Client, true).(Crosser)
	if _, ok := secured.Across(again); ok {
		t.Error("a server inside TLS hears a request")
	}
	if m, ok := secured.Across(Message{Kind: Secret, Raw: setProtocol(0)}); !ok || !bytes.Equal(m.Raw, setProtocol(1)) {
		t.Errorf("the server inside hears %x, %v", m.Raw[core:], ok)
	}
	if m, ok := back.Across(Message{Kind: Secret, Raw: []byte{1}}); !ok || len(m.Raw) != 1 {
		t.Errorf("what follows is kept back: %x, %v", m.Raw, ok)
	}
	cookie := rdpRequest("Cookie: mstshash=\x01\x00\x08\x00\r\n", 0xb)
	if got := rdpPlain(cookie); !bytes.Equal(got[:len(got)-4], cookie[:len(got)-4]) || got[len(got)-4] != 0 {
		t.Errorf("%x", got)
	}
	if got := rdpPlain(rdpRequest("")); !bytes.Equal(got, rdpRequest("")) {
		t.Errorf("%x", got)
	}
}

// A server that encrypts by itself would be understood by nobody whose client is inside TLS.
func TestRDPOwnEncryption(t *testing.T) {
	response := slices.Clone(rdpTalk(t)[3])
	method := bytes.Index(response, []byte{0x02, 0x0c}) + 4
	for _, row := range []struct {
		inside bool
		method byte
		no     bool
	}{{true, 2, true}, {true, 0, false}, {false, 2, false}} {
		response[method] = row.method
		front := rdpLeg(Server, row.inside, rdpCorrelated(0xb))
		if !row.inside {
			front.Write(nil, Message{Raw: rdpConfirm(2, 0)})
		}
		readOne(t, front, rdpTalk(t)[2])
		m, ok := front.(Crosser).Across(Message{Re: Secret, Raw: response})
		if !ok || (m.Kind == No) != row.no || (m.Text != "") != row.no {
			t.Errorf("inside %v, method %d: %v %q", row.inside, row.method, m.Kind, m.Text)
		}
		if row.no {
			if said, want := front.Write(nil, m), []byte{3, 0, 0, 11, 6, rdpDR, 0, 0, 0x12, 0x34, 0}; !bytes.Equal(said, want) {
				t.Errorf("%x, want %x", said, want)
			}
		}
	}
}

// rdpWithCore makes room for clientRequestedProtocols in a Connect Response of a server that was not asked
// to negotiate, as xrdp has it for one that was.
func rdpWithCore(raw []byte) []byte {
	at := bytes.Index(raw, []byte{0x01, 0x0c, 0x08, 0x00})
	out := slices.Concat(raw[:at], []byte{0x01, 0x0c, 0x0c, 0x00}, raw[at+4:at+8], make([]byte, 4), raw[at+8:])
	out[3] += 4
	return out
}

// A patch is refused by whatever has no such block, and changes nothing then.
func TestRDPPatch(t *testing.T) {
	block := func(kind, size uint16, n int) string {
		out := binary.LittleEndian.AppendUint16(nil, kind)
		return string(append(binary.LittleEndian.AppendUint16(out, size), make([]byte, n)...))
	}
	for name, raw := range map[string]string{
		"no key":                "",
		"nothing behind it":     "Duca",
		"no block":              "Duca\x00",
		"half a head":           "Duca\x80\x04\x01\xc0\x10",
		"a block of 0":          "Duca\x80\x04" + block(1, 0, 300),
		"a block too long":      "Duca\x80\x04" + block(0xc001, 301, 296),
		"a core that is short":  "Duca\x80\x04" + block(0xc001, 215, 211),
		"another block":         "Duca\x80\x04" + block(0xc002, 300, 296),
		"a long one of another": "Duca\x80\x04" + block(0xc002, 0xffff, 296),
	} {
		if got := rdpPatch([]byte(raw), "Duca", 0xc001, 212, 1); string(got) != raw {
			t.Errorf("%s: %x became %x", name, raw, got)
		}
	}
	for name, head := range map[string]string{"short": "Duca\x04", "long": "Duca\x80\xd8", "second": "Duca\x80\xff" + block(0xc004, 12, 8)} {
		raw := head + block(0xc001, 216, 212)
		got := rdpPatch([]byte(raw), "Duca", 0xc001, 212, 0x04030201)
		if want := raw[:len(raw)-4] + "\x01\x02\x03\x04"; string(got) != want {
			t.Errorf("%s: %x", name, got)
		}
	}
}
