package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"

	"starttls"
	"starttls/internal/policy"
)

// A walk is a delivery on its way along a plan.
type walk struct {
	*delivery
	plan     *policy.Plan
	failures []failure
	demanded bool // a demand for TLS was not met somewhere
}

// A failure is why one try came to nothing.
type failure struct {
	refusal policy.Refusal
	kind    failureKind
}

type failureKind uint8

const (
	unreached failureKind = iota // nothing was said to us
	untrusted                    // what is demanded of TLS was not met
	unfit                        // the message cannot be passed on there as it is
	answered                     // the server said no
)

// run tries hosts and addresses in order (RFC 5321 §5.1) until one takes a recipient, or refuses for
// good. It returns the session, or nil.
func (w *walk) run(ctx context.Context) *hop {
	var last *hop // said 4xx to every recipient
	for i := range w.plan.Attempts {
		a := &w.plan.Attempts[i]
		if a.Refusal != nil {
			w.failed(untrusted, *a.Refusal)
			continue
		}
		for _, ip := range a.Addrs {
			h := w.try(ctx, a, ip)
			if h == nil {
				continue
			}
			if last != nil {
				last.quit()
			}
			if w.settled() {
				return h
			}
			last = h
		}
	}
	return last
}

// settled reports whether the replies of the recipients are good to be told: no other host would do
// better.
func (w *walk) settled() bool {
	temporary := false
	for _, r := range w.rcpts {
		if r.reply.ok() {
			return true
		}
		temporary = temporary || r.reply.temporary()
	}
	return !temporary
}

// try opens a session at one address and begins the transaction there. Why it does not is noted.
func (w *walk) try(ctx context.Context, a *policy.Attempt, ip netip.Addr) *hop {
	if ctx.Err() != nil {
		w.failed(unreached, policy.Refusal{Code: 451, Enhanced: "4.4.1", Text: "There was no time to try " + a.Host})
		return nil
	}
	h, err := w.session(ctx, a, ip)
	if err != nil {
		w.note(a, ip, err)
		return nil
	}
	release := h.bind(ctx)
	defer release()
	if no := h.lacks(w.env); no != nil {
		w.failed(unfit, *no)
		h.quit()
		return nil
	}
	replies, err := h.transact(w.env, w.rcpts)
	if err != nil {
		if _, said := errors.AsType[*replyError](err); said {
			h.quit()
		} else {
			h.conn.Close()
		}
		w.note(a, ip, err)
		return nil
	}
	for i, r := range w.rcpts {
		r.reply = replies[i].passedOn()
	}
	return h
}

// session returns the one that was kept from the last message if it is what would be opened now, or opens
// one.
func (w *walk) session(ctx context.Context, a *policy.Attempt, ip netip.Addr) (*hop, error) {
	return w.relay.connect(ctx, a, ip)
}

// note turns an error into a failure.
func (w *walk) note(a *policy.Attempt, ip netip.Addr, err error) {
	where := fmt.Sprintf("%s[%s]", a.Host, ip)
	if said, ok := errors.AsType[*replyError](err); ok {
		r := said.passedOn()
		w.failed(answered, policy.Refusal{Code: r.code, Enhanced: r.enhanced, Text: where + " said: " + r.lines[0]})
		return
	}
	if _, ok := errors.AsType[*connectError](err); ok {
		w.failed(unreached, policy.Refusal{Code: 451, Enhanced: "4.4.1", Text: fmt.Sprintf("%s: %v", where, err)})
		return
	}
	demand := fmt.Sprintf("TLS is demanded (%s, %s)", a.Level, a.Source)
	switch {
	case a.Level > starttls.May && isNoOffer(err):
		w.failed(untrusted, policy.Refusal{Code: 451, Enhanced: "4.7.4", Text: fmt.Sprintf("%s: %s and not offered: %v", where, demand, err)})
	case a.Level > starttls.May && errors.Is(err, starttls.ErrTLS):
		if cert, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			err = cert
		}
		w.failed(untrusted, policy.Refusal{Code: 451, Enhanced: "4.7.5", Text: fmt.Sprintf("%s: %s: %v", where, demand, err)})
	default:
		w.failed(unreached, policy.Refusal{Code: 451, Enhanced: "4.4.2", Text: fmt.Sprintf("%s: %v", where, err)})
	}
}

func (w *walk) failed(kind failureKind, refusal policy.Refusal) {
	w.failures = append(w.failures, failure{refusal, kind})
	w.demanded = w.demanded || kind == untrusted
}

// verdict is the answer after the last host: of all that went wrong, what tells the most. As long as one
// of them may pass, all may.
func (w *walk) verdict() *policy.Refusal {
	var best *failure
	for i := range w.failures {
		f := &w.failures[i]
		if best == nil || f.tells(best) {
			best = f
		}
	}
	if best == nil {
		return &policy.Refusal{Code: 451, Enhanced: "4.4.4", Text: "No host of " + w.next + " has an address"}
	}
	return &best.refusal
}

// tells reports whether f tells more than g: temporary before permanent, then the kinds in their order.
func (f *failure) tells(g *failure) bool {
	if f.refusal.Temporary() != g.refusal.Temporary() {
		return f.refusal.Temporary()
	}
	return f.kind > g.kind
}
