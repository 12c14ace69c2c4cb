package resolver

import (
	"context"
	"sync"
	"time"
)

// A cache keeps what was found for as long as it may be kept, errors too (RFC 9520 §3.2), and lets all
// who want the same thing at the same time wait for the one who fetches it.
type cache[K comparable, V any] struct {
	size int
	now  func() time.Time

	mu      sync.Mutex
	entries map[K]*entry[V]
}

type entry[V any] struct {
	done    chan struct{} // closed when what follows is there
	value   V
	err     error
	own     bool // the error is of the one who fetched, and says nothing to others
	expires time.Time
}

// get returns what is kept for a key, or what fetch finds, which says how long that may be kept. An error
// that may not be kept at all is only for the one who fetched (its time ran out, its budget is spent): of
// those who wait, the next fetches.
func (c *cache[K, V]) get(ctx context.Context, key K, fetch func() (V, time.Duration, error)) (V, error) {
	for {
		e, ours := c.claim(key)
		if ours {
			value, keep, err := fetch()
			c.settle(key, e, value, keep, err)
			return value, err
		}
		select {
		case <-e.done:
		case <-ctx.Done():
			var none V
			return none, ctx.Err()
		}
		if !e.own {
			return e.value, e.err
		}
	}
}

// claim returns the entry of a key, and whether the caller has to fill it.
func (c *cache[K, V]) claim(key K) (e *entry[V], ours bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e = c.entries[key]
	if e != nil && (!e.settled() || c.now().Before(e.expires)) {
		return e, false
	}
	if c.entries == nil {
		c.entries = make(map[K]*entry[V])
	}
	if e == nil && len(c.entries) >= c.size {
		c.evict()
	}
	e = &entry[V]{done: make(chan struct{})}
	c.entries[key] = e
	return e, true
}

// forget drops what is kept for a key.
func (c *cache[K, V]) forget(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[key]; e != nil && e.settled() {
		delete(c.entries, key)
	}
}

// settle fills an entry. A value that may not be kept is only for those who wait already.
func (c *cache[K, V]) settle(key K, e *entry[V], value V, keep time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.value, e.err, e.own, e.expires = value, err, err != nil && keep <= 0, c.now().Add(keep)
	if keep <= 0 {
		delete(c.entries, key)
	}
	close(e.done)
}

// evict makes room: what has expired among a few, else any (the order of a map is no order).
func (c *cache[K, V]) evict() {
	const look = 8
	var victim *K
	n := 0
	for key, e := range c.entries {
		if !e.settled() {
			continue
		}
		victim = &key
		if n++; n == look || !c.now().Before(e.expires) {
			break
		}
	}
	if victim != nil {
		delete(c.entries, *victim)
	}
}

func (e *entry[V]) settled() bool {
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}
