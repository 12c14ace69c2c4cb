// Package verify attacks a listener and says what held: the rows of the attack table that can be told
// from outside, in any dialect, as edits of its script. It is how a gateway proves itself.
//
// The numbers of the rows are those of the tests in internal/gateway.
//
// It does not judge certificates, versions or ciphers.
package verify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"starttls"
	"starttls/dialect"
)

// A Target is a listener under test.
type Target struct {
	Endpoint starttls.Endpoint
	// Demands says that TLS is demanded there: work before it must be refused.
	Demands bool
	// TLS is for the handshakes. It verifies what it is told to; rows about the upgrade want it lax.
	TLS *tls.Config
	// Timeout bounds each conversation. If zero, five seconds.
	Timeout time.Duration
}

// Verdict is what a row says.
type Verdict uint8

// The verdicts.
const (
	Held Verdict = iota
	Broken
	NotApplicable // the protocol has nothing of the kind
)

// String returns the verdict as it is printed.
func (v Verdict) String() string { return [...]string{"held", "BROKEN", "n/a"}[min(v, NotApplicable)] }

// A Result is one row's verdict and what it rests on.
type Result struct {
	ID, Claim string
	Verdict   Verdict
	Detail    string // what was seen
}

// A row is one attack: run returns what was seen, and an error if the claim does not hold.
type row struct {
	id, claim string
	run       func(*probe) (seen string, err error)
}

// What rows return that there is nothing for.
var (
	errNone      = errors.New("the protocol has nothing of the kind")
	errFirstByte = fmt.Errorf("TLS begins with the first byte: %w", errNone)
	errOptional  = fmt.Errorf("tls=encrypt is not said of the listener: %w", errNone)
)

// Run attacks the target, one conversation after the other, and hands each result to tell. It returns
// how many rows were broken, and an error if the target cannot be reached or has no TLS at all.
func Run(ctx context.Context, t Target, tell func(Result)) (broken int, err error) {
	if t.Timeout == 0 {
		t.Timeout = 5 * time.Second
	}
	if err := t.reach(ctx); err != nil {
		return 0, err
	}
	for _, r := range rows {
		res := t.try(ctx, r)
		if res.Verdict == Broken {
			broken++
		}
		tell(res)
		if ctx.Err() != nil {
			return broken, ctx.Err()
		}
	}
	return broken, nil
}

// reach makes one honest upgrade.
func (t Target) reach(ctx context.Context) error {
	conn, err := t.Endpoint.Dial(ctx, &starttls.Config{TLS: t.TLS, Timeout: t.Timeout})
	if err != nil {
		return err
	}
	return conn.Close()
}

// try runs one row in a conversation of its own.
func (t Target) try(ctx context.Context, r row) Result {
	res := Result{ID: r.id, Claim: r.claim}
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, t.Endpoint.Network, t.Endpoint.Address)
	if err != nil {
		res.Verdict, res.Detail = Broken, err.Error()
		return res
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	p := &probe{Target: t, ctx: ctx, raw: conn, leg: starttls.NewLeg(conn, t.Endpoint.Dialect, dialect.Client, t.Endpoint.Implicit)}
	res.Detail, err = r.run(p)
	switch {
	case errors.Is(err, errNone):
		res.Verdict, res.Detail = NotApplicable, strings.TrimSuffix(err.Error(), ": "+errNone.Error())
	case err != nil:
		res.Verdict, res.Detail = Broken, err.Error()
	}
	return res
}

// A probe is one conversation.
type probe struct {
	Target
	ctx context.Context
	raw net.Conn // below TLS
	leg *starttls.Leg
}

// words returns how a client of the dialect says one of these kinds, the first for which it has words.
func (p *probe) words(inside bool, kinds ...dialect.Kind) []byte {
	speech := p.Endpoint.Dialect.Speak(dialect.Client, inside)
	for _, kind := range kinds {
		if said := speech.Write(nil, dialect.Message{Kind: kind, Name: "verify.invalid"}); len(said) > 0 {
			return said
		}
	}
	return nil
}

// work returns a first piece of work.
func (p *probe) work() []byte { return []byte(p.Endpoint.Dialect.Work) }

// question returns something that a server answers at once.
func (p *probe) question() []byte {
	if q := p.words(false, dialect.Ask, dialect.Hello); q != nil {
		return q
	}
	return p.work()
}

// ready goes the road up to the client's upgrade, which it returns for the caller to write.
func (p *probe) ready() ([]byte, error) {
	if p.Endpoint.Implicit {
		return nil, errFirstByte
	}
	for _, line := range p.Endpoint.Dialect.Script.Clear {
		switch {
		case line.Kind == dialect.Upgrade:
			said := p.leg.Words(dialect.Message{Kind: dialect.Upgrade, Name: "verify.invalid"})
			if len(said) == 0 {
				return nil, errNone
			}
			return said, nil
		case line.Says == dialect.Client:
			if err := p.leg.Say(dialect.Message{Kind: line.Kind, Name: "verify.invalid"}); err != nil {
				return nil, err
			}
		default:
			if err := p.await(line.Kind); err != nil {
				return nil, err
			}
		}
	}
	return nil, errNone
}

// await hears until a message of the kind has come and its answer is whole.
func (p *probe) await(kind dialect.Kind) error {
	for range 100 {
		m, err := p.leg.Hear()
		if err != nil {
			return err
		}
		if m.Kind == kind && !p.leg.Pending() || kind != dialect.Greeting && !p.leg.Pending() && m.Re != dialect.Other {
			return nil
		}
	}
	return fmt.Errorf("no %s", kind)
}
