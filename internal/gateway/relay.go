package gateway

import (
	"crypto/tls"
	"errors"
	"io"
	"time"

	"starttls"
	"starttls/dialect"
)

// How much a client may say before TLS and real work.
const (
	maxMessages = 1000
	maxRefusals = 20
)

// maxHandshake bounds the handshake itself, from the upgrade on.
const maxHandshake = time.Minute

// pumpClient takes the client's messages one at a time, each when the one before was answered in full,
// so that whatever is glued to a message waits its turn. It returns when both directions have ended.
func (s *session) pumpClient() error {
	for {
		more, err := s.step()
		if err == errSplice {
			err = s.splice(s.back.Conn, s.front, &s.in)
		}
		if more {
			err = await(s.front.Conn, s.front.Fill)
			s.seen()
		}
		switch {
		case err == io.EOF:
			return s.clientDone()
		case err != nil:
			return err
		}
	}
}

// errRefused ends a session in whose protocol a refusal is the last word.
var errRefused = errors.New("refused, and over")

// errSplice is returned by steps when what follows is spliced.
var errSplice = errors.New("splice")

// step waits for its turn and acts on the client's next message. more says that none is whole.
func (s *session) step() (more bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.phase != spliced && s.back != nil && s.back.Pending() && s.back.err == nil && s.ctx.Err() == nil {
		s.turn.Wait()
	}
	switch {
	case s.ctx.Err() != nil:
		return false, s.ctx.Err()
	case s.phase == spliced:
		return false, errSplice
	}
	m, ok, err := s.front.Next()
	if ok {
		s.in.Add(int64(len(m.Raw)))
		err = s.fromClient(m)
	}
	s.settle()
	return !ok && err == nil, err
}

// clientDone passes the end of the client's direction on to the backend and waits for the backend's
// last words to be delivered.
func (s *session) clientDone() error {
	s.mu.Lock()
	back := s.back
	s.mu.Unlock()
	if back == nil || back.pumped == nil {
		return io.EOF
	}
	s.halfDone.Store(true)
	closeWrite(back.Conn)
	back.wait()
	return back.err
}

// fromClient acts on one message of the client. It is called with mu held.
func (s *session) fromClient(m dialect.Message) error {
	if s.messages++; s.messages > maxMessages && !s.working {
		s.refuse(m, dialect.TooMuch)
		return starttls.ErrTooLong
	}
	switch {
	case m.Why != dialect.Unknown:
		return s.refuse(m, m.Why)
	case m.Kind == dialect.Upgrade:
		return s.upgrade(m)
	case m.Kind == dialect.Hello && s.certFor != "" && m.Name != s.certFor:
		return s.refuse(m, dialect.NotNow) // the certificate was chosen for another host
	case s.must() && (m.Kind == dialect.Secret || m.Kind == dialect.Rival):
		return s.refuse(m, dialect.TLSRequired)
	case s.route.byWork && m.Kind == dialect.Rival:
		return s.refuse(m, dialect.Unknown) // the server would be dialled before we know which
	case s.late():
		return s.answer(m)
	}
	if s.back == nil {
		if err := s.connect(m); err != nil {
			return err
		}
	}
	if s.back.login && m.Kind == dialect.Secret {
		if err := s.upgradeBack(m); err != nil {
			return err
		}
	}
	if m.Kind == dialect.Secret && !s.working {
		s.working = true
		s.timer.Stop()
	}
	if s.channels != nil {
		pass, answer := s.channels.fromClient(m)
		if answer != "" {
			return s.front.Say(dialect.Message{Re: m.Kind, Raw: []byte(answer)})
		}
		m = pass
	}
	return s.toServer(m)
}

