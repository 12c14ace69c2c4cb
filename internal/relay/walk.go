package relay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"starttls/internal/policy"
	"starttls/tlsrpt"
)

// A walk is a delivery on its way along a plan.
type walk struct {
	*delivery
	plan     *policy.Plan
	refusals []*policy.Refusal
	tried    []*trial // of whom the refusals tell, one for each
	final    *reply   // a server's answer after which no other is asked
	wanted   bool     // a server wants TLS that could not be had
}

// run tries hosts and addresses in order (RFC 5321 §5.1) until one takes a recipient, or refuses for
// good. It returns the session, or nil.
func (w *walk) run(ctx context.Context) *hop {
	if len(w.plan.Attempts) == 0 && w.plan.Refusal != nil {
		w.passedOver(&policy.Attempt{Policy: tlsrpt.Policy{Type: tlsrpt.NoPolicy, Domain: w.plan.Domain}, Refusal: w.plan.Refusal})
	}
	var last *hop // said 4xx to every recipient
	for i := range w.plan.Attempts {
		a := &w.plan.Attempts[i]
		if a.Refusal != nil {
			w.passedOver(a)
			continue
		}
		for _, ip := range a.Addrs {
			h := w.try(ctx, a, ip)
			if h == nil && w.final == nil {
				continue
			}
			if last != nil {
				last.quit()
			}
			if last = h; w.final != nil || w.settled() {
				return h
			}
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
		w.unasked(a, ip, 451, "4.4.1", "there was no time to try %s", a.Host)
		return nil
	}
	if w.relay.NotHere && (ip.IsLoopback() || ip.IsUnspecified()) {
		w.unasked(a, ip, 550, "5.4.6", "%s[%s] is this machine: mail would go in circles", a.Host, ip)
		return nil
	}
	if h := w.take(a); h != nil {
		if w.transact(ctx, h) == nil {
			return h
		}
		h.conn.Close() // it is old: whatever was said on it, a new one may say otherwise
	}
	h, verdict := w.connect(ctx, a, ip)
	if h == nil {
		w.refuse(verdict.Refusal, &trial{a, netip.AddrPortFrom(ip, a.Port), verdict.Word})
		return nil
	}
	if no := h.lacks(w.env, w.rcpts); no != nil {
		w.refuse(no, h.trial())
		h.quit()
		return nil
	}
	if err := w.transact(ctx, h); err != nil {
		w.failed(h, err)
		return nil
	}
	return h
}

// failed notes why a transaction did not begin, and ends the session.
func (w *walk) failed(h *hop, err error) {
	said, ok := errors.AsType[*replyError](err)
	if !ok {
		w.refused(h.trial(), 451, "4.4.2", "%s: %v", h, err)
		h.conn.Close()
		return
	}
	h.quit()
	r := said.passedOn()
	// That TLS is needed, said to who could not have it, stops only a message that would do without
	// (RFC 8689 §4.2.2).
	if r.code < 500 || r.code == 530 && !said.secured && !w.message.TLSOptional {
		w.wanted = w.wanted || r.code == 530
		w.refused(h.trial(), 451, "4"+r.enhanced[1:], "%s said: %s", h, said.reply)
		return
	}
	w.final, w.at = &r, h.trial()
}

// transact names sender and recipients on a session.
func (w *walk) transact(ctx context.Context, h *hop) error {
	release := h.bind(ctx)
	defer release()
	if no := h.lacks(w.env, w.rcpts); no != nil {
		return errors.New(no.Text)
	}
	replies, err := h.transact(w.env, w.rcpts)
	if err != nil {
		return err
	}
	for i, r := range w.rcpts {
		r.reply = replies[i].passedOn()
	}
	return nil
}

// refuse notes why a host does not take the message.
func (w *walk) refuse(why *policy.Refusal, t *trial) {
	w.refusals, w.tried = append(w.refusals, why), append(w.tried, t)
}

func (w *walk) refused(t *trial, code int, enhanced, format string, args ...any) {
	w.refuse(&policy.Refusal{Code: code, Enhanced: enhanced, Text: fmt.Sprintf(format, args...)}, t)
}

// unasked notes why an address is left alone.
func (w *walk) unasked(a *policy.Attempt, ip netip.Addr, code int, enhanced, format string, args ...any) {
	why := &policy.Refusal{Code: code, Enhanced: enhanced, Text: fmt.Sprintf(format, args...)}
	w.refuse(why, &trial{a, netip.AddrPortFrom(ip, a.Port), a.Word(why)})
}

// conclude returns what is told of all that was tried, and notes whom it is about.
func (w *walk) conclude() *policy.Refusal {
	told := w.plan.Conclude(w.refusals)
	for i, r := range w.refusals {
		if w.at == nil || r == told || told.Failure != nil && r.Failure == told.Failure {
			w.at = w.tried[i]
		}
	}
	return told
}

// passedOver notes what was refused without a session.
func (w *walk) passedOver(a *policy.Attempt) {
	word := a.Word(a.Refusal)
	w.refuse(a.Refusal, &trial{attempt: a, word: word})
	f := a.Refusal.Failure
	if f == nil {
		return
	}
	w.tally([]tlsrpt.Outcome{{Policy: a.Policy, Failed: true, Failures: []tlsrpt.Failure{*f}}})
	switch {
	case f.Reason == tlsrpt.ReasonMXNotInPolicy:
		w.alarm(a, Alarm{Kind: "unlisted", Source: a.Source, Text: a.Refusal.Text}, word)
	case f.Type == tlsrpt.DNSSECInvalid:
		w.alarm(a, Alarm{Kind: "dnssec", Source: policy.FromDANE, Text: a.Refusal.Text}, word)
	}
}

// demanded reports whether TLS has anything to do with why nobody took the message.
func (w *walk) demanded() bool {
	for _, r := range w.refusals {
		if r.Failure != nil {
			return true
		}
	}
	return w.wanted
}
