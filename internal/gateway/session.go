package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"starttls"
	"starttls/dialect"
)

// A session is one client's connection and what was made of it.
//
// Two goroutines work on it: the client's pump, in which the session runs, and the server's pump, begun
// when there is a backend. They share the speeches of the legs and the fields below mu; each reads its
// own leg without holding mu.
type session struct {
	*Gateway
	id    uint64
	addr  netip.Addr // by which clients are counted, see counted; of a unix socket none
	begun time.Time
	ctx   context.Context // ends with the session
	end   context.CancelCauseFunc
	timer *time.Timer // the deadline of the way to TLS
	conns conns

	client, server netip.AddrPort // what a proxy in front has told of both ends; not valid if none has

	last     atomic.Int64 // when bytes were last seen, in nanoseconds after begun
	halfDone atomic.Bool  // one direction has ended
	in, out  atomic.Int64 // bytes from the client and from the server, below neither's TLS

	mu       sync.Mutex
	turn     sync.Cond // on mu: an answer came, or the phase changed
	front    *starttls.Leg
	secured  *tls.Conn // the front leg inside TLS
	to       *Back     // the backend of this client
	back     *backLeg  // nil before there is one
	phase    phase
	certFor  string         // the host that the client asked for when it began TLS
	greeted  bool           // the client was greeted
	offered  bool           // before the server said anything: it is not said again
	working  bool           // the client's first real work was passed on
	messages int            // from the client
	refusals int            // said to the client
	refused  dialect.Reason // the last of them
	unbound  bool           // mechanisms with channel binding were taken out
	leaf     leaf           // the certificate that the client was shown
	channels *channels      // of a dialect that has them
	unsealed []byte         // a password that waits for the key of the server
}

// phase is how far a session has come.
type phase uint8

const (
	inClear   phase = iota // no TLS in front yet
	upgrading              // between the client's upgrade and the end of the handshake
	inside                 // TLS in front
	spliced                // nothing is read as a message anymore
)

// lastID numbers the sessions of the process, for the log.
var lastID atomic.Uint64

func newSession(g *Gateway, conn net.Conn) *session {
	conn = newSocket(conn)
	s := &session{
		Gateway: g,
		id:      lastID.Add(1),
		begun:   time.Now(),
		front:   starttls.NewLeg(conn, g.route.Dialect, dialect.Server, g.route.Front.Implicit),
		conns:   conns{front: conn},
		to:      &g.route.Back,
	}
	s.turn.L = &s.mu
	s.ctx, s.end = context.WithCancelCause(context.WithValue(context.Background(), leafKey{}, &s.leaf))
	if !s.fromProxy() { // whose clients are counted when it has told them
		s.addr = counted(addrOf(conn.RemoteAddr()))
	}
	if g.route.Dialect.Channels {
		s.channels = newChannels(s)
	}
	return s
}

// counted returns what clients are counted by: of IPv6 the network, which is what one host has to choose
// from.
func counted(addr netip.Addr) netip.Addr {
	if addr.Is6() {
		network, _ := addr.Prefix(64)
		return network.Addr()
	}
	return addr
}

// run is the session's life.
func (s *session) run() {
	defer s.left(s)
	stop := context.AfterFunc(s.ctx, s.broken)
	s.timer = time.AfterFunc(s.route.Timeout, func() { s.abort(errTimeout) })
	err := s.serve()
	s.timer.Stop()
	if cause := context.Cause(s.ctx); cause != nil {
		err = cause
	} else {
		s.goodbye(err)
	}
	stop()
	s.end(nil)
	s.broken() // whatever the server's pump waits for
	if s.back != nil {
		s.back.wait()
		s.parted(s.back)
	}
	if s.channels != nil {
		s.channels.forget()
	}
	clear(s.unsealed)
	s.log(err)
	if s.route.Ended != nil {
		s.route.Ended(s.told(err))
	}
}

// abort ends the session for a reason of ours.
func (s *session) abort(why error) { s.end(why) }

// broken closes both connections under the pumps and wakes the one that waits.
func (s *session) broken() {
	s.conns.close()
	s.mu.Lock()
	s.turn.Broadcast()
	s.mu.Unlock()
}

// goodbye leaves the backend in its protocol's words if a session ended before the splice, and lets a
// client that was turned away read why: closing with its bytes unread would reset the connection and
// take our words back.
func (s *session) goodbye(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.back != nil && s.phase != spliced {
		s.back.leave()
	}
	_, down := errors.AsType[backendError](err)
	if down || !ended(err) && !errors.Is(err, starttls.ErrTLS) {
		closeWrite(s.front.Conn)
		s.conns.front.SetReadDeadline(time.Now().Add(time.Second))
		io.CopyN(io.Discard, s.conns.front, 1<<20)
	}
}

// idle returns for how long nothing was sent.
func (s *session) idle(now time.Time) time.Duration {
	return now.Sub(s.begun) - time.Duration(s.last.Load())
}

