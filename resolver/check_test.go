package resolver_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"starttls/internal/zone"
	"starttls/resolver"
)

// TestCheck tells plainly what keeps a server from being fit.
func TestCheck(t *testing.T) {
	tree := newTree(t)
	whole := tree.Recursor()
	changed := func(before func(q *dns.Msg), after func(m *dns.Msg)) string {
		return serve(t, dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
			before(q)
			whole.ServeDNS(taker{w, func(m *dns.Msg) { after(m); w.WriteMsg(m) }}, q)
		}))
	}
	same := func(*dns.Msg) {}
	good := serve(t, whole)
	for name, row := range map[string]struct{ server, want string }{
		"DO is not passed on":    {changed(func(q *dns.Msg) { q.IsEdns0().SetDo(false) }, same), "DO"},
		"EDNS is not passed on":  {changed(func(q *dns.Msg) { q.Extra = nil }, same), "DO"},
		"CD is not passed on":    {changed(same, func(m *dns.Msg) { m.CheckingDisabled = false }), "CD"},
		"no DNSKEY":              {changed(same, func(m *dns.Msg) { zone.Without(dns.TypeDNSKEY)(m) }), "no DNSKEY"},
		"no DS":                  {changed(same, func(m *dns.Msg) { zone.Without(dns.TypeDS)(m) }), "the way to example"},
		"it refuses":             {changed(same, func(m *dns.Msg) { zone.Refused(m) }), "REFUSED"},
		"other keys of the root": {serve(t, newTree(t).Recursor()), "keys"},
	} {
		v := &resolver.Validator{Servers: []string{good, row.server}, Anchors: tree.Anchor(), Probe: "example"}
		err := v.Check(t.Context())
		if err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), row.server) {
			t.Errorf("%s: got %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), good) {
			t.Errorf("%s: the good one is told too: %v", name, err)
		}
	}
	v := &resolver.Validator{Servers: []string{good}, Anchors: tree.Anchor(), Probe: "insecure.example"}
	if err := v.Check(t.Context()); err == nil {
		t.Error("a zone that is not signed proves nothing")
	}
}

// BenchmarkLookup looks up the addresses of hosts in a signed zone: one that is known, and ever new ones,
// each a message and a proof of three records.
func BenchmarkLookup(b *testing.B) {
	tree := newTree(b)
	v := &resolver.Validator{Servers: []string{serve(b, tree.Recursor())}, Anchors: tree.Anchor()}
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Lookup(b.Context(), mxA, resolver.A); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new", func(b *testing.B) {
		i := 0
		for b.Loop() {
			i++
			if a, err := v.Lookup(b.Context(), fmt.Sprintf("n%d.nsec3.example", i), resolver.A); err != nil || !a.NoName {
				b.Fatal(err)
			}
		}
	})
}
