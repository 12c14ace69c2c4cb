//go:build linux

package main

import (
	"context"
	"math/rand/v2"
	"os"
	"time"
)

// A pace says how long a soak is, and how often what is done. Times are means.
type pace struct {
	length                    time.Duration
	between, round            time.Duration // between sessions of a client, and rounds of one that lasts
	kill, reload, renew, hand time.Duration
	garbage, stay             time.Duration // between clients that are none, and how long one of them stays at most
	sample                    time.Duration
	grace                     time.Duration // of the gateways
}

// full is the pace of a whole soak, except for its length.
func full(length time.Duration) pace {
	return pace{
		length: length, between: 2 * time.Second, round: 4 * time.Second,
		kill: 15 * time.Second, reload: 15 * time.Second, renew: 40 * time.Second, hand: 60 * time.Second,
		garbage: 300 * time.Millisecond, stay: 8 * time.Second, sample: 10 * time.Second, grace: 30 * time.Second,
	}
}

// every does something again and again until ctx ends. What it has begun it brings to its end.
func (w *world) every(ctx context.Context, mean time.Duration, what string, do func(context.Context) error) {
	for pause(ctx, mean) {
		switch err := do(context.WithoutCancel(ctx)); {
		case err == errStarved:
			w.tally.did(what + " that failed: " + err.Error())
		case err != nil:
			w.fail("%s: %v", what, err)
		default:
			w.tally.did(what)
		}
	}
}

// handOvers is how they are counted.
const handOvers = "hand-overs"

// trouble is all that is done, by the name under which it is counted.
func (w *world) trouble(ctx context.Context) map[string]func() {
	loop := func(mean time.Duration, what string, do func(context.Context) error) func() {
		return func() { w.every(ctx, mean, what, do) }
	}
	all := map[string]func(){
		"kills":   loop(w.pace.kill, "backends killed and restarted", w.killBackend),
		"renewal": loop(w.pace.renew, "certificates renewed", w.renew),
		"garbage": func() { w.throwGarbage(ctx) },
	}
	for _, g := range w.gateways {
		all["reload "+g.name] = func() { g.reloads(ctx) }
		if g.handed {
			all["hand over "+g.name] = loop(w.pace.hand, handOvers, func(ctx context.Context) error {
				g.order.Lock()
				defer g.order.Unlock()
				return g.handOver(ctx)
			})
		}
	}
	return all
}

// killBackend kills one of the processes behind, and starts it again after a while. Where it is the only
// one of a route, nobody can be served meanwhile; where it is one of several, only sessions that were
// there when it was killed may break.
func (w *world) killBackend(ctx context.Context) error {
	i := rand.IntN(processes)
	var alone, several []string
	for _, r := range w.routes {
		for _, p := range r.process {
			if p != i {
				continue
			}
			for _, g := range w.gateways {
				if len(r.process) > 1 {
					several = append(several, g.key(r))
				} else {
					alone = append(alone, g.key(r))
				}
			}
		}
	}
	away := w.aims.begin(aim{why: "its backend was killed"}, alone...)
	cut := w.aims.begin(aim{why: "its backend was killed"}, several...)
	w.backends[i].kill()
	w.aims.over(cut)
	pause(ctx, w.pace.kill/15)
	err := w.backends[i].start()
	w.aims.over(away)
	return err
}

// renew puts a new certificate in place of the one before. Every other time it is half written at first,
// and the gateways are asked to read that.
func (w *world) renew(ctx context.Context) error {
	for _, g := range w.gateways {
		g.order.Lock()
		defer g.order.Unlock()
	}
	text, err := w.pki.next()
	if err != nil {
		return err
	}
	if w.pki.serial%2 == 0 {
		if err := os.WriteFile(w.pki.file, text[:len(text)/2], 0o600); err != nil {
			return err
		}
		if err := w.reloadAll(ctx, "configuration not reloaded"); err != nil {
			return err
		}
		w.tally.did("certificates half written")
	}
	if err := w.pki.put(text); err != nil {
		return err
	}
	if err := w.reloadAll(ctx, "configuration reloaded"); err != nil {
		return err
	}
	w.inForce.Store(w.pki.serial)
	return nil
}

func (w *world) reloadAll(ctx context.Context, said string) error {
	for _, g := range w.gateways {
		if err := g.reload(ctx, said); err != nil {
			return err
		}
	}
	return nil
}

// reloads does to the routes of a gateway what a reload can do, one after the other.
func (g *routed) reloads(ctx context.Context) {
	for {
		for _, step := range []struct {
			what string
			do   func(context.Context) error
		}{
			{"reloads with a changed route", g.change},
			{"reloads with a route less", g.remove},
			{"reloads with it back", g.restore},
			{"reloads of a file with a mistake", g.mistake},
		} {
			last := step.what == "reloads with it back" // also when the soak is over
			if !pause(ctx, g.w.pace.reload) && !last {
				return
			}
			err := step.do(context.WithoutCancel(ctx))
			if err != nil {
				g.w.fail("%s, %s: %v", g.name, step.what, err)
				return
			}
			g.w.tally.did(step.what)
		}
	}
}

// edit has the gateway follow its file as it is after a change of what the file says.
func (g *routed) edit(ctx context.Context, change func()) error {
	g.order.Lock()
	defer g.order.Unlock()
	change()
	if err := g.write(g.config()); err != nil {
		return err
	}
	return g.reload(ctx, "configuration reloaded")
}

func (g *routed) any() *route {
	all := g.w.troubled()
	return all[rand.IntN(len(all))]
}

// change changes a route: its sessions go on as they began, and may last for grace.
func (g *routed) change(ctx context.Context) error {
	r := g.any()
	old := g.w.aims.begin(aim{why: "its route was changed, and grace was over", after: g.w.pace.grace}, g.key(r))
	defer g.w.aims.over(old)
	return g.edit(ctx, func() { g.edition[r.name]++ })
}

// remove takes a route away: nobody is served anew, and sessions may last for grace.
func (g *routed) remove(ctx context.Context) error {
	r := g.any()
	old := g.w.aims.begin(aim{why: "its route was removed, and grace was over", after: g.w.pace.grace}, g.key(r))
	g.away = g.w.aims.begin(aim{why: "its route was removed", newcomers: true}, g.key(r))
	defer g.w.aims.over(old)
	return g.edit(ctx, func() { g.gone[r.name] = true })
}

// restore brings it back.
func (g *routed) restore(ctx context.Context) error {
	if g.away == nil {
		return nil
	}
	defer g.w.aims.over(g.away)
	return g.edit(ctx, func() { clear(g.gone) })
}

// mistake has the gateway read a file that makes no sense: nothing may change.
func (g *routed) mistake(ctx context.Context) error {
	g.order.Lock()
	defer g.order.Unlock()
	if err := g.write(g.config() + "\n[[route]]\nlisten = \"gopher://127.0.0.1:70\"\n"); err != nil {
		return err
	}
	if err := g.reload(ctx, "configuration not reloaded"); err != nil {
		return err
	}
	return g.write(g.config())
}
