package relay

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"starttls/internal/policy"
)

// A delivery is the part of a transaction that goes to one next hop.
type delivery struct {
	relay *Relay
	id    string
	next  string
	env   *envelope
	rcpts []*recipient

	hop     *hop
	refusal *policy.Refusal
	// held says that only a demand for TLS stands in the way, so that the message may still say that it
	// does without (RFC 8689 §4.2.2).
	held bool

	feed      chan []byte
	committed atomic.Bool // the client has ended the message, and it may go
	done      chan struct{}
	cancel    context.CancelCauseFunc
	began     time.Time
}

// window is how many pieces a next hop may lag behind the client.
const window = 16

func (r *Relay) newDelivery(next string, env *envelope) *delivery {
	return &delivery{relay: r, id: r.id(), next: next, env: env, began: time.Now()}
}

// open finds a host that takes the transaction with at least one of the recipients, and sets the reply
// of each.
func (d *delivery) open(ctx context.Context, message Message) {
	ctx, cancel := context.WithTimeout(ctx, d.relay.Times.Walk)
	defer cancel()
	plan := d.relay.Plan(ctx, d.next, message)
	w := walk{delivery: d, plan: plan}
	d.refusal, d.held = nil, false
	if plan.Refusal != nil {
		d.refusal = plan.Refusal
	} else if d.hop = w.run(ctx); d.hop == nil {
		d.refusal, d.held = w.verdict(), w.demanded && !message.RequireTLS && !message.TLSOptional
	}
	if d.refusal != nil {
		for _, r := range d.rcpts {
			r.reply = refusalReply(d.refusal, d.id)
		}
	}
}

// add names one more recipient to a next hop that is open already.
func (d *delivery) add(ctx context.Context, r *recipient) {
	d.rcpts = append(d.rcpts, r)
	switch {
	case d.hop == nil && d.refusal == nil, d.hop == nil && d.held:
		d.open(ctx, d.message())
	case d.refusal != nil:
		r.reply = refusalReply(d.refusal, d.id)
	default:
		release := d.hop.bind(ctx)
		defer release()
		if err := d.hop.rcpt(r); err != nil {
			d.fail(answer(451, "4.4.2", "%s: the connection was lost: %v (%s)", d.hop.attempt.Host, err, d.id))
		} else {
			r.reply = r.reply.passedOn()
		}
	}
}

// fail ends the session with the next hop and answers all recipients that are not refused already.
func (d *delivery) fail(answer reply) {
	d.drop()
	d.refusal = &policy.Refusal{Code: answer.code, Enhanced: answer.enhanced, Text: answer.lines[0]}
	for _, r := range d.rcpts {
		if r.reply.code == 0 || r.reply.ok() {
			r.reply = answer
		}
	}
}

func (d *delivery) drop() {
	if d.hop != nil {
		d.hop.conn.Close()
		d.hop = nil
	}
}

func (d *delivery) message() Message { return Message{RequireTLS: d.env.requireTLS} }

// taken are the recipients that the next hop has taken so far.
func (d *delivery) taken() []*recipient {
	return slices.DeleteFunc(slices.Clone(d.rcpts), func(r *recipient) bool { return !r.reply.ok() })
}

// start begins to send what comes out of the feed.
func (d *delivery) start(ctx context.Context, in *intake) {
	ctx, d.cancel = context.WithCancelCause(ctx)
	d.feed, d.done = make(chan []byte, window), make(chan struct{})
	go func() {
		defer close(d.done)
		d.run(ctx, in)
	}()
}

// run sees a delivery to its end: afterwards each recipient has its reply.
func (d *delivery) run(ctx context.Context, in *intake) {
	defer d.cancel(nil)
	if d.hop == nil && d.refusal == nil {
		d.open(ctx, d.message())
	}
	if d.held {
		select {
		case <-in.header:
		case <-ctx.Done():
		}
		if in.tlsOptional {
			d.open(ctx, Message{TLSOptional: true})
		}
	}
	if d.hop == nil {
		return
	}
	if len(d.taken()) == 0 {
		return
	}
	release := d.hop.bind(ctx)
	r, err := d.hop.send(d.env, d.feed, d.committed.Load)
	release()
	d.settle(ctx, r, err)
}

// settle gives the taken recipients their answer.
func (d *delivery) settle(ctx context.Context, r reply, err error) {
	host := d.hop.attempt.Host
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	switch {
	case err == nil && r.code >= 200 && r.code/100 != 3:
		r = r.passedOn()
	case err == nil:
		r = answer(451, "4.5.0", "%s answered %s (%s)", host, r, d.id)
	case errors.Is(err, errEightBit): // RFC 6152 §3
		r = answer(554, "5.6.3", "%s does not support 8BITMIME, and the message needs it (%s)", host, d.id)
	case errors.Is(err, errUncertain):
		r = answer(451, "4.4.2", "%s: %v; it may have been taken (%s)", host, errUncertain, d.id)
	default:
		r = answer(451, "4.4.2", "%s: the connection was lost in the message: %v (%s)", host, err, d.id)
	}
	for _, rcpt := range d.taken() {
		rcpt.reply = r
	}
	if err != nil || r.code/100 != 2 {
		d.drop()
	}
}

// offer hands a piece to the delivery, or gives it up when it has not moved for too long.
func (d *delivery) offer(piece []byte, stall *time.Timer) {
	select {
	case d.feed <- piece:
		return
	case <-d.done:
		return
	default:
	}
	select {
	case d.feed <- piece:
	case <-d.done:
	case <-stall.C:
		d.cancel(errStalled)
		stall.Reset(0) // nobody else gets more time
	}
}

var errStalled = errors.New("it took too long to take what was sent")
