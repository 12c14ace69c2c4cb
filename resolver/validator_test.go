package resolver_test

import (
	"errors"
	"testing"

	"github.com/miekg/dns"

	"starttls/internal/zone"
	"starttls/resolver"
)

// serve listens on loopback for a face of a tree.
func serve(t *testing.T, face dns.Handler) string {
	t.Helper()
	s, err := zone.Listen("127.0.0.1:0", face)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.Addr.String()
}

const records = `
	@           MX    10 mx
	mx          A     192.0.2.2
	_25._tcp.mx TLSA  3 1 1 abababababababababababababababababababababababababababababababab
	*.wild      TXT   "from a wildcard"
	alias       CNAME mx
	to          DNAME other
	x.other     TXT   "through a DNAME"
	out         CNAME mx.insecure.example.
	a.b.c       A     192.0.2.3`

// world is a tree with zones below "example": signed ones, with NSEC and NSEC3, and ones that are wrong.
func world(t *testing.T) *zone.Tree {
	t.Helper()
	tree := new(zone.Tree)
	err := tree.Set(
		zone.Config{Origin: "."},
		zone.Config{Origin: "example", NSEC3: &zone.NSEC3{OptOut: true}},
		zone.Config{Origin: "nsec.example", Text: records},
		zone.Config{Origin: "nsec3.example", Text: records, NSEC3: &zone.NSEC3{Iterations: 3, Salt: "c0ffee"}},
		zone.Config{Origin: "insecure.example", Text: records, Unsigned: true},
		zone.Config{Origin: "spoiled.example", Text: records, Spoiled: true},
		zone.Config{Origin: "wrongds.example", Text: records, DS: zone.DSWrong},
	)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// TestVerdicts looks up good and bad names of a tree.
func TestVerdicts(t *testing.T) {
	tree := world(t)
	v := &resolver.Validator{Servers: []string{serve(t, tree.Recursor())}, Anchors: tree.Anchor(), Probe: "example"}
	if err := v.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name   string
		t      resolver.Type
		want   resolver.Status
		empty  bool
		noName bool
	}{
		{"nsec.example", resolver.MX, resolver.Secure, false, false},
		{"nsec3.example", resolver.MX, resolver.Secure, false, false},
		{"_25._tcp.mx.nsec.example", resolver.TLSA, resolver.Secure, false, false},
		{"nope.nsec.example", resolver.A, resolver.Secure, true, true},
		{"nope.nsec3.example", resolver.A, resolver.Secure, true, true},
		{"b.c.nsec3.example", resolver.A, resolver.Secure, true, false},
		{"x.y.wild.nsec3.example", resolver.TXT, resolver.Secure, false, false},
		{"x.y.wild.nsec.example", resolver.A, resolver.Secure, true, false},
		{"x.to.nsec.example", resolver.TXT, resolver.Secure, false, false},
		{"x.to.nsec.example", resolver.CNAME, resolver.Secure, false, false},
		{"alias.nsec.example", resolver.A, resolver.Secure, false, false},
		{"out.nsec.example", resolver.A, resolver.Insecure, false, false},
		{"insecure.example", resolver.MX, resolver.Insecure, false, false},
		{"nope.example", resolver.MX, resolver.Insecure, true, true}, // opt-out
		{"spoiled.example", resolver.MX, resolver.Bogus, false, false},
		{"wrongds.example", resolver.MX, resolver.Bogus, false, false},
	} {
		t.Run(row.name+"/"+row.t.String(), func(t *testing.T) {
			a, err := v.Lookup(t.Context(), row.name, row.t)
			if e, ok := errors.AsType[*resolver.Error](err); ok {
				if e.Status != row.want {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if a.Status != row.want || a.Empty() != row.empty || a.NoName != row.noName || (a.Why == "") != (a.Status == resolver.Secure) {
				t.Errorf("got %+v", a)
			}
		})
	}
}
