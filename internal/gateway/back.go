package gateway

import (
	"errors"

	"starttls"
	"starttls/dialect"
)

// connect dials the backend, gets to TLS there if the level says so, says its greeting on and begins
// the server's pump. asked is the client's message for which that is done, if there is one. When it
// fails, the client was told. It is called with mu held, and gives it up while it dials: nobody else
// works on the session then.
func (s *session) connect(asked dialect.Message) error {
	s.mu.Unlock()
	greeting, err := s.openBack()
	s.mu.Lock()
	if err != nil {
		s.front.Say(asked.Reply(dialect.No, dialect.Unavailable))
		return backendError{err}
	}
	switch {
	case greeting == nil:
	case greeting.Raw == nil: // ours
		err = s.front.Say(*greeting)
	default:
		err = s.toClient(*greeting)
	}
	if err == nil && !s.late {
		s.beginPump()
	}
	return err
}

// openBack dials and, where the dialect does not need the login first, gets to TLS. The greeting that
// it returns is what the client has still to be told, if anything.
func (s *session) openBack() (*dialect.Message, error) {
	conn, err := s.dial(s.ctx, s.conns.front.RemoteAddr())
	if err != nil {
		return nil, err
	}
	b, d := s.route.Back, s.route.Dialect
	s.back = starttls.NewLeg(conn, d, dialect.Client, b.Implicit)
	if !s.conns.setBack(conn) {
		return nil, errStopped
	}
	switch {
	case b.Implicit:
		s.behind, err = s.back.BeginClient(s.ctx, b.TLS)
		return nil, err
	case b.Level == starttls.None:
		return nil, nil
	case d.LoginFirst:
		return s.hearOffer()
	default:
		return s.walk()
	}
}

// walk gets the back leg to TLS. What the server said in the clear is not said on after TLS: the
// client gets a greeting of ours instead, unless the server speaks first again inside.
func (s *session) walk() (*dialect.Message, error) {
	serverFirst := s.route.Dialect.Script.ServerFirst()
	heard, err := s.back.Walk(s.route.Name)
	if s.mayGoOn(err) {
		if !serverFirst {
			return nil, nil
		}
		return &heard.Greeting, nil
	}
	if err == nil {
		s.behind, err = s.back.BeginClient(s.ctx, s.route.Back.TLS)
	}
	if err != nil || !serverFirst {
		return nil, err
	}
	if in := s.route.Dialect.Script.Inside; len(in) > 0 && in[0].Says == dialect.Server {
		return nil, nil
	}
	return &dialect.Message{Kind: dialect.Greeting, Name: s.route.Back.Name}, nil
}

// mayGoOn reports whether the back leg can go on in the clear after err: the server has no TLS for us,
// has said so in its protocol, and the level is content with that.
func (s *session) mayGoOn(err error) bool {
	if s.route.Back.Level != starttls.May {
		return false
	}
	refusal, ok := errors.AsType[*starttls.Error](err)
	return ok && refusal.At != dialect.Greeting &&
		(errors.Is(err, starttls.ErrNotOffered) || errors.Is(err, starttls.ErrRefused))
}

// hearOffer hears the greeting of a server that is upgraded with the login, and what it offers.
func (s *session) hearOffer() (*dialect.Message, error) {
	m, err := s.back.Hear()
	if err != nil {
		return nil, err
	}
	s.late = m.Kind == dialect.Greeting && m.Offer != dialect.Unsaid
	if m.Kind == dialect.Greeting && !s.late && s.route.Back.Level > starttls.May {
		return nil, &starttls.Error{Dialect: s.route.Dialect.Name, At: dialect.Greeting, Err: starttls.ErrNotOffered}
	}
	return &m, nil
}

// upgradeBack upgrades the back leg with what the client said in its login, and begins the server's
// pump. It is called with mu held.
func (s *session) upgradeBack(login dialect.Message) error {
	s.late = false
	err := s.back.Say(dialect.Message{Kind: dialect.Upgrade, Login: login.Raw})
	if err == nil {
		s.behind, err = s.back.BeginClient(s.ctx, s.route.Back.TLS)
	}
	if err != nil {
		s.front.Say(login.Reply(dialect.No, dialect.Unavailable))
		return backendError{err}
	}
	s.beginPump()
	return nil
}

// beginPump starts the server's pump. It is called with mu held.
func (s *session) beginPump() {
	s.pump = make(chan struct{})
	go s.runServerPump()
}

// backendError is a failure to get to the backend.
type backendError struct{ error }

func (e backendError) Error() string { return "backend: " + e.error.Error() }
func (e backendError) Unwrap() error { return e.error }
