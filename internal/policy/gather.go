package policy

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"starttls/dane"
	"starttls/mtasts"
	"starttls/resolver"
)

// A Gatherer collects what there is to know of destinations. All it asks for, it asks for at the same time
// as far as that is possible. Its fields must not change once it is used; its methods may be called at the
// same time.
type Gatherer struct {
	// Resolver answers. It must not be nil.
	Resolver resolver.Resolver
	// STS knows the MTA-STS policies. If nil, there are none.
	STS STS
	// Memory knows what was seen of hosts. If nil, nothing was.
	Memory Memory
	// Override returns what the operator has set for a domain, or nil. It is given a domain as
	// resolver.Name returns it. If nil, nothing was set for any.
	Override func(domain string) *Override
	// MaxHosts is how many MX hosts are looked at, the most preferred. If zero, 20. Hosts that were not
	// looked at are not used.
	MaxHosts int
	// Timeout bounds each question to the DNS. If zero, 10 seconds.
	Timeout time.Duration
	// Now is the clock. If nil, time.Now.
	Now func() time.Time
}

// STS is what is asked of package mtasts.
type STS interface {
	// Policy returns what is known of a domain's policy.
	Policy(ctx context.Context, domain string) mtasts.State
	// Recheck is the same, with the record asked for anew: nothing is put off for the sake of a policy
	// that was replaced (RFC 8461 §5.1).
	Recheck(ctx context.Context, domain string) mtasts.State
}

// Memory is what was seen of hosts. It has no errors: where it cannot be asked, nothing is known.
type Memory interface {
	// Recall returns what was seen of a host, or nil.
	Recall(ctx context.Context, host string) *Seen
	// Remember notes a session with TLS: Last, Version, SPKI and Issuer are of that session.
	Remember(ctx context.Context, host string, s Seen)
}

const (
	defaultPort     = 25
	defaultMaxHosts = 20
	defaultTimeout  = 10 * time.Second
	// atOnce is how many hosts of one destination are looked up at the same time.
	atOnce = 8
)

// Gather collects the evidence on a destination. It has no error: what could not be found out is part of
// the evidence. When ctx ends, what is still asked for has failed.
func (g *Gatherer) Gather(ctx context.Context, d Destination) *Evidence {
	e := &Evidence{Domain: d.Domain, Addr: d.Addr, At: g.now(), Port: cmp.Or(d.Port, defaultPort), Fixed: d.Fixed}
	if d.Addr.IsValid() {
		// Neither DANE nor MTA-STS is for addresses (RFC 7672 §2.2, RFC 8461 §3.4).
		e.Hosts = []Host{{DANE: addressOnly(d)}}
		return e
	}
	if g.Override != nil {
		e.Override = g.Override(d.Domain)
	}
	var all sync.WaitGroup
	defer all.Wait()
	if g.STS != nil {
		all.Go(func() { e.STS = g.STS.Policy(ctx, d.Domain) })
	}
	if d.Fixed {
		e.Hosts = []Host{{Name: d.Domain}}
	} else {
		e.MX, e.MXErr = g.resolver().Lookup(ctx, d.Domain, resolver.MX)
		if e.MX != nil {
			e.Hosts, e.Unseen = g.hosts(d.Domain, e.MX)
		}
	}
	g.lookAt(ctx, e)
	return e
}

// Again asks anew for the MTA-STS policy on which evidence rests and reports whether there is another one
// by now; the evidence returned has it. It is for who is about to put a message off (RFC 8461 §5.1).
func (g *Gatherer) Again(ctx context.Context, e *Evidence) (*Evidence, bool) {
	if g.STS == nil || e.STS.Policy == nil {
		return e, false
	}
	again := *e
	again.STS = g.STS.Recheck(ctx, e.Domain)
	p := again.STS.Policy
	return &again, p == nil || p.Text != e.STS.Policy.Text
}

func addressOnly(d Destination) dane.Result {
	r := dane.Result{Outcome: dane.Absent, Why: "it is an address"}
	r.Addrs = append(r.Addrs, d.Addr)
	return r
}

// hosts returns the hosts that an answer names, each once, and how many were left out. Nothing that is
// left out is needed for what remains to be judged rightly.
func (g *Gatherer) hosts(domain string, mx *resolver.Answer) (hosts []Host, unseen int) {
	switch {
	case mx.NoName || isNull(mx):
		return nil, 0
	case len(mx.MX) == 0:
		return []Host{{Name: domain}}, 0 // (RFC 5321 §5.1)
	}
	seen := make(map[string]bool)
	for _, r := range mx.MX {
		if !seen[r.Host] {
			seen[r.Host] = true
			hosts = append(hosts, Host{Name: r.Host, Pref: r.Pref})
		}
	}
	slices.SortStableFunc(hosts, func(a, b Host) int { return cmp.Compare(a.Pref, b.Pref) })
	most := min(len(hosts), cmp.Or(g.MaxHosts, defaultMaxHosts))
	return hosts[:most:most], len(hosts) - most
}

// isNull reports whether a domain takes no mail (RFC 7505 §3).
func isNull(mx *resolver.Answer) bool { return len(mx.MX) == 1 && mx.MX[0].Host == "" }

// lookAt looks up all hosts.
func (g *Gatherer) lookAt(ctx context.Context, e *Evidence) {
	var all sync.WaitGroup
	turn := make(chan struct{}, atOnce)
	for i := range e.Hosts {
		h := &e.Hosts[i]
		turn <- struct{}{}
		all.Go(func() {
			defer func() { <-turn }()
			h.DANE = dane.Lookup(ctx, g.resolver(), h.Name, e.Port)
			if g.Memory != nil {
				h.Seen = g.Memory.Recall(ctx, h.Name)
			}
		})
	}
	all.Wait()
}

func (g *Gatherer) now() time.Time {
	if g.Now != nil {
		return g.Now()
	}
	return time.Now()
}

func (g *Gatherer) resolver() resolver.Resolver {
	return hasty{g.Resolver, cmp.Or(g.Timeout, defaultTimeout)}
}

// hasty gives each question a time of its own.
type hasty struct {
	resolver.Resolver
	timeout time.Duration
}

func (h hasty) Lookup(ctx context.Context, name string, t resolver.Type) (*resolver.Answer, error) {
	asking, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	a, err := h.Resolver.Lookup(asking, name, t)
	if err != nil && asking.Err() != nil && ctx.Err() == nil {
		err = &resolver.Error{Name: name, Type: t, Code: -1, Err: context.DeadlineExceeded}
	}
	return a, err
}
