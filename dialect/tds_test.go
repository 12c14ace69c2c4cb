package dialect

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// tdsHello is a PRELOGIN from that side with a word on encryption, or without.
func tdsHello(says Side, encrypt ...byte) []byte {
	options := []tdsOption{{tdsVersion, []byte{15, 0, 7, 208, 0, 0}}}
	for _, value := range encrypt {
		options = append(options, tdsOption{tdsEncryption, []byte{value}})
	}
	options = append(options, tdsOption{tdsInstance, []byte("MSSQLServer\x00")}, tdsOption{tdsMARS, []byte{1}})
	return appendTDS(nil, []byte{tdsPrelogin, tdsResponse}[says], writePrelogin(options))
}

// tdsLogin is the start of a LOGIN7 of that version.
func tdsLogin(version uint32) []byte {
	return appendTDS(nil, tdsLogin7, binary.LittleEndian.AppendUint32([]byte{8, 0, 0, 0}, version))
}

var tdsClientHello = appendTDS(nil, tdsPrelogin, []byte{0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0})

// tdsLeg returns a leg on which these were said, by turns, the client first.
func tdsLeg(we Side, inside bool, said ...[]byte) Speech {
	s := TDS.Speak(we, inside)
	for i, raw := range said {
		hear(s, we, Side(i%2), raw)
	}
	return s
}

// What both PRELOGINs make of encryption (MS-TDS §2.2.6.5), and what becomes of it when a front offers
// nothing, TLS, or demands it.
func TestTDSAgreement(t *testing.T) {
	for _, row := range []struct {
		client, server byte
		offer          Offer
		want           [3]byte
	}{
		{tdsOff, tdsOff, Offered, [3]byte{tdsNotSup, tdsReq, tdsReq}}, // login only, which is never said on
		{tdsOff, tdsOn, Offered, [3]byte{tdsNotSup, tdsReq, tdsReq}},
		{tdsOff, tdsNotSup, Unsaid, [3]byte{tdsNotSup, tdsReq, tdsReq}},
		{tdsOff, tdsReq, Required, [3]byte{tdsNotSup, tdsReq, tdsReq}},
		{tdsOn, tdsOn, Offered, [3]byte{tdsNotSup, tdsOn, tdsOn}},
		{tdsOn, tdsOff, Offered, [3]byte{tdsNotSup, tdsOn, tdsOn}},
		{tdsOn, tdsNotSup, Unsaid, [3]byte{tdsNotSup, tdsOn, tdsOn}},
		{tdsOn, tdsReq, Required, [3]byte{tdsNotSup, tdsOn, tdsOn}},
		{0x80 | tdsOn, 0x80 | tdsOn, Offered, [3]byte{tdsNotSup, tdsOn, tdsOn}}, // client certificates
		{tdsNotSup, tdsNotSup, Unsaid, [3]byte{tdsNotSup, tdsNotSup, tdsReq}},
		{tdsNotSup, tdsOff, Unsaid, [3]byte{tdsNotSup, tdsNotSup, tdsReq}},
		{tdsNotSup, tdsReq, Required, [3]byte{tdsNotSup, tdsNotSup, tdsReq}},
		{0x3f, tdsOn, Unsaid, [3]byte{tdsNotSup, tdsNotSup, tdsReq}}, // no value of ours
	} {
		client, server := tdsHello(Client, row.client), tdsHello(Server, row.server)
		m := readOne(t, tdsLeg(Client, false, client), server)
		if m.Kind != Caps || m.Re != Ask || m.Offer != row.offer {
			t.Errorf("%d, %d is %+v", row.client, row.server, m)
		}
		for offer, want := range row.want {
			got := tdsLeg(Server, false, client).Write(nil, m.Offering(Offer(offer)))
			if !bytes.Equal(got, tdsHello(Server, want)) {
				t.Errorf("%d, %d offering %v is said as %x, want %d", row.client, row.server, Offer(offer), got, want)
			}
		}
	}
	// An option that is not there is put in where it belongs.
	m := readOne(t, tdsLeg(Client, false, tdsHello(Client, tdsOn)), tdsHello(Server))
	got := tdsLeg(Server, false, tdsHello(Client, tdsOn)).Write(nil, m.Offering(Required))
	if m.Offer != Unsaid || !bytes.Equal(got, tdsHello(Server, tdsOn)) {
		t.Errorf("%+v is said as %x", m, got)
	}
}

