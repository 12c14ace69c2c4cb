// Package accept takes connections from a listener for as long as it is open, also where there are no
// descriptors left for a while.
package accept

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Each hands each connection of ln to take until ctx ends; then it closes ln and returns nil. It returns
// an error when somebody else has closed ln.
func Each(ctx context.Context, ln net.Listener, log *slog.Logger, take func(net.Conn)) error {
	ln = Patiently(ln, log)
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			take(conn)
		case ctx.Err() != nil:
			return nil
		default:
			return err
		}
	}
}

// How long a listener rests after a failure: ever longer, up to longest. How often that is told, at most:
// a server whose sessions come and go at the limit fails again and again.
const (
	shortest  = 5 * time.Millisecond
	longest   = time.Second
	tellEvery = 10 * time.Second
)

// Patiently returns ln as a listener that fails only when it is closed. Any other failure passes: of most
// sessions must end first (EMFILE, ENFILE, ENOBUFS), or it was one client's (ECONNABORTED).
func Patiently(ln net.Listener, log *slog.Logger) net.Listener {
	return &patient{Listener: ln, log: log, closed: make(chan struct{})}
}

type patient struct {
	net.Listener
	log    *slog.Logger
	once   sync.Once
	closed chan struct{}

	mu   sync.Mutex
	told time.Time // of a failure
}

func (p *patient) Accept() (net.Conn, error) {
	for pause := shortest; ; pause = min(2*pause, longest) {
		conn, err := p.Listener.Accept()
		if err == nil || errors.Is(err, net.ErrClosed) {
			return conn, err
		}
		p.tell(err)
		select {
		case <-time.After(pause):
		case <-p.closed:
		}
	}
}

func (p *patient) tell(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.told) >= tellEvery {
		p.told = now
		p.log.Error("accept failed, trying again", "listener", p.Addr().String(), "err", err)
	}
}

func (p *patient) Close() error {
	p.once.Do(func() { close(p.closed) })
	return p.Listener.Close()
}