// patience is how long nothing may be sent. A session of which one direction has ended is on its way
// out.
func (s *session) patience() time.Duration {
	if s.halfDone.Load() {
		return min(s.route.Idle, time.Minute)
	}
	return s.route.Idle
}

// timeLeft is what is left of the way to TLS.
func (s *session) timeLeft() time.Duration { return s.route.Timeout - time.Since(s.begun) }

func (s *session) seen() { s.last.Store(int64(time.Since(s.begun))) }

// serve gets the legs going and pumps until both directions have ended.
func (s *session) serve() error {
	if err := s.introduce(); err != nil {
		return err
	}
	if err := s.detect(); err != nil {
		return err
	}
	s.mu.Lock()
	err := s.greet()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.pumpClient()
}

// greet says the first words where they are the server's: its own, or ours if it is dialled late. It
// is called with mu held.
func (s *session) greet() error {
	switch {
	case !s.route.Dialect.Script.ServerFirst():
		return nil
	case s.late():
		s.greeted = true
		return s.front.Say(dialect.Message{Kind: dialect.Greeting, Name: s.to.Name, Offer: dialect.Required})
	case s.route.Dialect.Alone && s.offer() == dialect.Offered:
		return s.offerAlone()
	default:
		return s.connect(dialect.Message{})
	}
}

// offerAlone makes the offer before the server says anything, and gives the client a moment to answer.
// It is called with mu held, when nobody else works on the session.
func (s *session) offerAlone() error {
	if err := s.front.Say(dialect.Message{Kind: dialect.Greeting, Name: s.to.Name, Offer: s.offer()}); err != nil {
		return err
	}
	s.offered = true
	s.conns.front.SetReadDeadline(time.Now().Add(offerWait))
	err := s.front.Fill()
	s.conns.front.SetReadDeadline(time.Time{})
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() || err == io.EOF {
		return s.connect(dialect.Message{})
	}
	return err
}

// offerWait is how long the server's first words wait for the answer to an offer that stands alone.
const offerWait = time.Second

// late reports whether the client is met by us alone: TLS is demanded of it, has not begun, and nothing
// that the server could say before is needed. It is called with mu held.
func (s *session) late() bool {
	d := s.route.Dialect
	return s.must() && s.back == nil && !s.to.Early && !d.Early && (d.Script.ServerFirst() || d.Fresh)
}

// detect begins TLS at once where the listener or the client's first byte says so.
func (s *session) detect() error {
	f := s.route.Front
	switch {
	case f.Implicit:
		return s.beginTLS()
	case f.Level == starttls.None:
		return nil
	case !s.route.Dialect.Script.ServerFirst():
		if err := s.front.Fill(); err != nil {
			return err
		}
	case f.Detect > 0:
		s.conns.front.SetReadDeadline(time.Now().Add(f.Detect))
		err := s.front.Fill()
		s.conns.front.SetReadDeadline(time.Time{})
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			return nil
		}
		if err != nil {
			return err
		}
	default:
		return nil
	}
	if first := s.front.Unread(); len(first) > 0 && first[0] == recordHandshake {
		return s.beginTLS()
	}
	return nil
}

// recordHandshake is the first byte of every TLS connection (RFC 8446 §5.1). No message of a dialect
// in which the client speaks first begins with it.
const recordHandshake = 0x16

var errNoALPN = errors.New("the client began with TLS and without ALPN")

// beginTLS shakes hands with a client that owes us no upgrade.
func (s *session) beginTLS() error {
	var conn *tls.Conn
	var err error
	aside(func() { conn, err = s.front.BeginTLS(s.ctx, s.route.Front.TLS) })
	if err != nil {
		return err
	}
	if s.route.Dialect.DirectALPN && conn.ConnectionState().NegotiatedProtocol == "" {
		return &starttls.Error{Dialect: s.route.Dialect.Name, At: dialect.Upgrade, Err: errNoALPN}
	}
	s.timer.Stop()
	s.seen()
	s.secured, s.phase = conn, inside
	return nil
}

// conns are the two connections as they were opened, below TLS: what can be closed at any time.
type conns struct {
	mu          sync.Mutex
	front, back net.Conn
	closed      bool
}

// setBack keeps the connection to the backend. It reports false, and closes it, if all was closed.
func (c *conns) setBack(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.back = conn
	if c.closed {
		conn.Close()
	}
	return !c.closed
}

func (c *conns) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.front.Close()
	if c.back != nil {
		c.back.Close()
	}
}

// ended reports whether err is how a session ends that nothing befell: the end of a direction, as it was
// read. A failure that wraps one, such as that of a handshake, is something else.
func ended(err error) bool { return err == nil || err == io.EOF }

// hungUpOn reports whether err is a peer that closed with words of ours unread: many clients do not
// wait for the answer to their goodbye, nor for the end of TLS.
func hungUpOn(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
