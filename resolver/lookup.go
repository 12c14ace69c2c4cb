package resolver

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/miekg/dns"
)

// How long things are kept at least and at most, whatever their TTL, and failures (RFC 9520 §3.2).
const (
	minKeep  = time.Second
	maxKeep  = 24 * time.Hour
	failKeep = 5 * time.Second
)

// maxBulk is the size up to which an answer is kept for its time, in bytes: 400 MX are, and what is made
// to fill the memory is not.
const maxBulk = 32 << 10

// A question is what a lookup asks.
type question struct {
	name string // as Name returns it
	t    Type
}

// A source is asked for one lookup, and judges what it was told.
type source interface {
	ask(ctx context.Context, name string, t uint16) (*reply, error)
	// judge says how far a set of the reply can be trusted.
	judge(ctx context.Context, set *rrset, r *reply) (verdict, error)
	// judgeDenial says how far the reply can be trusted that there is no such record.
	judgeDenial(ctx context.Context, r *reply, name string, t uint16) (verdict, error)
}

// A verdict is how far a set, or the denial of one, can be trusted.
type verdict struct {
	why    string // it is insecure; "" if it is secure
	ttl    time.Duration
	noName bool // of a denial
}

// follow asks, and goes from alias to alias until there are records, or there are none. Each link is
// judged on its own, and the answer is as good as the weakest.
func follow(ctx context.Context, src source, q question) (*Answer, error) {
	a := &Answer{Name: q.name, Type: q.t, Status: Secure, TTL: maxKeep}
	at, t := dns.CanonicalName(q.name), uint16(q.t)
	r, err := src.ask(ctx, at, t)
	if err != nil {
		return nil, err
	}
	for range maxLinks + 1 {
		a.Canonical = hostOf(at)
		set := r.about(at, t)
		if set == nil {
			v, err := src.judgeDenial(ctx, r, at, t)
			if err != nil {
				return nil, err
			}
			a.weaken(v)
			a.NoName = v.noName
			return a, nil
		}
		v, err := src.judge(ctx, set, r)
		if err != nil {
			return nil, err
		}
		a.weaken(v)
		if set.rtype == t {
			a.fill(set)
			return a, nil
		}
		if at, err = target(set, at); err != nil {
			return nil, err
		}
		if t == dns.TypeCNAME { // it is made from the DNAME, which is proved
			a.CNAME = hostOf(at)
			return a, nil
		}
		if r.about(at, t) == nil {
			if r, err = src.ask(ctx, at, t); err != nil {
				return nil, err
			}
		}
	}
	return nil, indeterminate(edeNone, "more than %d aliases in a row", maxLinks)
}

// lookups answer questions, and keep what was found.
type lookups struct {
	timeout time.Duration
	now     func() time.Time
	bogus   func() // told when one is; may be nil
	answers cache[question, kept]
}

// A kept answer, and when its TTL ends.
type kept struct {
	answer *Answer
	until  time.Time
}

func newLookups(timeout time.Duration, size int, now func() time.Time) *lookups {
	return &lookups{timeout: cmp.Or(timeout, 10*time.Second), now: now, answers: cache[question, kept]{size: size, now: now}}
}

// get answers from what is kept, or else from a new source.
func (l *lookups) get(ctx context.Context, name string, t Type, begin func() source) (*Answer, error) {
	asked, err := Name(name)
	if err != nil {
		return nil, &Error{Name: name, Type: t, Code: edeNone, Err: err}
	}
	q := question{asked, t}
	if _, ok := types[t]; !ok {
		return nil, q.failed(ctx, errors.New("this type of record is not supported"))
	}
	if IsAnew(ctx) {
		l.answers.forget(q)
	}
	k, err := l.answers.get(ctx, q, func() (kept, time.Duration, error) { return l.find(ctx, begin(), q) })
	if err != nil {
		return nil, q.failed(ctx, err)
	}
	a := *k.answer
	a.TTL = max(k.until.Sub(l.now()), 0)
	return &a, nil
}

// find does the work of a lookup, within the time that it may take. Failures are kept, whatever it was
// that failed: who asks again at once would only have the same. Not so if it was the caller who left.
func (l *lookups) find(ctx context.Context, src source, q question) (kept, time.Duration, error) {
	limited, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	a, err := follow(limited, src, q)
	switch {
	case err == nil:
		keep := clamp(a.TTL)
		if a.bulk() > maxBulk {
			keep = minKeep
		}
		return kept{a, l.now().Add(a.TTL)}, keep, nil
	case ctx.Err() != nil:
		return kept{}, 0, ctx.Err()
	case limited.Err() != nil:
		err = indeterminate(edeUnreachable, "no answer in time")
	case isBogus(err) && l.bogus != nil:
		l.bogus()
	}
	return kept{}, failKeep, err
}

// failed makes the error of a lookup: the context's when that has ended, else one that tells the question.
func (q question) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	e := Error{Status: Indeterminate, Code: edeNone, Err: err}
	if own, ok := errors.AsType[*Error](err); ok {
		e = *own // others hold it too
	}
	e.Name, e.Type = q.name, q.t
	return &e
}

// clamp returns how long something is kept that has this TTL.
func clamp(ttl time.Duration) time.Duration { return min(max(ttl, minKeep), maxKeep) }

// keepFault returns how long an error on the way to an answer is kept: not at all if it is of who asked,
// whose time or budget has run out, and not of what was asked.
func keepFault(err error) time.Duration {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errSpent) {
		return 0
	}
	return failKeep
}
