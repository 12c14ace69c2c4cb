package zone

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// world is a tree with a zone of each kind.
func world(t *testing.T) *Tree {
	t.Helper()
	tree := &Tree{}
	records := `
		@          MX    10 mx
		@          A     192.0.2.1
		mx         A     192.0.2.2
		_25._tcp.mx TLSA 3 1 1 ` + strings.Repeat("ab", 32) + `
		*.wild     TXT   "from a wildcard"
		alias      CNAME mx
		out        CNAME mx.insecure.example.
		to         DNAME other
		x.other    TXT   "through a DNAME"
		a.b.c      A     192.0.2.3`
	zones := []Config{
		{Origin: "example"},
		{Origin: "nsec.example", Text: records},
		{Origin: "nsec3.example", Text: records, NSEC3: &NSEC3{}},
		{Origin: "optout.example", Text: records + "\nsub NS ns.elsewhere.\nd.e NS ns.elsewhere.\nsigned NS ns.elsewhere.\nsigned DS 1 13 2 " + strings.Repeat("00", 32), NSEC3: &NSEC3{Iterations: 3, Salt: "abcd", OptOut: true}},
		{Origin: "insecure.example", Text: records, Unsigned: true},
		{Origin: "island.example", Text: records, DS: DSMissing},
		{Origin: "wrongds.example", Text: records, DS: DSWrong},
		{Origin: "expired.example", Text: records, From: -60 * 24 * time.Hour, Until: -30 * 24 * time.Hour},
		{Origin: "early.example", Text: records, From: 24 * time.Hour, Until: 30 * 24 * time.Hour},
		{Origin: "spoiled.example", Text: records, Spoiled: true},
		{Origin: "unknown.example", Text: records, Algorithms: []uint8{200}},
		{Origin: "digest.example", Text: records, Digests: []uint8{99}},
		{Origin: "both.example", Text: records, Algorithms: []uint8{dns.RSASHA256, dns.ED25519}, Digests: []uint8{1, 2, 4}},
	}
	for _, a := range []uint8{dns.RSASHA256, dns.RSASHA512, dns.ECDSAP384SHA384, dns.ED25519} {
		zones = append(zones, Config{Origin: fmt.Sprintf("alg%d.example", a), Text: records, Algorithms: []uint8{a}})
	}
	if err := tree.Set(zones...); err != nil {
		t.Fatal(err)
	}
	return tree
}

// ask asks a face, by UDP and if need be again by TCP.
func ask(t *testing.T, at netip.AddrPort, name string, qtype uint16) *dns.Msg {
	t.Helper()
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype)
	q.SetEdns0(4096, true)
	m, _, err := (&dns.Client{}).Exchange(q, at.String())
	if err == nil && m.Truncated {
		m, _, err = (&dns.Client{Net: "tcp"}).Exchange(q, at.String())
	}
	if err != nil {
		t.Fatalf("%s %s: %v", name, dns.TypeToString[qtype], err)
	}
	return m
}

func serve(t *testing.T, face dns.Handler) netip.AddrPort {
	t.Helper()
	s, err := Listen("127.0.0.1:0", face)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.Addr
}

// brief says what a section has: "MX RRSIG".
func brief(rrs []dns.RR) string {
	var types []string
	for _, rr := range rrs {
		types = append(types, dns.TypeToString[rr.Header().Rrtype])
	}
	return strings.Join(types, " ")
}

