// Package pool has several servers that do the same: which of them are well, by checking them now and
// then, and which is to be used next.
//
// It does not dial: what a check is, and what a use is, is said by who has the servers.
package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// A Balance is how a server is chosen among those that are well.
type Balance uint8

// The balances.
const (
	First      Balance = iota // the first of the list; the others only when it is down
	RoundRobin                // one after the other
	Least                     // the one with the fewest uses
)

var balances = []string{"first", "round-robin", "least"}

// ParseBalance reads a balance by its name; the empty name is First.
func ParseBalance(s string) (Balance, error) {
	if s == "" {
		return First, nil
	}
	i := slices.Index(balances, s)
	if i < 0 {
		return First, fmt.Errorf("unknown balance %q; meant is first, round-robin or least", s)
	}
	return Balance(i), nil
}

// A Config says how servers are chosen and checked. The zero Config is good.
type Config struct {
	Balance Balance
	// Every is how long a check comes after the one before. If zero, ten seconds.
	Every time.Duration
	// Timeout bounds one check. If zero, five seconds.
	Timeout time.Duration
	// Fall is how many failures in a row make a server one that is down, Rise how many successes make it
	// well again. If zero, three and two.
	Fall, Rise int
	// Changed is told when a server goes down, with the failure, and when it is well again, with nil. It is
	// called by one goroutine at a time and must not call the pool. If nil, nobody is told.
	Changed func(server int, why error)
}

// ErrNothing is wrapped by a failure that says nothing of the server: it is ours.
var ErrNothing = errors.New("nothing was found")

// errTimeout is the cause with which a check's context ends.
var errTimeout = errors.New("it did not answer in time")

// A Pool is a number of servers. Each is well at the beginning. Its methods may be called at the same time.
type Pool struct {
	config Config

	mu      sync.Mutex
	servers []server
	next    int // where RoundRobin goes on
}

// A server is what is known of one. Its fields are guarded by the pool's mu.
type server struct {
	down error // the failure that has made it so; nil if it is well
	odd  int   // results in a row that are not as it is
	uses int
}

// New returns a pool of n servers.
func New(n int, c Config) *Pool {
	if c.Every == 0 {
		c.Every = 10 * time.Second
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Fall == 0 {
		c.Fall = 3
	}
	if c.Rise == 0 {
		c.Rise = 2
	}
	return &Pool{config: c, servers: make([]server, n)}
}

// Timeout is how long a check may take.
func (p *Pool) Timeout() time.Duration { return p.config.Timeout }

// Take chooses a server that is not among tried, one that is well if there is any, and counts it as used until
// release is called. One that is down may be well again, and no check has come by yet: it is worth a try before
// a client is turned away. It reports false when all were tried.
func (p *Pool) Take(tried []int) (i int, release func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i = p.choose(tried, false); i < 0 {
		i = p.choose(tried, true)
	}
	if i < 0 {
		return -1, nil, false
	}
	p.next = (i + 1) % len(p.servers)
	p.servers[i].uses++
	return i, sync.OnceFunc(func() {
		p.mu.Lock()
		p.servers[i].uses--
		p.mu.Unlock()
	}), true
}

// choose returns the next of the servers that are well, or of those that are down, or -1. It is called with mu
// held.
func (p *Pool) choose(tried []int, down bool) int {
	i := -1
	for k := range p.servers {
		at := k
		if p.config.Balance == RoundRobin {
			at = (p.next + k) % len(p.servers)
		}
		switch {
		case (p.servers[at].down != nil) != down, slices.Contains(tried, at):
		case i < 0, p.config.Balance == Least && p.servers[at].uses < p.servers[i].uses:
			i = at
		}
	}
	return i
}

// Tell tells the pool what a check, or a use, has found of a server: nil, or a failure that is the server's
// own and not that of who used it. One that wraps ErrNothing counts for nothing.
func (p *Pool) Tell(i int, failure error) {
	if errors.Is(failure, ErrNothing) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.servers[i]
	if (failure != nil) == (s.down != nil) {
		s.odd = 0
		return
	}
	s.odd++
	if failure != nil && s.odd < p.config.Fall || failure == nil && s.odd < p.config.Rise {
		return
	}
	s.odd, s.down = 0, failure
	if p.config.Changed != nil {
		p.config.Changed(i, failure)
	}
}

// Run checks each server every so often until ctx ends, and returns when all checks have.
func (p *Pool) Run(ctx context.Context, check func(ctx context.Context, server int) error) {
	var all sync.WaitGroup
	for i := range p.servers {
		all.Go(func() { p.watch(ctx, i, check) })
	}
	all.Wait()
}

func (p *Pool) watch(ctx context.Context, i int, check func(context.Context, int) error) {
	tick := time.NewTicker(p.config.Every)
	defer tick.Stop()
	for {
		timed, cancel := context.WithTimeoutCause(ctx, p.config.Timeout, errTimeout)
		err := check(timed, i)
		cancel()
		if ctx.Err() != nil {
			return
		}
		p.Tell(i, err)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// A State is how a server is.
type State struct {
	Down error // why it is down; nil if it is well
	Uses int   // now
}

// States returns how each server is.
func (p *Pool) States() []State {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]State, len(p.servers))
	for i, s := range p.servers {
		all[i] = State{s.down, s.uses}
	}
	return all
}
