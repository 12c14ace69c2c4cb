package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"starttls/internal/gateway"
)

// serve opens the listener and serves until a signal or the end of ctx.
func (r *running) serve(ctx context.Context, std streams) error {
	ln, err := open(r.listen.Network, r.listen.Address)
	if err != nil {
		return failed(err)
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)
	r.announce(std, ln.Addr()) // who reads it may send signals
	g := gateway.New(r.Route)

	accepting, stopAccepting := context.WithCancel(ctx)
	defer stopAccepting()
	draining, stopDraining := context.WithCancel(context.Background())
	defer stopDraining()
	go r.runSignals(draining, signals, stopAccepting, stopDraining)

	if err := g.Serve(accepting, ln); err != nil {
		return failed(err)
	}
	return r.drain(draining, g)
}

// runSignals obeys signals: SIGHUP reads certificates again, the first to stop ends accepting, the
// second ends everything.
func (r *running) runSignals(ctx context.Context, signals <-chan os.Signal, first, second func()) {
	stop := first
	for {
		select {
		case <-ctx.Done():
			return
		case sig := <-signals:
			if sig != syscall.SIGHUP {
				stop()
				stop = second
				continue
			}
			if r.certs != nil {
				r.certs.Reload(true) // what fails is in the log
			}
		}
	}
}

// drain lets sessions end within the grace time.
func (r *running) drain(ctx context.Context, g *gateway.Gateway) error {
	if n := g.Live(); n > 0 {
		r.Log.Info("stopping", "sessions", n, "grace", r.grace)
	}
	ctx, cancel := context.WithTimeout(ctx, r.grace)
	defer cancel()
	if n := g.Drain(ctx); n > 0 {
		r.Log.Warn("sessions were broken off", "sessions", n)
	}
	return nil
}
