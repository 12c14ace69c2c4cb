package resolver_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"starttls/internal/zone"
	"starttls/resolver"
)

// TestNothingDenied gives a villain every record of denial that a zone has, and its parent. What is
// there cannot be denied with them.
func TestNothingDenied(t *testing.T) {
	tree := newTree(t)
	server := serve(t, tree.Recursor())
	for _, origin := range []string{"nsec.example", "nsec3.example", "child.nsec.example", "child.nsec3.example"} {
		_, parent, _ := strings.Cut(origin, ".")
		var proofs []dns.RR
		for _, of := range []string{origin, parent} {
			proofs = append(proofs, tree.Records(of, "", dns.TypeNSEC)...)
			proofs = append(proofs, tree.Records(of, "", dns.TypeNSEC3)...)
		}
		count := 0
		zp := dns.NewZoneParser(strings.NewReader(tree.Dump(origin)), ".", "")
		for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
			name, rt := rr.Header().Name, rr.Header().Rrtype
			switch rt {
			case dns.TypeCNAME:
				rt = dns.TypeA
			case dns.TypeDNAME:
				name, rt = "x."+name, dns.TypeTXT
			case dns.TypeA, dns.TypeMX, dns.TypeTXT, dns.TypeTLSA:
			default:
				continue
			}
			if strings.HasPrefix(name, "ns.") { // glue may be denied
				continue
			}
			if rest, ok := strings.CutPrefix(name, "*."); ok {
				name = "made." + rest
			}
			count++
			villain{tree, t}.denies(name, rt, dns.RcodeNameError, proofs...)
			v := &resolver.Validator{Servers: []string{server}, Anchors: tree.Anchor()}
			a, err := v.Lookup(t.Context(), name, resolver.Type(rt))
			if got, _ := status(a, err); got != resolver.Bogus {
				t.Errorf("%s %s: got %+v, %v", name, dns.Type(rt), a, err)
			}
		}
		if count < 20 {
			t.Errorf("%s: only %d names tried", origin, count)
		}
	}
}

// TestAbsent asks for many names that are not there, all over the order of names and of hashes.
func TestAbsent(t *testing.T) {
	tree := new(zone.Tree)
	var text strings.Builder
	for i := range 30 {
		fmt.Fprintf(&text, "n%d A 192.0.2.1\na.b%d.c%d TXT x\n", i*i, i, i%7)
	}
	tree.Set(zone.Config{Origin: "one"}, zone.Config{Origin: "none", NSEC3: &zone.NSEC3{}},
		zone.Config{Origin: "nsec", Text: text.String()}, zone.Config{Origin: "nsec3", Text: text.String(), NSEC3: &zone.NSEC3{}})
	v := &resolver.Validator{Servers: []string{serve(t, tree.Recursor())}, Anchors: tree.Anchor()}
	for _, origin := range []string{"one", "none", "nsec", "nsec3"} {
		for i := range 60 {
			for _, name := range []string{"x%d", "n%dx", "%d.n4", "a.a.b%d.c1", "zz%d.c2", "-%d", "_%d"} {
				name := fmt.Sprintf(name+"."+origin, i)
				a, err := v.Lookup(t.Context(), name, resolver.A)
				if err != nil || a.Status != resolver.Secure || !a.NoName {
					t.Fatalf("%s: got %+v, %v", name, a, err)
				}
			}
		}
		for i := range 7 { // empty non-terminals
			name := fmt.Sprintf("c%d.%s", i, origin)
			a, err := v.Lookup(t.Context(), name, resolver.A)
			if err != nil || a.Status != resolver.Secure || a.NoName != (origin == "one" || origin == "none") {
				t.Fatalf("%s: got %+v, %v", name, a, err)
			}
		}
	}
}
