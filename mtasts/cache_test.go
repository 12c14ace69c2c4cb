package mtasts

import (
	"context"
	"fmt"
	"testing"
	"time"

	"starttls/resolver"
)

// failing is a resolver that is away, and tells when it is asked for a record.
type failing struct{ asked func() }

func (f failing) Lookup(_ context.Context, _ string, t resolver.Type) (*resolver.Answer, error) {
	if t == resolver.TXT {
		f.asked()
	}
	return nil, &resolver.Error{Code: -1, Err: errAway}
}

func entry(domain string, mode Mode, fetched time.Time) Entry {
	p := *mustParse(with("", ""))
	p.Mode = mode
	return Entry{Domain: domain, ID: "1", Policy: &p, Fetched: fetched, Used: fetched, Due: fetched.Add(refreshEvery)}
}

// TestClockSetBack: S90. The clocks here are a wall's alone, and that of the process with its monotonic reading.
func TestClockSetBack(t *testing.T) {
	const life = 604800 * time.Second
	t.Run("S90 while we run", func(t *testing.T) {
		start := time.Now() // with a monotonic reading
		now := start
		m := &Memory{Now: func() time.Time { return now }}
		m.Put(t.Context(), entry(domain, Enforce, start))
		now = start.Add(life) // monotonic; the wall, were it set back, would not count
		if _, ok := m.Get(t.Context(), domain); ok {
			t.Error("prolonged")
		}
	})
	t.Run("S90 by the wall", func(t *testing.T) {
		start := time.Now()
		now := start
		m := &Memory{Now: func() time.Time { return now }}
		m.Put(t.Context(), entry(domain, Enforce, start))
		now = start.Round(0).Add(life)
		if _, ok := m.Get(t.Context(), domain); ok {
			t.Error("prolonged")
		}
	})
	t.Run("S90 while we did not run", func(t *testing.T) {
		start := time.Unix(1e9, 0)
		now := start
		m := &Memory{Now: func() time.Time { return now }}
		m.Put(t.Context(), entry(domain, Enforce, start.Add(1000*time.Hour))) // as read from a store
		if due := m.Due(t.Context(), 1, time.Minute); len(due) != 1 {
			t.Error("not due at once")
		}
		now = start.Add(life)
		if _, ok := m.Get(t.Context(), domain); ok {
			t.Error("lives longer than one fetched now")
		}
	})
}

// TestMemoryIsBounded: S92.
func TestMemoryIsBounded(t *testing.T) {
	now := time.Unix(1e9, 0)
	m := &Memory{Max: 10, Now: func() time.Time { return now }}
	has := func(domain string) bool { _, ok := m.entries[domain]; return ok }
	for i := range 5 {
		m.Put(t.Context(), entry(fmt.Sprint("enforce", i), Enforce, now))
	}
	for i := range 1000 {
		m.Put(t.Context(), entry(fmt.Sprint("testing", i), Testing, now))
	}
	for i := range 5 {
		if !has(fmt.Sprint("enforce", i)) || !has(fmt.Sprint("testing", 995+i)) {
			t.Error("S92: evicted, though younger or of a better kind", i)
		}
	}
	for i := range 5 { // those that enforce push all others out
		m.Put(t.Context(), entry(fmt.Sprint("more", i), Enforce, now))
	}
	if m.Get(t.Context(), "enforce0"); len(m.All()) != 10 || !has("enforce4") {
		t.Error(len(m.All()))
	}
	m.Put(t.Context(), entry("last", Enforce, now)) // and then the one not used for longest goes
	if !has("enforce0") || has("enforce1") || !has("last") || len(m.All()) != 10 {
		t.Error("the wrong one went")
	}
}

// TestPostponeIsForTheSamePolicy: a refresh that failed does not touch what a delivery has fetched meanwhile.
func TestPostponeIsForTheSamePolicy(t *testing.T) {
	now := time.Unix(1e9, 0)
	m := &Memory{Now: func() time.Time { return now }}
	old := entry(domain, Enforce, now)
	m.Put(t.Context(), old)
	now = now.Add(time.Hour)
	m.Put(t.Context(), entry(domain, Enforce, now))
	old.Failures, old.Due = 7, now
	m.Postpone(t.Context(), old)
	if e, _ := m.Get(t.Context(), domain); e.Failures != 0 || !e.Due.After(now) {
		t.Errorf("%+v", e)
	}
}
