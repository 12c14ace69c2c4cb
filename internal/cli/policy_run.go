package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/VictoriaMetrics/metrics"

	"starttls/internal/policy"
	"starttls/internal/socketmap"
	"starttls/internal/status"
	"starttls/internal/store"
	"starttls/internal/systemd"
	"starttls/mtasts"
)

// A policyServer is "policy serve", ready to run.
type policyServer struct {
	*policyServeFlags
	std      streams
	log      *slog.Logger
	version  socketmap.Version
	how      string // the version is known
	listen   []listening
	metrics  net.Listener // nil if nobody is to see them
	set      *metrics.Set
	store    *store.Store // nil for the lab, which is not to be mistaken for the world
	cache    mtasts.Cache
	policies *socketmap.Policies
	evidence atomic.Pointer[evidence]
	work     sync.WaitGroup
	retire   context.CancelFunc // ends the work of the evidence that is used
}

// run opens all that the flags ask for, and answers until a signal or the end of ctx.
func (f *policyServeFlags) run(ctx context.Context, std streams) (err error) {
	s := &policyServer{policyServeFlags: f, std: std, set: newMetrics(), cache: &mtasts.Memory{}}
	if s.log, err = f.log.logger(std); err != nil {
		return err
	}
	if s.version, s.how, err = f.version(ctx); err != nil {
		return err
	}
	if f.metrics != "" {
		if s.metrics, err = openMetrics(f.metrics, f.anywhere); err != nil {
			return err
		}
		defer s.metrics.Close()
	}
	if s.listen, err = f.open(); err != nil {
		return err
	}
	defer closeAll(s.listen)
	e, err := s.gather()
	if err != nil {
		return err
	}
	if !f.evidence.lab || f.store.url != "" { // after all that may be wrong with the flags
		if s.store, err = openStore(f.store.url, f.store.state, s.log); err != nil {
			e.close()
			return fmt.Errorf("--store: %w", err)
		}
		defer closeStore(s.store, s.log)
		s.cache = s.store.Policies
		s.remember(e)
	}
	return s.serve(ctx, e)
}

// gather opens what plans are made of.
func (s *policyServer) gather() (*evidence, error) {
	e, err := s.policyServeFlags.evidence.open(s.cache, s.log)
	if err == nil {
		s.remember(e)
	}
	return e, err
}

// remember lets evidence be kept in the store, if there is one.
func (s *policyServer) remember(e *evidence) {
	e.sts.Cache = s.cache
	if s.store != nil {
		e.gather.Memory = s.store.Hosts
	}
}

// serve answers until a signal or the end of ctx.
func (s *policyServer) serve(ctx context.Context, e *evidence) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)
	ctx, cancel := context.WithCancel(ctx)
	defer s.work.Wait()
	defer cancel()

	s.policies = &socketmap.Policies{Plan: s.plan, Version: s.version, Log: s.log}
	defer s.policies.Close()
	s.count()
	proof := e.prove(ctx)
	s.use(ctx, e)
	if s.metrics != nil {
		s.work.Go(func() { serveWeb(ctx, s.metrics, status.Watched(s.set, s.well), s.log) })
	}
	s.announce(proof)
	s.work.Go(func() { s.obey(ctx, signals, cancel) })
	if err := systemd.Notify(systemd.Ready); err != nil {
		s.log.Warn("the service manager was not told", "error", err)
	}
	return failed(s.answer(ctx, cancel))
}

// answer serves all listeners to the end of ctx. One that fails ends all: half a service would not be
// noticed.
func (s *policyServer) answer(ctx context.Context, cancel func()) error {
	errs := make([]error, len(s.listen))
	var all sync.WaitGroup
	for i, ln := range s.listen {
		server := &socketmap.Server{Answerer: s.policies, Protocol: ln.protocol, Log: s.log}
		all.Go(func() {
			defer cancel()
			errs[i] = server.Serve(ctx, ln)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// use makes plans from other evidence from now on.
func (s *policyServer) use(ctx context.Context, e *evidence) {
	if s.retire != nil {
		s.retire()
	}
	ctx, s.retire = context.WithCancel(ctx)
	s.evidence.Store(e)
	s.work.Go(func() {
		defer e.close()
		e.run(ctx)
	})
}

// well reports what is wrong with what is answered. A store that is away is not: answers do without.
func (s *policyServer) well() error {
	if !s.evidence.Load().fit.Load() {
		return errors.New(unfitDNS)
	}
	return nil
}

// plan makes the plan of a destination.
func (s *policyServer) plan(ctx context.Context, d policy.Destination) (*policy.Plan, error) {
	return policy.Decide(s.evidence.Load().gather.Gather(ctx, d), policy.Options{}), nil
}

// obey obeys signals until ctx ends: SIGHUP reads files again, any other ends the serving, and then the
// next one the process.
func (s *policyServer) obey(ctx context.Context, signals chan os.Signal, stop func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case sig := <-signals:
			if sig != syscall.SIGHUP {
				s.log.Info("stopping", "signal", sig.String())
				signal.Stop(signals)
				stop()
				return
			}
			s.reload(ctx)
		}
	}
}

// reload reads files again and drops all answers. Policies of MTA-STS are kept.
func (s *policyServer) reload(ctx context.Context) {
	e, err := s.gather()
	if err != nil {
		s.log.Error("reading again failed; what was read before stays", "error", err)
		return
	}
	if err := e.prove(ctx); err != nil {
		s.log.Error(unfitDNS, "error", err)
	}
	s.use(ctx, e)
	s.policies.Forget()
	s.log.Info("files were read again, and answers dropped")
}

// announce tells a person what was started.
func (s *policyServer) announce(proof error) {
	for _, ln := range s.listen {
		place := "inet:" + ln.Addr().String()
		if ln.Addr().Network() == "unix" {
			place = "unix:" + ln.Addr().String()
		}
		fmt.Fprintf(s.std.out, "listening  %s (%s)\n", place, ln.protocol)
	}
	fmt.Fprintf(s.std.out, "postfix    %s (%s)\n", s.version, s.how)
	if s.store != nil {
		fmt.Fprintf(s.std.out, "store      %s\n", s.store)
	}
	if s.metrics != nil {
		fmt.Fprintf(s.std.out, "metrics    http://%s/metrics\n", s.metrics.Addr())
	}
	if proof == nil {
		fmt.Fprintln(s.std.out, "dns        DNSSEC works")
		return
	}
	fmt.Fprintf(s.std.out, "dns        DNSSEC does not work, so no delivery can be proved safe by DANE:\n           %v\n", proof)
	s.log.Error(unfitDNS, "error", proof)
}
