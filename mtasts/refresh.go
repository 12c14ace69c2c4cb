package mtasts

import (
	"cmp"
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Times of refreshing. "A suggested refresh frequency is once per day" (RFC 8461 §3.3).
const (
	refreshEvery = 24 * time.Hour
	refreshLease = 10 * time.Minute
	longestRetry = 6 * time.Hour
	refreshLook  = time.Minute // between two looks at what is due
	refreshBatch = 6           // for each that is fetched at once: done long before the lease ends
)

// refreshAfter is when a policy is fetched anew: in a day, and long before its end.
func refreshAfter(maxAge time.Duration) time.Duration {
	return max(backOff, min(refreshEvery, maxAge/2))
}

// spread shortens a span by up to a quarter, so that what was fetched together is not due together.
func (c *Client) spread(span time.Duration) time.Duration {
	random := c.Rand
	if random == nil {
		random = rand.Float64
	}
	return span - time.Duration(random()*float64(span)/4)
}

// Run calls [Client].Refresh every minute until ctx ends. Alert is told of each policy that could not be
// fetched anew (RFC 8461 §3.3), and how many attempts in a row have failed.
func (c *Client) Run(ctx context.Context, alert func(s State, failures int)) {
	for ctx.Err() == nil {
		c.Refresh(ctx, alert)
		select {
		case <-time.After(refreshLook):
		case <-ctx.Done():
		}
	}
}

// Refresh fetches the cached policies whose time has come, Parallel at once, and returns when that is done.
// Alert is as in [Client].Run, and called by one goroutine at a time. It may be nil.
func (c *Client) Refresh(ctx context.Context, alert func(s State, failures int)) {
	var mu sync.Mutex
	tell := func(s State, failures int) {
		mu.Lock()
		defer mu.Unlock()
		if alert != nil && s.Err != nil {
			alert(s, failures)
		}
	}
	parallel := cmp.Or(c.Parallel, 8)
	for ctx.Err() == nil {
		entries := c.cache().Due(ctx, refreshBatch*parallel, refreshLease)
		if len(entries) == 0 {
			return
		}
		var all sync.WaitGroup
		slots := make(chan struct{}, parallel)
		for _, e := range entries {
			slots <- struct{}{}
			all.Go(func() {
				defer func() { <-slots }()
				tell(c.refresh(ctx, e))
			})
		}
		all.Wait()
	}
}

// refresh fetches a policy "regardless of" its record: who withholds that would otherwise let the policy run
// out (RFC 8461 §10.2).
func (c *Client) refresh(ctx context.Context, e Entry) (s State, failures int) {
	id, err := c.Record(ctx, e.Domain)
	if err != nil {
		id = e.ID // the next one that is seen is compared with the last one that was
	}
	p, err := c.fetch(ctx, e.Domain, id)
	if err == nil {
		return c.keep(ctx, Entry{Domain: e.Domain, ID: id, Policy: p, Used: e.Used}), 0
	}
	s = State{Domain: e.Domain, Policy: e.Policy, ID: e.ID, Fetched: e.Fetched, Cached: true}
	if ctx.Err() != nil {
		return s, e.Failures // we are being stopped
	}
	e.Due = c.now().Add(c.spread(min(longestRetry, backOff<<min(e.Failures, 10))))
	e.Failures++
	c.cache().Postpone(ctx, e)
	s.Err = err
	return s, e.Failures
}
