package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"

	"starttls"
	"starttls/internal/policy"
	"starttls/internal/relay"
	"starttls/internal/status"
	"starttls/internal/store"
	"starttls/mtasts"
	"starttls/tlsrpt"
)

// An outbound is what a route that passes mail on is made of. Nothing of it is open.
type outbound struct {
	relay.Config
	// planner makes the plans for mx:, nil for a server that we log in to.
	planner  *relay.Planner
	evidence evidenceFlags
	store    storeFlags
	socket   string             // of a collector of reports; empty if there is none
	hook     func() *relay.Hook // makes one for alarms, nil if there is to be none
	log      *slog.Logger
}

// An open outbound ends what it works with when its sessions have ended.
type openOutbound struct {
	*relay.Relay
	kept   *store.Store // nil if nothing is
	work   sync.WaitGroup
	cancel context.CancelFunc
	ends   []func()
}

// Drain is the relay's; afterwards all is closed.
func (o *openOutbound) Drain(ctx context.Context) (broken int) {
	broken = o.Relay.Drain(ctx)
	o.cancel()
	o.work.Wait()
	for _, end := range o.ends {
		end()
	}
	return broken
}

// An unservable route is one of which something could not be opened.
type unservable struct{ error }

func (u unservable) Serve(_ context.Context, ln net.Listener) error {
	ln.Close()
	return u.error
}
func (unservable) Live() int                 { return 0 }
func (unservable) Drain(context.Context) int { return 0 }

// open opens all that is needed, for a front and with a board to show it on.
func (o *outbound) open(name string, front relay.Front, b *board) server {
	c := o.Config
	c.Front, c.Label = front, name
	c.Delivered = func(d relay.Delivery) { b.delivered(name, d) }
	ctx, cancel := context.WithCancel(context.Background())
	opened := &openOutbound{cancel: cancel}
	tell := []func(relay.Alarm){func(a relay.Alarm) {
		b.Alarm(fmt.Sprintf("%s: %s (%s, %s): %s", name, cmp.Or(a.Host, a.Domain), a.Kind, a.Source, a.Text))
	}}
	if o.hook != nil {
		hook := o.hook()
		opened.work.Go(func() { hook.Run(ctx) })
		tell = append(tell, hook.Add)
	}
	c.Alarm = func(a relay.Alarm) {
		for _, t := range tell {
			t(a)
		}
	}
	if o.planner != nil {
		if err := o.gather(ctx, &c, opened); err != nil {
			cancel()
			opened.work.Wait()
			return unservable{err}
		}
	}
	opened.Relay = relay.New(c)
	return opened
}

// gather opens what plans are made of, and where outcomes are counted.
func (o *outbound) gather(ctx context.Context, c *relay.Config, opened *openOutbound) error {
	var cache mtasts.Cache = &mtasts.Memory{}
	var kept *store.Store
	var err error
	if o.evidence.within == nil || o.store.url != "" {
		if kept, err = openStore(o.store.url, o.store.state, o.log); err != nil {
			return err
		}
		opened.ends = append(opened.ends, func() { closeStore(kept, o.log) })
		cache = kept.Policies
	}
	e, err := o.evidence.open(cache, o.log)
	if err != nil {
		return err
	}
	opened.ends = append(opened.ends, e.close)
	if e.lab != nil {
		c.Dial, c.TLS = e.lab.Dial, &tls.Config{RootCAs: e.lab.Roots(), ClientSessionCache: tls.NewLRUClientSessionCache(0)}
	}
	p := &relay.Planner{Gatherer: e.gather, Options: o.planner.Options, Fit: e.fit.Load}
	if kept != nil {
		p.Gatherer.Memory = kept.Hosts
		opened.kept = kept
	}
	c.Plan, c.Again, c.Remember = p.Plan, p.Again, p.Remember
	c.Tally = o.tally(ctx, e, kept, opened)
	opened.work.Go(func() {
		if err := e.prove(ctx); err != nil && ctx.Err() == nil {
			o.log.Error(unfitDNS, "error", err)
		}
		e.run(ctx)
	})
	return nil
}

// tally returns where sessions are counted.
func (o *outbound) tally(ctx context.Context, e *evidence, kept *store.Store, opened *openOutbound) func(tlsrpt.Session) {
	var all []func(tlsrpt.Session)
	if kept != nil {
		all = append(all, kept.Tally.Add)
	}
	if o.socket != "" {
		collector := &relay.Collector{Socket: o.socket, Resolver: e.names, Log: o.log}
		opened.work.Go(func() { collector.Run(ctx) })
		all = append(all, collector.Add)
	}
	return func(s tlsrpt.Session) {
		for _, add := range all {
			add(s)
		}
	}
}

// delivered counts a delivery.
func (b *board) delivered(route string, d relay.Delivery) {
	b.Ended(status.Session{Route: route, Outcome: d.Outcome, Took: d.Took})
	if b.Set == nil {
		return
	}
	word, _, _ := strings.Cut(d.TLS, "/")
	name := fmt.Sprintf("starttls_deliveries_total{route=%q,outcome=%q,level=%q,tls=%q}", route, d.Outcome, cmp.Or(d.Level, "unknown"), cmp.Or(word, "unknown"))
	b.Set.GetOrCreateCounter(name).Inc()
}

// parseHook reads who is told of alarms.
func parseHook(word string, log *slog.Logger) (func() *relay.Hook, error) {
	if command, ok := strings.CutPrefix(word, "command:"); ok && command != "" {
		return func() *relay.Hook { return &relay.Hook{Command: command, Log: log} }, nil
	}
	if strings.HasPrefix(word, "https://") || strings.HasPrefix(word, "http://") {
		return func() *relay.Hook { return &relay.Hook{URL: word, Log: log} }, nil
	}
	return nil, fmt.Errorf("%q: meant is an URL, https://…, or command:COMMAND", word)
}

// planOptions are the words of mx:.
func planOptions(level starttls.Level, stripped string) (o policy.Options, err error) {
	o.Default = &policy.Override{Level: level}
	switch stripped {
	case "", "delay":
	case "deliver":
		o.Stripped = policy.Deliver
	default:
		err = fmt.Errorf("stripped=%s: meant is delay or deliver", stripped)
	}
	return o, err
}
