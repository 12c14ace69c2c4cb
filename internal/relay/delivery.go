package relay

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"
)

// A delivery is the part of a transaction that goes to one next hop.
type delivery struct {
	relay   *Relay
	id      string
	next    string
	env     *envelope
	message Message // what the message says of TLS, as far as that is known
	rcpts   []*recipient

	spare *hop // a session from the last message, if there is one
	hop   *hop
	no    *reply // why there is none
	at    *trial // the host that it came to, or that the reply is about, nil if there is none
	// held says that only a demand for TLS stands in the way, so that the message may still say that it
	// does without (RFC 8689 §4.2.2).
	held bool

	feed      chan []byte
	committed atomic.Bool // the client has ended the message, and it may go
	done      chan struct{}
	cancel    context.CancelCauseFunc
	began     time.Time
	sent      bool // the next hop has taken the message
}

// window is how many pieces a next hop may lag behind the client.
const window = 16

func (r *Relay) newDelivery(next string, env *envelope) *delivery {
	return &delivery{relay: r, id: r.id(), next: next, env: env, message: Message{RequireTLS: env.requireTLS}, began: time.Now()}
}

// open finds a host that takes the transaction with at least one of the recipients, and sets the reply
// of each.
func (d *delivery) open(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, d.relay.Times.Walk)
	defer cancel()
	d.at = nil
	plan := d.relay.Plan(ctx, d.next, d.message)
	w := walk{delivery: d, plan: plan}
	if d.hop = w.run(ctx); d.hop == nil && d.relay.Again != nil {
		if again := d.relay.Again(ctx, plan, d.message); again != nil {
			w = walk{delivery: d, plan: again}
			d.hop = w.run(ctx)
		}
	}
	if d.no, d.held = nil, false; d.hop != nil {
		d.at = d.hop.trial()
		for _, r := range d.rcpts {
			d.logRefused(r)
		}
		return
	}
	if d.no = w.final; d.no == nil {
		d.no, d.held = refusalReply(w.conclude(), d.id), d.mayRelax(ctx, &w)
	}
	for _, r := range d.rcpts {
		r.reply = *d.no
	}
	if !d.held {
		d.log(d.rcpts, *d.no)
	}
}

// mayRelax reports whether a message that says "TLS-Required: No" might go where this walk has failed.
func (d *delivery) mayRelax(ctx context.Context, w *walk) bool {
	if d.message != (Message{}) || !w.demanded() {
		return false
	}
	relaxed := d.relay.Plan(ctx, d.next, Message{TLSOptional: true})
	return relaxed.Refusal == nil
}

// add names one more recipient.
func (d *delivery) add(ctx context.Context, r *recipient) {
	d.rcpts = append(d.rcpts, r)
	switch {
	case d.no != nil:
		r.reply = *d.no
	case d.hop == nil:
		d.open(ctx)
		return
	case d.hop.narrow(d.env) && !isASCII(r.addr): // RFC 6531 §3.5
		r.reply = answer(553, "5.6.7", "%s does not support SMTPUTF8 (%s)", d.hop, d.id)
	default:
		release := d.hop.bind(ctx)
		defer release()
		if err := d.hop.rcpt(r); err != nil {
			d.lost(answer(451, "4.4.2", "%s: the connection was lost: %v (%s)", d.hop, err, d.id))
			return
		}
		r.reply = r.reply.passedOn()
	}
	d.logRefused(r)
}

// lost ends the session with the next hop and answers all recipients that are not refused already.
func (d *delivery) lost(told reply) {
	d.hop.conn.Close()
	d.hop, d.no = nil, &told
	var lost []*recipient
	for _, r := range d.rcpts {
		if r.reply.code == 0 || r.reply.ok() {
			r.reply = told
			lost = append(lost, r)
		}
	}
	d.log(lost, told)
}

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
		defer d.cancel(nil)
		d.run(ctx, in)
	}()
}

// run sees a delivery to its end: afterwards each recipient has its reply.
func (d *delivery) run(ctx context.Context, in *intake) {
	if d.hop == nil && d.no == nil {
		d.open(ctx)
	}
	if d.held {
		d.relax(ctx, in)
	}
	if d.hop == nil {
		return
	}
	taken := d.taken()
	if len(taken) == 0 {
		return
	}
	switch known := d.await(ctx, in); {
	case !known:
		d.settle(taken, reply{}, context.Cause(ctx))
		return
	case in.hops >= maxHops:
		d.settle(taken, answer(554, "5.4.6", "Too many hops: the mail loops (%s)", d.id), nil)
		return
	case d.hop.narrow(d.env) && in.beyondASCII: // RFC 6531 §3.5
		d.settle(taken, answer(550, "5.6.9", "%s does not support SMTPUTF8, and the header needs it (%s)", d.hop, d.id), nil)
		return
	}
	// A delivery that was given up lacks a piece, and its connection may not have been closed yet.
	whole := func() bool { return d.committed.Load() && ctx.Err() == nil }
	release := d.hop.bind(ctx)
	r, err := d.hop.send(d.env, d.trace(), d.feed, whole)
	release()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	d.settle(taken, r, err)
}

// await waits for the header, or the end of the delivery. It reports whether the header is known: without that,
// nothing of it may be read.
func (d *delivery) await(ctx context.Context, in *intake) (known bool) {
	select {
	case <-in.header:
		return true
	case <-ctx.Done():
		return false
	}
}

// relax waits for the header and tries once more if the message does without TLS.
func (d *delivery) relax(ctx context.Context, in *intake) {
	if d.message.TLSOptional = d.await(ctx, in) && in.tlsOptional; d.message.TLSOptional {
		d.open(ctx)
	} else {
		d.log(d.rcpts, *d.no)
	}
}

// settle gives the taken recipients their answer.
func (d *delivery) settle(taken []*recipient, r reply, err error) {
	switch {
	case err == nil && r.code >= 200 && r.code/100 != 3:
		r = r.passedOn()
	case err == nil:
		r = answer(451, "4.5.0", "%s answered %s (%s)", d.hop, r, d.id)
	case errors.Is(err, errEightBit): // RFC 6152 §3
		r = answer(554, "5.6.3", "%s does not support 8BITMIME, and the message needs it (%s)", d.hop, d.id)
	case errors.Is(err, errUncertain):
		r = answer(451, "4.4.2", "%s: %v; it may have been taken (%s)", d.hop, errUncertain, d.id)
	default:
		r = answer(451, "4.4.2", "%s: the connection was lost in the message: %v (%s)", d.hop, err, d.id)
	}
	for _, rcpt := range taken {
		rcpt.reply = r
	}
	d.log(taken, r)
	if d.sent = r.ok(); !d.sent {
		d.hop.conn.Close()
		d.hop = nil
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