func TestAnswers(t *testing.T) {
	tree := world(t)
	recursor, all, top := serve(t, tree.Recursor()), serve(t, tree.Authority()), serve(t, tree.Authority(".", "example"))
	for _, row := range []struct {
		name   string
		at     netip.AddrPort
		ask    string
		qtype  uint16
		rcode  int
		answer string
		ns     string
	}{
		{"records", recursor, "nsec.example", dns.TypeMX, 0, "MX RRSIG", ""},
		{"no data", recursor, "nsec.example", dns.TypeAAAA, 0, "", "SOA RRSIG NSEC RRSIG"},
		{"no name", recursor, "nope.nsec.example", dns.TypeA, 3, "", "SOA RRSIG NSEC RRSIG NSEC RRSIG"},
		{"no name, NSEC3", recursor, "nope.nsec3.example", dns.TypeA, 3, "", "SOA RRSIG NSEC3 RRSIG NSEC3 RRSIG"},
		{"empty non-terminal", recursor, "b.c.nsec.example", dns.TypeA, 0, "", "SOA RRSIG NSEC RRSIG"},
		{"empty non-terminal, NSEC3", recursor, "b.c.nsec3.example", dns.TypeA, 0, "", "SOA RRSIG NSEC3 RRSIG"},
		{"wildcard", recursor, "x.y.wild.nsec.example", dns.TypeTXT, 0, "TXT RRSIG", "NSEC RRSIG"},
		{"wildcard, NSEC3", recursor, "x.y.wild.nsec3.example", dns.TypeTXT, 0, "TXT RRSIG", "NSEC3 RRSIG"},
		{"wildcard without the type", recursor, "x.wild.nsec.example", dns.TypeA, 0, "", "SOA RRSIG NSEC RRSIG"},
		{"alias", recursor, "alias.nsec.example", dns.TypeA, 0, "CNAME RRSIG A RRSIG", ""},
		{"alias to another zone", recursor, "out.nsec.example", dns.TypeA, 0, "CNAME RRSIG A", ""},
		{"alias to another zone is the client's to follow", serve(t, tree.Authority("nsec.example")), "out.nsec.example", dns.TypeA, 0, "CNAME RRSIG", ""},
		{"DNAME", recursor, "x.to.nsec.example", dns.TypeTXT, 0, "DNAME RRSIG CNAME TXT RRSIG", ""},
		{"DS is the parent's", recursor, "nsec.example", dns.TypeDS, 0, "DS RRSIG", ""},
		{"DS is the parent's, also where the child is served", all, "nsec.example", dns.TypeDS, 0, "DS RRSIG", ""},
		{"no DS", recursor, "island.example", dns.TypeDS, 0, "", "SOA RRSIG NSEC RRSIG"},
		{"no DS, left out of NSEC3", recursor, "sub.optout.example", dns.TypeDS, 0, "", "SOA RRSIG NSEC3 RRSIG NSEC3 RRSIG"},
		{"no DS below a name that is left out", recursor, "d.e.optout.example", dns.TypeDS, 0, "", "SOA RRSIG NSEC3 RRSIG NSEC3 RRSIG"},
		{"referral to a signed zone", top, "mx.nsec.example", dns.TypeA, 0, "", "NS DS RRSIG"},
		{"referral to an unsigned zone", top, "mx.insecure.example", dns.TypeA, 0, "", "NS NSEC RRSIG"},
		{"somebody else's name", serve(t, tree.Authority("nsec.example")), "nsec3.example", dns.TypeA, 5, "", ""},
		{"keys", recursor, "both.example", dns.TypeDNSKEY, 0, "DNSKEY DNSKEY DNSKEY DNSKEY RRSIG RRSIG", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := ask(t, row.at, row.ask, row.qtype)
			if m.Rcode != row.rcode || brief(m.Answer) != row.answer || brief(m.Ns) != row.ns {
				t.Errorf("want %d %q %q, got\n%v", row.rcode, row.answer, row.ns, m)
			}
			if m.RecursionAvailable != (row.at == recursor) {
				t.Errorf("RA is %v", m.RecursionAvailable)
			}
		})
	}
}

// TestSignatures has every signature that there is checked by its key, at its time.
func TestSignatures(t *testing.T) {
	tree := world(t)
	for origin, z := range tree.zones {
		sets := map[set][]dns.RR{}
		var sigs []*dns.RRSIG
		for _, rr := range z.all() {
			if sig, ok := rr.(*dns.RRSIG); ok {
				sigs = append(sigs, sig)
				continue
			}
			id := set{rr.Header().Name, rr.Header().Rrtype}
			sets[id] = append(sets[id], rr)
		}
		good := z.Algorithms[0] != 200 && !z.Spoiled
		if len(sigs) == 0 != z.Unsigned {
			t.Errorf("%s: %d signatures", origin, len(sigs))
		}
		for _, sig := range sigs {
			var k *dns.DNSKEY
			for _, have := range z.keys {
				if have.KeyTag() == sig.KeyTag && have.Algorithm == sig.Algorithm {
					k = have.DNSKEY
				}
			}
			err := sig.Verify(k, sets[set{sig.Hdr.Name, sig.TypeCovered}])
			if good != (err == nil) {
				t.Errorf("%v: %v", sig, err)
			}
			valid := z.From < 0 && z.Until > 0
			if sig.ValidityPeriod(time.Now()) != valid {
				t.Errorf("%s: from %d until %d", origin, sig.Inception, sig.Expiration)
			}
		}
	}
}

