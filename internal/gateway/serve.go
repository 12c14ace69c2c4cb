package gateway

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"starttls/dialect"
	"starttls/internal/accept"
)

// A Gateway serves one route.
type Gateway struct {
	route    Route
	sessions sync.WaitGroup

	mu     sync.Mutex
	live   map[*session]struct{}
	byAddr map[netip.Addr]int
	own    Own // our connections to the backend
}

// New returns a gateway for the route.
func New(r Route) *Gateway {
	return &Gateway{
		route:  r.withDefaults(),
		live:   make(map[*session]struct{}),
		byAddr: make(map[netip.Addr]int),
	}
}

// Serve accepts connections from ln and runs a session for each until ctx ends; then it closes ln and
// returns nil. Sessions live on: see [Gateway.Drain]. It returns an error when ln fails for good.
func (g *Gateway) Serve(ctx context.Context, ln net.Listener) error {
	go g.runSweeper(ctx)
	if g.route.Pool != nil {
		go g.route.Pool.Run(ctx, g.probe)
	}
	return accept.Each(ctx, ln, g.route.Log.With("route", g.route.Label), g.accepted)
}

// Drain waits until all sessions have ended. When ctx ends first, it breaks those that are left and
// returns how many there were.
func (g *Gateway) Drain(ctx context.Context) (broken int) {
	done := make(chan struct{})
	go func() { g.sessions.Wait(); close(done) }()
	select {
	case <-done:
		return 0
	case <-ctx.Done():
	}
	g.mu.Lock()
	broken = len(g.live)
	for s := range g.live {
		s.abort(errStopped)
	}
	g.mu.Unlock()
	<-done
	return broken
}

// Live returns how many sessions there are.
func (g *Gateway) Live() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.live)
}

func (g *Gateway) accepted(conn net.Conn) {
	s := newSession(g, conn)
	if !g.admit(s) {
		g.turnAway(s)
		return
	}
	g.sessions.Add(1)
	go s.run()
}

// admit counts a session in, unless that passes a limit.
func (g *Gateway) admit(s *session) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.live) >= g.route.MaxConns || s.addr.IsValid() && g.byAddr[s.addr] >= g.route.MaxPerAddr {
		return false // a unix socket has no addresses to tell clients by
	}
	g.live[s] = struct{}{}
	g.byAddr[s.addr]++
	return true
}

// errTooMany is a client whose address a proxy has told, and from which there are too many already.
var errTooMany = errors.New("too many connections from its address")

// recount counts a session under another address, unless that passes the limit: then the client is told.
func (g *Gateway) recount(s *session, addr netip.Addr) error {
	g.mu.Lock()
	full := g.byAddr[addr] >= g.route.MaxPerAddr
	if !full {
		g.uncount(s.addr)
		s.addr = addr
		g.byAddr[addr]++
	}
	g.mu.Unlock()
	if full {
		g.tellTooMany(s)
		return errTooMany
	}
	return nil
}

// uncount takes one session off an address. It is called with mu held.
func (g *Gateway) uncount(addr netip.Addr) {
	if g.byAddr[addr]--; g.byAddr[addr] == 0 {
		delete(g.byAddr, addr)
	}
}

// left counts a session out.
func (g *Gateway) left(s *session) {
	g.mu.Lock()
	delete(g.live, s)
	g.uncount(s.addr)
	g.mu.Unlock()
	g.sessions.Done()
}

// turnAway hangs up on a client that is one too many.
func (g *Gateway) turnAway(s *session) {
	g.tellTooMany(s)
	s.conns.close()
	g.route.Log.Warn("turned away", "route", g.route.Label, "peer", s.peer(), "reason", "too many connections")
}

// tellTooMany tells a client in its protocol's words that there are too many, where we may speak first.
func (g *Gateway) tellTooMany(s *session) {
	if g.route.Dialect.Script.ServerFirst() && !g.route.Front.Implicit {
		s.conns.front.SetWriteDeadline(time.Now().Add(time.Second))
		s.front.Say(dialect.Message{Kind: dialect.No, Why: dialect.TooMuch})
	}
}

// runSweeper breaks sessions that are idle for too long.
func (g *Gateway) runSweeper(ctx context.Context) {
	tick := time.NewTicker(max(min(g.route.Idle/4, 10*time.Second), 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			if g.Live() == 0 {
				return
			}
			<-tick.C // sessions that are drained can be idle as well
		}
		now := time.Now()
		g.mu.Lock()
		for s := range g.live {
			if s.idle(now) > s.patience() {
				s.abort(errIdle)
			}
		}
		g.mu.Unlock()
	}
}

// Why a session was broken by us.
var (
	errIdle        = errors.New("idle for too long")
	errStopped     = errors.New("the gateway stops")
	errTimeout     = errors.New("no TLS in time")
	errBackTimeout = errors.New("the backend did not answer in time")
	errLoop        = errors.New("the backend is this gateway")
)

// dial opens the connection to a backend. A session that was itself opened by this route is a loop.
func (g *Gateway) dial(ctx context.Context, to *Back, client net.Conn) (net.Conn, error) {
	if g.own.Made(client) {
		return nil, errLoop
	}
	conn, err := to.Dial(ctx)
	if err != nil {
		return nil, err
	}
	if _, isTCP := conn.(*net.TCPConn); isTCP {
		g.own.Add(conn)
	}
	return newSocket(conn), nil
}

// hungUp forgets a connection made by dial.
func (g *Gateway) hungUp(conn net.Conn) {
	if conn != nil {
		g.own.Forget(conn)
	}
}
