package resolver_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"starttls/resolver"
)

// tally counts the questions that a handler is asked.
func tally(h dns.Handler, n *atomic.Int32) dns.Handler {
	return dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		n.Add(1)
		h.ServeDNS(w, q)
	})
}

// TestKept asks once for what it knows, until its time is over, or it is asked to ask anew.
func TestKept(t *testing.T) {
	tree := newTree(t)
	var asked atomic.Int32
	now := time.Now()
	v := &resolver.Validator{Servers: []string{serve(t, tally(tree.Recursor(), &asked))}, Anchors: tree.Anchor(), Now: func() time.Time { return now }}
	lookup := func(want int32, name string, ttl time.Duration) {
		t.Helper()
		asked.Store(0)
		a, err := v.Lookup(t.Context(), name, resolver.A)
		if err != nil || a.TTL != ttl {
			t.Fatalf("%s: %+v, %v", name, a, err)
		}
		if n := asked.Load(); n != want {
			t.Errorf("%s: asked %d times, want %d", name, n, want)
		}
	}
	lookup(6, mxA, 300*time.Second) // the record; DNSKEY of the root, DS and DNSKEY of two zones
	lookup(0, "MX.nsec.example.", 300*time.Second)
	lookup(1, "nope.nsec.example", 300*time.Second)
	now = now.Add(100 * time.Second)
	lookup(0, mxA, 200*time.Second)
	now = now.Add(200 * time.Second)
	lookup(6, mxA, 300*time.Second)
	asked.Store(0)
	if _, err := v.Lookup(resolver.Anew(t.Context()), mxA, resolver.A); err != nil || asked.Load() != 1 {
		t.Errorf("anew: asked %d times, %v", asked.Load(), err)
	}

	for range 3 { // failures too, for seconds
		asked.Store(0)
		if got, _ := status(v.Lookup(t.Context(), "spoiled.example", resolver.MX)); got != resolver.Bogus {
			t.Fatal(got)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("a failure was asked for %d times again", n)
	}
}

// TestTTL gives an answer no longer than what is signed, and than the signatures that it rests on.
func TestTTL(t *testing.T) {
	now := time.Now()
	for name, row := range map[string]struct {
		lie  func(w villain)
		want time.Duration
	}{
		"raised under the signature": {func(w villain) {
			w.on(mxA, dns.TypeA, func(m *dns.Msg) {
				for i := range m.Answer {
					m.Answer[i] = dns.Copy(m.Answer[i])
					m.Answer[i].Header().Ttl = 86400
				}
			})
		}, 300 * time.Second},
		"lowered": {func(w villain) {
			w.on(mxA, dns.TypeA, func(m *dns.Msg) {
				m.Answer[0] = dns.Copy(m.Answer[0])
				m.Answer[0].Header().Ttl = 7
			})
		}, 7 * time.Second},
		"a signature about to end": {func(w villain) {
			w.answers(mxA, dns.TypeA, w.Sign("nsec.example", func(s *dns.RRSIG) { s.Expiration = uint32(now.Unix()) + 40 }, record(mxA+" 300 IN A 192.0.2.2"))...)
		}, 40 * time.Second},
		"a signature that has ended a little ago": {func(w villain) {
			w.answers(mxA, dns.TypeA, w.Sign("nsec.example", func(s *dns.RRSIG) { s.Expiration = uint32(now.Unix()) - 10 }, record(mxA+" 300 IN A 192.0.2.2"))...)
		}, 0},
		"a DS about to end": {func(w villain) {
			ds := w.Records("example", "nsec.example", dns.TypeDS)[:1]
			w.answers("nsec.example", dns.TypeDS, w.Sign("example", func(s *dns.RRSIG) { s.Expiration = uint32(now.Unix()) + 50 }, ds...)...)
		}, 50 * time.Second},
		"a denial about to end": {func(w villain) {
			nsec := w.Records("nsec.example", mxA, dns.TypeNSEC)[0].(*dns.NSEC)
			nsec.TypeBitMap = []uint16{dns.TypeAAAA}
			w.denies(mxA, dns.TypeA, noDenial, w.Sign("nsec.example", func(s *dns.RRSIG) { s.Expiration = uint32(now.Unix()) + 60 }, nsec)...)
		}, 60 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			tree := newTree(t)
			row.lie(villain{tree, t})
			v := &resolver.Validator{Servers: []string{serve(t, tree.Recursor())}, Anchors: tree.Anchor(), Now: func() time.Time { return now }}
			a, err := v.Lookup(t.Context(), mxA, resolver.A)
			if err != nil || a.Status != resolver.Secure || a.TTL > row.want || a.TTL < row.want-time.Second {
				t.Errorf("got %+v, %v, want %v", a, err, row.want)
			}
		})
	}
}

