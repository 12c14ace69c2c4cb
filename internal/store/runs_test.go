package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"starttls/internal/finding"
	"starttls/internal/store"
)

// found is what a run finds of a target.
func found(target string, at time.Time, text string) *finding.Result {
	f := finding.New("clear.offer", finding.Good, text)
	return &finding.Result{Schema: finding.Schema, Target: target, Started: at, Services: []finding.Service{{Address: "192.0.2.1:25", Quick: true, Findings: []finding.Finding{f}}}}
}

// texts are what runs have found, the last first.
func texts(t *testing.T, s *store.Store, target, place string) string {
	t.Helper()
	past, err := s.Runs.Past(t.Context(), target, place)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, run := range past {
		all = append(all, run.Result.Services[0].Findings[0].Evidence+" "+run.Last.Format(time.TimeOnly))
	}
	return strings.Join(all, ", ")
}

// TestRunsAreKept: by target and place, across processes; what is found again is the last again, and so is what takes
// the place of another.
func TestRunsAreKept(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s := open(t, url)
		at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
		add := func(target, place, text string) {
			t.Helper()
			if err := s.Runs.Add(t.Context(), target, place, found(target, at, text)); err != nil {
				t.Fatal(err)
			}
		}
		if got := texts(t, s, "a", ""); got != "" {
			t.Errorf("before all: %s", got)
		}
		add("a", "", "one")
		add("a", "", "two") // in the same second
		add("a", "home", "elsewhere")
		add("b", "", "another")
		s = open(t, url)
		if got := texts(t, s, "a", ""); got != "two 12:00:00, one 12:00:00" {
			t.Error(got)
		}
		past, err := s.Runs.Past(t.Context(), "a", "")
		if err != nil {
			t.Fatal(err)
		}
		if f := past[0].Result.Services[0].Findings[0]; f.Verdict != finding.Good || len(f.Clauses) > 0 || !past[0].Result.Services[0].Quick {
			t.Errorf("%+v", f)
		}
		for i, later := range []time.Duration{time.Minute, time.Second} { // what is told late changes nothing
			if err := s.Runs.Again(t.Context(), past[1].ID, at.Add(later)); err != nil {
				t.Fatal(i, err)
			}
		}
		if got := texts(t, s, "a", ""); got != "one 12:01:00, two 12:00:00" {
			t.Error(got)
		}
		for i, later := range []time.Duration{2 * time.Minute, time.Second} {
			if err := s.Runs.Replace(t.Context(), past[0].ID, found("a", at.Add(later), "three")); err != nil {
				t.Fatal(i, err)
			}
		}
		if got := texts(t, s, "a", ""); got != "three 12:02:00, one 12:01:00" {
			t.Error(got)
		}
		if a, b := texts(t, s, "a", "home"), texts(t, s, "b", ""); a != "elsewhere 12:00:00" || b != "another 12:00:00" {
			t.Error(a, b)
		}
	})
}

// TestRunsAreBounded: for each target, in all, and in time.
func TestRunsAreBounded(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		at := newClock()
		s := open(t, url, at.set, func(c *store.Config) { c.MaxRuns = 15 })
		for i := range 30 {
			if err := s.Runs.Add(t.Context(), "a", "", found("a", at.now(), fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
			at.add(time.Second)
		}
		got := texts(t, s, "a", "")
		if n := strings.Count(got, ",") + 1; n != 10 || !strings.HasPrefix(got, "29 ") {
			t.Errorf("%d: %s", n, got)
		}
		for i := range 10 {
			target := fmt.Sprint("b", i)
			if err := s.Runs.Add(t.Context(), target, "", found(target, at.now(), "b")); err != nil {
				t.Fatal(err)
			}
			at.add(time.Second)
		}
		db := database(t, url)
		tidied := func(later time.Duration, want int) {
			at.add(later)
			flush(t, s)
			until(t, fmt.Sprint(want, " runs to be left"), func() bool { return number(t, db, `SELECT COUNT(*) FROM run`) == want })
		}
		tidied(2*time.Minute, 15)
		if got := texts(t, s, "b9", ""); got == "" {
			t.Error("the last one is gone")
		}
		tidied(401*24*time.Hour, 0)
	})
}

// TestRunsOfAStoreThatIsAway: who asks is told at once.
func TestRunsOfAStoreThatIsAway(t *testing.T) {
	s, err := store.Open(store.Config{URL: "postgres://nobody@127.0.0.1:1/none?sslmode=disable"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Runs.Past(t.Context(), "a", ""); err == nil {
		t.Error("it has an answer")
	}
	if err := s.Runs.Add(t.Context(), "a", "", found("a", time.Now(), "")); err == nil {
		t.Error("it is kept")
	}
}

// TestRunsOfAnotherRelease: what this one cannot read is no run.
func TestRunsOfAnotherRelease(t *testing.T) {
	url := newSQLite(t)
	s := open(t, url)
	for _, text := range []string{`{"schema":"starttls-check/9"}`, `{`, ``} {
		if _, err := database(t, url).Exec(`INSERT INTO run VALUES (?, 'a', '', (SELECT COUNT(*) FROM run), 0, 0, ?)`, "id"+text, text); err != nil {
			t.Fatal(err)
		}
	}
	if past, err := s.Runs.Past(t.Context(), "a", ""); err != nil || len(past) != 0 {
		t.Errorf("%+v, %v", past, err)
	}
}
