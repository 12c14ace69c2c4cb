package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"starttls"
	"starttls/dialect"
)

// maxBack bounds the way to the backend, TLS and greeting included.
const maxBack = 30 * time.Second

// A backLeg is the leg towards the server. Its fields are guarded by the session's mu.
type backLeg struct {
	*starttls.Leg
	raw     net.Conn         // below TLS
	config  *tls.Config      // for TLS on it
	secured *tls.Conn        // inside it
	guard   dialect.Teller   // through which the client is heard, of a server that is told who it is
	login   bool             // still to be upgraded, with the client's login
	caps    *dialect.Message // what it answered to our own questions on the way to TLS
	release func()           // of its place in the pool; nil if it has none
	left    bool             // by us: its end is not the session's
	err     error            // why its pump has ended; nil while it runs
	pumped  chan struct{}    // closed when its pump has ended; nil before it began
}

// wait waits until the pump has ended.
func (b *backLeg) wait() {
	if b.pumped != nil {
		<-b.pumped
	}
}

// heard keeps what the server has answered to our own questions.
func (b *backLeg) heard(h starttls.Heard) {
	if h.Caps.Raw != nil {
		b.caps = &h.Caps
	}
}

// leave says goodbye in the protocol's words, if the server still listens to them, and hangs up.
func (b *backLeg) leave() {
	if b.err == nil && !b.login && !b.left {
		b.raw.SetWriteDeadline(time.Now().Add(time.Second))
		b.Say(dialect.Message{Kind: dialect.Bye})
	}
	b.left = true
	b.raw.Close()
}

// connect dials the backend, gets to TLS there if the level says so, says its greeting on unless the
// client was greeted already, and begins the server's pump. asked is the client's message for which
// that is done, if there is one. When it fails, the client was told. It is called with mu held, and
// gives it up while it dials: nobody else works on the session then.
func (s *session) connect(asked dialect.Message) error {
	// The backend has a deadline of its own: it is not the client's fault when that passes, and the
	// client is told.
	left := s.timeLeft()
	s.timer.Stop()
	for _, by := range append(slices.Clip(asked.For), s.askedFor()) {
		if to := s.route.Backs[by]; to != nil {
			s.to = to
			break
		}
	}
	s.mu.Unlock()
	var back *backLeg
	var greeting *dialect.Message
	var err error
	aside(func() { back, greeting, err = s.openAny() })
	s.mu.Lock()
	if s.phase == inClear {
		s.timer.Reset(left)
	}
	if err != nil {
		s.front.Say(asked.Reply(dialect.No, dialect.Unavailable))
		return backendError{err}
	}
	s.back = back
	if err := s.sayGreeting(greeting); err != nil {
		return err
	}
	if !back.login {
		s.beginPump()
	}
	return nil
}

// sayGreeting says the server's first words on. A client that dialled in before the server did was
// greeted by us; but what the server says first inside TLS is for it as well.
func (s *session) sayGreeting(m *dialect.Message) error {
	again := s.greeted && !s.route.Dialect.Script.ServerFirstInside()
	if m == nil || again && m.Kind == dialect.Greeting {
		return nil
	}
	s.greeted = true
	if m.Raw == nil { // ours: it lists nothing
		return s.front.Say(*m)
	}
	s.out.Add(int64(len(m.Raw)))
	return s.toClient(*m)
}

// openBack dials and, where the dialect does not need the login first, gets to TLS. The greeting that
// it returns is the server's first words, or ours in their place.
func (s *session) openBack() (*backLeg, *dialect.Message, error) {
	b, greeting, err := s.open(s.to.Level)
	if errors.Is(err, errAnew) {
		b, greeting, err = s.open(starttls.None)
	}
	return b, greeting, err
}

