package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"starttls"
	"starttls/dialect"
	"starttls/internal/pool"
	"starttls/internal/proxyproto"
)

// errAllDown is a pool of which every server has failed, those that are down included.
var errAllDown = errors.New("no backend is well")

// A dialError is a server that cannot be reached, which is no fault of the client's.
type dialError struct{ error }

func (e dialError) Unwrap() error { return e.error }

// pooled returns a server of the pool.
func (g *Gateway) pooled(i int) *Back {
	if i == 0 {
		return &g.route.Back
	}
	return g.route.Others[i-1]
}

// openAny opens the back leg with the session's server, or with one of the pool: the next if one fails, for
// as long as the client is there. What may be the client's fault does not count against a server.
func (s *session) openAny() (b *backLeg, greeting *dialect.Message, err error) {
	if s.route.Pool == nil || s.to != &s.route.Back {
		return s.openBack()
	}
	all := errAllDown
	var tried []int
	for s.ctx.Err() == nil {
		i, release, ok := s.route.Pool.Take(tried)
		if !ok {
			break
		}
		tried = append(tried, i)
		s.to = s.pooled(i)
		if b, greeting, err = s.openBack(); err == nil {
			b.release = release
			return b, greeting, nil
		}
		release()
		if _, ok := errors.AsType[dialError](err); ok && s.ctx.Err() == nil && !errors.Is(err, errLoop) {
			s.route.Pool.Tell(i, blame(err))
		}
		all = fmt.Errorf("%w; %s: %w", all, s.to.Addr, err)
	}
	s.to = &s.route.Back // who comes again chooses anew
	return nil, nil, all
}

// blame returns err as the pool hears it: no server is down because we are out of descriptors or ports.
func blame(err error) error {
	for _, ours := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, ours) {
			return fmt.Errorf("%w: %w", pool.ErrNothing, err)
		}
	}
	return err
}

// backTime bounds the way to the session's server. Where another may be next, that is no longer than a check.
func (s *session) backTime() time.Duration {
	all := min(maxBack, s.route.Timeout)
	if s.route.Pool != nil && (s.to == &s.route.Back || slices.Contains(s.route.Others, s.to)) {
		return min(all, s.route.Pool.Timeout())
	}
	return all
}

// probe goes the way to a server of the pool that a client's connection would go, up to TLS and its greeting,
// and leaves. Where the client speaks first and there is no TLS, that it can be reached is all that is found.
func (g *Gateway) probe(ctx context.Context, i int) (err error) {
	to, d := g.pooled(i), g.route.Dialect
	conn, err := to.Dial(ctx)
	if err != nil {
		return blame(err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer func() {
		if !stop() {
			err = context.Cause(ctx)
		}
	}()
	if err := to.header(conn, proxyproto.Header{}); err != nil {
		return err
	}
	l := starttls.NewLeg(conn, d, dialect.Client, to.Implicit)
	greeted, err := g.approach(ctx, l, to)
	if err != nil {
		return err
	}
	if d.Script.ServerFirst() && !greeted {
		m, err := l.Hear()
		switch {
		case err != nil:
			return err
		case m.Kind == dialect.No || m.Kind == dialect.Bye:
			return fmt.Errorf("it greets with %q", m.Text)
		}
	}
	return l.Say(dialect.Message{Kind: dialect.Bye})
}

// approach gets a leg to where its level wants it, and reports whether the server was heard on the way.
func (g *Gateway) approach(ctx context.Context, l *starttls.Leg, to *Back) (greeted bool, err error) {
	if to.Implicit {
		_, err = l.BeginClient(ctx, to.TLS)
		return false, err
	}
	if to.Level == starttls.None {
		return false, nil
	}
	name := g.route.Name
	if g.route.Dialect.Named {
		name = to.Name
	}
	if _, err = l.Walk(name); err == nil {
		_, err = l.BeginClient(ctx, to.TLS)
	} else if to.goesOn(err) {
		err = nil
	}
	return true, err
}
