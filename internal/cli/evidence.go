package cli

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"

	"starttls/internal/lab"
	"starttls/internal/policy"
	"starttls/mtasts"
	"starttls/resolver"
)

// evidenceFlags say where evidence comes from, the same for every command that gathers some.
type evidenceFlags struct {
	dns       dnsFlags
	ca        string
	overrides string
	private   bool
	lab       bool
	within    *lab.Lab // one that is open already, and stays so
}

func (f *evidenceFlags) add(fs *pflag.FlagSet) {
	f.dns.add(fs)
	fs.StringVar(&f.ca, "ca", "", "the public authorities, for policy hosts and mail hosts, PEM `FILE` (default: the system's)")
	fs.StringVar(&f.overrides, "overrides", "", "`FILE` of what is demanded of single destinations, whatever the evidence; each line as in Postfix: example.org secure match=mx.example.org")
	fs.BoolVar(&f.private, "private-policy-hosts", false, "let policy hosts be at addresses that are not public: whoever runs a zone can point them there")
	fs.BoolVar(&f.lab, "lab", false, "look at the built-in lab and not at the Internet, see \"starttls lab --list\"")
}

// evidence is what plans are made of, open.
type evidence struct {
	names  names
	sts    *mtasts.Client
	gather *policy.Gatherer
	lab    *lab.Lab // nil outside of it
	own    *lab.Lab // the same, if it is to be closed
	log    *slog.Logger
	fit    atomic.Bool // the last proof of the DNS succeeded
}

// open opens what the flags name. Policies are kept in cache. Close ends it.
func (f *evidenceFlags) open(cache mtasts.Cache, log *slog.Logger) (e *evidence, err error) {
	overrides, err := f.readOverrides()
	if err != nil {
		return nil, err
	}
	e = &evidence{sts: &mtasts.Client{Cache: cache}, log: log}
	switch {
	case f.within != nil:
		e.in(f.within)
	case f.lab:
		if e.own, err = startLab(); err == nil {
			e.in(e.own)
		}
	default:
		err = f.openWorld(e)
	}
	if err != nil {
		return nil, err
	}
	e.sts.Resolver = e.names
	e.gather = &policy.Gatherer{Resolver: e.names, STS: e.sts}
	e.gather.Override = overrides.Of
	return e, nil
}

// readOverrides reads what the operator has set. Without a file that is nothing.
func (f *evidenceFlags) readOverrides() (policy.Overrides, error) {
	if f.overrides == "" {
		return nil, nil
	}
	file, err := os.Open(f.overrides)
	if err != nil {
		return nil, failed(fmt.Errorf("--overrides: %w", err))
	}
	defer file.Close()
	all, err := policy.ParseOverrides(file)
	if err != nil {
		return nil, fmt.Errorf("--overrides: %s: %w", f.overrides, err)
	}
	return all, nil
}

func (f *evidenceFlags) openWorld(e *evidence) (err error) {
	if e.names, err = f.dns.resolver(); err != nil {
		return err
	}
	if f.private {
		e.sts.Allow = anyAddress
	}
	if f.ca != "" {
		e.sts.Roots, err = readRoots("--ca", f.ca)
	}
	return err
}

// in looks at a lab.
func (e *evidence) in(l *lab.Lab) {
	e.lab, e.names = l, labNames(l)
	labPolicies(e.sts, l)
}

// addresses looks a host up where everything else is.
func (e *evidence) addresses(ctx context.Context, host string) (all []string, err error) {
	for _, family := range []resolver.Type{resolver.A, resolver.AAAA} {
		answer, failed := e.names.Lookup(ctx, host, family)
		if err = cmp.Or(err, failed); failed != nil {
			continue
		}
		for _, addr := range answer.Addrs {
			all = append(all, addr.String())
		}
	}
	if len(all) > 0 {
		return all, nil
	}
	return nil, cmp.Or(err, fmt.Errorf("%s has no address", host))
}

// dial connects to a mail host.
func (e *evidence) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if e.lab != nil {
		return e.lab.Dial(ctx, network, address)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

func anyAddress(netip.Addr) bool { return true }

// close ends what open has begun.
func (e *evidence) close() {
	if e.own != nil {
		e.own.Close()
	}
}

// How often it is proved that DNSSEC works, after a proof and after a failure.
const (
	proveEvery = time.Hour
	proveAgain = time.Minute
)

// unfitDNS is what it means that it does not.
const unfitDNS = "the DNS is not fit: what needs DNSSEC waits or is not used"

// prove finds out whether DNSSEC works by way of the configured servers. Without it there is no DANE, and
// nobody would notice.
func (e *evidence) prove(ctx context.Context) error {
	err := e.names.Check(ctx)
	if ctx.Err() == nil {
		e.fit.Store(err == nil)
	}
	return err
}

// run renews MTA-STS policies before their end, and proves again and again that DNSSEC works, until ctx
// ends.
func (e *evidence) run(ctx context.Context) {
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		e.sts.Run(ctx, func(s mtasts.State, failures int) {
			e.log.Warn("an MTA-STS policy cannot be renewed", "domain", s.Domain, "failures", failures, "error", s.Err)
		})
	}()
	for ctx.Err() == nil {
		wait := proveEvery
		if !e.fit.Load() {
			wait = proveAgain
		}
		select {
		case <-time.After(wait):
			if err := e.prove(ctx); err != nil && ctx.Err() == nil {
				e.log.Error(unfitDNS, "error", err)
			}
		case <-ctx.Done():
		}
	}
	<-renewed
}
