package mtasts

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"starttls/tlsrpt"
)

func noAlert(t *testing.T) func(State, int) {
	return func(s State, _ int) { t.Errorf("alert: %v", s.Err) }
}

func TestRefresh(t *testing.T) {
	inBubble(t, "S20 without a new id, before its end", func(t *testing.T, w *world) {
		w.ask(t, Enforce, "1", "")
		w.Refresh(t.Context(), noAlert(t))
		w.fetched(t, 1)
		time.Sleep(refreshEvery)
		w.Refresh(t.Context(), noAlert(t))
		w.fetched(t, 2)
		w.Refresh(t.Context(), noAlert(t))
		w.fetched(t, 2)
	})
	inBubble(t, "S26 max_age counts from the last fetch", func(t *testing.T, w *world) {
		w.ask(t, Enforce, "1", "")
		time.Sleep(6 * 24 * time.Hour)
		w.Refresh(t.Context(), noAlert(t))
		w.away()
		time.Sleep(6 * 24 * time.Hour)
		w.ask(t, Enforce, "1", "")
	})
	inBubble(t, "refreshed whatever becomes of the record", func(t *testing.T, w *world) {
		w.ask(t, Enforce, "1", "")
		w.announce("nxdomain")
		w.serve(with("enforce", "testing"))
		time.Sleep(refreshEvery)
		w.Refresh(t.Context(), noAlert(t))
		w.ask(t, Testing, "1", tlsrpt.STSPolicyFetchError)
	})
	inBubble(t, "S21 the id of that moment", func(t *testing.T, w *world) {
		w.ask(t, Enforce, "1", "")
		w.announce(`"v=STSv1; id=2;"`)
		time.Sleep(refreshEvery)
		w.Refresh(t.Context(), noAlert(t))
		w.ask(t, Enforce, "2", "")
		w.fetched(t, 2)
	})
	inBubble(t, "failures are told and tried again, later and later", func(t *testing.T, w *world) {
		w.ask(t, Enforce, "1", "")
		fetched := time.Now()
		w.away()
		ctx, cancel := context.WithTimeout(t.Context(), 6*24*time.Hour)
		defer cancel()
		var last int
		w.Run(ctx, func(s State, failures int) {
			check(t, s, Enforce, "1", tlsrpt.STSPolicyFetchError)
			if failures != last+1 || !s.Fetched.Equal(fetched) {
				t.Errorf("failure %d after %d", failures, last)
			}
			last = failures
		})
		if last < 5*24/6 || last > 5*24/4+10 {
			t.Errorf("%d attempts in 5 days", last)
		}
		w.ask(t, Enforce, "1", "") // and in force all the time
	})
	inBubble(t, "what no delivery uses is left to end", func(t *testing.T, w *world) {
		w.ask(t, Enforce, "1", "")
		ctx, cancel := context.WithTimeout(t.Context(), 60*24*time.Hour)
		defer cancel()
		w.Run(ctx, noAlert(t))
		if n := w.dials.Load(); n < 30 || n > 42 {
			t.Errorf("%d fetches", n)
		}
		if n := len(w.memory.All()); n != 0 {
			t.Errorf("%d policies left", n)
		}
	})
	inBubble(t, "being stopped is no failure", func(t *testing.T, w *world) {
		w.ask(t, Enforce, "1", "")
		w.hang()
		time.Sleep(refreshEvery)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		w.Refresh(ctx, noAlert(t))
		w.serve(with("", ""))
		time.Sleep(refreshLease)
		w.Refresh(t.Context(), noAlert(t))
		w.fetched(t, 3)
	})
}

// TestRefreshIsSpread: what came together is refreshed little by little, few at a time.
func TestRefreshIsSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const domains = 5000
		w := newWorld(t)
		var now, most atomic.Int32
		w.Resolver = failing{func() {
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(time.Second)
			now.Add(-1)
		}}
		for i := range domains {
			w.keep(t.Context(), Entry{Domain: fmt.Sprintf("d%d.example", i), ID: "1", Policy: mustParse(with("", "")), Used: time.Now()})
		}
		time.Sleep(refreshEvery * 3 / 4)
		first := len(w.memory.dueNow())
		time.Sleep(refreshEvery / 8)
		half := len(w.memory.dueNow())
		if first > domains/20 || half < domains*2/5 || half > domains*3/5 {
			t.Errorf("due: %d at first, %d in the middle", first, half)
		}
		told := 0
		w.Refresh(t.Context(), func(State, int) { told++ })
		if told < half || most.Load() != 8 {
			t.Errorf("S91: %d tried of %d and more, %d at once", told, half, most.Load())
		}
	})
}

// dueNow returns the domains that are due.
func (m *Memory) dueNow() (domains []string) {
	for domain, element := range m.entries {
		if !m.now().Before(element.Value.(*kept).Due) {
			domains = append(domains, domain)
		}
	}
	return domains
}

func mustParse(text string) *Policy {
	p, err := ParsePolicy([]byte(text))
	if err != nil {
		panic(err)
	}
	return p
}

var errAway = errors.New("away")
