package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/signal"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"starttls/internal/cert"
	"starttls/internal/config"
	"starttls/internal/lab"
	"starttls/internal/systemd"
)

// A service serves the routes of a configuration, and follows it when it is read again. Its own fields
// are for one goroutine, that of run.
type service struct {
	std  streams
	read func() (*config.File, error)
	lab  *lab.Lab // what is behind mx:, nil for the world

	log    *slog.Logger
	first  *config.File // as it was at the start
	grace  time.Duration
	routes map[string]*served // by where they listen
	board  *board
	acme   *acmeTasks
	// tickets are shared with other nodes, or not.
	tickets *sharedTickets
	stapler *cert.Stapler
	broken  chan error     // from a listener that has failed for good
	left    sync.WaitGroup // of gateways that still have sessions
}

// A served route is a running one with its listener.
type served struct {
	*running
	at      int // in the configuration
	asked   any // what that said of it
	ln      net.Listener
	server  server
	stop    context.CancelFunc // ends accepting
	stopped chan struct{}      // accepting has ended
}

// check reads the configuration and serves nothing.
func (s *service) check() error {
	file, routes, err := s.load(true)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.std.out, "%d routes, no mistakes\n", len(routes))
	for _, r := range file.Routes {
		fmt.Fprintf(s.std.out, "  %s\n", r.Listen)
	}
	return nil
}

// load reads the configuration, and assembles its routes. Mistakes in a file are told without a word on
// how the program is called.
func (s *service) load(look bool) (file *config.File, routes map[string]*served, err error) {
	file, routes, err = s.assemble(look)
	_, isFailure := errors.AsType[failure](err)
	if m, ok := errors.AsType[*config.Mistake](err); ok && m.Path != "" && !isFailure {
		err = failure{statusUsage, err}
	}
	return file, routes, err
}

func (s *service) assemble(look bool) (*config.File, map[string]*served, error) {
	file, err := s.read()
	if err != nil {
		return nil, nil, err
	}
	if s.log == nil {
		if s.log, err = newLogger(s.std, file); err != nil {
			return nil, nil, err
		}
	}
	if s.first == nil {
		s.first = file
	} else if keys := file.AsAtStart(s.first); len(keys) > 0 {
		s.log.Warn("not followed: these are read at the start only, by a restart or SIGUSR2", "keys", strings.Join(keys, ", "))
	}
	if s.grace, err = file.Duration("grace", file.Grace, 30*time.Second); err != nil {
		return nil, nil, err
	}
	if file.User != "" {
		if _, err := identityOf(file.User); err != nil {
			return nil, nil, file.Errorf("user", "user %q: %v", file.User, err)
		}
	}
	if s.acme == nil {
		if s.acme, err = newACME(file, s.log, look); err != nil {
			return nil, nil, err
		}
	}
	if s.tickets == nil {
		if s.tickets, err = newTickets(file, s.log, look); err != nil {
			return nil, nil, err
		}
	}
	if s.stapler == nil {
		s.stapler = &cert.Stapler{Ask: askResponder, Log: s.log}
	}
	all, err := s.assembleRoutes(file, look)
	if err != nil {
		return nil, nil, err
	}
	routes := make(map[string]*served)
	for i, r := range all {
		key := r.listen.String()
		if anyPort(r.listen) {
			key = fmt.Sprintf("%s#%d", key, i) // two of them are two
		}
		routes[key] = &served{running: r, at: i, asked: []any{file.Routes[i], file.TLS, file.State, file.DNS, file.Store, named(file, file.Routes[i], r.outbound != nil)}}
	}
	return file, routes, nil
}

// named returns the files that a route rests on and what stands in them: when that changes, the route has.
// What mail is held to is among them for a route that passes it on. Certificates are not among them, which are read again by themselves.
func named(file *config.File, route config.Route, mail bool) (texts []string) {
	files := []string{route.CA, route.ClientCA}
	if mail {
		files = append(files, file.Overrides, file.DNS.Anchors)
	}
	for _, name := range files {
		text, _ := os.ReadFile(name) // who needs it has told what is wrong
		texts = append(texts, name, string(text))
	}
	return texts
}

// run serves until a signal or the end of ctx.
func (s *service) run(ctx context.Context) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR2, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)
	defer runtime.KeepAlive(tuneCollector())
	if err := s.start(); err != nil {
		return err
	}
	ctx, hide := context.WithCancel(ctx)
	defer func() { hide(); s.board.shown.Wait() }()
	s.board.serve(ctx, s.log)
	s.acme.run(ctx)
	s.tickets.run()
	go s.keepStapled(ctx)
	go s.watchExpiry(ctx)
	s.tell(systemd.Ready)
	succeeded()
	var watchdog <-chan time.Time
	if every := systemd.WatchdogEvery(); every > 0 {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		watchdog = ticker.C
	}
	for {
		select {
		case <-watchdog:
			s.tell(systemd.Watchdog)
		case <-ctx.Done():
			return s.end(ctx, signals)
		case err := <-s.broken:
			return errors.Join(failed(err), s.end(ctx, signals))
		case sig := <-signals:
			switch {
			case sig == syscall.SIGHUP:
				s.reload()
			case sig != syscall.SIGUSR2:
				s.log.Info("stopping", "signal", sig.String())
				s.tell(systemd.Stopping)
				return s.end(ctx, signals)
			case s.handOver():
				hide() // what is shown and proved is now for the other to do
				return s.end(ctx, signals)
			}
		}
	}
}

