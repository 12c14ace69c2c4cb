package dialect

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

const (
	rfb33 = "RFB 003.003\n"
	rfb37 = "RFB 003.007\n"
	rfb38 = "RFB 003.008\n"
)

func vncKindList(kinds ...uint32) string {
	out := []byte{0, byte(len(kinds))}
	for _, kind := range kinds {
		out = binary.BigEndian.AppendUint32(out, kind)
	}
	return string(out)
}

func vncKind(kind uint32) string { return string(binary.BigEndian.AppendUint32(nil, kind)) }

// vncLeg returns a leg on which these were said, by turns, the server first.
func vncLeg(we Side, said ...string) Speech {
	s := VNC.Speak(we, false)
	for i, raw := range said {
		hear(s, we, Side(1-i%2), []byte(raw))
	}
	return s
}

// vncTo is a conversation up to the client's pick, with these kinds on the list.
func vncTo(kinds ...uint32) []string {
	return []string{rfb38, rfb38, "\x02\x13\x02", "\x13", "\x00\x02", "\x00\x02", vncKindList(kinds...)}
}

func TestVNCMessages(t *testing.T) {
	all := vncTo(257, 260, 261, 256, 2)
	for name, row := range map[string]struct {
		said    []string // before it
		raw     string
		kind    Kind
		why     Reason
		offer   Offer
		pending bool
		settled bool
	}{
		"server 3.8":   {raw: rfb38, kind: Greeting},
		"server 3.3":   {raw: rfb33, kind: Greeting},
		"server Apple": {raw: "RFB 003.889\n", kind: Greeting},
		"client 3.8":   {said: []string{rfb38}, raw: rfb38, kind: Hello, pending: true},
		"client 3.7":   {said: []string{rfb38}, raw: rfb37, kind: Hello, pending: true},
		"client 3.3":   {said: []string{rfb38}, raw: rfb33, kind: Secret, pending: true},
		"client 3.6":   {said: []string{rfb38}, raw: "RFB 003.006\n", kind: Secret, pending: true},
		"client 5.0":   {said: []string{rfb38}, raw: "RFB 005.000\n", kind: Hello, pending: true},
		"old server":   {said: []string{rfb33}, raw: rfb38, kind: Secret, pending: true},

		"types":              {said: all[:2], raw: "\x02\x02\x01", kind: Caps},
		"types with 19":      {said: all[:2], raw: "\x02\x13\x01", kind: Caps, offer: Offered},
		"19 alone":           {said: all[:2], raw: "\x01\x13", kind: Caps, offer: Required},
		"no types":           {said: all[:2], raw: "\x00\x00\x00\x00\x03why", kind: No},
		"3.3: VncAuth":       {said: []string{rfb38, rfb33}, raw: "\x00\x00\x00\x02", kind: Caps, settled: true},
		"3.3: failed":        {said: []string{rfb38, rfb33}, raw: "\x00\x00\x00\x00\x00\x00\x00\x01x", kind: No},
		"VeNCrypt":           {said: all[:3], raw: "\x13", kind: Hello, pending: true},
		"VncAuth":            {said: all[:3], raw: "\x02", kind: Secret, settled: true},
		"not on the list":    {said: all[:3], raw: "\x01", kind: Secret, why: BadSyntax, settled: true},
		"19 not on the list": {said: []string{rfb38, rfb38, "\x01\x02"}, raw: "\x13", kind: Hello, why: BadSyntax, pending: true},

		"0.2":               {said: all[:4], raw: "\x00\x02", kind: Caps, offer: Offered},
		"0.0":               {said: all[:4], raw: "\x00\x00", kind: Caps},
		"client 0.2":        {said: all[:5], raw: "\x00\x02", kind: Hello, pending: true},
		"client 0.1":        {said: all[:5], raw: "\x00\x01", kind: Hello, why: BadSyntax, pending: true},
		"version refused":   {said: all[:6], raw: "\xff", kind: No},
		"kinds":             {said: all[:6], raw: vncKindList(257, 260), kind: Caps, offer: Offered},
		"anonymous kinds":   {said: all[:6], raw: vncKindList(257, 258, 259), kind: Caps},
		"no kinds":          {said: all[:6], raw: vncKindList(), kind: Caps},
		"X509None":          {said: all, raw: vncKind(260), kind: Upgrade, pending: true},
		"X509Plain not on":  {said: all, raw: vncKind(262), kind: Upgrade, why: TLSUnavailable, pending: true},
		"TLSNone":           {said: all, raw: vncKind(257), kind: Upgrade, why: TLSUnavailable, pending: true},
		"TLSVnc":            {said: all, raw: vncKind(258), kind: Upgrade, why: TLSUnavailable, pending: true},
		"Plain":             {said: all, raw: vncKind(256), kind: Secret, settled: true},
		"VncAuth as a kind": {said: all, raw: vncKind(2), kind: Secret, settled: true},
		"None as a kind":    {said: all, raw: vncKind(1), kind: Secret, why: BadSyntax, settled: true},
		"the last kind":     {said: all, raw: vncKind(1<<32 - 1), kind: Secret, why: BadSyntax, settled: true},
		"ready":             {said: append(all, vncKind(260)), raw: "\x01", kind: Ready},
		"not ready":         {said: append(all, vncKind(260)), raw: "\x00", kind: No},
		"not ready at all":  {said: append(all, vncKind(260)), raw: "\x02", kind: No},
	} {
		we := Side(len(row.said) % 2) // who hears it: the server's messages are the even ones
		s := vncLeg(we, row.said...)
		m := readOne(t, s, []byte(row.raw))
		if m.Kind != row.kind || m.Why != row.why && m.Kind != No || m.Offer != row.offer || s.Pending() != row.pending || s.Settled() != row.settled {
			t.Errorf("%s is %+v, pending %v, settled %v", name, m, s.Pending(), s.Settled())
		}
		for cut := range row.raw {
			if m, n, err := vncLeg(we, row.said...).Read([]byte(row.raw[:cut])); n != 0 || err != nil {
				t.Errorf("%s cut at %d: %v, %v", name, cut, m, err)
			}
		}
	}
	for name, row := range map[string]struct {
		said []string
		raw  string
	}{
		"no version":              {nil, "RFB 3.8\n"},
		"HTTP":                    {nil, "HTTP/1.1"},
		"TLS at once":             {[]string{rfb38}, "\x16\x03\x01"},
		"a reason of 4 GB":        {all[:2], "\x00\xff\xff\xff\xff"},
		"a reason of 4 KB":        {all[:2], "\x00\x00\x00\x10\x00"},
		"3.3: a reason of 4 GB":   {[]string{rfb38, rfb33}, "\x00\x00\x00\x00\xff\xff\xff\xff"},
		"VeNCrypt 0.1":            {all[:4], "\x00\x01"},
		"VeNCrypt 1.0":            {all[:4], "\x01\x00"},
		"before the list":         {append(all[:1:1], rfb38, ""), "\x13"},
		"a server out of turn":    {append(all[:3:3], ""), "\x00\x02"},
		"behind the go-ahead":     {append(slices.Clone(all), vncKind(260), "\x01", ""), "\x00\x00\x00\x00"},
		"CI-27 behind the pick":   {append(slices.Clone(all), vncKind(260), ""), "\x01"},
		"CI-27 behind the answer": {append(slices.Clone(all), vncKind(260), "\x01"), "\x01"},
	} {
		t.Run(name, func(t *testing.T) {
			said := slices.DeleteFunc(slices.Clone(row.said), func(s string) bool { return s == "" })
			refuses(t, vncLeg(Side(len(row.said)%2), said...), []byte(row.raw))
		})
	}
}

