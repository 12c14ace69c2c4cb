package resolver

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// A Validator is a [Resolver] that validates (RFC 4035 §5): it asks servers that need not be trusted for
// records and signatures, and proves what they say from trust anchors. Its zero value asks the system's
// servers and trusts the keys of the root. Its fields must not be changed once it is used.
type Validator struct {
	// Servers are the resolvers to ask: ADDRESS, ADDRESS:PORT, or tls://ADDRESS[:PORT]#NAME for DNS over
	// TLS (RFC 7858) with NAME in the server's certificate. The next is asked when one fails, and comes
	// first after one gave what is bogus. They have to pass on DO and CD, see [Validator.Check]. If empty,
	// those of /etc/resolv.conf, which is read once.
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
	unsigned map[string]bool
	lookups  *lookups
	roots    cache[string, *zone]
	steps    cache[string, step]
}

// Lookup returns the records of a type at a name, see [Resolver]. Answers are kept as long as their TTL
// says, failures for seconds.
func (v *Validator) Lookup(ctx context.Context, name string, t Type) (*Answer, error) {
	if err := v.setup(); err != nil {
		return nil, &Error{Name: name, Type: t, Code: edeNone, Err: err}
	}
	return v.lookups.get(ctx, name, t, func() source { return v.search() })
}

func (v *Validator) search() *search { return &search{v, newBudget()} }

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
		v.unsigned = make(map[string]bool)
		for _, zone := range v.Unsigned {
			name, err := Name(zone)
			v.unsigned[dns.CanonicalName(name)] = true
			v.fault = errors.Join(v.fault, err)
		}
		size := cmp.Or(v.CacheSize, 10_000)
		v.lookups = newLookups(v.Timeout, size, v.now)
		v.lookups.bogus = v.client.turn
		v.roots = cache[string, *zone]{size: size, now: v.now}
		v.steps = cache[string, step]{size: size, now: v.now}
	})
	return v.fault
}

func (v *Validator) now() time.Time {
	if v.Now == nil {
		return time.Now()
	}
	return v.Now()
}

func (v *Validator) skew() time.Duration { return min(cmp.Or(v.Skew, 5*time.Minute), time.Hour) }
