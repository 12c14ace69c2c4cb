package mtasts

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"starttls/resolver"
	"starttls/tlsrpt"
)

// inBubble runs a test in a world on a clock of its own.
func inBubble(t *testing.T, name string, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, newWorld(t)) })
	})
}

// ask asks for the policy of example.com and checks mode ("" for none), id, and how reports count the error.
func (w *world) ask(t *testing.T, mode Mode, id string, failure tlsrpt.ResultType) State {
	t.Helper()
	s := w.Policy(t.Context(), domain)
	check(t, s, mode, id, failure)
	return s
}

func check(t *testing.T, s State, mode Mode, id string, failure tlsrpt.ResultType) {
	t.Helper()
	var got Mode
	if s.Policy != nil {
		got = s.Policy.Mode
	}
	if s.Domain != domain || got != mode || s.ID != id || typeOf(s.Err) != failure {
		t.Errorf("mode %q, id %q, error %v; want %q, %q, %q", got, s.ID, s.Err, mode, id, failure)
	}
}

// fetched checks how often the policy host was asked so far.
func (w *world) fetched(t *testing.T, n int32) {
	t.Helper()
	if got := w.dials.Load(); got != n {
		t.Errorf("%d fetches, want %d", got, n)
	}
}

func TestDiscovery(t *testing.T) {
	inBubble(t, "S13 record in several strings", func(t *testing.T, w *world) {
		w.announce(`"v=STSv1; i" "d=9;"`)
		w.ask(t, Enforce, "9", "")
	})
	inBubble(t, "S14 record behind a CNAME", func(t *testing.T, w *world) {
		w.dns.Remove("_mta-sts.example.com", resolver.TXT)
		w.dns.Add("_mta-sts.example.com CNAME sts.provider.example")
		w.dns.Add(`sts.provider.example TXT "v=STSv1; id=p;"`)
		w.ask(t, Enforce, "p", "")
	})
	inBubble(t, "S15 CNAME loop, nothing cached", func(t *testing.T, w *world) {
		w.dns.Remove("_mta-sts.example.com", resolver.TXT)
		w.dns.Add("_mta-sts.example.com CNAME _mta-sts.example.com")
		w.ask(t, "", "", tlsrpt.STSPolicyFetchError)
		w.fetched(t, 0)
	})
	inBubble(t, "S15 CNAME loop, cached", func(t *testing.T, w *world) {
		w.ask(t, Enforce, "1", "")
		w.dns.Remove("_mta-sts.example.com", resolver.TXT)
		w.dns.Add("_mta-sts.example.com CNAME _mta-sts.example.com")
		w.ask(t, Enforce, "1", tlsrpt.STSPolicyFetchError)
	})
	inBubble(t, "S16 no record, nothing cached", func(t *testing.T, w *world) {
		w.announce("nxdomain")
		if s := w.ask(t, "", "", ""); s.Err != nil {
			t.Error(s.Err)
		}
		w.fetched(t, 0)
	})
	for _, gone := range []string{"nxdomain", "nodata", `"v=STSv2; id=1"`} {
		inBubble(t, "S17 no record, cached: "+gone, func(t *testing.T, w *world) {
			w.ask(t, Enforce, "1", "")
			w.announce(gone)
			if s := w.ask(t, Enforce, "1", tlsrpt.STSPolicyFetchError); !errors.Is(s.Err, ErrNoRecord) || !s.Cached {
				t.Errorf("%+v", s)
			}
			w.fetched(t, 1)
		})
	}
	for _, failure := range []string{"servfail", "timeout", "bogus"} {
		inBubble(t, "S18 no answer, nothing cached: "+failure, func(t *testing.T, w *world) {
			w.announce(failure)
			s := w.ask(t, "", "", tlsrpt.STSPolicyFetchError)
			if _, ok := errors.AsType[*resolver.Error](s.Err); !ok { // what a strict sender decides by
				t.Errorf("%T", s.Err)
			}
			w.fetched(t, 0)
		})
		inBubble(t, "S19 no answer, cached: "+failure, func(t *testing.T, w *world) {
			w.ask(t, Enforce, "1", "")
			w.announce(failure)
			w.ask(t, Enforce, "1", tlsrpt.STSPolicyFetchError)
		})
	}
	inBubble(t, "S08 two records, cached", func(t *testing.T, w *world) {
		w.ask(t, Enforce, "1", "")
		w.dns.Add(`_mta-sts.example.com TXT "v=STSv1; id=2;"`)
		w.ask(t, Enforce, "1", tlsrpt.STSPolicyInvalid)
		w.fetched(t, 1)
	})
	inBubble(t, "S36 no policy host", func(t *testing.T, w *world) {
		w.away()
		w.ask(t, "", "", tlsrpt.STSPolicyFetchError)
	})
	inBubble(t, "S54 a policy that is none", func(t *testing.T, w *world) {
		w.serve("mode: enforce\n")
		w.ask(t, "", "", tlsrpt.STSPolicyInvalid)
	})
	inBubble(t, "S79 the parent's policy", func(t *testing.T, w *world) {
		if s := w.Policy(t.Context(), "mail.example.com"); s.Policy != nil || s.Err != nil {
			t.Errorf("%+v", s)
		}
		w.fetched(t, 0)
	})
	inBubble(t, "S80 the target's policy", func(t *testing.T, w *world) {
		w.dns.Add("alias.example CNAME example.com")
		if s := w.Policy(t.Context(), "alias.example"); s.Policy != nil || s.Err != nil {
			t.Errorf("%+v", s)
		}
	})
	for _, literal := range []string{"192.0.2.1", "[192.0.2.1]", "[IPv6:2001:db8::1]", "", ".", "a..b", "a\x00.example"} {
		inBubble(t, "no domain: "+literal, func(t *testing.T, w *world) {
			if s := w.Policy(t.Context(), literal); s.Policy != nil || s.Err != nil || len(w.dns.Asked()) != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
	inBubble(t, "U-labels, case, last dot", func(t *testing.T, w *world) {
		w.dns.Add(`_mta-sts.xn--bcher-kva.example TXT "v=STSv1; id=1;"`)
		w.dns.Add("mta-sts.xn--bcher-kva.example A 192.0.2.1")
		if s := w.Policy(t.Context(), "BÜCHER.example."); s.Policy == nil || s.Domain != "xn--bcher-kva.example" {
			t.Errorf("%+v", s)
		}
	})
}

func TestUpdates(t *testing.T) {
	inBubble(t, "S20 same id", func(t *testing.T, w *world) {
		if s := w.ask(t, Enforce, "1", ""); s.Cached || s.Fetched != time.Now() {
			t.Errorf("%+v", s)
		}
		fetched := time.Now()
		time.Sleep(time.Hour)
		if s := w.ask(t, Enforce, "1", ""); !s.Cached || !s.Fetched.Equal(fetched) {
			t.Errorf("%+v", s)
		}
		w.fetched(t, 1)
	})
	inBubble(t, "S21 new id", func(t *testing.T, w *world) {
		w.ask(t, Enforce, "1", "")
		w.announce(`"v=STSv1; id=2;"`)
		w.serve(with("enforce", "testing"))
		if s := w.ask(t, Testing, "2", ""); s.Cached {
			t.Errorf("%+v", s)
		}
		w.fetched(t, 2)
	})
	inBubble(t, "S22 new id, no policy", func(t *testing.T, w *world) {
		w.ask(t, Enforce, "1", "")
		w.announce(`"v=STSv1; id=2;"`)
		w.away()
		w.ask(t, Enforce, "1", tlsrpt.STSPolicyFetchError)
		w.serve("<html>")
		time.Sleep(backOff)
		w.ask(t, Enforce, "1", tlsrpt.STSPolicyInvalid)
		w.fetched(t, 3)
	})
	inBubble(t, "S24 back to an id before", func(t *testing.T, w *world) {
		w.ask(t, Enforce, "1", "")
		w.announce(`"v=STSv1; id=2;"`)
		w.ask(t, Enforce, "2", "")
		w.announce(`"v=STSv1; id=1;"`)
		w.ask(t, Enforce, "1", "")
		w.fetched(t, 3)
	})
	inBubble(t, "S25 ended, no policy host", func(t *testing.T, w *world) {
		w.ask(t, Enforce, "1", "")
		w.away()
		time.Sleep(604800*time.Second - time.Nanosecond)
		w.ask(t, Enforce, "1", "")
		time.Sleep(time.Nanosecond)
		w.ask(t, "", "", tlsrpt.STSPolicyFetchError)
	})
	inBubble(t, "S27 shorter life", func(t *testing.T, w *world) {
		w.ask(t, Enforce, "1", "")
		w.announce(`"v=STSv1; id=2;"`)
		w.serve(with("604800", "60"))
		w.ask(t, Enforce, "2", "")
		w.announce("servfail")
		time.Sleep(time.Minute)
		w.ask(t, "", "", tlsrpt.STSPolicyFetchError)
	})
	inBubble(t, "S28 withdrawn", func(t *testing.T, w *world) {
		w.ask(t, Enforce, "1", "")
		w.announce(`"v=STSv1; id=2;"`)
		w.serve("version: STSv1\nmode: none\nmax_age: 3600\n")
		w.ask(t, None, "2", "")
		w.announce("servfail")
		w.ask(t, None, "2", tlsrpt.STSPolicyFetchError)
	})
	inBubble(t, "S29 withdrawn, then no record", func(t *testing.T, w *world) {
		w.serve("version: STSv1\nmode: none\nmax_age: 3600\n")
		w.ask(t, None, "1", "")
		w.announce("nxdomain")
		w.ask(t, None, "1", "")
		time.Sleep(time.Hour)
		w.Refresh(t.Context(), func(s State, _ int) { t.Errorf("%+v", s) })
		w.ask(t, "", "", "")
		w.fetched(t, 1)
	})
	inBubble(t, "S30 not again within 5 minutes", func(t *testing.T, w *world) {
		w.away()
		w.ask(t, "", "", tlsrpt.STSPolicyFetchError)
		time.Sleep(backOff - time.Nanosecond)
		w.ask(t, "", "", tlsrpt.STSPolicyFetchError)
		w.fetched(t, 1)
		time.Sleep(time.Nanosecond)
		w.ask(t, "", "", tlsrpt.STSPolicyFetchError)
		w.fetched(t, 2)
		w.serve(with("", ""))
		w.announce(`"v=STSv1; id=2;"`) // another id is tried at once
		w.ask(t, Enforce, "2", "")
		w.fetched(t, 3)
	})
	inBubble(t, "S58 max_age 0", func(t *testing.T, w *world) {
		w.serve(with("604800", "0"))
		w.ask(t, Enforce, "1", "")
		w.announce("servfail")
		w.ask(t, "", "", tlsrpt.STSPolicyFetchError)
	})
}

// forgetful is a resolver that keeps every answer, until it is asked anew.
type forgetful struct {
	resolver.Resolver
	kept map[string]*resolver.Answer
}

func (f *forgetful) Lookup(ctx context.Context, name string, t resolver.Type) (*resolver.Answer, error) {
	key := name + t.String()
	if a := f.kept[key]; a != nil && !resolver.IsAnew(ctx) {
		return a, nil
	}
	a, err := f.Resolver.Lookup(ctx, name, t)
	f.kept[key] = a
	return a, err
}

func TestRecheck(t *testing.T) {
	inBubble(t, "S23 past the cache of the DNS", func(t *testing.T, w *world) {
		w.Resolver = &forgetful{w.dns, map[string]*resolver.Answer{}}
		w.ask(t, Enforce, "1", "")
		w.announce(`"v=STSv1; id=2;"`)
		w.serve(with("enforce", "testing"))
		w.ask(t, Enforce, "1", "") // nobody knows yet
		check(t, w.Recheck(t.Context(), domain), Testing, "2", "")
		w.ask(t, Testing, "2", "")
		w.fetched(t, 2)
	})
	inBubble(t, "S23 nothing new", func(t *testing.T, w *world) {
		w.ask(t, Enforce, "1", "")
		check(t, w.Recheck(t.Context(), domain), Enforce, "1", "")
		w.fetched(t, 1)
	})
	inBubble(t, "S23 no DNS", func(t *testing.T, w *world) {
		w.ask(t, Enforce, "1", "")
		w.announce("timeout")
		check(t, w.Recheck(t.Context(), domain), Enforce, "1", tlsrpt.STSPolicyFetchError)
	})
}

// silent is a resolver that never answers.
type silent struct{}

func (silent) Lookup(ctx context.Context, _ string, _ resolver.Type) (*resolver.Answer, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestSilentDNS: a delivery does not wait for ever, and keeps the policy that it has.
func TestSilentDNS(t *testing.T) {
	inBubble(t, "S18 nothing cached", func(t *testing.T, w *world) {
		w.Resolver = silent{}
		start := time.Now()
		w.ask(t, "", "", tlsrpt.STSPolicyFetchError)
		if spent := time.Since(start); spent != recordTimeout {
			t.Error(spent)
		}
	})
	inBubble(t, "S19 cached", func(t *testing.T, w *world) {
		w.ask(t, Enforce, "1", "")
		w.Resolver = silent{}
		w.ask(t, Enforce, "1", tlsrpt.STSPolicyFetchError)
		time.Sleep(refreshEvery)
		start, told := time.Now(), 0
		w.Refresh(t.Context(), func(State, int) { told++ })
		if spent := time.Since(start); told != 1 || spent > recordTimeout+fetchTimeout {
			t.Errorf("%d told after %v", told, spent)
		}
	})
}

// TestSingleFlight: a hundred deliveries at once are one fetch.
func TestSingleFlight(t *testing.T) {
	inBubble(t, "a hundred", func(t *testing.T, w *world) {
		policy := w.answer
		w.handle(func(rw http.ResponseWriter, r *http.Request) {
			pause(r, time.Second)
			policy(rw, r)
		})
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { w.ask(t, Enforce, "1", "") })
		}
		all.Wait()
		w.fetched(t, 1)
	})
	inBubble(t, "the first goes away", func(t *testing.T, w *world) {
		policy := w.answer
		w.handle(func(rw http.ResponseWriter, r *http.Request) {
			pause(r, time.Second)
			policy(rw, r)
		})
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { check(t, w.Policy(ctx, domain), "", "", tlsrpt.STSPolicyFetchError) })
		synctest.Wait()
		all.Go(func() { w.ask(t, Enforce, "1", "") })
		synctest.Wait()
		cancel()
		all.Wait()
		w.fetched(t, 2)
	})
	inBubble(t, "one does not wait", func(t *testing.T, w *world) {
		w.hang()
		var all sync.WaitGroup
		all.Go(func() { w.ask(t, "", "", tlsrpt.STSPolicyFetchError) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		s := w.Policy(ctx, domain)
		if check(t, s, "", "", tlsrpt.STSPolicyFetchError); !errors.Is(s.Err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", s.Err, time.Since(start))
		}
		all.Wait()
	})
	inBubble(t, "a slow host costs one delivery its time", func(t *testing.T, w *world) {
		w.hang()
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			check(t, w.Policy(ctx, domain), "", "", tlsrpt.STSPolicyFetchError)
			cancel()
		}
		w.fetched(t, 1)
	})
}

// TestFailuresAreBounded: who owns a million domains does not own our memory.
func TestFailuresAreBounded(t *testing.T) {
	now := time.Unix(1e9, 0)
	c := &Client{Now: func() time.Time { return now }}
	for i := range maxFailures + 1000 {
		c.remember(string(rune(i+0x10000)), failure{"1", now, ErrNoRecord})
		if len(c.failed) > maxFailures {
			t.Fatal(len(c.failed))
		}
	}
	now = now.Add(backOff)
	c.remember("last", failure{"1", now, ErrNoRecord})
	if len(c.failed) != 1 {
		t.Errorf("%d failures that do not matter any longer", len(c.failed)-1)
	}
}
