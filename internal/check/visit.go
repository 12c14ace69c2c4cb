package check

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	"starttls"
	"starttls/dialect"
	"starttls/internal/finding"
)

// A visit is the check of one service at one address.
type visit struct {
	*Checker
	endpoint starttls.Endpoint
	match    string
	address  string
	service  *finding.Service
	honest   *talk // the honest session
	control  *talk // one that goes the straight road to its end, for comparison
	asked    bool  // a client certificate was asked for
	cache    tls.ClientSessionCache
	formal   bool          // the server wants to be asked what it can do before it is asked for TLS
	hasty    bool          // a second ClientHello came too soon behind an early one, perhaps
	alone    []byte        // the answer to a password without a name
	other    [][]byte      // the chain for clients with the other kind of keys, if one was seen
	ended    time.Time     // the last conversation
	gap      time.Duration // grown when the server puts us off, halved when it does not
	*ledger
}

// turn is whose turn it is at an address.
type turn struct {
	sync.Mutex
	waiting int
}

// take waits until nobody else talks to the address.
func (c *Checker) take(address string) *turn {
	c.mu.Lock()
	t := c.busy[address]
	if t == nil {
		t = &turn{}
		c.busy[address] = t
	}
	t.waiting++
	c.mu.Unlock()
	t.Lock()
	return t
}

func (c *Checker) give(address string, t *turn) {
	t.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.waiting--; t.waiting == 0 {
		delete(c.busy, address)
	}
}

// errBudget ends what would need one connection more than are allowed.
var errBudget = errors.New("no connection is left of the budget")

// A busyError is a server that puts us off.
type busyError struct{ why string }

func (e busyError) Error() string { return "the server puts us off: " + e.why }

// talk has one conversation, and comes back once if the server puts us off. Its error is errBudget, a
// busyError, the context's, or that of dialling; whatever befell later is in the talk.
func (v *visit) talk(ctx context.Context, e edit) (*talk, error) {
	t, err := v.once(ctx, e)
	if _, busy := errors.AsType[busyError](err); !busy || v.config.Patience < 0 {
		v.gap /= 2
		return t, err
	}
	v.gap = max(v.gap, v.config.Patience)
	return v.once(ctx, e)
}

func (v *visit) once(ctx context.Context, e edit) (*talk, error) {
	if v.service.Connections >= v.config.Budget {
		return nil, errBudget
	}
	if err := wait(ctx, v.ended.Add(max(v.gap, v.config.Gap)).Sub(v.now())); err != nil {
		return nil, err
	}
	v.service.Connections++
	defer func() { v.ended = v.now() }()
	ctx, cancel := context.WithTimeout(ctx, v.config.Timeout)
	defer cancel()
	c := &conversation{visit: v, edit: e, from: v.now()}
	var err error
	if c.conn, err = v.config.Dial(ctx, v.endpoint.Network, v.address); err != nil {
		if v.honest != nil { // it was there a moment ago
			return nil, busyError{err.Error()}
		}
		return nil, err
	}
	defer c.conn.Close()
	defer context.AfterFunc(ctx, func() { c.conn.Close() })()
	c.mark(tConnect)
	c.run(ctx)
	c.err = c.ending(ctx)
	if why := c.putOff(ctx); why != "" {
		return nil, busyError{why}
	}
	return &c.talk, nil
}

// errSilent is a server that says nothing, and does not hang up either.
var errSilent = errors.New("no answer")

// An ending is what ended a conversation, in words that are the same each time: there are no ports in them, and
// whether a FIN or a reset is seen, and in which of our steps, is chance.
type ending struct {
	words string
	err   []error
}

func (e *ending) Error() string   { return e.words }
func (e *ending) Unwrap() []error { return e.err }

// ending returns what ended the conversation before its time, nil if nothing did.
func (c *conversation) ending(ctx context.Context) error {
	tlsFailed := ""
	if errors.Is(c.err, starttls.ErrTLS) {
		tlsFailed = starttls.ErrTLS.Error() + ": "
	}
	switch {
	case c.err == nil:
		return nil
	case errors.Is(c.err, starttls.ErrInjected):
		return &ending{starttls.ErrInjected.Error(), []error{c.err}}
	case ctx.Err() != nil:
		return &ending{fmt.Sprintf("%s%v in %s", tlsFailed, errSilent, c.config.Timeout), []error{errSilent, c.err}}
	case hungUp(c.err):
		return &ending{tlsFailed + "the server hangs up", []error{c.err}}
	}
	return c.err
}

// hungUp reports whether the server has ended the connection. Silence is not that: it may be anybody's.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// wait waits, unless ctx ends before.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// putOff returns why the server does not want to talk with us now, if it does not: a refusal in the
// place of a greeting, a hello that is answered with "come again", a goodbye, an end or silence before
// the first word.
func (c *conversation) putOff(ctx context.Context) string {
	refusal, _ := errors.AsType[*starttls.Error](c.err)
	switch {
	case c.endpoint.Implicit:
		return ""
	case c.stage == asked && c.honest == nil:
		return c.putOffLate()
	case c.stage > dialled, refusal == nil:
		return ""
	case errors.Is(c.err, starttls.ErrRefused) && (refusal.At == dialect.Greeting && refusal.Reason != dialect.NotNow || refusal.Temporary() || refusal.Gone):
		return finding.Quote([]byte(refusal.Text))
	case ctx.Err() != nil:
		return fmt.Sprintf("no %s in %s", refusal.At, c.config.Timeout)
	case errors.Is(c.err, io.EOF), !errors.Is(c.err, starttls.ErrRefused) && !errors.Is(c.err, starttls.ErrNoise) && !errors.Is(c.err, starttls.ErrTooLong):
		return "it hangs up where a " + refusal.At.String() + " is due"
	}
	return ""
}

// closing is the code by which servers of SMTP, LMTP and FTP may answer anything (RFC 5321 §4.2.1, RFC 959
// §4.2).
var closing = []byte("421")

// putOffLate returns why the server does not want to talk with us, of one that is asked for TLS for the first
// time: an end or silence where that is the first that is said, a goodbye where TLS is listed.
func (c *conversation) putOffLate() string {
	switch {
	case !c.spoken && (hungUp(c.err) || errors.Is(c.err, errSilent)):
		return "before its first word: " + c.err.Error()
	case c.road == nil && (c.ready.Kind == dialect.Bye && c.ready.Re == dialect.Other || bytes.HasPrefix(c.ready.Raw, closing)):
		return finding.Quote(c.ready.Said())
	}
	return ""
}

// calls returns the name that we say: our own, or the server's where that is asked for.
func (v *visit) calls() string {
	if v.endpoint.Dialect.Named {
		return v.match
	}
	return v.config.Name
}