// toServer says a message of the client to the server, as it is said on its leg. A question that is
// none for it is answered by us: with what it has answered to our own, or in our words.
func (s *session) toServer(m dialect.Message) error {
	if s.to.Tell {
		var ok bool
		if m, ok = s.back.guard.Pass(m); !ok {
			s.front.Say(m.Reply(dialect.No, dialect.TooMuch))
			return errClaim
		}
	}
	if sealed, err := s.seal(m); sealed {
		return err
	}
	question := m.Kind == dialect.Hello || m.Kind == dialect.Ask
	said, ok := s.back.Across(m)
	switch {
	case ok && !(question && s.back.Crosses() && s.back.caps != nil):
		return s.back.Say(said)
	case !question:
		return s.front.Say(m.Reply(dialect.Other, dialect.Unknown))
	case s.back.caps == nil:
		answer := m.Reply(dialect.Caps, dialect.Unknown)
		answer.Offer = s.offer()
		return s.front.Say(answer)
	}
	answer := *s.back.caps
	answer.Re, answer.Tag = m.Kind, m.Tag
	return s.toClient(answer)
}

// answer says what we say ourselves in place of a server that is dialled late.
func (s *session) answer(m dialect.Message) error {
	answer := starttls.Answer(m, s.front.Known(s.to.Name))
	if err := s.front.Say(answer.Telling(s.route.Front.STS)); err != nil {
		return err
	}
	if m.Kind == dialect.Bye {
		return io.EOF
	}
	return nil
}

// must reports whether this client has to begin TLS before any work. It is called with mu held.
func (s *session) must() bool {
	return s.phase == inClear && s.route.Front.Level == starttls.Encrypt
}

// refuse answers m with a refusal in the protocol's words. It is called with mu held.
func (s *session) refuse(m dialect.Message, why dialect.Reason) error {
	s.refused = why
	if s.refusals++; s.refusals > maxRefusals {
		why = dialect.TooMuch
	}
	err := s.front.Say(m.Reply(dialect.No, why))
	switch {
	case why == dialect.TooMuch:
		return starttls.ErrTooLong
	case err == nil && s.front.Over():
		return errRefused
	}
	return err
}

// upgrade begins TLS with the client. The server's pump holds what it hears until that is done. It is
// called with mu held, and gives it up for the handshake.
func (s *session) upgrade(m dialect.Message) error {
	if s.route.Front.Level == starttls.None {
		return s.refuse(m, dialect.Unknown)
	}
	if s.must() && s.route.Dialect.Again && m.Re == dialect.Secret {
		return s.refuse(m, dialect.TLSRequired) // it is a request of its own, said in the clear
	}
	switch s.caughtUp(); {
	case s.ctx.Err() != nil:
		return s.ctx.Err()
	case s.phase == spliced: // the server has let the client in meanwhile
		return s.refuse(m, dialect.NotNow)
	}
	if s.route.Dialect.Named {
		s.certFor = s.front.Known("")
	}
	left := maxHandshake
	if !s.working {
		left = min(left, s.timeLeft())
	}
	s.timer.Reset(left)
	s.phase = upgrading
	s.mu.Unlock()
	var conn *tls.Conn
	var err error
	aside(func() { conn, err = s.front.BeginServer(s.ctx, m, s.route.Front.TLS) })
	s.mu.Lock()
	if err != nil {
		return err
	}
	s.timer.Stop()
	s.seen()
	s.secured, s.phase = conn, inside
	if s.channels != nil {
		s.channels.upgraded(m)
	}
	s.turn.Broadcast()
	if s.back != nil && s.route.Dialect.Fresh {
		s.leaveBack()
	}
	if s.back == nil && s.route.Dialect.Script.ServerFirst() {
		return s.connect(dialect.Message{})
	}
	return nil
}

// caughtUp waits until the backend has answered what was asked of it before the upgrade, where the
// dialect lets a client ask without waiting: our go-ahead must not overtake an answer. A backend that
// never answers does not keep the client from TLS. It is called with mu held.
func (s *session) caughtUp() {
	if s.back == nil || !s.back.Owes() {
		return
	}
	late := false
	timer := time.AfterFunc(min(maxOwed, s.timeLeft()), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		late = true
		s.turn.Broadcast()
	})
	defer timer.Stop()
	for !late && s.back.Owes() && s.back.err == nil && s.ctx.Err() == nil {
		s.turn.Wait()
	}
}

