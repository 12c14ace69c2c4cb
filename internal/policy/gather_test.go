package policy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"starttls/dane"
	"starttls/mtasts"
	"starttls/resolver"
	"starttls/resolver/dnstest"
)

func TestParseDestination(t *testing.T) {
	for text, want := range map[string]string{
		"example.com":               "example.com",
		"Example.COM.":              "example.com",
		"bücher.example":            "xn--bcher-kva.example",
		"BÜCHER.example.":           "xn--bcher-kva.example",
		"example.com:587":           "example.com:587",
		"[mx.example.net]":          "[mx.example.net]",
		"[MX.example.net.]:25":      "[mx.example.net]:25",
		"[192.0.2.1]":               "[192.0.2.1]",
		"[192.0.2.1]:2525":          "[192.0.2.1]:2525",
		"[IPv6:2001:DB8::1]":        "[ipv6:2001:db8::1]",
		"[ipv6:2001:db8::1]:25":     "[ipv6:2001:db8::1]:25",
		"[2001:db8::1]":             "[ipv6:2001:db8::1]",
		"[::ffff:192.0.2.1]":        "[192.0.2.1]",
		"_acme.example.com":         "_acme.example.com",
		"192.0.2.1":                 "",
		"2001:db8::1":               "",
		"192.0.2.1:25":              "",
		"":                          "",
		".":                         "",
		"[]":                        "",
		"[mx.example.net":           "",
		"[mx.example.net]25":        "",
		"[mx.example.net]:":         "",
		"example.com:0":             "",
		"example.com:65536":         "",
		"example.com:smtp":          "example.com:25",
		"example.com:no-service":    "",
		"example..com":              "",
		".example.com":              "",
		"exa\x00mple.com":           "",
		"example.com match=x":       "",
		"{example.com}":             "",
		strings.Repeat("a", 64):     "",
		strings.Repeat("a.", 150):   "",
		"user@example.com":          "",
		"[ipv6:2001:db8::1%eth0]":   "",
		"[ipv6:mx.example.net]":     "",
		"[mx.example.net][other]:1": "",
	} {
		d, err := ParseDestination(text)
		if want == "" {
			if err == nil {
				t.Errorf("%q is taken for %s", text, d)
			}
			continue
		}
		if err != nil || d.String() != want {
			t.Errorf("%q: got %q, %v; want %q", text, d.String(), err, want)
		}
	}
}

func FuzzParseDestination(f *testing.F) {
	for _, s := range []string{"example.com", "[mx.example.net]:587", "[ipv6:::1]", "bücher.example:25", "]["} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDestination(text)
		if err != nil {
			return
		}
		again, err := ParseDestination(d.String())
		if err != nil || again != d {
			t.Fatalf("%q is %+v, and %q is %+v, %v", text, d, d.String(), again, err)
		}
	})
}

// gathered is the evidence of a zone.
func gathered(t *testing.T, zone, to string) (*Evidence, *dnstest.Resolver) {
	t.Helper()
	d, err := ParseDestination(to)
	if err != nil {
		t.Fatal(err)
	}
	r := dnstest.New(strings.ReplaceAll(zone, " R", " 3 1 1 "+digest))
	return (&Gatherer{Resolver: r, Now: func() time.Time { return now }}).Gather(t.Context(), d), r
}

// TestManyHosts: of 400 MX hosts the most preferred are looked at, and no other is used.
func TestManyHosts(t *testing.T) {
	var zone strings.Builder
	for i := range 400 {
		fmt.Fprintf(&zone, "example.com MX %d mx%d.example.net\n", 400-i, i)
	}
	e, r := gathered(t, zone.String(), "example.com")
	if len(e.Hosts) != defaultMaxHosts || e.Unseen != 400-defaultMaxHosts || e.Hosts[0].Name != "mx399.example.net" {
		t.Errorf("%d hosts, the first %q, %d unseen", len(e.Hosts), e.Hosts[0].Name, e.Unseen)
	}
	if n := len(r.Asked()); n > 1+2*defaultMaxHosts {
		t.Errorf("%d questions", n)
	}
	if p := Decide(e, Options{}); len(p.Attempts) != defaultMaxHosts {
		t.Errorf("%d attempts", len(p.Attempts))
	}
}

func TestOneHostTwice(t *testing.T) {
	e, _ := gathered(t, "example.com MX 20 mx.example.net\nexample.com MX 10 mx.example.net\n"+addr, "example.com")
	if len(e.Hosts) != 1 || e.Hosts[0].Pref != 10 {
		t.Errorf("got %+v", e.Hosts)
	}
}

func TestManyRecords(t *testing.T) {
	zone := mx + addr
	for i := range 300 {
		zone += fmt.Sprintf("_25._tcp.mx.example.net TLSA 3 1 1 %04x%s\n", i, digest[4:])
	}
	t.Run("D76 all of 300 records count", func(t *testing.T) {
		e, _ := gathered(t, zone, "example.com")
		if p := Decide(e, Options{}); len(p.Attempts[0].TLSA) != 300 {
			t.Errorf("%d records", len(p.Attempts[0].TLSA))
		}
	})
}

