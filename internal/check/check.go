// Package check tells the truth about somebody's TLS: it asks a service, or a whole mail domain, and
// says what was found as findings.
//
// # How it looks
//
// One honest session first, then conversations that leave the straight road of the dialect's script,
// then ClientHellos made by hand. Each conversation is a row: an edit of the script, and a judge that
// reads what was heard. Rows know dialects and no protocols; what only one protocol has is in a file
// named after it.
//
// # How it behaves
//
// To an address there is one connection at a time, and a budget of them for the whole check. A server
// that puts us off (421, a greeting that is a refusal, a tarpit, a connection that is closed before a
// word) is slowed down for and come back to; if it goes on so, what could not be asked is
// [finding.NotTestable], which is never the same as "no TLS".
//
// Nothing here needs an account, delivers mail, or guesses passwords. See [Config] for what is sent.
package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"sync"
	"time"

	"starttls"
	"starttls/internal/finding"
	"starttls/internal/policy"
)

// A Config says how to check. The zero Config is good.
type Config struct {
	// Name is how we call ourselves. If empty, "localhost".
	Name string
	// Depth is how much is asked. If zero, Full.
	Depth Depth
	// Budget is the most connections to one address. If zero, 20.
	Budget int
	// Gap is the least time between two connections to one address. If zero, none: they follow one
	// another as fast as the server answers.
	Gap time.Duration
	// Timeout bounds each conversation. If zero, ten seconds.
	Timeout time.Duration
	// Patience is how long to wait, once for each conversation, when a server puts us off. If zero,
	// five seconds. If negative, nobody is come back to.
	Patience time.Duration
	// Roots are the authorities that clients trust. If nil, the system's.
	Roots *x509.CertPool
	// Standards judge what was found. If nil, RFC 9325.
	Standards []finding.Standard
	// Dial opens connections. If nil, that of a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Addresses looks hosts up. If nil, the system does.
	Addresses func(ctx context.Context, host string) ([]string, error)
	// Nobody is an address at which nobody is, "192.0.2.1:25". If somebody answers there, findings about
	// mail servers are about him. If empty, it is not looked for.
	Nobody string
	// Unfit returns why DNSSEC does not work here, if it does not: then bogus answers say nothing of a
	// domain. It is called for each domain. If nil, DNSSEC works.
	Unfit func(context.Context) error
	// Account logs in where that is needed to look further. If nil, nobody logs in anywhere.
	Account *Account
	// Mail gathers what is known of mail domains. If nil, they cannot be checked, and nobody looks who may
	// issue certificates.
	Mail *policy.Gatherer
	// Now is the clock. If nil, time.Now.
	Now func() time.Time
	// Tell, if not nil, is told each finding as it comes; service is nil for the target as a whole. It
	// must not keep service, and may be called by several goroutines if several targets are checked.
	Tell func(target string, service *finding.Service, f finding.Finding)
}

// A Depth is how much is asked of a service.
type Depth uint8

// The depths.
const (
	Full  Depth = iota // everything that fits the budget
	Quick              // the honest session and what follows from it: one connection
)

// A Checker checks targets, several at once if it is asked to, with one conversation at a time for each
// address.
type Checker struct {
	config Config
	mu     sync.Mutex
	busy   map[string]*turn // by address
	nobody func() string    // what Nobody said, "" if he is not there
}