// maxOwed is how long the upgrade waits for an answer that may never come.
const maxOwed = 3 * time.Second

// beginPump starts the server's pump. It is called with mu held.
func (s *session) beginPump() {
	s.back.pumped = make(chan struct{})
	go s.runServerPump(s.back)
}

// runServerPump takes the server's messages, edits the offers in them and says them to the client,
// until the server's direction has ended; that is passed on.
func (s *session) runServerPump(b *backLeg) {
	defer close(b.pumped)
	err := s.pumpServer(b)
	s.mu.Lock()
	for s.phase == upgrading && s.ctx.Err() == nil {
		s.turn.Wait() // the client's handshake is not the server's to end
	}
	b.err = err
	s.turn.Broadcast()
	if b.left || s.phase == upgrading { // that is broken off, and the front leg still the handshake's
		s.mu.Unlock()
		return
	}
	front := s.front.Conn
	s.mu.Unlock()
	if !ended(err) {
		s.abort(err)
		return
	}
	s.halfDone.Store(true)
	closeWrite(front)
}

func (s *session) pumpServer(b *backLeg) error {
	for {
		more, err := s.stepServer(b)
		if err == errSplice {
			err = s.splice(s.front.Conn, b.Leg, &s.out)
		}
		if more {
			err = await(b.Conn, b.Fill)
			s.seen()
		}
		if err != nil {
			return err
		}
	}
}

// stepServer says the server's next message on. more says that none is whole.
func (s *session) stepServer(b *backLeg) (more bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.phase == upgrading && s.ctx.Err() == nil {
		s.turn.Wait()
	}
	switch {
	case b.left || s.ctx.Err() != nil:
		return false, io.EOF
	case s.phase == spliced:
		return false, errSplice
	}
	m, ok, err := b.Next()
	if ok {
		s.out.Add(int64(len(m.Raw)))
		err = s.toClient(m)
	}
	s.settle()
	s.turn.Broadcast()
	return !ok && err == nil, err
}

// offer is what we say of TLS to the client. It is called with mu held.
func (s *session) offer() dialect.Offer {
	offer := dialect.Unsaid
	if s.phase == inClear && !s.offered {
		switch s.route.Front.Level {
		case starttls.May:
			offer = dialect.Offered
		case starttls.Encrypt:
			offer = dialect.Required
		}
	}
	return offer
}

// toClient says a message of the server to the client, with our offer of TLS in place of the server's.
// It is called with mu held.
func (s *session) toClient(m dialect.Message) error {
	if s.unsealed != nil {
		return s.sayUnsealed(m)
	}
	offer := s.offer()
	if m.Re == dialect.Secret {
		offer = dialect.Unsaid // who has logged in is past it (RFC 9051 §6.2.1)
	}
	heard := m.Kind
	m, ok := s.front.Across(m.Offering(offer).Telling(s.route.Front.STS))
	switch {
	case !ok:
		return nil
	case m.Kind == dialect.No && heard != dialect.No:
		s.front.Say(m)
		return backendError{errors.New(m.Text)}
	}
	if (s.secured != nil || s.back.secured != nil) && !s.bindable() {
		s.unbound = s.unbound || s.secured != nil && m.Binds() // in the clear nobody can bind
		m = m.Unbound()
	}
	if s.channels != nil {
		m = s.channels.fromServer(m)
	}
	if s.to.Tell {
		m = m.Guarded()
	}
	return s.front.Say(m)
}

// settle turns to the splice when nothing that follows concerns TLS. It is called with mu held.
func (s *session) settle() {
	if (s.phase == inClear || s.phase == inside) && !s.must() && s.back != nil && !s.back.login && s.back.Settled() {
		s.phase = spliced
		s.timer.Stop()
		s.turn.Broadcast()
	}
}
