package dialect

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

// berLong writes an element whose length has that many octets.
func berLong(octets int, tag byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	e := []byte{tag, 0x80 | byte(octets)}
	for i := octets - 1; i >= 0; i-- {
		if i > 7 {
			e = append(e, 0)
			continue
		}
		e = append(e, byte(uint64(len(body))>>(8*i)))
	}
	return append(e, body...)
}

// ldapMsg writes an LDAPMessage.
func ldapMsg(id int, op []byte, controls ...[]byte) []byte {
	return newElement(berSequence, newNumber(berInteger, id), op, bytes.Join(controls, nil))
}

func octets(s string) []byte { return newElement(berOctets, []byte(s)) }

func extended(name string, rest ...[]byte) []byte {
	return newElement(ldapExtended, newElement(0x80, []byte(name)), bytes.Join(rest, nil))
}

func searchFor(base string, scope int, types byte, attrs ...string) []byte {
	var list []byte
	for _, a := range attrs {
		list = append(list, octets(a)...)
	}
	return newElement(ldapSearch, octets(base), newNumber(berEnumerated, scope), newNumber(berEnumerated, 3),
		newNumber(berInteger, 1<<31-1), newNumber(berInteger, 0), newElement(berBoolean, []byte{types}),
		newElement(0x87, []byte("objectClass")), newElement(berSequence, list))
}

func result(tag byte, code int, text string, rest ...[]byte) []byte {
	return newElement(tag, newNumber(berEnumerated, code), octets(""), octets(text), bytes.Join(rest, nil))
}

func rootEntry(attrs ...[]byte) []byte {
	return newElement(ldapEntry, octets(""), newElement(berSequence, bytes.Join(attrs, nil)))
}

// readOne reads a message that must be whole.
func readOne(t *testing.T, s Speech, raw []byte) Message {
	t.Helper()
	m, n, err := s.Read(raw)
	if err != nil || n != len(raw) {
		t.Fatalf("%x: %d of %d bytes, error %v", raw, n, len(raw), err)
	}
	return m
}

// refuses checks that bytes are not the protocol.
func refuses(t *testing.T, s Speech, raw []byte) {
	t.Helper()
	if m, n, err := s.Read(raw); !errors.Is(err, ErrNoise) || n != 0 {
		t.Fatalf("%x is %v of %d bytes, error %v; want noise", raw, m.Kind, n, err)
	}
}

var startTLS = ldapMsg(1, extended(ldapStartTLS))

func TestLDAPRequests(t *testing.T) {
	bind := func(name, password string) []byte {
		return newElement(ldapBind, newNumber(berInteger, 3), octets(name), newElement(0x80, []byte(password)))
	}
	control := newElement(0xa0, newElement(berSequence, octets("2.16.840.1.113730.3.4.2")))
	for name, row := range map[string]struct {
		raw    []byte
		inside bool
		kind   Kind
		why    Reason
	}{
		"StartTLS":               {raw: startTLS, kind: Upgrade},
		"StartTLS with controls": {raw: ldapMsg(1, extended(ldapStartTLS), control), kind: Upgrade},
		"StartTLS as AD writes":  {raw: berLong(4, berSequence, newNumber(berInteger, 1), berLong(4, ldapExtended, berLong(4, 0x80, []byte(ldapStartTLS)))), kind: Upgrade},
		"CI-13 StartTLS inside":  {raw: startTLS, inside: true, kind: Upgrade, why: AlreadyTLS},
		"StartTLS with a value":  {raw: ldapMsg(1, extended(ldapStartTLS, newElement(0x81))), kind: Upgrade, why: BadSyntax},
		"another extension":      {raw: ldapMsg(1, extended(ldapStartTLS+"1")), kind: Secret},
		"an empty extension":     {raw: ldapMsg(1, newElement(ldapExtended)), kind: Secret},
		"root DSE":               {raw: ldapMsg(7, searchFor("", 0, 0)), kind: Ask},
		"root DSE with controls": {raw: ldapMsg(7, searchFor("", 0, 0), control), kind: Ask},
		"search of all":          {raw: ldapMsg(7, searchFor("", 2, 0)), kind: Secret},
		"search elsewhere":       {raw: ldapMsg(7, searchFor("dc=x", 0, 0)), kind: Secret},
		"a torn search":          {raw: ldapMsg(7, newElement(ldapSearch, octets(""), newNumber(berEnumerated, 0))), kind: Secret},
		"anonymous bind":         {raw: ldapMsg(1, bind("", "")), kind: Other},
		"bind with a name":       {raw: ldapMsg(1, bind("cn=x", "")), kind: Secret},
		"bind with a password":   {raw: ldapMsg(1, bind("", "x")), kind: Secret},
		"SASL bind":              {raw: ldapMsg(1, newElement(ldapBind, newNumber(berInteger, 3), octets(""), newElement(0xa3, octets("EXTERNAL")))), kind: Secret},
		"unbind":                 {raw: ldapMsg(1<<31-1, newElement(ldapUnbind)), kind: Bye},
		"abandon":                {raw: ldapMsg(2, newElement(ldapAbandon, []byte{1})), kind: Other},
		"modify":                 {raw: ldapMsg(2, newElement(0x66)), kind: Secret},
		"delete":                 {raw: ldapMsg(2, newElement(0x4a)), kind: Secret},
	} {
		s := LDAP.Speak(Server, row.inside)
		m := readOne(t, s, row.raw)
		if m.Kind != row.kind || m.Why != row.why {
			t.Errorf("%s is %v (%v), want %v (%v)", name, m.Kind, m.Why, row.kind, row.why)
		}
		if s.Settled() != (row.kind == Secret) {
			t.Errorf("%s: settled %v", name, s.Settled())
		}
		for cut := range row.raw {
			if m, n, err := LDAP.Speak(Server, row.inside).Read(row.raw[:cut]); n != 0 || err != nil {
				t.Errorf("%s cut at %d: %v, %v", name, cut, m, err)
			}
		}
	}
}