// New returns a checker.
func New(config Config) *Checker {
	if config.Name == "" {
		config.Name = "localhost"
	}
	if config.Budget == 0 {
		config.Budget = 20
	}
	if config.Timeout == 0 {
		config.Timeout = 10 * time.Second
	}
	if config.Patience == 0 {
		config.Patience = 5 * time.Second
	}
	if config.Dial == nil {
		config.Dial = (&net.Dialer{KeepAlive: -1}).DialContext // a conversation has its timeout
	}
	if config.Addresses == nil {
		config.Addresses = net.DefaultResolver.LookupHost
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Standards == nil {
		standard, err := finding.StandardByID("rfc9325")
		if err != nil {
			panic(err) // it is compiled in
		}
		config.Standards = []finding.Standard{standard}
	}
	c := &Checker{config: config, busy: map[string]*turn{}}
	c.nobody = sync.OnceValue(c.askNobody)
	return c
}

func (c *Checker) now() time.Time { return c.config.Now() }

// Check checks one target. It fails only when ctx ends; whatever else befalls is in the result.
func (c *Checker) Check(ctx context.Context, t Target) (*finding.Result, error) {
	r := &finding.Result{Schema: finding.Schema, Target: t.Text, Started: c.now().UTC(), Services: []finding.Service{}, Findings: []finding.Finding{}}
	if t.Domain != nil {
		c.domain(ctx, t, r)
	} else {
		c.endpoint(ctx, t, r)
	}
	c.judgeNobody(t, r)
	r.Seconds = c.now().Sub(r.Started).Round(time.Millisecond).Seconds()
	r.Settle()
	return r, ctx.Err()
}

// endpoint checks a service at every address of its host.
func (c *Checker) endpoint(ctx context.Context, t Target, r *finding.Result) {
	addresses, err := c.addresses(ctx, t.Endpoint)
	if err != nil {
		add(r, c.unreachable(t, "", err.Error()))
	}
	for _, address := range addresses {
		add(r, c.visit(ctx, t, address).service)
	}
	if c.config.Mail != nil && c.config.Depth == Full && net.ParseIP(t.Match) == nil && strings.Contains(t.Match, ".") {
		c.authorities(ctx, t, r)
	}
}

// authorities looks which authorities may issue certificates for the name.
func (c *Checker) authorities(ctx context.Context, t Target, r *finding.Result) {
	l := c.whole(t, r)
	c.judgeCAA(ctx, l, t.Match)
	l.settle("cert.caa")
}

// add adds a service to a result. It is not inlined for its frame, which has copies of a service: of a thousand
// visits that wait for their servers that would be a megabyte of stacks, and makes them stay long.
//
//go:noinline
func add(r *finding.Result, s *finding.Service) { r.Services = append(r.Services, *s) }

// whole returns the ledger of what is found about the target as a whole.
func (c *Checker) whole(t Target, r *finding.Result) *ledger {
	return newLedger(func(f finding.Finding) {
		r.Findings = append(r.Findings, f)
		c.tell(t, nil, f)
	})
}

// blank is a service of which nothing is known yet.
func (c *Checker) blank(t Target, address string) *finding.Service {
	return &finding.Service{
		URL: t.Endpoint.String(), Host: t.Match, Address: address, Protocol: t.Endpoint.Dialect.Name,
		Implicit: t.Endpoint.Implicit, Findings: []finding.Finding{}, Quick: c.config.Depth == Quick,
	}
}

func (c *Checker) unreachable(t Target, address, why string) *finding.Service {
	s := c.blank(t, address)
	s.Outcome, s.Why = finding.Unreachable, why
	return s
}

// addresses returns where the endpoint is, for dialling: every address of its host.
func (c *Checker) addresses(ctx context.Context, e starttls.Endpoint) (all []string, err error) {
	if e.Network == "unix" || net.ParseIP(e.Host) != nil {
		return []string{e.Address}, nil
	}
	ips, err := c.config.Addresses(ctx, e.Host)
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(e.Address)
	for _, ip := range ips {
		all = append(all, net.JoinHostPort(ip, port))
	}
	return all, err
}

// usual is how many findings a service has, or a few more.
const usual = 24

// visit checks the service at one address.
func (c *Checker) visit(ctx context.Context, t Target, address string) *visit {
	from := c.now()
	v := &visit{
		Checker: c, endpoint: t.Endpoint, match: t.Match, address: address, service: c.blank(t, address),
	}
	if c.config.Depth == Full {
		v.cache = tls.NewLRUClientSessionCache(1)
	}
	v.ledger = newLedger(func(f finding.Finding) {
		if len(v.service.Findings) == 0 {
			v.service.Findings = make([]finding.Finding, 0, usual)
		}
		v.service.Findings = append(v.service.Findings, f)
		c.tell(t, v.service, f)
	})
	turn := c.take(address)
	defer c.give(address, turn)
	v.run(ctx)
	v.service.Times.All = milliseconds(c.now().Sub(from))
	return v
}

func (c *Checker) tell(t Target, s *finding.Service, f finding.Finding) {
	if c.config.Tell != nil {
		c.config.Tell(t.Text, s, f)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// everySuite is what crypto/tls can speak before TLS 1.3.
var everySuite = func() (all []uint16) {
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		all = append(all, suite.ID)
	}
	return all
}()

// tlsConfig is the configuration of an honest handshake: nothing is verified, everything is judged.
func (v *visit) tlsConfig() *tls.Config {
	config := &tls.Config{ServerName: v.match, InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, CipherSuites: everySuite}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		v.asked = true
		return &tls.Certificate{}, nil
	}
	return config
}
