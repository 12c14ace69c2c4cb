package socketmap

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"starttls/internal/policy"
	"starttls/resolver"
)

// plans is what makes plans in tests.
type plans struct {
	mu   sync.Mutex
	plan func(d policy.Destination) (*policy.Plan, error)
	took time.Duration
	made atomic.Int32
}

func (p *plans) make(ctx context.Context, d policy.Destination) (*policy.Plan, error) {
	p.made.Add(1)
	if p.took > 0 {
		select {
		case <-time.After(p.took):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.plan(d)
}

func (p *plans) set(plan func(policy.Destination) (*policy.Plan, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan = plan
}

// good for the time that is said, from now on.
func goodFor(life time.Duration, options ...option) func(policy.Destination) (*policy.Plan, error) {
	return func(policy.Destination) (*policy.Plan, error) {
		p := plan(options...)
		p.Until = time.Now().Add(life)
		return p, nil
	}
}

func away(policy.Destination) (*policy.Plan, error) {
	return nil, &resolver.Error{Name: "example.com", Type: resolver.MX, Code: -1, Err: errors.New("no answer")}
}

func ask(t *testing.T, p *Policies, key, want string) {
	t.Helper()
	r := p.Answer(t.Context(), "postfix", key)
	if got := r.Status.String() + " " + r.Text; !strings.HasPrefix(got, want) {
		t.Errorf("%s: got %q, want %q", key, got, want)
	}
}

func TestAnswersAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := &plans{plan: goodFor(time.Minute, good("a.example")), took: time.Second}
		p := &Policies{Plan: made.make}
		defer p.Close()
		ask(t, p, "example.com", "OK dane-only")
		begun := time.Now()
		ask(t, p, "EXAMPLE.com.", "OK dane-only")
		if n := made.made.Load(); n != 1 || time.Since(begun) != 0 {
			t.Errorf("%d plans, waited %v", n, time.Since(begun))
		}
		ask(t, p, "example.com:26", "OK dane-only") // another port has other TLSA records
		if n := made.made.Load(); n != 2 {
			t.Errorf("%d plans", n)
		}
		time.Sleep(2 * time.Minute)
		made.set(goodFor(time.Minute, plain("a.example")))
		ask(t, p, "example.com", "NOTFOUND")
	})
}

// Parents, addresses and nonsense cost no plan.
func TestNoPlanForWhatHasNone(t *testing.T) {
	made := &plans{plan: away}
	p := &Policies{Plan: made.make}
	defer p.Close()
	for _, key := range []string{".example.com", ".com", "[192.0.2.1]", "[ipv6:::1]:25"} {
		ask(t, p, key, "NOTFOUND ")
	}
	ask(t, p, "a..b", `PERM "a..b" is no domain name`)
	if n := made.made.Load(); n != 0 || p.Len() != 0 {
		t.Errorf("%d plans, %d kept", n, p.Len())
	}
}

// One plan is told in both ways.
func TestTables(t *testing.T) {
	made := &plans{plan: goodFor(time.Minute, good("mx1.example.com"), enforce)}
	p := &Policies{Plan: made.make}
	defer p.Close()
	for range 2 {
		if r := p.Answer(t.Context(), "foo", "example.com"); r.Status != Perm || !strings.Contains(r.Text, `"foo"; the tables are postfix and sts`) {
			t.Errorf("an unknown table: got %v", r)
		}
		for table, want := range map[string]string{"postfix": "dane-only", "": "dane-only", "sts": strings.TrimPrefix(stsText, "OK ")} {
			if r := p.Answer(t.Context(), table, "example.com"); r.Status != OK || r.Text != want {
				t.Errorf("%q: got %v", table, r)
			}
		}
	}
	if n := made.made.Load(); n != 1 {
		t.Errorf("%d plans", n)
	}
}

// However many ask, a plan is made once, and one who leaves takes nothing from the others.
func TestPlansAreMadeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := &plans{plan: goodFor(time.Minute, good("a.example")), took: time.Second}
		p := &Policies{Plan: made.make}
		defer p.Close()
		impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if r := p.Answer(impatient, "postfix", "example.com"); r.Status != Timeout {
			t.Errorf("got %v", r)
		}
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { ask(t, p, "example.com", "OK dane-only") })
		}
		all.Wait()
		if n := made.made.Load(); n != 1 {
			t.Errorf("%d plans", n)
		}
	})
}

