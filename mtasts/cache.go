package mtasts

import (
	"cmp"
	"container/list"
	"context"
	"slices"
	"sync"
	"time"
)

// A Cache keeps policies from one question to the next and, if it likes, across restarts. Its methods may
// be called at the same time. It has no errors: a cache that cannot do what it should says so elsewhere,
// and mail goes on with what is left.
type Cache interface {
	// Get returns what is kept of a domain, and notes that a delivery used it.
	Get(ctx context.Context, domain string) (Entry, bool)
	// Put keeps an entry in place of any other of that domain.
	Put(ctx context.Context, e Entry)
	// Postpone notes Due and Failures of an entry, if the policy kept is still the one of that entry.
	Postpone(ctx context.Context, e Entry)
	// Due returns at most n entries whose Due has come, the oldest first, and none of them again until
	// lease has passed: not to another process either that shares the cache. Those of mode None are left
	// to end, and so is what no delivery has used for [Idle].
	Due(ctx context.Context, n int, lease time.Duration) []Entry
}

// An Entry is a policy in a cache.
type Entry struct {
	Domain   string // as resolver.Name returns it
	ID       string // of the record with which it was fetched
	Policy   *Policy
	Fetched  time.Time
	Used     time.Time // when a delivery asked for it
	Due      time.Time // when it is to be fetched anew
	Failures int       // attempts to do so that failed, one after the other
}

// End is when the policy ends by the clock on the wall.
func (e Entry) End() time.Time { return e.Fetched.Round(0).Add(e.Policy.MaxAge) }

// live reports whether the policy is in force.
func (e Entry) live(now time.Time) bool { return now.Round(0).Before(e.End()) }

// Idle is how long a policy is fetched anew without a delivery that uses it.
const Idle = 30 * 24 * time.Hour

// A Memory is a Cache in memory. The zero value is ready for use.
//
// Whoever owns domains can fill it, so it is bounded; policies that enforce go last, and among each kind
// those that were not used for longest go first.
type Memory struct {
	// Max is how many policies are kept. If zero, 100,000.
	Max int
	// Now is the clock. If nil, time.Now.
	Now func() time.Time

	mu      sync.Mutex
	entries map[string]*list.Element // of *kept
	order   [2]list.List             // those that enforce come second; the last used is in front
}

// kept is an entry with its end by the clock that nobody sets.
type kept struct {
	Entry
	until time.Time // with a monotonic reading, so that a clock set back prolongs no policy
}

// rank tells those that enforce from the others.
func (e Entry) rank() int {
	if e.Policy.Mode == Enforce {
		return 1
	}
	return 0
}

// Get returns the entry of a domain unless it has ended.
func (m *Memory) Get(_ context.Context, domain string) (Entry, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	element := m.entries[domain]
	if element == nil {
		return Entry{}, false
	}
	now, k := m.now(), element.Value.(*kept)
	if !k.live(now) {
		m.remove(element)
		return Entry{}, false
	}
	k.Used = now
	m.order[k.rank()].MoveToFront(element)
	return k.Entry, true
}

// live reports whether the policy is in force by both clocks.
func (k *kept) live(now time.Time) bool { return now.Before(k.until) && k.Entry.live(now) }

// Put keeps an entry. One from the future, by a clock that was set back since, lives no longer than one
// that was fetched now, and is due.
func (m *Memory) Put(_ context.Context, e Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old := m.entries[e.Domain]; old != nil {
		m.remove(old)
	}
	now := m.now()
	left := min(e.End().Sub(now.Round(0)), e.Policy.MaxAge)
	if left <= 0 {
		return // max_age 0 is for this delivery only
	}
	if e.Fetched.Round(0).After(now.Round(0)) {
		e.Due = now
	}
	if m.entries == nil {
		m.entries = make(map[string]*list.Element)
	}
	m.entries[e.Domain] = m.order[e.rank()].PushFront(&kept{e, now.Add(left)})
	for len(m.entries) > cmp.Or(m.Max, 100_000) {
		m.remove(cmp.Or(m.order[0].Back(), m.order[1].Back()))
	}
}

func (m *Memory) remove(element *list.Element) {
	k := element.Value.(*kept)
	m.order[k.rank()].Remove(element)
	delete(m.entries, k.Domain)
}

// Postpone notes when an entry is due next.
func (m *Memory) Postpone(_ context.Context, e Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if element := m.entries[e.Domain]; element != nil {
		if k := element.Value.(*kept); k.Fetched.Equal(e.Fetched) {
			k.Due, k.Failures = e.Due, e.Failures
		}
	}
}

// Due returns entries whose time has come, and drops those that have ended.
func (m *Memory) Due(_ context.Context, n int, lease time.Duration) []Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	var due []*kept
	for _, element := range m.entries {
		switch k := element.Value.(*kept); {
		case !k.live(now):
			m.remove(element)
		case k.Policy.Mode != None && !now.Before(k.Due) && now.Sub(k.Used) < Idle:
			due = append(due, k)
		}
	}
	slices.SortFunc(due, func(a, b *kept) int { return a.Due.Compare(b.Due) })
	due = due[:min(n, len(due))]
	entries := make([]Entry, len(due))
	for i, k := range due {
		entries[i] = k.Entry
		k.Due = now.Add(lease)
	}
	return entries
}

// All returns the policies that are kept, in no order, those that have ended included.
func (m *Memory) All() []Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]Entry, 0, len(m.entries))
	for _, element := range m.entries {
		all = append(all, element.Value.(*kept).Entry)
	}
	return all
}

func (m *Memory) now() time.Time {
	if m.Now != nil {
		return m.Now()
	}
	return time.Now()
}
