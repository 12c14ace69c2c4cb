package mtasts

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"starttls/resolver"
	"starttls/tlsrpt"
)

// A Client finds the policies of domains and keeps them. Its fields must not change once it is used; its
// methods may be called at the same time.
type Client struct {
	// Resolver looks up records and the addresses of policy hosts.
	Resolver resolver.Resolver
	// Cache keeps policies. If nil, a [Memory] does.
	Cache Cache
	// Roots are the CAs that may vouch for policy hosts. If nil, the system's.
	Roots *x509.CertPool
	// Dial connects to a policy host, "192.0.2.1:443". If nil, net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Allow says which addresses of policy hosts may be dialled. If nil, those that are [Public].
	Allow func(netip.Addr) bool
	// UserAgent is said to policy hosts. If empty, "starttls".
	UserAgent string
	// Parallel is how many policies are refreshed at once. If zero, 8.
	Parallel int
	// Now is the clock. If nil, time.Now.
	Now func() time.Time
	// Rand spreads refreshes; it returns a number from 0 to 1. If nil, math/rand/v2.
	Rand func() float64

	mu      sync.Mutex
	memory  *Memory // when Cache is nil
	flights map[flight]*landing
	failed  map[string]failure // by domain
}

// Of failures to fetch (RFC 8461 §3.3): "a period of five minutes or longer per version ID".
const (
	backOff     = 5 * time.Minute
	maxFailures = 10_000 // that are remembered
)

// A failure is the last fetch of a policy that failed.
type failure struct {
	id  string
	at  time.Time
	err error
}

// A flight is a question that is being answered: what others ask meanwhile is the same.
type flight struct {
	domain string
	anew   bool // the record from the servers and not from a cache
}

// A landing is the answer to a flight, once done is closed.
type landing struct {
	done  chan struct{}
	state State
	void  bool // the one who asked went away before there was an answer
}

// Policy returns the policy in force for a domain: the cached one while the record's id is the same, else
// freshly fetched. Without DNS or policy host a cached policy stays in force to its end, and without one
// there is none: see [State]. It takes 75 seconds at most, and returns what is cached when ctx ends. The domain is the
// recipient's, or the smart host, never a parent of it nor the target of a CNAME (RFC 8461 §3.4). What
// is no domain name has no policy.
func (c *Client) Policy(ctx context.Context, domain string) State {
	return c.once(ctx, domain)
}

// Recheck is [Client].Policy with the record asked of the servers themselves: "a message delivery attempt
// MUST NOT be permanently failed until the sender has first checked for the presence of a new policy"
// (RFC 8461 §5.1). It is for who is about to put mail off because of a policy.
func (c *Client) Recheck(ctx context.Context, domain string) State {
	return c.once(resolver.Anew(ctx), domain)
}

// once answers a question for all who ask it at the same time.
func (c *Client) once(ctx context.Context, domain string) State {
	name, err := resolver.Name(domain)
	if err != nil || name == "" {
		return State{Domain: domain} // an address literal, say (RFC 8461 §3.4)
	}
	key := flight{name, resolver.IsAnew(ctx)}
	for {
		c.mu.Lock()
		l := c.flights[key]
		if l == nil {
			break
		}
		c.mu.Unlock()
		select {
		case <-l.done:
			if !l.void {
				return l.state
			}
		case <-ctx.Done():
			return c.cached(ctx, name, &Error{name, tlsrpt.STSPolicyFetchError, context.Cause(ctx)})
		}
	}
	l := &landing{done: make(chan struct{})}
	if c.flights == nil {
		c.flights = make(map[flight]*landing)
	}
	c.flights[key] = l
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.flights, key)
		c.mu.Unlock()
		close(l.done)
	}()
	l.state = c.find(ctx, name)
	l.void = ctx.Err() != nil
	return l.state
}

// cached returns what is cached of a domain, and why nothing newer is known.
func (c *Client) cached(ctx context.Context, domain string, err error) State {
	e, ok := c.cache().Get(ctx, domain)
	if !ok || !e.live(c.now()) {
		return State{Domain: domain, Err: err}
	}
	return State{Domain: domain, Policy: e.Policy, ID: e.ID, Fetched: e.Fetched, Cached: true, Err: err}
}

// find answers a question from cache, record and policy host.
func (c *Client) find(ctx context.Context, domain string) State {
	s := c.cached(ctx, domain, nil)
	id, err := c.Record(ctx, domain)
	switch {
	case errors.Is(err, ErrNoRecord) && (s.Policy == nil || s.Policy.Mode == None):
		return s // nothing is announced, and nothing is missing
	case err != nil:
		s.Err = err
		return s
	case s.Policy != nil && s.ID == id: // ids have no order: any other is new
		return s
	}
	if s.Err = c.failedWith(domain, id); s.Err != nil {
		return s
	}
	p, err := c.fetch(ctx, domain, id)
	if err != nil {
		s.Err = err
		return s
	}
	return c.keep(ctx, Entry{Domain: domain, ID: id, Policy: p, Used: c.now()})
}

// fetch gets a policy and remembers when that fails, unless it is only that nobody waits for it any longer.
func (c *Client) fetch(ctx context.Context, domain, id string) (*Policy, error) {
	p, err := c.Fetch(ctx, domain)
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		c.remember(domain, failure{id, c.now(), err})
	}
	return p, err
}

// keep puts a policy that was just fetched into the cache, in place of any other: "none" is a withdrawal
// (RFC 8461 §8.3).
func (c *Client) keep(ctx context.Context, e Entry) State {
	c.mu.Lock()
	delete(c.failed, e.Domain)
	c.mu.Unlock()
	e.Fetched = c.now()
	e.Due = e.Fetched.Add(c.spread(refreshAfter(e.Policy.MaxAge)))
	e.Failures = 0
	c.cache().Put(ctx, e)
	return State{Domain: e.Domain, Policy: e.Policy, ID: e.ID, Fetched: e.Fetched}
}

// failedWith returns how the last fetch of a policy failed, if that was for the same id and a short
// time ago.
func (c *Client) failedWith(domain, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, ok := c.failed[domain]
	if ok && f.id == id && within(c.now().Sub(f.at), backOff) {
		return f.err
	}
	return nil
}

// remember keeps a failure; among too many, those that do not matter any longer go, or any.
func (c *Client) remember(domain string, f failure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		c.failed = make(map[string]failure)
	}
	if len(c.failed) >= maxFailures {
		for d, old := range c.failed {
			if !within(f.at.Sub(old.at), backOff) {
				delete(c.failed, d)
			}
		}
	}
	for d := range c.failed {
		if len(c.failed) < maxFailures {
			break
		}
		delete(c.failed, d)
	}
	c.failed[domain] = f
}

// within reports whether a span is shorter than most. One that is negative tells of a clock that was set
// back, and of nothing else.
func within(span, most time.Duration) bool { return span >= 0 && span < most }

func (c *Client) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

func (c *Client) cache() Cache {
	if c.Cache != nil {
		return c.Cache
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.memory == nil {
		c.memory = &Memory{Now: c.now}
	}
	return c.memory
}
