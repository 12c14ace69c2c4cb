package relay

import (
	"context"
	"sync"
	"time"

	"starttls"
	"starttls/internal/policy"
)

// A Planner makes plans out of evidence that is gathered once, and kept until it is too old. Its fields
// must not change once it is used.
type Planner struct {
	Gatherer *policy.Gatherer
	// Options are the operator's; what a message wishes goes with each plan.
	Options policy.Options
	// Fit reports whether DNSSEC works by way of our servers. Without it, where the operator demands DANE of
	// everybody, all mail waits. If nil, it does.
	Fit func() bool
	// MaxKept is how many destinations are kept. If zero, 10,000.
	MaxKept int

	mu   sync.Mutex
	kept map[string]*dossier
}

// A dossier is the evidence on one destination, once done is closed.
type dossier struct {
	done     chan struct{}
	evidence *policy.Evidence
	until    time.Time
}

// gathering bounds the time for evidence. It is not the message's: others may want it as well.
const gathering = 90 * time.Second

// Plan is for [Config].Plan.
func (p *Planner) Plan(ctx context.Context, next string, m Message) *policy.Plan {
	d, err := policy.ParseDestination(next)
	if err != nil {
		return refusing(next, 501, "5.1.3", "the destination is no domain: "+err.Error())
	}
	if o := p.Options.Default; o != nil && o.Level == starttls.DaneOnly && p.Fit != nil && !p.Fit() {
		return refusing(next, 451, "4.3.5", "DANE is demanded, and DNSSEC does not work by way of the DNS servers that we ask")
	}
	file := p.dossier(ctx, d)
	select {
	case <-file.done:
		return p.decide(file.evidence, m)
	case <-ctx.Done():
		return refusing(next, 451, "4.4.3", "it took too long to look "+next+" up")
	}
}

func refusing(next string, code int, enhanced, text string) *policy.Plan {
	return &policy.Plan{Domain: next, Refusal: &policy.Refusal{Code: code, Enhanced: enhanced, Text: text}}
}

func (p *Planner) decide(e *policy.Evidence, m Message) *policy.Plan {
	o := p.Options
	o.RequireTLS, o.TLSOptional = m.RequireTLS, m.TLSOptional
	return policy.Decide(e, o)
}

// dossier returns what is kept of a destination, or begins to gather it.
func (p *Planner) dossier(ctx context.Context, d policy.Destination) *dossier {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := d.String()
	if file := p.kept[next]; file != nil && (!file.ready() || time.Now().Before(file.until)) {
		return file
	}
	file := &dossier{done: make(chan struct{})}
	p.keep(next, file)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), gathering)
	go func() {
		defer cancel()
		file.evidence = p.Gatherer.Gather(ctx, d)
		file.until = p.decide(file.evidence, Message{}).Until
		close(file.done)
	}()
	return file
}

func (f *dossier) ready() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// keep puts a dossier in the place of any other, and throws some away when there are too many.
func (p *Planner) keep(next string, file *dossier) {
	if p.kept == nil {
		p.kept = map[string]*dossier{}
	}
	most := p.MaxKept
	if most == 0 {
		most = 10_000
	}
	for old := range p.kept { // in no order
		if len(p.kept) < most {
			break
		}
		delete(p.kept, old)
	}
	p.kept[next] = file
}

// Again is for [Config].Again.
func (p *Planner) Again(ctx context.Context, failed *policy.Plan, m Message) *policy.Plan {
	if failed.Evidence == nil {
		return nil
	}
	e, changed := p.Gatherer.Again(ctx, failed.Evidence)
	if !changed {
		return nil
	}
	plan := p.decide(e, m)
	file := &dossier{done: make(chan struct{}), evidence: e, until: plan.Until}
	close(file.done)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keep(failed.Domain, file)
	return plan
}

// Remember is for [Config].Remember. Evidence that does not know yet that the host gives TLS is gathered
// anew: whoever takes the offer away tomorrow must be noticed then.
func (p *Planner) Remember(ctx context.Context, next, host string, seen policy.Seen) {
	if p.Gatherer.Memory == nil {
		return
	}
	p.Gatherer.Memory.Remember(ctx, host, seen)
	p.mu.Lock()
	defer p.mu.Unlock()
	file := p.kept[next]
	if file == nil || !file.ready() {
		return
	}
	for _, h := range file.evidence.Hosts {
		if h.Name == host && h.Seen == nil {
			delete(p.kept, next)
		}
	}
}
