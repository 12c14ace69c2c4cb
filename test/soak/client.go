//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"starttls"
)

// A client has one session after the other with a route of a gateway, by package starttls.
type client struct {
	w *world
	g *routed
	r *route
	// long says that its sessions last: at a gateway that is handed over for less than grace, at another
	// until they are broken or the soak is over.
	long bool
}

// run does so until ctx ends. A session that has begun is brought to its end.
func (c *client) run(ctx context.Context) {
	for pause(ctx, c.w.pace.between) {
		c.session(ctx)
	}
}

// pause waits for up to twice a time, and reports whether there is more to do.
func pause(ctx context.Context, mean time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(rand.N(2*mean) + time.Millisecond):
		return true
	}
}

// session is one session, counted.
func (c *client) session(ctx context.Context) {
	l := life{began: time.Now()}
	rounds, err := c.converse(ctx, &l)
	l.broke = time.Now()
	why := ""
	if err != nil {
		why = c.w.aims.at(c.g.key(c.r), l)
	}
	c.w.tally.ended(c.r.dialect.Name, l.broke.Sub(l.began), rounds, why, err != nil && why == "")
	if err != nil && why == "" {
		c.w.fail("%s, %s, begun %s before, %d rounds: %v", c.g.key(c.r), c.r.dialect.Name, l.broke.Sub(l.began).Round(time.Millisecond), rounds, err)
	}
}

// converse opens a session, works in it, and leaves.
func (c *client) converse(ctx context.Context, l *life) (rounds int, err error) {
	atLeast := c.w.inForce.Load()
	config := c.w.pki.client()
	// Not ctx: the end of the soak breaks nothing.
	conn, err := starttls.Dial(context.WithoutCancel(ctx), c.g.url(c.r), &starttls.Config{TLS: config, Timeout: patience})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	l.up = time.Now()
	if serial, err := serialOf(conn.ConnectionState()); err != nil || serial < atLeast {
		return 0, fmt.Errorf("shown certificate %d after %d was in force: %w", serial, atLeast, err)
	}
	t, s := newTalk(conn.Conn, config), scripts[c.r.dialect.Name]
	if _, err := t.walk(s.open, mark); err != nil {
		return 0, err
	}
	for more := true; more; rounds++ {
		if err := c.round(t, s); err != nil {
			return rounds, err
		}
		more = c.again(ctx, l, rounds)
	}
	return rounds, t.leave(s.bye)
}

// again waits before the next round of a session, and reports whether there is one.
func (c *client) again(ctx context.Context, l *life, rounds int) bool {
	switch {
	case !c.long:
		return rounds < 2 && pause(ctx, c.w.pace.round/20)
	case c.g.handed && time.Since(l.up) > c.w.pace.grace/2: // the round and the goodbye are to fit in
		return false
	}
	return pause(ctx, c.w.pace.round)
}

// round does the protocol's work once, and compares what was heard with what was heard the first time.
func (c *client) round(t *talk, s script) error {
	heard, err := t.walk(s.round, fmt.Sprintf("%08x", rand.Uint32()))
	if err == nil && s.fetch != nil {
		var more string
		more, err = s.fetch(t)
		heard += more
	}
	if err != nil {
		return err
	}
	if first, loaded := c.w.tally.heard.LoadOrStore(c.r.dialect.Name, heard); loaded && first != heard {
		return fmt.Errorf("heard %.300q, not %.300q as before", heard, first)
	}
	return nil
}

// A tally has the sessions of a soak.
type tally struct {
	heard sync.Map // dialect to what is heard in a round

	mu       sync.Mutex
	begun    time.Time
	dialects map[string]*count
	longest  time.Duration  // of the sessions
	done     map[string]int // things that were done, by their name
	failures []string
}

// A count is of the sessions of a dialect.
type count struct {
	sessions, rounds, failed int
	aimed                    map[string]int // broken, by what was done
}

// ended counts a session: aimed is what was done that has broken it, if anything was, and failed says that
// it broke and nothing was.
func (t *tally) ended(dialect string, took time.Duration, rounds int, aimed string, failed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.longest = max(t.longest, took)
	if t.dialects == nil {
		t.dialects = make(map[string]*count)
	}
	c := t.dialects[dialect]
	if c == nil {
		c = &count{aimed: make(map[string]int)}
		t.dialects[dialect] = c
	}
	c.sessions++
	c.rounds += rounds
	if aimed != "" {
		c.aimed[aimed]++
	}
	if failed {
		c.failed++
	}
}

// did counts something that was done.
func (t *tally) did(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done == nil {
		t.done = make(map[string]int)
	}
	t.done[what]++
}

// fail notes what must not happen, and tells it at once.
func (w *world) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	t := &w.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures = append(t.failures, text)
	fmt.Fprintf(w.out, "FAILED %s (%s after the beginning): %s\n", time.Now().Format("15:04:05.000"), time.Since(t.begun).Round(time.Millisecond), text)
}
