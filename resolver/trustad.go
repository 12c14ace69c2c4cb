package resolver

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	proofTime  = time.Hour   // how long a proof holds
	proofRetry = time.Minute // how soon the next is tried when one failed
)

// A TrustAD is a [Resolver] that believes a server that validates: "secure" is what comes with the AD
// bit (RFC 4035 §3.2.3). So nobody may stand between: a server on this machine's loopback, or DNS over
// TLS with the name in its certificate; any other is refused before it is asked. And it has to prove,
// every hour, that it does validate; until it has, all lookups fail, and none is insecure instead.
//
// It costs less than a [Validator] and is as good as the server. Its fields must not be changed once it
// is used.
type TrustAD struct {
	// Servers are the resolvers to ask, as for a [Validator]. If empty, those of /etc/resolv.conf.
	Servers []string
	// Bogus is a name that exists and whose signatures are known to be wrong: part of the proof is that
	// the server does not answer for it. If empty, the proof is only that the root is secure.
	Bogus string
	// Timeout is for one lookup. If zero, ten seconds.
	Timeout time.Duration
	// CacheSize is how many answers are kept. If zero, 10,000.
	CacheSize int
	// RootCAs verify servers of DNS over TLS. If nil, the system's.
	RootCAs *x509.CertPool
	// Dial connects to a server; network is "udp" or "tcp". If nil, a [net.Dialer] does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Now is the clock. If nil, [time.Now].
	Now func() time.Time

	once    sync.Once
	fault   error  // of the fields
	bogus   string // Bogus with the last dot
	client  *client
	lookups *lookups
	proofs  cache[struct{}, struct{}] // of the one thing there is to prove

	mu     sync.Mutex
	health Health
}

// A Health is what is known of the server that a [TrustAD] believes.
type Health struct {
	Proved time.Time // when it was last proved to validate; zero if never
	Err    error     // why the last proof failed; nil if it did not
}

// Lookup returns the records of a type at a name, see [Resolver].
func (r *TrustAD) Lookup(ctx context.Context, name string, t Type) (*Answer, error) {
	if err := r.proved(ctx); err != nil {
		return nil, question{name, t}.failed(ctx, err)
	}
	return r.lookups.get(ctx, name, t, func() source { return believer{r} })
}

// Check has the servers prove now that they validate. Its error tells of every one that does not.
func (r *TrustAD) Check(ctx context.Context) error {
	r.proofs.forget(struct{}{})
	return r.proved(ctx)
}

// Run has the servers prove that they validate, at once and then every hour, or every minute while they
// do not, until the context ends. Lookups do so by themselves when they must: Run is for who watches
// [TrustAD.Health].
func (r *TrustAD) Run(ctx context.Context) {
	for ctx.Err() == nil {
		wait := proofTime
		if r.Check(ctx) != nil {
			wait = proofRetry
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// Health returns what the last proof has shown.
func (r *TrustAD) Health() Health {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.health
}

// proved returns nil while the last proof holds, or when a new one succeeds.
func (r *TrustAD) proved(ctx context.Context) error {
	if err := r.setup(); err != nil {
		return err
	}
	_, err := r.proofs.get(ctx, struct{}{}, func() (none struct{}, keep time.Duration, err error) {
		err = r.prove(ctx)
		if ctx.Err() != nil {
			return none, 0, ctx.Err() // who asked has left, and nothing is shown
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.health.Err = err; err != nil {
			return none, failKeep, err
		}
		r.health.Proved = r.now()
		return none, proofTime, nil
	})
	return err
}

// prove asks each server for what must be secure, and what must not be answered.
func (r *TrustAD) prove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.lookups.timeout)
	defer cancel()
	var faults []error
	for _, s := range r.client.servers {
		one := newClient([]server{s}, r.Dial, r.RootCAs)
		if err := r.proveServer(ctx, one); err != nil {
			faults = append(faults, fmt.Errorf("the DNS server %s is not proved to validate: %w", s, err))
		}
	}
	return errors.Join(faults...)
}

func (r *TrustAD) proveServer(ctx context.Context, c *client) error {
	root, err := c.exchange(ctx, query(".", dns.TypeSOA, false))
	if err != nil {
		return err
	}
	if !root.authentic || root.set(".", dns.TypeSOA) == nil {
		return errors.New("it does not say that the root is secure")
	}
	if r.bogus == "" {
		return nil
	}
	_, err = c.exchange(ctx, query(r.bogus, dns.TypeA, false))
	switch e, ok := errors.AsType[*Error](err); {
	case err == nil:
		return fmt.Errorf("it answers for %s, whose signatures are wrong", plain(r.bogus))
	case !ok || e.Code == edeUnreachable:
		return err // silence proves nothing
	}
	return nil
}

// setup reads the fields, once.
func (r *TrustAD) setup() error {
	r.once.Do(func() {
		servers, err := parseServers(r.Servers)
		for _, s := range servers {
			if s.name == "" && !s.addr.Addr().IsLoopback() {
				err = errors.Join(err, fmt.Errorf("the word of %s cannot be trusted: on the way from there it can be changed; want an address of loopback, or tls://ADDRESS#NAME", s))
			}
		}
		if r.Bogus != "" {
			name, nameErr := Name(r.Bogus)
			r.bogus, err = dns.CanonicalName(name), errors.Join(err, nameErr)
		}
		if r.fault = err; err != nil {
			return
		}
		r.client = newClient(servers, r.Dial, r.RootCAs)
		r.lookups = newLookups(r.Timeout, cmp.Or(r.CacheSize, 10_000), r.now)
		r.proofs = cache[struct{}, struct{}]{size: 1, now: r.now}
	})
	return r.fault
}

func (r *TrustAD) now() time.Time {
	if r.Now == nil {
		return time.Now()
	}
	return r.Now()
}

// A believer is the work of a TrustAD for one lookup.
type believer struct{ r *TrustAD }

// ask asks, and takes the server's word for what is bogus too, if it gives one (RFC 8914 §4.7 to §4.13).
func (b believer) ask(ctx context.Context, name string, t uint16) (*reply, error) {
	r, err := b.r.client.exchange(ctx, query(name, t, false))
	if e, ok := errors.AsType[*Error](err); ok && e.Code >= edeBogus && e.Code <= edeNoDenial {
		e.Status = Bogus
	}
	return r, err
}

func (b believer) judge(_ context.Context, set *rrset, r *reply) (verdict, error) {
	return verdict{why: r.unvalidated(), ttl: seconds(set.ttl())}, nil
}

func (b believer) judgeDenial(_ context.Context, r *reply, _ string, _ uint16) (verdict, error) {
	return verdict{why: r.unvalidated(), ttl: r.denialTTL(), noName: r.rcode == dns.RcodeNameError}, nil
}

// unvalidated says that the server does not call the reply secure, or "".
func (r *reply) unvalidated() string {
	if r.authentic {
		return ""
	}
	return "the resolver does not say that it is secure"
}
