package resolver_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"starttls/internal/zone"
	"starttls/resolver"
)

// serve listens on loopback for a face of a tree.
func serve(t testing.TB, face dns.Handler) string {
	t.Helper()
	s, err := zone.Listen("127.0.0.1:0", face)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.Addr.String()
}

// records are in each zone below "example".
const records = `
	@           MX    10 mx
	@           MX    5  mx5
	mx          A     192.0.2.2
	_25._tcp.mx TLSA  3 1 1 abababababababababababababababababababababababababababababababab
	*.wild      TXT   "from a wildcard"
	in.wild     TXT   "not from a wildcard"
	a.ent.wild  A     192.0.2.4
	a.*.starred A     192.0.2.5
	alias       CNAME mx
	*.aliases   CNAME mx
	to          DNAME other
	x.other     TXT   "through a DNAME"
	out         CNAME mx.insecure.example.
	loop        CNAME pool
	pool        CNAME loop
	a.b.c       A     192.0.2.3
	links9      CNAME links8
	links8      CNAME l8
	l8          CNAME l7
	l7          CNAME l6
	l6          CNAME l5
	l5          CNAME l4
	l4          CNAME l3
	l3          CNAME l2
	l2          CNAME l1
	l1          A     192.0.2.9`

// zones are below "example", which is made with NSEC3 and opt-out.
var zones = []zone.Config{
	{Origin: "nsec.example"},
	{Origin: "nsec3.example", NSEC3: &zone.NSEC3{Iterations: 3, Salt: "c0ffee"}},
	{Origin: "child.nsec.example"},
	{Origin: "child.nsec3.example", NSEC3: &zone.NSEC3{}},
	{Origin: "open.nsec.example", Unsigned: true},
	{Origin: "ec.example"}, // what "nsec.example" ends with, and "sec.example"
	{Origin: "insecure.example", Unsigned: true},
	{Origin: "island.example", DS: zone.DSMissing},
	{Origin: "spoiled.example", Spoiled: true},
	{Origin: "wrongds.example", DS: zone.DSWrong},
	{Origin: "expired.example", From: -48 * time.Hour, Until: -24 * time.Hour},
	{Origin: "early.example", From: 24 * time.Hour, Until: 48 * time.Hour},
	{Origin: "iterations150.example", NSEC3: &zone.NSEC3{Iterations: 150}},
	{Origin: "iterations501.example", NSEC3: &zone.NSEC3{Iterations: 501}},
	{Origin: "unknown.example", Algorithms: []uint8{200}},
	{Origin: "digest.example", Digests: []uint8{99}},
	{Origin: "digests.example", Digests: []uint8{99, dns.SHA1}},
	{Origin: "both.example", Algorithms: []uint8{200, dns.ECDSAP256SHA256}},
}

// newTree makes a tree of the zones.
func newTree(t testing.TB) *zone.Tree {
	t.Helper()
	tree := new(zone.Tree)
	configs := []zone.Config{{Origin: "."}, {Origin: "example", NSEC3: &zone.NSEC3{OptOut: true}}}
	for _, c := range zones {
		c.Text = records
		configs = append(configs, c)
	}
	if err := tree.Set(configs...); err != nil {
		t.Fatal(err)
	}
	return tree
}

// status returns how a lookup ended, and its extended error.
func status(a *resolver.Answer, err error) (resolver.Status, int) {
	if e, ok := errors.AsType[*resolver.Error](err); ok {
		return e.Status, e.Code
	}
	if err != nil {
		panic(err)
	}
	return a.Status, -1
}