func TestLDAPLengths(t *testing.T) {
	op := extended(ldapStartTLS)
	for octets := 1; octets < 127; octets++ {
		readOne(t, LDAP.Speak(Server, false), berLong(octets, berSequence, newNumber(berInteger, 1), op))
	}
	for name, raw := range map[string][]byte{
		"indefinite":           {0x30, 0x80},
		"reserved":             {0x30, 0xff},
		"a gigabyte":           {0x30, 0x84, 0x40, 0, 0},
		"four gigabytes":       {0x30, 0x84, 0xff, 0xff, 0xff, 0xff},
		"more than 64 bits":    {0x30, 0x89, 1, 0, 0, 0, 0, 0, 0, 0, 0},
		"one over the limit":   {0x30, 0x83, 0x04, 0x00, 0x01},
		"no sequence":          {0x31},
		"TLS":                  {0x16, 0x03},
		"HTTP":                 []byte("GET / HTTP/1.1\r\n"),
		"inner over outer":     newElement(berSequence, newNumber(berInteger, 1), []byte{ldapExtended, 5, 0x80, 9}),
		"inner indefinite":     newElement(berSequence, newNumber(berInteger, 1), []byte{ldapExtended, 0x80, 0, 0}),
		"a long tag":           newElement(berSequence, newNumber(berInteger, 1), []byte{0x7f, 1, 0}),
		"empty":                newElement(berSequence),
		"only an ID":           newElement(berSequence, newNumber(berInteger, 1)),
		"ID 0":                 ldapMsg(0, op),
		"a negative ID":        newElement(berSequence, newElement(berInteger, []byte{0xff}), op),
		"an ID over 31 bits":   newElement(berSequence, newElement(berInteger, []byte{0, 0x80, 0, 0, 0}), op),
		"an ID without digits": newElement(berSequence, newElement(berInteger), op),
		"a server's operation": ldapMsg(1, result(ldapExtendedDone, 0, "")),
	} {
		t.Run(name, func(t *testing.T) { refuses(t, LDAP.Speak(Server, false), raw) })
	}
	if _, n, err := LDAP.Speak(Server, false).Read([]byte{0x30, 0x83, 0x04, 0x00, 0x00}); n != 0 || err != nil {
		t.Error("a length at the limit:", err)
	}
}