func TestTDSRequests(t *testing.T) {
	on, off, none := tdsHello(Client, tdsOn), tdsHello(Client, tdsOff), tdsHello(Client, tdsNotSup)
	yes, no := tdsHello(Server, tdsOn), tdsHello(Server, tdsNotSup)
	login := tdsLogin(0x74000004)
	for name, row := range map[string]struct {
		said    [][]byte
		inside  bool
		raw     []byte
		kind    Kind
		why     Reason
		settled bool
	}{
		"PRELOGIN":                  {raw: on, kind: Ask},
		"PRELOGIN without the word": {raw: tdsHello(Client), kind: Ask},
		"PRELOGIN inside, TDS 8":    {inside: true, raw: off, kind: Ask},
		"ClientHello":               {said: [][]byte{on, yes}, raw: tdsClientHello, kind: Upgrade},
		"ClientHello after OFF":     {said: [][]byte{off, yes}, raw: tdsClientHello, kind: Upgrade},
		"ClientHello after a no":    {said: [][]byte{on, no}, raw: tdsClientHello, kind: Upgrade, why: NotNow},
		"ClientHello by who cannot": {said: [][]byte{none, yes}, raw: tdsClientHello, kind: Upgrade, why: NotNow},
		"ClientHello on demand":     {said: [][]byte{none, tdsHello(Server, tdsReq)}, raw: tdsClientHello, kind: Upgrade},
		"login after a no":          {said: [][]byte{on, no}, raw: login, kind: Secret, settled: true},
		"login by who cannot":       {said: [][]byte{none, no}, raw: login, kind: Secret, settled: true},
		"login after a yes":         {said: [][]byte{on, yes}, raw: login, kind: Secret, why: TLSRequired, settled: true},
		"login at once":             {raw: login, kind: Secret, settled: true},
		"login inside":              {inside: true, raw: login, kind: Secret, settled: true},
		"login inside, TDS 8":       {inside: true, said: [][]byte{on, yes}, raw: login, kind: Secret, settled: true},
		"login of TDS 4":            {raw: appendTDS(nil, tdsLogin4, []byte("sa")), kind: Secret, settled: true},
	} {
		m := readOne(t, tdsLeg(Server, row.inside, row.said...), row.raw)
		s := tdsLeg(Server, row.inside, row.said...)
		s.Read(row.raw)
		if m.Kind != row.kind || m.Why != row.why || s.Settled() != row.settled || s.Pending() != (m.Kind == Ask) {
			t.Errorf("%s is %v (%v), settled %v", name, m.Kind, m.Why, s.Settled())
		}
		for cut := range row.raw {
			if m, n, err := tdsLeg(Server, row.inside, row.said...).Read(row.raw[:cut]); n != 0 || err != nil {
				t.Errorf("%s cut at %d: %v, %v", name, cut, m, err)
			}
		}
	}
	for name, row := range map[string]struct {
		said   [][]byte
		inside bool
		raw    []byte
	}{
		"a batch":                 {raw: appendTDS(nil, 1, []byte("select 1"))},
		"TLS at once":             {raw: []byte{0x16, 3, 1, 2, 0}},
		"a ClientHello at once":   {raw: tdsClientHello},
		"a ClientHello inside":    {inside: true, said: [][]byte{on, yes}, raw: tdsClientHello},
		"a second PRELOGIN":       {said: [][]byte{on, yes}, raw: on},
		"many packets":            {raw: append([]byte{tdsPrelogin, 0}, on[2:]...)},
		"an empty packet":         {raw: []byte{tdsPrelogin, 1, 0, 8, 0, 0, 0, 0}},
		"a packet of no length":   {raw: []byte{tdsPrelogin, 1, 0, 0}},
		"a packet of 64 KiB":      {raw: []byte{tdsPrelogin, 1, 0xff, 0xff}},
		"CI-27 behind PRELOGIN":   {said: [][]byte{on}, raw: login},
		"CI-27 behind the hello":  {said: [][]byte{on, yes, tdsClientHello}, raw: login},
		"CI-27 PRELOGIN and TLS":  {said: [][]byte{on}, raw: tdsClientHello},
		"a response for a client": {raw: yes},
	} {
		t.Run(name, func(t *testing.T) { refuses(t, tdsLeg(Server, row.inside, row.said...), row.raw) })
	}
}

