//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"
)

// soak runs a world for as long as its pace says, tells what it was like, and returns an error if
// anything was not as it must be.
func soak(ctx context.Context, dir string, p pace, out io.Writer) error {
	w, err := newWorld(dir, p, out)
	if err != nil {
		return err
	}
	defer w.kill()
	if err := w.start(ctx); err != nil {
		return err
	}
	if err := w.first(ctx); err != nil {
		return err
	}
	watch := &watch{w: w}
	if err := watch.look(ctx); err != nil {
		return err
	}
	w.tally.begun = time.Now()
	fmt.Fprintf(out, "soak for %s: %d routes at each of two gateways (pids %d and %d)\n",
		p.length, len(w.routes), w.gateways[0].pid, w.gateways[1].pid)
	w.run(ctx, watch)
	w.settle(ctx, watch)
	w.table(watch)
	if n := len(w.tally.failures); n > 0 {
		return fmt.Errorf("%d failures", n)
	}
	return ctx.Err()
}

// first has one session with each route, one after the other, and learns what is to be heard.
func (w *world) first(ctx context.Context) error {
	for _, g := range w.gateways {
		for _, r := range w.routes {
			c := &client{w: w, g: g, r: r}
			if _, err := c.converse(ctx, &life{}); err != nil {
				return fmt.Errorf("the first session with %s: %w", g.key(r), err)
			}
		}
	}
	return w.idle(ctx)
}

// idle waits until no session is left anywhere.
func (w *world) idle(ctx context.Context) error {
	var failed error
	for _, g := range w.gateways {
		failed = errors.Join(failed, until(ctx, "no session is left at "+g.name, func() bool {
			m, err := g.scrape(ctx)
			return err == nil && m["starttls_sessions_live"] == 0 && g.instances() == 1
		}))
	}
	return failed
}

// run has everything happen at once. Trouble ends first, so that what it did is made good before the
// last sessions end.
func (w *world) run(ctx context.Context, watch *watch) {
	ctx, cancel := context.WithTimeout(ctx, w.pace.length)
	defer cancel()
	var clients, troubles sync.WaitGroup
	for _, do := range w.trouble(ctx) {
		troubles.Go(do)
	}
	troubles.Go(func() { watch.run(ctx) })
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	for _, g := range w.gateways {
		for _, r := range w.routes {
			for _, long := range []bool{false, true} {
				clients.Go(func() { (&client{w, g, r, long}).run(working) })
			}
		}
	}
	troubles.Wait()
	stop()
	clients.Wait()
}

// settle looks at what is left when all sessions have ended: as much as before there were any. Then the
// gateways end.
func (w *world) settle(ctx context.Context, watch *watch) {
	ctx = context.WithoutCancel(ctx)
	if err := w.idle(ctx); err != nil {
		w.fail("%v", err)
	}
	if err := watch.back(ctx); err != nil {
		w.fail("%v", err)
	}
	for _, g := range w.gateways {
		if err := g.stop(ctx); err != nil {
			w.fail("%v", err)
		}
		for _, line := range g.journal.complaints() {
			w.fail("the log of %s: %s", g.name, line)
		}
		if n := g.journal.count("sessions were broken off"); g.handed && n > 0 {
			w.fail("%s has broken sessions off %d times: %s", g.name, n, g.journal.last("sessions were broken off"))
		}
	}
	watch.used = processorTime(syscall.RUSAGE_SELF) // of clients; children are added when they are gone
	w.kill()
	watch.used += processorTime(syscall.RUSAGE_CHILDREN)
}

// processorTime is what this process has used, or the children that have ended.
func processorTime(who int) time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(who, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A watch looks at the gateways' processes again and again.
type watch struct {
	w       *world
	samples []sample
	used    time.Duration // of the processor, by all but instances that others have started
}

// A sample is how the gateways were at one time.
type sample struct {
	at   time.Time
	each []figures // by gateway
}

// figures are of the instance that serves.
type figures struct {
	memory, descriptors, goroutines float64
	live                            float64
	instances                       int
}

// figuresOf reads them from metrics.
func figuresOf(m map[string]float64) figures {
	return figures{
		memory: m["process_resident_memory_bytes"], descriptors: m["process_open_fds"], goroutines: m["go_goroutines"],
		live: m["starttls_sessions_live"],
	}
}

// slack is how many more descriptors and goroutines there may be after the last session than before the
// first: the board has connections of its own.
const slack = 8

// above reports whether descriptors and goroutines have not gone back to what they were.
func (f figures) above(first figures) bool {
	return f.descriptors > first.descriptors+slack || f.goroutines > first.goroutines+slack
}

// look takes a sample.
func (v *watch) look(ctx context.Context) error {
	s := sample{at: time.Now()}
	for _, g := range v.w.gateways {
		m, err := g.scrape(ctx)
		if err != nil {
			return err
		}
		f := figuresOf(m)
		f.instances = g.instances()
		s.each = append(s.each, f)
	}
	v.samples = append(v.samples, s)
	return nil
}

// run looks until ctx ends.
func (v *watch) run(ctx context.Context) {
	tick := time.NewTicker(v.w.pace.sample)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			// Once more if it fails: on a machine that is too busy to answer in time, a hand-over cuts it off.
			look := func() error { return v.look(context.WithoutCancel(ctx)) }
			if look() == nil {
				continue
			}
			if err := look(); err != nil {
				v.w.fail("metrics: %v", err)
			}
		}
	}
}

// back waits until descriptors and goroutines are as many as in the first sample.
func (v *watch) back(ctx context.Context) error {
	var now sample
	err := until(ctx, "descriptors and goroutines as at first", func() bool {
		if v.look(ctx) != nil {
			return false
		}
		now, v.samples = v.samples[len(v.samples)-1], v.samples[:len(v.samples)-1]
		for i, f := range now.each {
			if f.above(v.samples[0].each[i]) {
				return false
			}
		}
		return true
	})
	v.samples = append(v.samples, now)
	if err != nil {
		return fmt.Errorf("%w: %+v, at first %+v", err, now.each, v.samples[0].each)
	}
	return nil
}

// A growth is what there was of something in the first half of a soak and in the second, on average.
type growth struct{ first, second, bound float64 }

func (g growth) flat() bool { return g.second <= g.bound }

// warmUp is the share of a soak at its beginning that is not looked at: memory that is needed at all has
// to be asked for once.
const warmUp = 0.1

// growth compares the halves. The second may have a tenth more than the first, and some.
func (v *watch) growth(gateway int, some float64, of func(figures) float64) growth {
	all := v.samples[1 : len(v.samples)-1] // without the one before the first session and the one after the last
	all = all[int(warmUp*float64(len(all))):]
	mean := func(part []sample) (sum float64) {
		for _, s := range part {
			sum += of(s.each[gateway])
		}
		return sum / float64(max(1, len(part)))
	}
	g := growth{first: mean(all[:len(all)/2]), second: mean(all[len(all)/2:])}
	g.bound = 1.1*g.first + some
	return g
}