// CI-17: what stands behind StartTLS is not looked at, and StartTLS waits for nothing that runs.
func TestLDAPInjection(t *testing.T) {
	s := LDAP.Speak(Server, false)
	glued := append(bytes.Clone(startTLS), ldapMsg(2, searchFor("dc=x", 2, 0))...)
	if m, n, err := s.Read(glued); m.Kind != Upgrade || n != len(startTLS) || err != nil || !s.Pending() {
		t.Errorf("%v of %d bytes, %v, pending %v", m.Kind, n, err, s.Pending())
	}
	s = LDAP.Speak(Server, false)
	readOne(t, s, ldapMsg(1, searchFor("dc=x", 2, 0)))
	m := readOne(t, s, ldapMsg(2, extended(ldapStartTLS)))
	if m.Kind != Upgrade || m.Why != NotNow {
		t.Errorf("StartTLS with an outstanding search: %v (%v)", m.Kind, m.Why)
	}
	want := ldapMsg(2, result(ldapExtendedDone, ldapOperationsError, ldapRefusals[NotNow].text))
	if got := s.Write(nil, m.Reply(No, m.Why)); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
	// RFC 4513 §3.1.1: nor in the middle of a SASL bind.
	s = LDAP.Speak(Server, false)
	readOne(t, s, ldapMsg(1, newElement(ldapBind, newNumber(berInteger, 3), octets(""), newElement(0xa3, octets("X")))))
	s.Write(nil, Message{Raw: ldapMsg(1, result(0x61, ldapSaslBindInProgress, ""))})
	if m := readOne(t, s, ldapMsg(2, extended(ldapStartTLS))); m.Why != NotNow {
		t.Errorf("StartTLS in a bind: %v", m.Why)
	}
}

// The client's side: only success to this very request is a go-ahead.
func TestLDAPAnswersToStartTLS(t *testing.T) {
	name := func(oid string) []byte { return newElement(0x8a, []byte(oid)) }
	for what, row := range map[string]struct {
		raw  []byte
		kind Kind
		why  Reason
		text string
	}{
		"success":             {raw: ldapMsg(1, result(ldapExtendedDone, 0, "")), kind: Ready},
		"success with a name": {raw: ldapMsg(1, result(ldapExtendedDone, 0, "", name(ldapStartTLS))), kind: Ready},
		"success as AD says":  {raw: berLong(4, berSequence, newNumber(berInteger, 1), berLong(4, ldapExtendedDone, newNumber(berEnumerated, 0), octets(""), octets(""), name(ldapStartTLS))), kind: Ready},
		"another name":        {raw: ldapMsg(1, result(ldapExtendedDone, 0, "", name("1.2.3"))), kind: No, text: "0 "},
		"another ID":          {raw: ldapMsg(2, result(ldapExtendedDone, 0, "")), kind: No, text: "0 "},
		"referral":            {raw: ldapMsg(1, result(ldapExtendedDone, 10, "", newElement(0xa3, octets("ldap://evil")))), kind: No, text: "10 "},
		"protocol error":      {raw: ldapMsg(1, result(ldapExtendedDone, 2, "no")), kind: No, text: "2 no"},
		"busy":                {raw: ldapMsg(1, result(ldapExtendedDone, 51, "")), kind: No, why: TLSUnavailable, text: "51 "},
		"unavailable":         {raw: ldapMsg(1, result(ldapExtendedDone, 52, "later")), kind: No, why: TLSUnavailable, text: "52 later"},
		"another operation":   {raw: ldapMsg(1, result(ldapDone, 0, "")), kind: No, text: "another operation's answer"},
		"disconnection":       {raw: ldapMsg(0, result(ldapExtendedDone, 52, "down", name(ldapDisconnect))), kind: Bye, why: Unavailable, text: "52 down"},
		"another notice":      {raw: ldapMsg(0, result(ldapExtendedDone, 0, "", name("1.2.3"))), kind: Other},
		"a late entry":        {raw: ldapMsg(9, rootEntry()), kind: Other},
	} {
		s := LDAP.Speak(Client, false)
		if said := s.Write(nil, Message{Kind: Upgrade}); !bytes.Equal(said, startTLS) {
			t.Fatalf("%x", said)
		}
		m := readOne(t, s, row.raw)
		if m.Kind != row.kind || m.Why != row.why || m.Text != row.text {
			t.Errorf("%s is %v (%v) %q", what, m.Kind, m.Why, m.Text)
		}
		if s.Pending() != (row.kind == Other) {
			t.Errorf("%s: pending %v", what, s.Pending())
		}
		for cut := range row.raw {
			s := LDAP.Speak(Client, false)
			s.Write(nil, Message{Kind: Upgrade})
			if _, n, err := s.Read(row.raw[:cut]); n != 0 || err != nil {
				t.Errorf("%s cut at %d: %v", what, cut, err)
			}
		}
	}
	s := LDAP.Speak(Client, false)
	s.Write(nil, Message{Kind: Upgrade})
	refuses(t, s, ldapMsg(1, newElement(ldapExtendedDone, newNumber(berEnumerated, 0))))
}