// Options that reach beyond the packet, into each other, or into two meanings.
func TestTDSOptions(t *testing.T) {
	version := []byte{16, 0, 0, 0, 0, 0}
	for name, payload := range map[string][]byte{
		"no end":               {0, 0, 5, 0, 0},
		"only an end":          {0xff},
		"cut in an option":     {0, 0, 11, 0},
		"ENCRYPTION first":     {1, 0, 6, 0, 1, 0xff, 1},
		"beyond the packet":    append([]byte{0, 0, 6, 0, 7, 0xff}, version...),
		"beyond by the offset": append([]byte{0, 0xff, 0xff, 0, 6, 0xff}, version...),
		"far beyond":           append([]byte{0, 0xff, 0xff, 0xff, 0xff, 0xff}, version...),
		"ENCRYPTION twice":     slices.Concat([]byte{0, 0, 16, 0, 6, 1, 0, 22, 0, 1, 1, 0, 23, 0, 1, 0xff}, version, []byte{1, 2}),
		"ENCRYPTION empty":     slices.Concat([]byte{0, 0, 11, 0, 6, 1, 0, 17, 0, 0, 0xff}, version),
		"ENCRYPTION of two":    slices.Concat([]byte{0, 0, 11, 0, 6, 1, 0, 17, 0, 2, 0xff}, version, []byte{1, 1}),
		"one on another":       slices.Concat([]byte{0, 0, 11, 0, 6, 2, 0, 11, 0, 6, 0xff}, version),
	} {
		refuses(t, TDS.Speak(Server, false), appendTDS(nil, tdsPrelogin, payload))
		refuses(t, tdsLeg(Client, false, tdsHello(Client, tdsOn)), appendTDS(nil, tdsResponse, payload))
		_ = name
	}
	raw := tdsHello(Client)
	for len(raw)+6 <= tdsMaxPacket {
		raw = append(raw, make([]byte, tdsMaxPacket-len(raw))...)
	}
	binary.BigEndian.PutUint16(raw[2:], uint16(len(raw)))
	if got := setEncryption(raw, tdsOn); !bytes.Equal(got, raw) {
		t.Errorf("a packet of %d bytes became one of %d", len(raw), len(got))
	}
}

func TestTDSReplies(t *testing.T) {
	asked := func() Speech { return tdsLeg(Client, false, tdsHello(Client, tdsOn)) }
	no := tdsLeg(Server, false, tdsLogin(0x74000004))
	refusal := no.Write(nil, Message{Kind: No, Why: Unavailable})
	s := asked()
	if m := readOne(t, s, refusal); m.Kind != No || m.Re != Ask || m.Text != "17142 The server cannot be reached." || s.Pending() {
		t.Errorf("an error is %+v", m)
	}
	for cut := range refusal {
		m, _, err := asked().Read(refusal[:cut])
		if m.Kind != Other || err != nil {
			t.Errorf("an error cut at %d: %+v, %v", cut, m, err)
		}
	}
	for size := 1; size < 12; size++ {
		readOne(t, asked(), appendTDS(nil, tdsResponse, refusal[tdsHeader:][:size]))
	}
	unmarked := tdsHello(Server, tdsOn)
	unmarked[1] = 0
	readOne(t, asked(), unmarked)
	for name, raw := range map[string][]byte{
		"of another type": tdsHello(Client, tdsOn), "TLS": {0x15, 3, 1, 0, 2}, "text": []byte("HTTP/1.1"),
	} {
		t.Run(name, func(t *testing.T) { refuses(t, asked(), raw) })
	}
	t.Run("unasked", func(t *testing.T) { refuses(t, TDS.Speak(Client, false), tdsHello(Server, tdsOn)) })
	s = asked()
	readOne(t, s, tdsHello(Server, tdsOn))
	t.Run("behind the answer", func(t *testing.T) { refuses(t, s, tdsHello(Server, tdsOn)) })
}