// TestTogether has many ask for the same thing at the same time: one fetches it.
func TestTogether(t *testing.T) {
	tree := newTree(t)
	var asked atomic.Int32
	v := &resolver.Validator{Servers: []string{serve(t, tally(tree.Recursor(), &asked))}, Anchors: tree.Anchor()}
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			name := fmt.Sprintf("n%d.nsec%s.example", i%10, []string{"", "3"}[i%2])
			if a, err := v.Lookup(t.Context(), name, resolver.A); err != nil || a.Status != resolver.Secure {
				t.Errorf("%s: %+v, %v", name, a, err)
			}
			name = []string{"a", "b"}[i%2] + ".spoiled.example" // both fail on the way, for the same reason
			_, err := v.Lookup(t.Context(), name, resolver.A)
			if e, ok := errors.AsType[*resolver.Error](err); !ok || e.Name != name || e.Status != resolver.Bogus {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	all.Wait()
	if n := asked.Load(); n != 12+1+8 { // names, keys of the root, DS and DNSKEY of four zones
		t.Errorf("asked %d times", n)
	}
}

// TestNothingBelow asks no further down than where a name is proved not to exist (RFC 8020).
func TestNothingBelow(t *testing.T) {
	tree := newTree(t)
	name := strings.Repeat("x.", 40) + "nsec.example"
	villain{tree, t}.answers(name, dns.TypeA, record(name+forged))
	var asked atomic.Int32
	v := &resolver.Validator{Servers: []string{serve(t, tally(tree.Recursor(), &asked))}, Anchors: tree.Anchor()}
	if got, _ := status(v.Lookup(t.Context(), name, resolver.A)); got != resolver.Bogus {
		t.Error(got)
	}
	if n := asked.Load(); n != 7 { // the record, keys of the root, DS and DNSKEY of two zones, DS of "x"
		t.Errorf("asked %d times", n)
	}
}

// TestSilence has those who wait for the same answer from a silent server fail together: none asks anew.
func TestSilence(t *testing.T) {
	var asked atomic.Int32
	silent := serve(t, tally(dns.HandlerFunc(func(dns.ResponseWriter, *dns.Msg) {}), &asked))
	v := &resolver.Validator{Servers: []string{silent}, Timeout: 50 * time.Millisecond}
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if got, code := status(v.Lookup(t.Context(), "example.org", resolver.A)); got != resolver.Indeterminate || code != 22 {
				t.Errorf("got %s (EDE %d)", got, code)
			}
		})
	}
	all.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// TestSmallCache keeps little, and answers all the same.
func TestSmallCache(t *testing.T) {
	tree := newTree(t)
	v := &resolver.Validator{Servers: []string{serve(t, tree.Recursor())}, Anchors: tree.Anchor(), CacheSize: 2}
	for i := range 50 {
		if a, err := v.Lookup(t.Context(), fmt.Sprintf("n%d.nsec3.example", i), resolver.A); err != nil || !a.NoName || a.Status != resolver.Secure {
			t.Fatalf("%+v, %v", a, err)
		}
	}
}

// TestWhoLeaves does not spoil the answer for those who stay: one asks, and leaves while others wait.
func TestWhoLeaves(t *testing.T) {
	tree := newTree(t)
	asked, answer := make(chan struct{}, 10), make(chan struct{})
	server := serve(t, dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		if q.Question[0].Qtype == dns.TypeA {
			asked <- struct{}{}
			<-answer
		}
		tree.Recursor().ServeDNS(w, q)
	}))
	v := &resolver.Validator{Servers: []string{server}, Anchors: tree.Anchor()}
	ctx, leave := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		if _, err := v.Lookup(ctx, mxA, resolver.A); !errors.Is(err, context.Canceled) {
			t.Errorf("who left: %v", err)
		}
	})
	<-asked
	for range 3 {
		all.Go(func() {
			if a, err := v.Lookup(t.Context(), mxA, resolver.A); err != nil || a.Status != resolver.Secure {
				t.Errorf("who stayed: %+v, %v", a, err)
			}
		})
	}
	leave()
	<-asked // by one who stayed
	close(answer)
	all.Wait()
}