// Our words, as the other side reads them.
func TestLDAPOwnWords(t *testing.T) {
	front, back := LDAP.Speak(Server, false), LDAP.Speak(Client, false)
	ask := readOne(t, front, back.Write(nil, Message{Kind: Ask}))
	if ask.Kind != Ask || ask.Tag != "1" {
		t.Fatalf("%+v", ask)
	}
	caps := ask.Reply(Caps, Unknown)
	caps.Offer, caps.Mechs = Offered, []string{"EXTERNAL", "PLAIN"}
	said := front.Write(nil, caps)
	m, n, err := back.Read(said)
	if err != nil || m.Kind != Caps || m.Re != Ask || m.Offer != Offered || !slices.Equal(m.Mechs, caps.Mechs) {
		t.Errorf("%+v, %v", m, err)
	}
	if m := readOne(t, back, said[n:]); m.Kind != Other || m.Re != Ask || back.Pending() || front.Pending() {
		t.Errorf("%+v", m)
	}
	up := readOne(t, front, back.Write(nil, Message{Kind: Upgrade}))
	if m := readOne(t, back, front.Write(nil, up.Reply(Ready, Unknown))); up.Tag != "2" || m.Kind != Ready {
		t.Errorf("%+v to %+v", m, up)
	}
	if m := readOne(t, front, back.Write(nil, Message{Kind: Bye})); m.Kind != Bye || m.Tag != "3" {
		t.Errorf("%+v", m)
	}
	if said := front.Write(nil, Message{Kind: Bye, Re: Bye}); len(said) != 0 {
		t.Errorf("an unbind is answered: %x", said)
	}
}

// A refusal is in the operation that answers the request.
func TestLDAPRefusals(t *testing.T) {
	codes := map[Reason]int{TLSRequired: 13, Unavailable: 52, TLSUnavailable: 52, AlreadyTLS: 1, NotNow: 1, BadSyntax: 2}
	for request, answer := range ldapAnswers {
		for why, code := range codes {
			s := LDAP.Speak(Server, false)
			m := readOne(t, s, ldapMsg(300, newElement(request)))
			id, tag := 300, answer
			want := ldapMsg(id, result(tag, code, ldapRefusals[why].text))
			if answer == 0 {
				want = ldapMsg(0, result(ldapExtendedDone, code, ldapRefusals[why].text, newElement(0x8a, []byte(ldapDisconnect))))
			}
			if got := s.Write(nil, m.Reply(No, why)); !bytes.Equal(got, want) {
				t.Errorf("%x refused for %v: %x, want %x", request, why, got, want)
			}
			if s.Pending() {
				t.Errorf("%x is still pending", request)
			}
		}
	}
	s := LDAP.Speak(Server, false)
	m := readOne(t, s, startTLS)
	if bye := readOne(t, LDAP.Speak(Client, false), s.Write(nil, m.Reply(No, TooMuch))); bye.Kind != Bye || bye.Tag != "0" {
		t.Errorf("too much: %+v", bye)
	}
}