func TestTDSRefusals(t *testing.T) {
	for version, size := range map[uint32]int{0x70000000: 3 + 4 + 2 + 2 + 2 + 2 + 9, 0x71000001: 3 + 4 + 2 + 2 + 2 + 2 + 9, 0x72090002: 3 + 4 + 2 + 2 + 2 + 4 + 13, 0x74000004: 3 + 4 + 2 + 2 + 2 + 4 + 13} {
		s := tdsLeg(Server, false, tdsLogin(version))
		got := s.Write(nil, Message{Kind: No, Why: TLSRequired})
		if want := tdsHeader + size + 2*len(tdsRefusals[TLSRequired].text); len(got) != want {
			t.Errorf("%x: a refusal of %d bytes, want %d", version, len(got), want)
		}
		if text := tdsError(got[tdsHeader:]); !strings.HasPrefix(text, "17835 Encryption is required") {
			t.Errorf("%x: %q", version, text)
		}
		if inner := int(binary.LittleEndian.Uint16(got[tdsHeader+1:])); got[tdsHeader+3+inner] != tdsDoneToken {
			t.Errorf("%x: no DONE behind %x", version, got)
		}
		if !s.(crosser).grammar.(*tds).over() {
			t.Errorf("%x: not over", version)
		}
	}
	for name, said := range map[string][][]byte{"at once": nil, "for a PRELOGIN": {tdsHello(Client, tdsOn)}, "for TDS 4": {appendTDS(nil, tdsLogin4, []byte("sa"))}} {
		if got := tdsLeg(Server, false, said...).Write(nil, Message{Kind: No, Why: TooMuch}); len(got) > 0 {
			t.Errorf("%s: %x", name, got)
		}
	}
}

// A server with which TLS is none of the client's business hears that the client cannot.
func TestTDSAcross(t *testing.T) {
	across := func(s Speech, raw []byte) (string, bool) {
		m, ok := s.(Crosser).Across(Message{Kind: Ask, Raw: raw})
		return string(m.Raw), ok
	}
	on := tdsHello(Client, tdsOn)
	if got, ok := across(TDS.Speak(Client, false), on); !ok || got != string(tdsHello(Client, tdsNotSup)) {
		t.Errorf("in the clear: %x, %v", got, ok)
	}
	if _, ok := across(tdsLeg(Client, false, on, tdsHello(Server, tdsNotSup)), on); ok {
		t.Error("a server that was asked hears it again")
	}
	if got, ok := across(TDS.Speak(Client, true), on); !ok || got != string(on) {
		t.Errorf("inside: %x, %v", got, ok)
	}
}

func TestTDSCarrier(t *testing.T) {
	payload := bytes.Repeat([]byte("0123456789abcdef"), 1000)
	packed := TDS.Carrier.Pack([]byte("kept"), payload)
	if !bytes.HasPrefix(packed, []byte("kept")) {
		t.Fatal("dst")
	}
	var got []byte
	var marks []byte
	for rest := packed[4:]; len(rest) > 0; {
		for cut := range 20 {
			if _, n, err := TDS.Carrier.Unpack(rest[:cut]); n != 0 || err != nil {
				t.Fatal(cut, n, err)
			}
		}
		piece, n, err := TDS.Carrier.Unpack(rest)
		if err != nil || n == 0 || n > tdsPacket {
			t.Fatal(n, err)
		}
		marks = append(marks, rest[1], rest[6])
		got, rest = append(got, piece...), rest[n:]
	}
	if !bytes.Equal(got, payload) || !bytes.Equal(marks, []byte{0, 1, 0, 2, 0, 3, 1, 4}) {
		t.Errorf("%d bytes, marks %v", len(got), marks)
	}
	for name, raw := range map[string][]byte{"bare TLS": {0x16, 3, 1}, "empty": {tdsPrelogin, 1, 0, 8}, "a login": {tdsLogin7, 1}} {
		if _, _, err := TDS.Carrier.Unpack(raw); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if len(TDS.Carrier.Pack(nil, nil)) > 0 {
		t.Error("nothing is packed")
	}
}

// tdsRest is the packet's head and the options but ENCRYPTION.
func tdsRest(raw []byte) (rest []string) {
	options, _ := readPrelogin(raw[tdsHeader:])
	rest = append(rest, string(raw[:2]), string(raw[4:tdsHeader]))
	for _, o := range options {
		if o.token != tdsEncryption {
			rest = append(rest, string(rune(o.token))+string(o.data))
		}
	}
	return rest
}

// tdsStays: to a client that cannot, TLS cannot be offered, only demanded.
func tdsStays(before *legs, _, again Message) bool {
	t := before.twin().legs[Server].(crosser).grammar.(*tds)
	return t.client == tdsNotSup && again.Offer == Unsaid
}