// TestVerdicts looks up good and bad names.
func TestVerdicts(t *testing.T) {
	tree := newTree(t)
	v := &resolver.Validator{Servers: []string{serve(t, tree.Recursor())}, Anchors: tree.Anchor(), Probe: "example"}
	if err := v.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	const secure, insecure, bogus, unknown = resolver.Secure, resolver.Insecure, resolver.Bogus, resolver.Indeterminate
	for _, row := range []struct {
		name   string
		t      resolver.Type
		want   resolver.Status
		answer string // of the answer; the status is enough where there is none
	}{
		{"@", resolver.MX, secure, "mx5.@ mx.@"},
		{"_25._tcp.mx.@", resolver.TLSA, secure, "3 1 1 " + strings.Repeat("ab", 32)},
		{"mx.@", resolver.AAAA, secure, "no record"},
		{"nope.@", resolver.A, secure, "no name"},
		{"no.such.name.@", resolver.A, secure, "no name"},
		{"b.c.@", resolver.A, secure, "no record"},
		{"c.@", resolver.CNAME, secure, "no record"},
		{"x.wild.@", resolver.TXT, secure, "from a wildcard"},
		{"x.y.z.wild.@", resolver.TXT, secure, "from a wildcard"},
		{"in.wild.@", resolver.TXT, secure, "not from a wildcard"},
		{"x.in.wild.@", resolver.TXT, secure, "no name"},
		{"x.wild.@", resolver.A, secure, "no record"},
		{"wild.@", resolver.TXT, secure, "no record"},
		{"*.wild.@", resolver.A, secure, "no record"},
		{"x.ent.wild.@", resolver.TXT, secure, "no name"},
		{"x.starred.@", resolver.A, secure, "no record"},
		{"alias.@", resolver.A, secure, "192.0.2.2"},
		{"alias.@", resolver.CNAME, secure, "mx.@"},
		{"alias.@", resolver.AAAA, secure, "no record"},
		{"x.aliases.@", resolver.A, secure, "192.0.2.2"},
		{"x.to.@", resolver.TXT, secure, "through a DNAME"},
		{"x.to.@", resolver.CNAME, secure, "x.other.@"},
		{"y.to.@", resolver.TXT, secure, "no name"},
		{"to.@", resolver.TXT, secure, "no record"},
		{"out.@", resolver.A, insecure, "192.0.2.2"},
		{"out.@", resolver.CNAME, secure, "mx.insecure.example"},
		{"links8.@", resolver.A, secure, "192.0.2.9"},
		{"links9.@", resolver.A, unknown, ""},
		{"loop.@", resolver.A, unknown, ""},
		{"mx.child.@", resolver.A, secure, "192.0.2.2"},
		{"nope.child.@", resolver.A, secure, "no name"},
		{"child.@", resolver.AAAA, secure, "no record"},
	} {
		for _, origin := range []string{"nsec.example", "nsec3.example"} {
			name := strings.ReplaceAll(row.name, "@", origin)
			t.Run(name+"/"+row.t.String(), func(t *testing.T) {
				a, err := v.Lookup(t.Context(), name, row.t)
				if got, _ := status(a, err); got != row.want {
					t.Fatalf("got %+v, %v, want %s", a, err, row.want)
				}
				if want := strings.ReplaceAll(row.answer, "@", origin); err == nil && said(a) != want {
					t.Errorf("got %q, want %q", said(a), want)
				}
			})
		}
	}
	for name, want := range map[string]resolver.Status{
		"open.nsec.example": insecure, "insecure.example": insecure, "nope.insecure.example": insecure, "island.example": insecure, "nope.island.example": insecure,
		"unknown.example": insecure, "digest.example": insecure,
		"digests.example": secure, "both.example": secure,
		"spoiled.example": bogus, "wrongds.example": bogus, "expired.example": bogus, "early.example": bogus,
		"iterations150.example": secure, "iterations501.example": secure,
		"nope.iterations150.example": insecure, "nope.iterations501.example": bogus, "x.wild.iterations150.example": insecure,
		"nope.example": insecure, // opt-out
		"example":      secure, "nope": secure,
	} {
		t.Run(name, func(t *testing.T) {
			a, err := v.Lookup(t.Context(), name, resolver.MX)
			if got, _ := status(a, err); got != want {
				t.Errorf("got %+v, %v, want %s", a, err, want)
			}
			if err == nil && (a.Why == "") != (a.Status == secure) {
				t.Errorf("%s, because %q", a.Status, a.Why)
			}
		})
	}
}

