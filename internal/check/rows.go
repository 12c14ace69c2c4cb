package check

import (
	"context"
	"errors"
	"slices"

	"starttls"
	"starttls/internal/finding"
)

// A row is one conversation and what is read from it.
type row struct {
	ids []string // the findings that it says something of
	// edit returns how the conversation goes. ok is false where the dialect has nothing of the kind.
	edit  func(*visit) (e edit, ok bool)
	judge func(*visit, *talk)
	quiet bool // what is not seen is not told
}

// rows are all conversations after the honest one, in the order of what they are worth.
var rows = slices.Concat(clearRows, mailRows, stateRows, accountRows)

// run makes the whole visit.
func (v *visit) run(ctx context.Context) {
	t, err := v.talk(ctx, honestEdit(v))
	if err != nil {
		v.service.Outcome, v.service.Why = finding.Unreachable, err.Error()
		if _, busy := errors.AsType[busyError](err); busy {
			v.service.Outcome = finding.Busy
			v.untestable(err)
		}
		return
	}
	if t.stage == dialled && errors.Is(t.err, starttls.ErrNoise) {
		v.service.Outcome, v.service.Why = finding.Busy, "it does not speak "+v.endpoint.Dialect.Name+": "+t.err.Error()
		v.untestable(errors.New(v.service.Why))
		return
	}
	v.honest = t
	v.judgeHonest(t)
	v.service.Outcome = finding.Tested
	if t.stage < secured {
		v.service.Outcome, v.service.Why = finding.NoTLS, cause(t)
	}
	all := rows
	if v.config.Depth == Quick || v.endpoint.Implicit {
		all = nil
	}
	if v.control = t; t.stage == secured && len(all) > 0 { // it was hung up on for asking twice
		if v.control, err = v.talk(ctx, edit{}); err != nil {
			v.control = t
		}
	}
	for i, r := range all {
		v.try(ctx, r)
		for _, id := range r.ids {
			if !r.quiet && !slices.ContainsFunc(all[i+1:], func(later row) bool { return slices.Contains(later.ids, id) }) {
				v.settle(id)
			}
		}
	}
	if v.config.Depth == Full {
		v.judgeImplicitPort(ctx)
	}
	v.judgeTLS(ctx)
}

// try has the conversation of one row.
func (v *visit) try(ctx context.Context, r row) {
	e, ok := r.edit(v)
	if !ok {
		for _, id := range r.ids {
			if !r.quiet {
				v.say(id, finding.NotApplicable, "%s", v.nothing(r))
			}
		}
		return
	}
	t, err := v.talk(ctx, e)
	if err != nil {
		for _, id := range r.ids {
			v.say(id, finding.NotTestable, "%v", err)
		}
		return
	}
	r.judge(v, t)
}

// nothing says why a row has no conversation.
func (v *visit) nothing(r row) string {
	if v.config.Account == nil && slices.Equal(r.ids, accountRows[0].ids) && v.endpoint.Dialect.Login != nil {
		return "no account was given to look with"
	}
	return "the protocol has nothing of the kind"
}

// untestable says of everything that the clear phase is judged for that nothing is known.
func (v *visit) untestable(err error) {
	v.say("clear.offer", finding.NotTestable, "%v", err)
	v.settle("clear.offer")
	for _, r := range rows {
		for _, id := range r.ids {
			if !r.quiet && !slices.ContainsFunc(v.service.Findings, func(f finding.Finding) bool { return f.ID == id }) {
				v.say(id, finding.NotTestable, "%v", err)
				v.settle(id)
			}
		}
	}
}

// cause says in a few words why a conversation has no TLS.
func cause(t *talk) string {
	switch {
	case t.stage < secured && t.presumed():
		return starttls.ErrNotOffered.Error()
	case errors.Is(t.err, errRefused):
		return "the upgrade is refused: " + finding.Quote(t.ready.Said())
	case t.err != nil:
		return t.err.Error()
	case errors.Is(t.road, starttls.ErrNotOffered):
		return starttls.ErrNotOffered.Error()
	}
	return ""
}
