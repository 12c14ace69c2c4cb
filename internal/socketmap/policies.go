package socketmap

import (
	"cmp"
	"container/list"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"starttls/internal/policy"
)

// Policies answers smtp_tls_policy_maps from plans, and keeps what it answered for as long as the plan's
// evidence is good. An answer that is asked for near its end is made anew behind the one that is told, so
// that only the first question for a destination waits for DNS and HTTPS. However many ask at once, a
// plan is made once.
//
// When a plan cannot be made, the last one is told to its end, and then TEMP: never anything milder.
type Policies struct {
	// Plan makes the plan of a destination. It ends when ctx does.
	Plan func(ctx context.Context, d policy.Destination) (*policy.Plan, error)
	// Version is Postfix's. If zero, Oldest.
	Version Version
	// Limit is how long the making of a plan may take. If zero, 25 seconds.
	Limit time.Duration
	// MaxAnswers is how many answers are kept; those go first that nobody has asked for longest. If
	// zero, 20,000.
	MaxAnswers int
	// MaxPlans is how many plans are made at once; others wait. If zero, 100.
	MaxPlans int
	// Log hears of each answer that was made. If nil, nothing is logged.
	Log *slog.Logger
	// Told, if not nil, is called for each question: with how long it waited, and whether the answer was
	// there.
	Told func(r Reply, kept bool, took time.Duration)
	// Made, if not nil, is called for each plan that was made, or was not, with the reply that came of
	// it.
	Made func(r Reply, took time.Duration)

	once  sync.Once
	ctx   context.Context // of the making of plans
	stop  context.CancelFunc
	work  sync.WaitGroup
	slots chan struct{}

	mu      sync.Mutex
	answers map[string]*list.Element // of *answer, by what was asked
	used    *list.List               // the one last asked for in front
}

// An answer is what is kept of one destination. Policies.mu guards it.
type answer struct {
	key    string
	to     policy.Destination
	reply  Reply         // to Postfix
	sts    Reply         // under the table STSTable
	until  time.Time     // the replies may be told before
	renew  time.Time     // who asks from then on has a new one made; not after until
	making chan struct{} // closed when a plan was made; nil when none is being made
}

// The life of answers.
const (
	shortest = 5 * time.Second  // whatever the TTLs are: one message asks once for each host
	longest  = time.Hour        // so that a change is seen, whatever the TTLs are
	again    = 10 * time.Second // between two tries where no plan could be made
)

func (p *Policies) init() {
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.slots = make(chan struct{}, cmp.Or(p.MaxPlans, 100))
	p.answers, p.used = map[string]*list.Element{}, list.New()
}

// Tables. Where the protocol has no names of them it is Postfix that asks.
const (
	PostfixTable = "postfix"
	STSTable     = "sts" // for programs that have only a word for MTA-STS, see [STSResult]
)

// Answer answers a question.
func (p *Policies) Answer(ctx context.Context, table, key string) Reply {
	begun := time.Now()
	r, kept := p.answer(ctx, table, key, begun)
	if p.Told != nil {
		p.Told(r, kept, time.Since(begun))
	}
	return r
}