// TestUntil: a plan lives no longer than the first of its answers.
func TestUntil(t *testing.T) {
	for _, c := range []struct {
		name string
		ttl  time.Duration
		zone string
		sts  mtasts.State
		want time.Duration
	}{
		{"D77 a TTL of one second", time.Second, mx + addr + tlsa, mtasts.State{}, time.Second},
		{"an hour at most", 48 * time.Hour, mx + addr + tlsa, mtasts.State{}, time.Hour},
		{"an error", time.Hour, mx + addr + tlsaErr, mtasts.State{}, failedLife},
		{"MX failed", time.Hour, "example.com MX servfail", mtasts.State{}, failedLife},
		{"the MTA-STS policy ends", time.Hour, mx + addr,
			mtasts.State{Policy: &mtasts.Policy{Mode: mtasts.Enforce, MaxAge: time.Hour}, Fetched: now.Add(-50 * time.Minute)}, 10 * time.Minute},
		{"MTA-STS could not be asked for", time.Hour, mx + addr, mtasts.State{Err: errors.New("x")}, failedLife},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := dnstest.New(strings.ReplaceAll(c.zone, " R", " 3 1 1 "+digest))
			r.TTL = c.ttl
			g := &Gatherer{Resolver: r, Now: func() time.Time { return now }, STS: sts{"example.com": c.sts}}
			p := Decide(g.Gather(t.Context(), Destination{Domain: "example.com"}), Options{})
			if got := p.Until.Sub(now); got != c.want {
				t.Errorf("good for %v, want %v", got, c.want)
			}
		})
	}
}

// renewed is a domain whose policy was replaced a moment ago.
type renewed struct{ sts }

func (r renewed) Recheck(context.Context, string) mtasts.State {
	return published(mtasts.Enforce, "mx.example.net")
}

func TestAgain(t *testing.T) {
	t.Run("S23 a policy that fails a host is asked for anew", func(t *testing.T) {
		g := &Gatherer{Resolver: dnstest.New(mx + addr), STS: renewed{enforce("old.example.net")}, Now: func() time.Time { return now }}
		e := g.Gather(t.Context(), Destination{Domain: "example.com"})
		if p := Decide(e, Options{}); p.Refusal == nil || !p.Refusal.Temporary() {
			t.Fatalf("got %s", sketch(p))
		}
		e, changed := g.Again(t.Context(), e)
		if p := Decide(e, Options{}); !changed || p.Refusal != nil {
			t.Errorf("changed: %v; %s", changed, sketch(p))
		}
		if _, changed = g.Again(t.Context(), e); changed {
			t.Error("it has changed again")
		}
	})
	t.Run("S23 without a policy nobody is asked", func(t *testing.T) {
		g := &Gatherer{Resolver: dnstest.New(mx + addr)}
		if _, changed := g.Again(t.Context(), &Evidence{}); changed {
			t.Error("changed")
		}
	})
}

// slow never answers questions of one type, and others at once; it counts who waits at the same time.
type slow struct {
	resolver.Resolver
	never   resolver.Type
	mu      sync.Mutex
	waiting int
	most    int
}

func (s *slow) Lookup(ctx context.Context, name string, t resolver.Type) (*resolver.Answer, error) {
	if t != s.never {
		return s.Resolver.Lookup(ctx, name, t)
	}
	s.mu.Lock()
	s.waiting++
	s.most = max(s.most, s.waiting)
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock()
	s.waiting--
	s.mu.Unlock()
	return nil, ctx.Err()
}

// TestDeadlines: each question has its own, and hosts are looked up at the same time.
func TestDeadlines(t *testing.T) {
	t.Run("D43 TLSA never answers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			zone := ""
			for i := range 16 {
				zone += fmt.Sprintf("example.com MX 10 mx%d.example.net\nmx%d.example.net A 192.0.2.1\n", i, i)
			}
			r := &slow{Resolver: dnstest.New(zone), never: resolver.TLSA}
			e := (&Gatherer{Resolver: r, Timeout: 3 * time.Second}).Gather(t.Context(), Destination{Domain: "example.com"})
			if took := time.Since(start); took != 6*time.Second || r.most != atOnce {
				t.Errorf("took %v, %d at once", took, r.most)
			}
			for _, h := range e.Hosts {
				if e, ok := errors.AsType[*resolver.Error](h.DANE.Err); !ok || h.DANE.Outcome != dane.Failed || !errors.Is(e, context.DeadlineExceeded) {
					t.Errorf("%s: %v, %v", h.Name, h.DANE.Outcome, h.DANE.Err)
				}
			}
		})
	})
	t.Run("D01 the caller gives up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		e := (&Gatherer{Resolver: dnstest.New(mx + addr)}).Gather(ctx, Destination{Domain: "example.com"})
		if p := Decide(e, Options{}); p.Refusal == nil || p.Refusal.Code != 451 {
			t.Errorf("got %s", sketch(p))
		}
	})
}

func TestLiteral(t *testing.T) {
	e, r := gathered(t, "", "[192.0.2.1]:2525")
	p := Decide(e, Options{})
	if len(r.Asked()) != 0 || p.Domain != "[192.0.2.1]" || p.Attempts[0].Port != 2525 || p.Attempts[0].Addrs[0] != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("asked %q; %+v", r.Asked(), p)
	}
}