func TestLies(t *testing.T) {
	tree := world(t)
	at := serve(t, tree.Recursor())
	tree.Lie("_25._tcp.mx.nsec.example", dns.TypeTLSA, Servfail)
	if m := ask(t, at, "_25._tcp.mx.nsec.example", dns.TypeTLSA); m.Rcode != dns.RcodeServerFailure || len(m.Answer) > 0 {
		t.Errorf("got %v", m)
	}
	tree.Lie("nsec.example", dns.TypeMX, Replace("nsec.example. 300 IN MX 5 mx.evil.example."))
	if m := ask(t, at, "nsec.example", dns.TypeMX); brief(m.Answer) != "RRSIG MX" {
		t.Errorf("got %v", m)
	}
	tree.Lie("nsec.example", dns.TypeMX, Without(dns.TypeRRSIG))
	if m := ask(t, at, "nsec.example", dns.TypeMX); brief(m.Answer) != "MX" {
		t.Errorf("got %v", m)
	}
	tree.Lie("nsec.example", dns.TypeANY, Silence)
	tree.Lie("nsec.example", dns.TypeMX, nil)
	q := new(dns.Msg).SetQuestion("nsec.example.", dns.TypeMX)
	if m, _, err := (&dns.Client{Timeout: 50 * time.Millisecond}).Exchange(q, at.String()); err == nil {
		t.Errorf("got %v", m)
	}
}

// TestSet replaces a zone while it is served: its key, and so the DS above, stays.
func TestSet(t *testing.T) {
	tree := world(t)
	at := serve(t, tree.Recursor())
	before := ask(t, at, "nsec.example", dns.TypeDS).Answer[0].String()
	if err := tree.Set(Config{Origin: "nsec.example", Text: "@ MX 20 other"}); err != nil {
		t.Fatal(err)
	}
	if mx := ask(t, at, "nsec.example", dns.TypeMX).Answer[0].(*dns.MX); mx.Preference != 20 {
		t.Errorf("got %v", mx)
	}
	if after := ask(t, at, "nsec.example", dns.TypeDS).Answer[0].String(); after != before {
		t.Errorf("DS was %s and is %s", before, after)
	}
	for _, text := range []string{"@ NONSENSE 1", "www.elsewhere. A 192.0.2.1", "a CNAME b\na A 192.0.2.1", "$INCLUDE /etc/passwd"} {
		if err := tree.Set(Config{Origin: "nsec.example", Text: text}); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	if mx := ask(t, at, "nsec.example", dns.TypeMX).Answer[0].(*dns.MX); mx.Preference != 20 {
		t.Errorf("a zone that cannot be parsed has changed something: %v", mx)
	}
}

// TestTruncation: what does not fit comes by TCP, and whole.
func TestTruncation(t *testing.T) {
	tree := &Tree{}
	var text strings.Builder
	for i := range 400 {
		fmt.Fprintf(&text, "@ MX %d mx%d.example.net.\n", i, i)
	}
	if err := tree.Set(Config{Origin: "many.example", Text: text.String()}); err != nil {
		t.Fatal(err)
	}
	at := serve(t, tree.Recursor())
	q := new(dns.Msg).SetQuestion("many.example.", dns.TypeMX)
	if m, _, err := (&dns.Client{}).Exchange(q, at.String()); err != nil || !m.Truncated {
		t.Errorf("by UDP: %v", err)
	}
	if m := ask(t, at, "many.example", dns.TypeMX); len(m.Answer) != 401 {
		t.Errorf("by TCP: %d records", len(m.Answer))
	}
}

func TestCanonicalOrder(t *testing.T) {
	// RFC 4034 §6.1
	want := []string{"example.", "a.example.", "yljkjljk.a.example.", "z.a.example.", "zabc.a.example.", "z.example.", "\\001.z.example.", "*.z.example.", "\\200.z.example."}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, func(a, b string) int { return slices.Compare(labelsOf(a), labelsOf(b)) })
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// FuzzReply: whatever is asked gets an answer that can be packed, and nothing panics.
func FuzzReply(f *testing.F) {
	tree := &Tree{}
	text := "@ MX 10 mx\nmx A 192.0.2.1\n*.w TXT x\na.b CNAME mx\nd DNAME mx\nsub NS ns.elsewhere.\n\\000x A 192.0.2.2\n"
	if err := tree.Set(Config{Origin: "one.example", Text: text}, Config{Origin: "two.example", Text: text, NSEC3: &NSEC3{OptOut: true}}); err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{".", "one.example.", "x.w.one.example.", "y.sub.two.example.", "z.d.two.example.", "\\000.one.example.", "*.two.example."} {
		q := new(dns.Msg).SetQuestion(name, dns.TypeTXT)
		q.SetEdns0(1232, true)
		wire, err := q.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	faces := []*face{{tree: tree, recurse: true}, {tree: tree, only: map[string]bool{"one.example.": true}}}
	f.Fuzz(func(t *testing.T, wire []byte) {
		q := new(dns.Msg)
		if q.Unpack(wire) != nil {
			return
		}
		for _, face := range faces {
			if _, err := face.reply(q).Pack(); err != nil {
				t.Errorf("%v\n%v", q, err)
			}
		}
	})
}