func TestLDAPEdits(t *testing.T) {
	other := newAttribute("vendorName", "x")
	sasl := func(v ...string) []byte { return newAttribute("supportedSASLMechanisms", v...) }
	ext := func(v ...string) []byte { return newAttribute("supportedExtension", v...) }
	for name, row := range map[string]struct {
		asked    []string
		types    byte
		was      []byte
		offer    Offer
		want     []byte // nil: as it was
		wantElse bool   // not the root DSE's list
	}{
		"add":                    {was: rootEntry(other, ext("1.2"), sasl("PLAIN")), offer: Offered, want: rootEntry(other, ext("1.2", ldapStartTLS), sasl("PLAIN"))},
		"has it":                 {was: rootEntry(ext("1.2", ldapStartTLS, "1.3")), offer: Offered},
		"has it twice":           {was: rootEntry(ext(ldapStartTLS, "1.3", ldapStartTLS)), offer: Offered, want: rootEntry(ext(ldapStartTLS, "1.3"))},
		"has it in two lists":    {was: rootEntry(ext(ldapStartTLS), ext("1.3", ldapStartTLS)), offer: Offered, want: rootEntry(ext(ldapStartTLS), ext("1.3"))},
		"remove":                 {was: rootEntry(ext("1.2", ldapStartTLS, "1.3"), other), offer: Unsaid, want: rootEntry(ext("1.2", "1.3"), other)},
		"remove the last":        {was: rootEntry(other, ext(ldapStartTLS)), offer: Unsaid, want: rootEntry(other)},
		"nothing to remove":      {was: rootEntry(other, ext("1.2")), offer: Unsaid},
		"require":                {was: rootEntry(sasl("PLAIN"), ext("1.2")), offer: Required, want: rootEntry(ext("1.2", ldapStartTLS))},
		"no binding":             {was: rootEntry(sasl("A-PLUS", "A", "b-plus", "B")), offer: Unsaid, want: rootEntry(sasl("A", "B"))},
		"only binding":           {was: rootEntry(sasl("A-PLUS"), other), offer: Unsaid, want: rootEntry(other)},
		"not asked for":          {was: rootEntry(sasl("A")), offer: Offered},
		"asked for":              {asked: []string{"SupportedExtension"}, was: rootEntry(other), offer: Offered, want: rootEntry(other, ext(ldapStartTLS))},
		"asked for by OID":       {asked: []string{supportedExtension.oid}, was: rootEntry(), offer: Required, want: rootEntry(ext(ldapStartTLS))},
		"asked for all":          {asked: []string{"*", "+"}, was: rootEntry(other), offer: Offered, want: rootEntry(other, ext(ldapStartTLS))},
		"named in another case":  {was: rootEntry(newAttribute("SUPPORTEDEXTENSION", "1")), offer: Offered, want: rootEntry(newAttribute("SUPPORTEDEXTENSION", "1", ldapStartTLS))},
		"only types":             {asked: []string{"+"}, types: 0xff, was: rootEntry(ext()), offer: Offered, wantElse: true},
		"many":                   {was: rootEntry(ext(strings.Fields(strings.Repeat("1.2.3.4.5.6 ", 9000))...)), offer: Offered, want: rootEntry(ext(append(strings.Fields(strings.Repeat("1.2.3.4.5.6 ", 9000)), ldapStartTLS)...))},
		"something after a list": {was: rootEntry(newElement(berSequence, octets("supportedExtension"), newElement(berSet), newElement(0x85))), offer: Offered, want: rootEntry(newElement(berSequence, octets("supportedExtension"), newElement(berSet, octets(ldapStartTLS)), newElement(0x85)))},
	} {
		control := newElement(0xa0, newElement(berSequence, octets("1.2")))
		legs := func() (front, back Speech) {
			front, back = LDAP.Speak(Server, false), LDAP.Speak(Client, false)
			back.Write(nil, readOne(t, front, ldapMsg(200, searchFor("", 0, row.types, row.asked...))))
			return front, back
		}
		if row.want == nil {
			row.want = row.was
		}
		want := ldapMsg(200, row.want, control)
		for _, raw := range [][]byte{
			ldapMsg(200, row.was, control),
			berLong(4, berSequence, newNumber(berInteger, 200), row.was, control), // as AD writes
		} {
			front, back := legs()
			m := readOne(t, back, raw)
			if row.wantElse {
				if m.Kind != Other {
					t.Errorf("%s is %v", name, m.Kind)
				}
				continue
			}
			got := front.Write(nil, m.Offering(row.offer).Unbound())
			if bytes.Equal(row.was, row.want) {
				want = raw // not touched at all
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s:\n got %x\nwant %x", name, got, want)
			}
		}
	}
}

// ldapRest lists what an edit of a root DSE leaves alone.
func ldapRest(raw []byte) (rest []string) {
	msg, _, _ := cutLDAP(raw)
	in := ber{rest: msg.op.body}
	rest = append(rest, string(in.next().raw), string(msg.rawID), string(msg.rest))
	attrs := ber{rest: in.take(berSequence)}
	rest = append(rest, string(in.rest))
	for attrs.more() {
		at := attrs
		a := attrs.next()
		switch name, vals := readAttribute(&at); {
		case supportedExtension.is(name):
			for vals.more() {
				if v := vals.next(); string(v.body) != ldapStartTLS {
					rest = append(rest, string(v.raw))
				}
			}
		case !supportedSASLMechanisms.is(name):
			rest = append(rest, string(a.raw))
		}
	}
	return rest
}