func (p *Policies) answer(ctx context.Context, table, key string, now time.Time) (r Reply, kept bool) {
	p.once.Do(p.init)
	if table != "" && table != PostfixTable && table != STSTable {
		return Reply{Status: Perm, Text: fmt.Sprintf("no such table: %.40q; the tables are %s and %s", table, PostfixTable, STSTable)}, true
	}
	key = spelling(key)
	p.mu.Lock()
	a := p.find(key)
	if a == nil {
		p.mu.Unlock()
		d, ok, err := ParseKey(key)
		switch {
		case err != nil:
			return Reply{Status: Perm, Text: oneLine(err.Error())}, true
		case !ok:
			return Reply{}, true
		}
		p.mu.Lock()
		a = p.add(key, d)
	}
	p.renew(a, now)
	r, kept = a.in(table), now.Before(a.until)
	making := a.making
	p.mu.Unlock()
	if kept {
		return r, true
	}
	select {
	case <-making:
	case <-ctx.Done():
		return Reply{Status: Timeout, Text: "no plan in time"}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return a.in(table), false
}

func (a *answer) in(table string) Reply {
	if table == STSTable {
		return a.sts
	}
	return a.reply
}

// spelling is how a key is written where answers are kept. Other ways to write the same are other keys, and
// cost no more than a plan.
func spelling(key string) string {
	if !utf8.ValidString(key) || len(key) < 2 {
		return key
	}
	return strings.ToLower(strings.TrimSuffix(key, "."))
}

// find returns the answer under a key, or nil.
func (p *Policies) find(key string) *answer {
	e := p.answers[key]
	if e == nil {
		return nil
	}
	p.used.MoveToFront(e)
	return e.Value.(*answer)
}

// add makes room for an answer. Somebody else may have done so meanwhile.
func (p *Policies) add(key string, d policy.Destination) *answer {
	if a := p.find(key); a != nil {
		return a
	}
	a := &answer{key: key, to: d}
	p.answers[key] = p.used.PushFront(a)
	if p.used.Len() > cmp.Or(p.MaxAnswers, 20_000) {
		delete(p.answers, p.used.Remove(p.used.Back()).(*answer).key)
	}
	return a
}

// renew has an answer made that is not there, or past its end, or near it.
func (p *Policies) renew(a *answer, now time.Time) {
	if a.making == nil && !now.Before(a.renew) {
		a.making = make(chan struct{})
		p.work.Go(func() { p.make(a) })
	}
}

// make makes the plan of an answer anew.
func (p *Policies) make(a *answer) {
	begun := time.Now()
	r, sts, until := p.result(a.to)
	took := time.Since(begun)
	if p.Made != nil {
		p.Made(r, took)
	}
	if p.Log != nil {
		p.Log.Info("policy", "destination", a.to, "answer", r.Status.String(), "value", cmp.Or(r.Short, r.Text), "took", took.Round(time.Millisecond))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keep(a, r, sts, until)
	close(a.making)
	a.making = nil
}

// result makes a plan and says it in both ways, with the end of its evidence.
func (p *Policies) result(d policy.Destination) (r, sts Reply, until time.Time) {
	ctx, cancel := context.WithTimeout(p.ctx, cmp.Or(p.Limit, 25*time.Second))
	defer cancel()
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		r = Reply{Status: Timeout, Text: "too many questions at once"}
		return r, r, time.Time{}
	}
	plan, err := p.Plan(ctx, d)
	if err != nil {
		r = Reply{Status: Temp, Text: oneLine(fmt.Sprintf("%s: %v", d, err))}
		return r, r, time.Time{}
	}
	return Result(plan, cmp.Or(p.Version, Oldest)), STSResult(plan), plan.Until
}

// keep keeps new replies, or the old ones if they are still good and the new ones are none.
func (p *Policies) keep(a *answer, r, sts Reply, until time.Time) {
	now := time.Now()
	failed := r.Status == Temp || r.Status == Timeout
	if failed && now.Before(a.until) {
		a.renew = now.Add(min(jitter(again), a.until.Sub(now)))
		return
	}
	life := min(max(until.Sub(now), shortest), longest)
	if failed {
		life = again
	}
	a.reply, a.sts, a.until = r, sts, now.Add(life)
	a.renew = now.Add(jitter(life * 7 / 8))
}

// jitter takes up to a quarter away, so that what was made at once is not made anew at once.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/4+1) }

// Forget drops all answers: what they were made of has changed.
func (p *Policies) Forget() {
	p.once.Do(p.init)
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.answers)
	p.used.Init()
}

// Len returns how many answers are kept.
func (p *Policies) Len() int {
	p.once.Do(p.init)
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.answers)
}

// Close ends the making of plans, and waits for it.
func (p *Policies) Close() {
	p.once.Do(p.init)
	p.stop()
	p.work.Wait()
}