// What a client is told in front of a server, by what the front offers.
func TestVNCEdits(t *testing.T) {
	for name, row := range map[string]struct {
		hello string // the client's
		raw   string // what the server lists
		want  [3]string
	}{
		"VncAuth and None":    {rfb38, "\x02\x02\x01", [3]string{"\x02\x02\x01", "\x03\x13\x02\x01", "\x01\x13"}},
		"with TLS of its own": {rfb38, "\x04\x12\x13\x02\x01", [3]string{"\x02\x02\x01", "\x03\x13\x02\x01", "\x01\x13"}},
		"TLS alone":           {rfb38, "\x02\x12\x13", [3]string{"\x01\x00", "\x01\x13", "\x01\x13"}},
		"nothing for TLS":     {rfb38, "\x01\x05", [3]string{"\x01\x05", "\x01\x05", "\x01\x13"}},
		"heard by a walk":     {rfb38, vncKindList(258, 260, 261), [3]string{"\x02\x01\x02", "\x03\x13\x01\x02", "\x01\x13"}},
		"without a twin":      {rfb38, vncKindList(262), [3]string{"\x01\x00", "\x01\x13", "\x01\x13"}},
		"None in 3.7":         {rfb37, "\x01\x01", [3]string{"\x01\x01", "\x01\x01", "\x01\x13"}},
		"None of a walk, 3.7": {rfb37, vncKindList(260, 261), [3]string{"\x01\x02", "\x02\x13\x02", "\x01\x13"}},
		"3.3":                 {rfb33, "\x00\x00\x00\x02", [3]string{"\x00\x00\x00\x02", "\x00\x00\x00\x02", "\x00\x00\x00\x02"}},
	} {
		for offer, want := range row.want {
			s := vncLeg(Server, rfb38, row.hello)
			m := Message{Kind: Caps, Re: Hello, Raw: []byte(row.raw)}
			if got := s.Write(nil, m.Offering(Offer(offer))); string(got) != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	}
	long := "\xff" + strings.Repeat("\x02", 255)
	got := vncLeg(Server, rfb38, rfb38).Write(nil, Message{Kind: Caps, Raw: []byte(long)}.Offering(Offered))
	if len(got) != 256 || got[1] != vncVeNCrypt {
		t.Errorf("a long list: %d types", len(got)-1)
	}
}

// A whole upgrade in front of a server in the clear, by the words a gateway uses: the client's questions
// about VeNCrypt are ours to answer, and the server hears of the type.
func TestVNCFront(t *testing.T) {
	for kind, plain := range map[uint32]string{vncX509None: "\x01", vncX509Auth: "\x02"} {
		front, back := VNC.Speak(Server, false), vncLeg(Client, rfb38, rfb38, "\x02\x02\x01").(Crosser)
		hear(front, Server, Server, []byte(rfb38))
		hear(front, Server, Client, []byte(rfb38))
		front.Write(nil, Message{Kind: Caps, Re: Hello, Raw: []byte("\x02\x02\x01")}.Offering(Required))
		for _, step := range []struct{ says, want string }{{"\x13", "\x00\x02"}, {"\x00\x02", vncKindList(261, 260)}} {
			m := readOne(t, front, []byte(step.says))
			if _, ok := back.Across(m); ok || m.Kind != Hello {
				t.Fatalf("%q is %v, for the server: %v", step.says, m.Kind, ok)
			}
			caps := m.Reply(Caps, Unknown)
			caps.Offer = Required
			if got := front.Write(nil, caps); string(got) != step.want {
				t.Fatalf("%q is answered with %q", step.says, got)
			}
		}
		pick := readOne(t, front, []byte(vncKind(kind)))
		if pick.Kind != Upgrade || pick.Why != Unknown {
			t.Fatalf("%+v", pick)
		}
		if got := front.Write(nil, pick.Reply(Ready, Unknown)); string(got) != "\x01" {
			t.Fatalf("ready is %q", got)
		}
		again := readOne(t, VNC.Speak(Server, true), pick.Raw)
		if m, ok := back.Across(again); again.Kind != Secret || !ok || string(m.Raw) != plain {
			t.Fatalf("the server hears %q, %v", m.Raw, ok)
		} else if got := back.Write(nil, m); string(got) != plain || !back.Settled() {
			t.Fatalf("the server hears %q, settled %v", got, back.Settled())
		}
		if _, ok := VNC.Speak(Client, true).(Crosser).Across(again); ok {
			t.Error("a server inside TLS hears the kind again")
		}
	}
	if _, ok := vncLeg(Client, rfb38, rfb38, "\x01\x02").(Crosser).Across(Message{Kind: Secret, Raw: []byte(vncKind(vncX509Plain))}); ok {
		t.Error("a kind without a twin is said")
	}
	if _, ok := vncLeg(Client, rfb38).(Crosser).Across(Message{Kind: Hello, Raw: []byte(rfb38)}); !ok {
		t.Error("the version is kept back")
	}
}

// The way to TLS as a client, and which kind it asks for: what goes with the login of a gateway's client.
func TestVNCPick(t *testing.T) {
	for name, row := range map[string]struct {
		kinds []uint32
		login string
		want  string
	}{
		"the server's favourite": {[]uint32{258, 261, 260}, "", vncKind(261)},
		"none with X.509":        {[]uint32{257, 258}, "", ""},
		"for None":               {[]uint32{261, 260}, "\x01", vncKind(260)},
		"for VncAuth":            {[]uint32{260, 261}, "\x02", vncKind(261)},
		"for VncAuth, not there": {[]uint32{260}, "\x02", ""},
		"for another type":       {[]uint32{260}, "\x05", ""},
		"for a kind":             {[]uint32{260, 262}, vncKind(262), vncKind(262)},
		"for an anonymous kind":  {[]uint32{257, 262}, vncKind(257), ""},
		"for a version":          {[]uint32{260}, rfb33, ""},
	} {
		m := Message{Kind: Upgrade, Login: []byte(row.login)}
		if got := vncLeg(Client, vncTo(row.kinds...)...).Write(nil, m); string(got) != row.want {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
	for version, want := range map[string]string{rfb33: rfb33, rfb37: rfb37, rfb38: rfb38, "RFB 003.889\n": rfb38} {
		if got := vncLeg(Client, version).Write(nil, Message{Kind: Hello}); string(got) != want {
			t.Errorf("%q is answered with %q", version, got)
		}
	}
	if got := vncLeg(Client, rfb38, rfb38, "\x01\x02").Write(nil, Message{Kind: Hello}); len(got) > 0 {
		t.Errorf("%q is said to a server without VeNCrypt", got)
	}
}

func TestVNCRefusals(t *testing.T) {
	all := vncTo(260)
	reason := func(why Reason) string {
		return string(binary.BigEndian.AppendUint32(nil, uint32(len(vncReasons[why])))) + vncReasons[why]
	}
	for name, row := range map[string]struct {
		said []string
		why  Reason
		want string
	}{
		"before anything":    {nil, TooMuch, ""},
		"no server":          {all[:2], Unavailable, "\x00" + reason(Unavailable)},
		"3.3 needs TLS":      {[]string{rfb38, rfb33}, TLSRequired, "\x00\x00\x00\x00" + reason(TLSRequired)},
		"None needs TLS":     {[]string{rfb38, rfb38, "\x01\x01", "\x01"}, TLSRequired, "\x00\x00\x00\x01" + reason(TLSRequired)},
		"None in 3.7":        {[]string{rfb38, rfb37, "\x01\x01", "\x01"}, TLSRequired, ""},
		"VncAuth needs TLS":  {[]string{rfb38, rfb38, "\x01\x02", "\x02"}, TLSRequired, ""},
		"VeNCrypt 0.1":       {append(all[:5:5], "\x00\x01"), BadSyntax, "\xff"},
		"an anonymous kind":  {append(slices.Clone(all), vncKind(257)), TLSUnavailable, "\x00"},
		"no TLS in front":    {append(slices.Clone(all), vncKind(260)), Unknown, "\x00"},
		"19 was not offered": {[]string{rfb38, rfb38, "\x01\x02", "\x13"}, BadSyntax, ""},
	} {
		s := vncLeg(Server, row.said...)
		got := s.Write(nil, Message{Kind: No, Why: row.why})
		if !bytes.Equal(got, []byte(row.want)) || !s.(crosser).grammar.(*vnc).over() {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
}

// vncStays: a list without anything that has a kind inside TLS names none.
func vncStays(before *legs, m, again Message) bool {
	v := before.twin().legs[Client].(crosser).grammar.(*vnc)
	_, kinds := v.served(m.Raw)
	return again.Offer == Unsaid && len(kinds) == 0
}