// askedFor returns the host that the client asks for, or "". It is called with mu held.
func (s *session) askedFor() string {
	name := ""
	if s.route.Dialect.Named {
		name = s.front.Known("")
	}
	if name == "" && s.secured != nil {
		name = s.secured.ConnectionState().ServerName
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// errAnew is a server that has no TLS and must be dialled anew to be spoken to in the clear.
var errAnew = errors.New("to be dialled anew")

// open opens the back leg at a level, which is that of the backend or none.
func (s *session) open(level starttls.Level) (*backLeg, *dialect.Message, error) {
	ctx, cancel := context.WithTimeoutCause(s.ctx, s.backTime(), errBackTimeout)
	defer cancel()
	conn, err := s.dialAs(ctx)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	to, d := s.to, s.route.Dialect
	b := &backLeg{Leg: starttls.NewLeg(conn, d, dialect.Client, to.Implicit), raw: conn, config: to.TLS}
	if s.channels != nil && to.TLS != nil {
		// Data connections resume the session of the control connection: some servers demand it.
		b.config = to.TLS.Clone()
		b.config.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	}
	var greeting *dialect.Message
	switch {
	case !s.conns.setBack(conn):
		err = errStopped
	case to.Implicit:
		b.secured, err = b.BeginClient(ctx, b.config)
	case level != starttls.None && !d.LoginFirst:
		greeting, err = s.walk(ctx, b)
	case level != starttls.None:
		greeting, err = s.approach(b)
	}
	if err == nil && greeting == nil && d.Script.ServerFirst() && (b.secured == nil || to.Implicit) {
		greeting, err = s.hearGreeting(b)
	}
	if err == nil && to.Tell {
		greeting, err = s.tell(b, greeting)
	}
	if err == nil && s.channels != nil {
		err = s.channels.opened(b)
	}
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		conn.Close()
		s.hungUp(conn)
		return nil, nil, err
	}
	return b, greeting, nil
}

// hearGreeting hears the server's first words.
func (s *session) hearGreeting(b *backLeg) (*dialect.Message, error) {
	m, err := b.Hear()
	m.Raw = slices.Clone(m.Raw) // more may be heard before it is said on
	return &m, err
}

// approach gets the back leg to where the upgrade is asked for, with the login.
func (s *session) approach(b *backLeg) (*dialect.Message, error) {
	heard, err := b.Approach(s.route.Name)
	if b.login = err == nil; !b.login && !s.to.goesOn(err) {
		return nil, err
	}
	b.heard(heard)
	return heard.First(), nil
}

// walk gets the back leg to TLS. What the server said in the clear is not said on after TLS: the
// client gets a greeting of ours instead, unless the server speaks first again inside, or the protocol
// knows nothing but the greeting.
func (s *session) walk(ctx context.Context, b *backLeg) (*dialect.Message, error) {
	script := s.route.Dialect.Script
	name := s.route.Name
	if s.route.Dialect.Named {
		name = s.front.Known(s.to.Name)
	}
	heard, err := b.Walk(name)
	b.heard(heard)
	if s.to.goesOn(err) {
		if s.route.Dialect.Fresh && heard.First() == nil {
			return nil, errAnew // what we have said as a client cannot be taken back
		}
		return heard.First(), nil
	}
	if err == nil {
		b.secured, err = b.BeginClient(ctx, b.config)
	}
	switch {
	case err != nil || !script.ServerFirst() || script.ServerFirstInside():
		return nil, err
	case s.route.Dialect.Silent:
		return &heard.Greeting, nil // it is all that is ever said of the server
	}
	return &dialect.Message{Kind: dialect.Greeting, Name: s.to.Name}, nil
}

// goesOn reports whether the back leg can go on in the clear after err: the server has no TLS for us,
// has said so in its protocol, and the level is content with that.
func (b *Back) goesOn(err error) bool {
	if b.Level != starttls.May {
		return false
	}
	refusal, ok := errors.AsType[*starttls.Error](err)
	return ok && refusal.At != dialect.Greeting && !refusal.Gone &&
		(errors.Is(err, starttls.ErrNotOffered) || errors.Is(err, starttls.ErrRefused))
}

// upgradeBack upgrades the back leg with what the client said in its login, and begins the server's
// pump. It is called with mu held.
func (s *session) upgradeBack(login dialect.Message) error {
	b := s.back
	b.login = false
	s.timer.Stop() // real work begins: the rest is the backend's time
	ctx, cancel := context.WithTimeoutCause(s.ctx, min(maxBack, s.route.Timeout), errBackTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { b.raw.Close() })
	err := b.Ask(login.Raw)
	if err == nil {
		b.secured, err = b.BeginClient(ctx, b.config)
	}
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		s.front.Say(login.Reply(dialect.No, dialect.Unavailable))
		return backendError{err}
	}
	s.beginPump()
	return nil
}

// leaveBack hangs up on a server that must not go on with a session that TLS has made a new one. It is
// called with mu held.
func (s *session) leaveBack() {
	s.back.leave()
	s.parted(s.back)
	if s.back.release != nil {
		s.to = &s.route.Back // a server of the pool is chosen anew
	}
	s.back = nil
}

// parted forgets a back leg that is closed.
func (s *session) parted(b *backLeg) {
	s.hungUp(b.raw)
	if b.release != nil {
		b.release()
	}
}

// backendError is a failure to get to the backend.
type backendError struct{ error }

func (e backendError) Error() string { return "backend: " + e.error.Error() }
func (e backendError) Unwrap() error { return e.error }