// tell tells the service manager, if there is one.
func (s *service) tell(state string) {
	if err := systemd.Notify(state); err != nil {
		s.log.Warn("not told", "err", err)
	}
}

// start begins to serve every route, or none.
func (s *service) start() error {
	all, err := systemd.Listeners()
	if err != nil {
		return failed(err)
	}
	sockets := handed(all)
	if err := s.leaveRoot(&sockets); err != nil {
		return err
	}
	file, routes, err := s.load(false)
	if err != nil {
		return err
	}
	sockets.adopt(routes)
	if s.board, err = newBoard(file, &sockets); err != nil {
		return err
	}
	s.board.tickets = s.tickets
	if err := s.acme.listen(&sockets); err != nil {
		return failed(err)
	}
	if err := errors.Join(sockets.done(), s.open(routes)); err != nil {
		return failed(err)
	}
	s.routes, s.broken = routes, make(chan error, 1)
	for _, r := range inOrder(routes) {
		s.announce(r)
		s.begin(r)
	}
	s.show()
	s.announceBoard()
	return nil
}

// show shows the routes as they are now.
func (s *service) show() {
	all := inOrder(s.routes)
	s.board.routes.Store(&all)
}

// inOrder returns routes as the configuration has them.
func inOrder(routes map[string]*served) []*served {
	return slices.SortedFunc(maps.Values(routes), func(a, b *served) int { return cmp.Compare(a.at, b.at) })
}

// open opens the listeners of routes that have none. When one cannot be opened, none is left open.
func (s *service) open(routes map[string]*served) error {
	var opened []net.Listener
	for _, r := range routes {
		if r.ln != nil {
			continue
		}
		ln, err := open(r.listen.Network, r.listen.Address)
		if err != nil {
			for _, ln := range opened {
				ln.Close()
			}
			return err
		}
		r.ln, opened = ln, append(opened, ln)
	}
	return nil
}

// begin serves a route whose listener is open.
func (s *service) begin(r *served) {
	s.board.watch(r)
	accepting, stop := context.WithCancel(context.Background())
	r.server, r.stop, r.stopped = r.running.server(s.board), stop, make(chan struct{})
	go func() {
		defer close(r.stopped)
		if err := r.server.Serve(accepting, r.ln); err != nil {
			select {
			case s.broken <- err:
			default: // one is enough
			}
		}
	}()
}

// leave ends accepting at a route, and lets its sessions end within the grace time, or until ctx ends.
func (s *service) leave(ctx context.Context, r *served) {
	r.stop()
	<-r.stopped
	if n := r.server.Live(); n > 0 {
		s.log.Info("stopping", "route", r.Label, "sessions", n, "grace", s.grace)
	}
	grace := s.grace
	s.left.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, grace)
		defer cancel()
		if n := r.server.Drain(ctx); n > 0 {
			s.log.Warn("sessions were broken off", "route", r.Label, "sessions", n)
		}
	})
}

// end stops accepting everywhere and waits for sessions. A second signal ends those at once.
func (s *service) end(ctx context.Context, signals <-chan os.Signal) error {
	defer s.tickets.close()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	for _, r := range s.routes {
		s.leave(ctx, r)
	}
	done := make(chan struct{})
	go func() { s.left.Wait(); close(done) }()
	for {
		select {
		case <-done:
			return nil
		case sig := <-signals:
			if sig != syscall.SIGHUP && sig != syscall.SIGUSR2 {
				cancel()
			}
		}
	}
}

// reload reads the configuration again and follows it. When anything is wrong with it, nothing changes.
func (s *service) reload() {
	grace := s.grace
	_, routes, err := s.load(false)
	if err == nil {
		err = s.takeOver(routes)
	}
	if err != nil {
		s.grace = grace
		s.log.Error("configuration not reloaded, the one before stays in force", "err", err)
		return
	}
	kept, gone, read := 0, s.routes, map[*cert.Store]bool{nil: true}
	for key, r := range routes {
		if old := gone[key]; old == r {
			if !read[r.certs] {
				r.certs.Reload(true) // what fails is in the log
				read[r.certs] = true
			}
			delete(gone, key)
			kept++
		}
	}
	for _, old := range gone {
		s.leave(context.Background(), old)
	}
	for _, r := range inOrder(routes) {
		if r.server == nil {
			s.announce(r)
			s.begin(r)
		}
	}
	s.routes = routes
	s.show()
	s.log.Info("configuration reloaded", "routes", len(routes), "as_before", kept)
}

// takeOver puts what runs already into routes: those that have not changed as they are, of the others the
// listener, so that no client finds the door closed.
func (s *service) takeOver(routes map[string]*served) (err error) {
	var taken []net.Listener
	defer func() {
		for _, ln := range taken {
			if err != nil {
				ln.Close()
			}
		}
	}()
	for key, r := range routes {
		old := s.routes[key]
		if old == nil {
			continue
		}
		if old.at = r.at; reflect.DeepEqual(old.asked, r.asked) {
			routes[key] = old
			continue
		}
		if r.ln, err = again(old.ln); err != nil {
			return err
		}
		taken = append(taken, r.ln)
	}
	return s.open(routes)
}
