package relay

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"starttls/internal/accept"
	"starttls/internal/gateway"
)

// A crowd is the clients of a relay.
type crowd struct {
	wg     sync.WaitGroup
	mu     sync.Mutex
	live   map[net.Conn]context.CancelFunc
	byAddr map[netip.Addr]int
}

// Serve accepts clients from ln until ctx ends; then it closes ln and returns nil. Sessions live on: see
// [Relay.Drain]. It returns an error when ln fails for good.
func (r *Relay) Serve(ctx context.Context, ln net.Listener) error {
	return accept.Each(ctx, ln, r.Log.With("route", r.Label), r.accepted)
}

// Live returns how many sessions there are.
func (r *Relay) Live() int {
	r.crowd.mu.Lock()
	defer r.crowd.mu.Unlock()
	return len(r.crowd.live)
}

// Drain waits until all sessions have ended. When ctx ends first, it breaks those that are left and
// returns how many there were.
func (r *Relay) Drain(ctx context.Context) (broken int) {
	done := make(chan struct{})
	go func() { r.crowd.wg.Wait(); close(done) }()
	select {
	case <-done:
		return 0
	case <-ctx.Done():
	}
	r.crowd.mu.Lock()
	broken = len(r.crowd.live)
	for conn, cancel := range r.crowd.live {
		cancel()
		conn.Close()
	}
	r.crowd.mu.Unlock()
	<-done
	return broken
}

// accepted runs a session, unless the client may not have one.
func (r *Relay) accepted(conn net.Conn) {
	ip := addrOf(conn)
	if !r.mayRelay(conn.RemoteAddr()) {
		r.turnAway(conn, answer(554, "5.7.1", "This is no server for you: relaying is for declared networks"), "not in a declared network")
		return
	}
	if r.own.Made(conn) { // RFC 5321 §6.3
		r.turnAway(conn, answer(554, "5.4.6", "The mail loops: this is where it came from"), "it is ourselves")
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	if !r.crowd.admit(conn, ip, cancel, r.MaxConns, r.MaxPerAddr) {
		cancel()
		r.turnAway(conn, answer(421, "4.3.2", "Too many connections, come again"), "too many connections")
		return
	}
	go func() {
		defer r.crowd.left(conn, ip)
		defer cancel()
		s := r.newSession(conn)
		err := s.run(ctx)
		s.conn.Close()
		if err != nil {
			r.Log.Debug("session", "peer", conn.RemoteAddr().String(), "err", err)
		}
	}()
}

// turnAway tells a client in one line that there is nothing for it here.
func (r *Relay) turnAway(conn net.Conn, words reply, why string) {
	r.Log.Warn("turned away", "route", r.Label, "peer", conn.RemoteAddr().String(), "reason", why)
	if !r.Front.Implicit {
		conn.SetWriteDeadline(time.Now().Add(time.Second))
		conn.Write(words.append(nil))
	}
	conn.Close()
}

func (c *crowd) admit(conn net.Conn, ip netip.Addr, cancel context.CancelFunc, most, perAddr int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.live) >= most || ip.IsValid() && c.byAddr[ip] >= perAddr {
		return false
	}
	if c.live == nil {
		c.live, c.byAddr = map[net.Conn]context.CancelFunc{}, map[netip.Addr]int{}
	}
	c.live[conn] = cancel
	c.byAddr[ip]++
	c.wg.Add(1)
	return true
}

func (c *crowd) left(conn net.Conn, ip netip.Addr) {
	c.mu.Lock()
	delete(c.live, conn)
	if c.byAddr[ip]--; c.byAddr[ip] == 0 {
		delete(c.byAddr, ip)
	}
	c.mu.Unlock()
	c.wg.Done()
}

// An ownConn is a connection to a next hop, known as ours until it is closed.
type ownConn struct {
	net.Conn
	own *gateway.Own
}

func (r *Relay) ours(conn net.Conn) net.Conn {
	r.own.Add(conn)
	return ownConn{conn, &r.own}
}

func (c ownConn) Close() error {
	c.own.Forget(c.Conn)
	return c.Conn.Close()
}

// addrOf returns the address of a client, invalid for a unix socket.
func addrOf(conn net.Conn) netip.Addr {
	if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
