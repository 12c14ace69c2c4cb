package relay

import (
	"context"
	"sync"
	"testing"

	"starttls"
	"starttls/internal/policy"
	"starttls/resolver"
)

// counting is a resolver that counts, and gives one host with one address.
type counting struct {
	mu    sync.Mutex
	asked map[resolver.Type]int
}

func (c *counting) Lookup(_ context.Context, name string, t resolver.Type) (*resolver.Answer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked == nil {
		c.asked = map[resolver.Type]int{}
	}
	c.asked[t]++
	a := &resolver.Answer{Name: name, Canonical: name, Type: t, Status: resolver.Insecure, TTL: 3600e9}
	switch t {
	case resolver.MX:
		a.MX = []resolver.MXRecord{{Host: "mx.example.org", Pref: 10}}
	case resolver.A:
		a.Addrs = append(a.Addrs, dead.Addr())
	}
	return a, nil
}

func (c *counting) count(t resolver.Type) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[t]
}

// memory is what was seen of hosts.
type memory struct{ sync.Map }

func (m *memory) Recall(_ context.Context, host string) *policy.Seen {
	if s, ok := m.Load(host); ok {
		seen := s.(policy.Seen)
		return &seen
	}
	return nil
}
func (m *memory) Remember(_ context.Context, host string, s policy.Seen) { m.Store(host, s) }

func TestPlannerGathersOnce(t *testing.T) {
	names := &counting{}
	p := &Planner{Gatherer: &policy.Gatherer{Resolver: names}}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if plan := p.Plan(t.Context(), "example.org", Message{}); plan.Refusal != nil || len(plan.Attempts) != 1 {
				t.Errorf("%+v", plan)
			}
		})
	}
	all.Wait()
	if n := names.count(resolver.MX); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if got := p.Plan(t.Context(), "example.org", Message{TLSOptional: true}).Attempts[0].Source; got != policy.FromMessage {
		t.Errorf("what the message says does not count: %s", got)
	}
}

func TestPlannerIsBounded(t *testing.T) {
	p := &Planner{Gatherer: &policy.Gatherer{Resolver: &counting{}}, MaxKept: 3}
	for _, next := range []string{"a.test", "b.test", "c.test", "d.test", "e.test"} {
		p.Plan(t.Context(), next, Message{})
	}
	if len(p.kept) != 3 {
		t.Errorf("%d kept", len(p.kept))
	}
}

// TestPlannerKnowsMemory: that a host gave TLS counts from the next message on.
func TestPlannerKnowsMemory(t *testing.T) {
	p := &Planner{Gatherer: &policy.Gatherer{Resolver: &counting{}, Memory: &memory{}}}
	if got := p.Plan(t.Context(), "example.org", Message{}).Attempts[0].Level; got != starttls.May {
		t.Fatal(got)
	}
	e := p.Plan(t.Context(), "example.org", Message{}).Evidence
	p.Remember(t.Context(), "example.org", "mx.example.org", policy.Seen{Last: e.At})
	if a := p.Plan(t.Context(), "example.org", Message{}).Attempts[0]; a.Level != starttls.Encrypt || a.Source != policy.FromMemory {
		t.Errorf("%s from %s", a.Level, a.Source)
	}
}

func TestPlannerRefusesNonsense(t *testing.T) {
	p := &Planner{Gatherer: &policy.Gatherer{Resolver: &counting{}}}
	if r := p.Plan(t.Context(), "no domain", Message{}).Refusal; r == nil || r.Code != 501 {
		t.Errorf("%+v", r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.Gatherer.Resolver = hanging{}
	if r := p.Plan(ctx, "example.org", Message{}).Refusal; r == nil || r.Enhanced != "4.4.3" {
		t.Errorf("%+v", r)
	}
}

// TestPlannerUnfit: DANE that is demanded of all is not to be had without DNSSEC.
func TestPlannerUnfit(t *testing.T) {
	fit := false
	p := &Planner{Gatherer: &policy.Gatherer{Resolver: &counting{}}, Fit: func() bool { return fit }}
	p.Options.Default = &policy.Override{Level: starttls.DaneOnly}
	if r := p.Plan(t.Context(), "example.org", Message{}).Refusal; r == nil || r.Code != 451 || r.Enhanced != "4.3.5" {
		t.Errorf("%+v", r)
	}
	fit = true
	if r := p.Plan(t.Context(), "example.org", Message{}).Refusal; r == nil || r.Enhanced != "4.7.5" {
		t.Errorf("%+v", r)
	}
}

// hanging is a resolver without answers.
type hanging struct{}

func (hanging) Lookup(ctx context.Context, _ string, _ resolver.Type) (*resolver.Answer, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
