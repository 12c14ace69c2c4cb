package resolver

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// How long things are kept at least and at most, whatever their TTL, and failures (RFC 9520 §3.2).
const (
	minKeep  = time.Second
	maxKeep  = 24 * time.Hour
	failKeep = 5 * time.Second
)

// A Validator is a [Resolver] that validates (RFC 4035 §5): it asks servers that need not be trusted for
// records and signatures, and proves what they say from trust anchors. Its zero value asks the system's
// servers and trusts the keys of the root. Its fields must not be changed once it is used.
type Validator struct {
	// Servers are the resolvers to ask: ADDRESS, ADDRESS:PORT, or tls://ADDRESS[:PORT]#NAME for DNS over
	// TLS (RFC 7858) with NAME in the server's certificate. The next is asked when one fails. They have to
	// pass on DO and CD, see [Validator.Check]. If empty, those of /etc/resolv.conf.
	Servers []string
	// Anchors are the trust anchors: DS or DNSKEY records as in a zone file, see [ReadAnchors]. The zone
	// closest above a name counts. If empty, the keys of the root, KSK-2017 and KSK-2024.
	Anchors string
	// Unsigned are zones that are taken as insecure though their parents say otherwise (RFC 7646): names
	// of one's own that the world does not know. If empty, none.
	Unsigned []string
	// SHA1 accepts signatures with the algorithms 5 and 7 too. If false, zones that have no other are
	// insecure.
	SHA1 bool
	// Skew is how far wrong our clock may be. If zero, five minutes; never more than an hour.
	Skew time.Duration
	// Probe is a signed zone that [Validator.Check] asks for. If empty, "org".
	Probe string
	// Timeout is for one lookup, all its messages together. If zero, ten seconds.
	Timeout time.Duration
	// CacheSize is how many answers, and how many names on the way to them, are kept. If zero, 10,000.
	CacheSize int
	// RootCAs verify servers of DNS over TLS. If nil, the system's.
	RootCAs *x509.CertPool
	// Dial connects to a server; network is "udp" or "tcp". If nil, a [net.Dialer] does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Now is the clock. If nil, [time.Now].
	Now func() time.Time

	once     sync.Once
	fault    error // of the fields
	client   *client
	anchors  map[string][]*dns.DS
	unsigned []string
	answers  *cache[question, *kept]
	roots    *cache[string, *zone]
	steps    *cache[string, step]
}

// A question is what a lookup asks.
type question struct {
	name string // as Name returns it
	t    Type
}

// A kept answer, and when its TTL ends.
type kept struct {
	answer Answer
	until  time.Time
}

// Lookup returns the records of a type at a name, see [Resolver]. Answers are kept as long as their TTL
// says, failures for seconds. It fails with a plain error when a field of the Validator is wrong.
func (v *Validator) Lookup(ctx context.Context, name string, t Type) (*Answer, error) {
	if err := v.setup(); err != nil {
		return nil, err
	}
	asked, err := Name(name)
	if err != nil {
		return nil, &Error{Name: name, Type: t, Code: edeNone, Err: err}
	}
	q := question{asked, t}
	k, err := v.answers.get(ctx, q, func() (*kept, time.Duration, error) { return v.search(ctx, q) })
	if err != nil {
		return nil, q.failed(ctx, err)
	}
	a := k.answer
	a.TTL = max(k.until.Sub(v.now()), 0)
	return &a, nil
}

// search does the work of a question, within the time that a lookup may take.
func (v *Validator) search(ctx context.Context, q question) (*kept, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(v.Timeout, 10*time.Second))
	defer cancel()
	s := &search{v: v, budget: newBudget()}
	a, err := s.follow(ctx, q)
	if errors.Is(err, errSpent) {
		return nil, failKeep, err // the question has a budget of its own, and would spend it again
	}
	if err != nil {
		return nil, keepFault(err), err
	}
	return &kept{*a, v.now().Add(a.TTL)}, clamp(a.TTL), nil
}

// failed makes the error of a lookup: the context's when that has ended, else one that tells the question.
func (q question) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	e := Error{Status: Indeterminate, Code: edeUnreachable, Err: err}
	if own, ok := errors.AsType[*Error](err); ok {
		e = *own // others may hold it
	} else if errors.Is(err, context.DeadlineExceeded) {
		e.Err = errors.New("no answer in time")
	}
	e.Name, e.Type = q.name, q.t
	return &e
}

// setup reads the fields, once.
func (v *Validator) setup() error {
	v.once.Do(func() {
		servers, err := parseServers(v.Servers)
		if err != nil {
			v.fault = err
			return
		}
		v.client = newClient(servers, v.Dial, v.RootCAs)
		if v.anchors, v.fault = parseAnchors(cmp.Or(v.Anchors, rootAnchors)); v.fault != nil {
			return
		}
		for _, zone := range v.Unsigned {
			name, err := Name(zone)
			v.unsigned = append(v.unsigned, dns.CanonicalName(name))
			v.fault = errors.Join(v.fault, err)
		}
		size := cmp.Or(v.CacheSize, 10_000)
		v.answers = &cache[question, *kept]{size: size, now: v.now}
		v.roots = &cache[string, *zone]{size: size, now: v.now}
		v.steps = &cache[string, step]{size: size, now: v.now}
	})
	return v.fault
}

func newClient(servers []server, dial func(context.Context, string, string) (net.Conn, error), roots *x509.CertPool) *client {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return &client{servers: servers, dial: dial, tls: &tls.Config{RootCAs: roots}}
}

func (v *Validator) now() time.Time {
	if v.Now == nil {
		return time.Now()
	}
	return v.Now()
}

func (v *Validator) skew() time.Duration { return min(cmp.Or(v.Skew, 5*time.Minute), time.Hour) }

// clamp returns how long something is kept that has this TTL.
func clamp(ttl time.Duration) time.Duration { return min(max(ttl, minKeep), maxKeep) }

// keepFault returns how long an error is kept: not at all if it is of who asked and not of what was asked.
func keepFault(err error) time.Duration {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errSpent) {
		return 0
	}
	return failKeep
}
