//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"starttls/dialect"
)

// A route is what each gateway has one of.
type route struct {
	name    string
	dialect *dialect.Dialect
	servers []string // addresses of backends
	process []int    // which of the world's backends they are in
	calm    bool     // nothing is ever done to it
}

// A world is two gateways with the same routes, and what is behind them.
type world struct {
	dir      string
	pace     pace
	out      io.Writer
	pki      *pki
	inForce  atomic.Int64 // the serial that new sessions must be shown, at least
	routes   []*route
	backends []*backend
	gateways []*routed
	aims     aims
	tally    tally
}

// A routed gateway is one with what its file says of the routes.
type routed struct {
	*gateway
	demands bool           // TLS of its clients
	handed  bool           // it is restarted; no session lasts longer than grace
	ports   map[string]int // by route
	gone    map[string]bool
	edition map[string]int
	away    *aim // at the route that is gone
	w       *world
}

// processes is how many backends there are that are killed. One more is left in peace.
const processes = 6

// newWorld lays everything out, and starts nothing.
func newWorld(dir string, p pace, out io.Writer) (*world, error) {
	w := &world{dir: dir, pace: p, out: out, backends: make([]*backend, processes+1)}
	for i := range w.backends {
		w.backends[i] = &backend{}
	}
	var err error
	if w.pki, err = newPKI(filepath.Join(dir, "cert.pem")); err != nil {
		return nil, err
	}
	for i, d := range dialect.All {
		if _, ok := scripts[d.Name]; !ok {
			return nil, fmt.Errorf("nobody knows what to say in %s", d.Name)
		}
		w.add(&route{name: d.Name, dialect: d}, i%processes)
	}
	w.add(&route{name: "imap-several", dialect: &dialect.IMAP}, 0, 1)
	for _, d := range []*dialect.Dialect{&dialect.IMAP, &dialect.SMTP, &dialect.Postgres} {
		w.add(&route{name: d.Name + "-calm", dialect: d, calm: true}, processes)
	}
	for _, g := range []*routed{{gateway: &gateway{name: "steady"}}, {gateway: &gateway{name: "handed"}, demands: true, handed: true}} {
		g.dir, g.w, g.board = dir, w, address(freePort())
		g.ports, g.gone, g.edition = make(map[string]int), make(map[string]bool), make(map[string]int)
		for _, r := range w.routes {
			g.ports[r.name] = freePort()
		}
		w.gateways = append(w.gateways, g)
	}
	return w, nil
}

// add puts servers for a route into backends.
func (w *world) add(r *route, process ...int) {
	for _, i := range process {
		addr := address(freePort())
		r.servers = append(r.servers, addr)
		w.backends[i].servers = append(w.backends[i].servers, r.dialect.Name+"="+addr)
	}
	r.process = process
	w.routes = append(w.routes, r)
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

var nextPort atomic.Int64

// freePort returns a port that nobody listens at, below those that the system gives to clients: it stays
// free while who listens there is away.
func freePort() int {
	const low, high = 10000, 32000
	nextPort.CompareAndSwap(0, low+rand.Int64N(high-low))
	for {
		port := low + int(nextPort.Add(1))%(high-low)
		ln, err := net.Listen("tcp", address(port))
		if err == nil {
			ln.Close()
			return port
		}
	}
}

// config is the gateway's file as it must be now.
func (g *routed) config() string {
	var text strings.Builder
	fmt.Fprintf(&text, "grace = %q\nstate = %q\n[metrics]\nlisten = %q\n[[tls.certificate]]\ncert = %q\n",
		g.w.pace.grace, g.dir, g.board, g.w.pki.file)
	for _, r := range g.w.routes {
		if g.gone[r.name] {
			continue
		}
		scheme, demand := r.dialect.Schemes[0].Name, ""
		if g.demands {
			demand = "?tls=encrypt"
		}
		var backs []string
		for _, addr := range r.servers {
			backs = append(backs, fmt.Sprintf("%q", scheme+"://"+addr))
		}
		fmt.Fprintf(&text, "[[route]]\nname = %q\nlisten = %q\nbackend = [%s]\ntimeout = %q\n", r.name, g.url(r)+demand,
			strings.Join(backs, ", "), time.Minute+time.Duration(g.edition[r.name])*time.Second)
	}
	return text.String()
}

func (g *routed) url(r *route) string {
	return r.dialect.Schemes[0].Name + "://" + address(g.ports[r.name])
}

// key is how a route of the gateway is called among aims.
func (g *routed) key(r *route) string { return g.name + "/" + r.name }

// start starts everything.
func (w *world) start(ctx context.Context) error {
	text, err := w.pki.next()
	if err == nil {
		err = w.pki.put(text)
	}
	if err != nil {
		return err
	}
	w.inForce.Store(w.pki.serial)
	failed := make([]error, len(w.backends)+len(w.gateways))
	var wg sync.WaitGroup
	for i, b := range w.backends {
		wg.Go(func() { failed[i] = b.start() })
	}
	for i, g := range w.gateways {
		wg.Go(func() {
			err := g.write(g.config())
			if err == nil {
				err = g.start(ctx)
			}
			failed[len(w.backends)+i] = err
		})
	}
	wg.Wait()
	return errors.Join(failed...)
}

// kill ends whatever is left.
func (w *world) kill() {
	for _, g := range w.gateways {
		g.kill()
	}
	for _, b := range w.backends {
		b.kill()
	}
}

// troubled are the routes to which things are done.
func (w *world) troubled() []*route {
	return slices.DeleteFunc(slices.Clone(w.routes), func(r *route) bool { return r.calm })
}