// said is what an answer says, in words.
func said(a *resolver.Answer) string {
	var all []string
	for _, addr := range a.Addrs {
		all = append(all, addr.String())
	}
	for _, mx := range a.MX {
		all = append(all, mx.Host)
	}
	for _, r := range a.TLSA {
		all = append(all, r.String())
	}
	all = append(all, a.TXT...)
	switch {
	case a.CNAME != "":
		return a.CNAME
	case a.NoName:
		return strings.TrimSpace("no name " + strings.Join(all, " "))
	case len(all) == 0:
		return "no record"
	}
	return strings.Join(all, " ")
}

// TestSHA1 needs the switch for algorithm 5.
func TestSHA1(t *testing.T) {
	tree := new(zone.Tree)
	if err := tree.Set(zone.Config{Origin: "example", Algorithms: []uint8{dns.RSASHA1}, Text: records}); err != nil {
		t.Fatal(err)
	}
	for sha1, want := range map[bool]resolver.Status{true: resolver.Secure, false: resolver.Insecure} {
		v := &resolver.Validator{Servers: []string{serve(t, tree.Recursor())}, Anchors: tree.Anchor(), SHA1: sha1}
		a, err := v.Lookup(t.Context(), "example", resolver.MX)
		if got, _ := status(a, err); got != want {
			t.Errorf("got %+v, %v, want %s", a, err, want)
		}
	}
}

// TestUnsigned takes a zone as insecure that is not.
func TestUnsigned(t *testing.T) {
	tree := newTree(t)
	v := &resolver.Validator{Servers: []string{serve(t, tree.Recursor())}, Anchors: tree.Anchor(), Unsigned: []string{"Spoiled.example", "corp"}}
	for name, want := range map[string]resolver.Status{
		"spoiled.example": resolver.Insecure, "mx.spoiled.example": resolver.Insecure,
		"a.corp": resolver.Insecure, "nsec.example": resolver.Secure,
	} {
		a, err := v.Lookup(t.Context(), name, resolver.A)
		if got, _ := status(a, err); got != want {
			t.Errorf("%s: got %+v, %v, want %s", name, a, err, want)
		}
	}
}

// TestLarge has answers that fit into no datagram.
func TestLarge(t *testing.T) {
	var text strings.Builder
	for i := range 400 {
		fmt.Fprintf(&text, "@ MX %d mx%d\n", i, i)
	}
	for i := range 300 {
		fmt.Fprintf(&text, "_25._tcp TLSA 3 1 1 %064x\n", i)
	}
	text.WriteString("long TXT")
	for range 235 {
		text.WriteString(` "` + strings.Repeat("x", 255) + `"`)
	}
	tree := new(zone.Tree)
	if err := tree.Set(zone.Config{Origin: "example", Text: text.String()}); err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	now := time.Now()
	v := &resolver.Validator{Servers: []string{serve(t, tally(tree.Recursor(), &asked))}, Anchors: tree.Anchor(), Now: func() time.Time { return now }}
	for name, count := range map[string]func(*resolver.Answer) bool{
		"example":          func(a *resolver.Answer) bool { return len(a.MX) == 400 && a.MX[399].Host == "mx399.example" },
		"_25._tcp.example": func(a *resolver.Answer) bool { return len(a.TLSA) == 300 },
		"long.example":     func(a *resolver.Answer) bool { return len(a.TXT) == 1 && len(a.TXT[0]) == 235*255 },
	} {
		for _, rt := range []resolver.Type{resolver.MX, resolver.TLSA, resolver.TXT} {
			a, err := v.Lookup(t.Context(), name, rt)
			if err != nil || a.Status != resolver.Secure || !a.Empty() && !count(a) {
				t.Errorf("%s %s: %v", name, rt, err)
			}
		}
	}
	now = now.Add(10 * time.Second)
	asked.Store(0)
	for _, q := range []struct { // what fills the memory is not kept
		name string
		t    resolver.Type
	}{{"example", resolver.MX}, {"_25._tcp.example", resolver.TLSA}, {"long.example", resolver.TXT}} {
		if _, err := v.Lookup(t.Context(), q.name, q.t); err != nil {
			t.Error(err)
		}
	}
	if n := asked.Load(); n != 2 { // by UDP, and by TCP
		t.Errorf("asked %d times", n)
	}
}