// Who asks near the end is told what there is, and a new answer is made behind.
func TestAnswersAreMadeAnewBeforeTheirEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := &plans{plan: goodFor(100*time.Second, good("a.example")), took: time.Second}
		p := &Policies{Plan: made.make}
		defer p.Close()
		ask(t, p, "example.com", "OK dane-only")
		for range 1000 {
			time.Sleep(10 * time.Second)
			begun := time.Now()
			ask(t, p, "example.com", "OK dane-only")
			if took := time.Since(begun); took != 0 {
				t.Fatalf("waited %v", took)
			}
		}
		if n := made.made.Load(); n < 90 || n > 140 {
			t.Errorf("%d plans in 10000 seconds of which each lasts for 100", n)
		}
	})
}

// Without DNS the last plan is told to its end, then TEMP, and never anything milder.
func TestDNSAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := &plans{plan: goodFor(100*time.Second, good("a.example"))}
		p := &Policies{Plan: made.make}
		defer p.Close()
		ask(t, p, "example.com", "OK dane-only")
		made.set(away)
		begun := time.Now()
		for time.Since(begun) < 99*time.Second {
			ask(t, p, "example.com", "OK dane-only")
			time.Sleep(500 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		ask(t, p, "example.com", "TEMP example.com: example.com MX: indeterminate: no answer")
		n := made.made.Load()
		ask(t, p, "example.com", "TEMP")
		if made.made.Load() != n {
			t.Error("a DNS that is away is asked for each question")
		}
		made.set(goodFor(time.Minute, good("a.example")))
		time.Sleep(again)
		ask(t, p, "example.com", "OK dane-only")
	})
}

// A plan that takes too long is TEMP; one for which there was no room TIMEOUT.
func TestPlansTakeNoLongerThanTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := &Policies{Limit: time.Second, MaxPlans: 1, Plan: func(ctx context.Context, d policy.Destination) (*policy.Plan, error) {
			<-ctx.Done()
			if d.Domain == "example.net" {
				<-release
			}
			return nil, ctx.Err()
		}}
		defer p.Close()
		defer close(release)
		begun := time.Now()
		ask(t, p, "example.com", "TEMP example.com: context deadline exceeded")
		if took := time.Since(begun); took != time.Second {
			t.Errorf("took %v", took)
		}
		waits, cancel := context.WithCancel(t.Context())
		defer cancel()
		go p.Answer(waits, "", "example.net")
		synctest.Wait()
		ask(t, p, "example.org", "TIMEOUT too many questions at once")
	})
}

func TestKeptAnswersAreBounded(t *testing.T) {
	made := &plans{plan: goodFor(time.Minute, good("a.example"))}
	p := &Policies{Plan: made.make, MaxAnswers: 10}
	defer p.Close()
	ask(t, p, "example.com", "OK")
	for i := range 1000 {
		ask(t, p, fmt.Sprintf("example%d.com", i), "OK")
		ask(t, p, "example.com", "OK")
	}
	if n := made.made.Load(); p.Len() != 10 || n != 1001 {
		t.Errorf("%d kept, %d plans; the one that is asked for stays", p.Len(), n)
	}
	p.Forget()
	ask(t, p, "example.com", "OK")
	if n := made.made.Load(); p.Len() != 1 || n != 1002 {
		t.Errorf("after Forget %d kept, %d plans", p.Len(), n)
	}
}

// What is counted says whether an answer was there.
func TestTold(t *testing.T) {
	var kept, new, made int
	p := &Policies{
		Plan: (&plans{plan: goodFor(time.Minute)}).make,
		Told: func(_ Reply, k bool, _ time.Duration) {
			if k {
				kept++
			} else {
				new++
			}
		},
		Made: func(Reply, time.Duration) { made++ },
	}
	defer p.Close()
	for range 3 {
		ask(t, p, "example.com", "NOTFOUND ")
	}
	if kept != 2 || new != 1 || made != 1 {
		t.Errorf("kept %d, new %d, made %d", kept, new, made)
	}
}

func BenchmarkKept(b *testing.B) {
	p := &Policies{Plan: (&plans{plan: goodFor(time.Hour, good("a.example"))}).make}
	defer p.Close()
	for b.Loop() {
		p.Answer(b.Context(), "postfix", "example.com")
	}
}
