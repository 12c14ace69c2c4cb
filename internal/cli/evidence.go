package cli

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"

	"starttls/internal/policy"
	"starttls/mtasts"
)

// evidenceFlags say where evidence comes from, the same for every command that gathers some.
type evidenceFlags struct {
	dns dnsFlags
	ca  string
}

func (f *evidenceFlags) add(fs *pflag.FlagSet) {
	f.dns.add(fs)
	fs.StringVar(&f.ca, "ca", "", "trust these certificates for policy hosts of MTA-STS, PEM `FILE` (default: the system's)")
}

// evidence is what plans are made of, open.
type evidence struct {
	names  names
	sts    *mtasts.Client
	gather *policy.Gatherer
	log    *slog.Logger
	fit    atomic.Bool // the last proof of the DNS succeeded
}

// open opens what the flags name. Policies are kept in cache.
func (f *evidenceFlags) open(cache mtasts.Cache, log *slog.Logger) (*evidence, error) {
	e := &evidence{log: log}
	var err error
	if e.names, err = f.dns.resolver(); err != nil {
		return nil, err
	}
	e.sts = &mtasts.Client{Resolver: e.names, Cache: cache}
	if f.ca != "" {
		if e.sts.Roots, err = readRoots(f.ca); err != nil {
			return nil, err
		}
	}
	e.gather = &policy.Gatherer{Resolver: e.names, STS: e.sts}
	return e, nil
}

// How often it is proved that DNSSEC works, after a proof and after a failure.
const (
	proveEvery = time.Hour
	proveAgain = time.Minute
)

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
				e.log.Error("the DNS is not fit: what needs DNSSEC waits or is not used", "error", err)
			}
		case <-ctx.Done():
		}
	}
	<-renewed
}
