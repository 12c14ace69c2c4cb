// Package status shows what the program does: counts over time for people, the same as metrics for
// machines.
//
// Metrics have no names of clients, domains or peers but those of the configuration. The page has besides of
// a backend that is down the reason, which may be in its own words, and alarms, which name a domain, a host and
// its address.
package status

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// A Board keeps counts. Its methods may be called at the same time.
type Board struct {
	// Set gets the metrics. If nil, there are none.
	Set *metrics.Set
	// Now is the clock. If nil, time.Now.
	Now func() time.Time

	mu     sync.Mutex
	routes map[string]*history
	alarms []Alarm
}

// A Session is one that has ended.
type Session struct {
	Route, Outcome string
	TLS, Group     string // empty without TLS
	Resumed        bool   // by a ticket
	In, Out        int64  // bytes
	Took           time.Duration
}

// An Alarm is something that a person must see.
type Alarm struct {
	At   time.Time
	Text string
}

// The past that is kept: a day, in steps of five minutes.
const (
	Step  = 5 * time.Minute
	Steps = 288
)

// maxAlarms is how many of the last alarms are kept.
const maxAlarms = 20

// history is what became of one route's sessions, by step and outcome.
type history struct {
	steps [Steps]map[string]int
	last  int64 // the step, counted from 1970, that was written to last
}

func (b *Board) now() time.Time {
	if b.Now == nil {
		return time.Now()
	}
	return b.Now()
}

// Ended counts a session.
func (b *Board) Ended(s Session) {
	b.mu.Lock()
	if b.routes == nil {
		b.routes = make(map[string]*history)
	}
	h := b.routes[s.Route]
	if h == nil {
		h = &history{}
		b.routes[s.Route] = h
	}
	h.at(b.now())[s.Outcome]++
	b.mu.Unlock()
	if b.Set != nil {
		b.count(s)
	}
}

// count adds a session to the metrics. Labels are words of ours and of the configuration.
func (b *Board) count(s Session) {
	b.Set.GetOrCreateCounter(fmt.Sprintf(`starttls_sessions_total{route=%q,outcome=%q}`, s.Route, s.Outcome)).Inc()
	b.Set.GetOrCreateCounter(fmt.Sprintf(`starttls_bytes_total{route=%q,from="client"}`, s.Route)).AddInt64(s.In)
	b.Set.GetOrCreateCounter(fmt.Sprintf(`starttls_bytes_total{route=%q,from="server"}`, s.Route)).AddInt64(s.Out)
	b.Set.GetOrCreatePrometheusHistogramExt(fmt.Sprintf(`starttls_session_seconds{route=%q}`, s.Route), durations).Update(s.Took.Seconds())
	if s.TLS != "" {
		b.Set.GetOrCreateCounter(fmt.Sprintf(`starttls_tls_total{route=%q,version=%q,group=%q}`, s.Route, s.TLS, s.Group)).Inc()
		resumed := b.Set.GetOrCreateCounter(fmt.Sprintf(`starttls_tls_resumed_total{route=%q}`, s.Route)) // also while it is 0
		if s.Resumed {
			resumed.Inc()
		}
	}
}

var durations = []float64{0.01, 0.1, 1, 10, 60, 600, 3600, 43200}

// Alarm keeps an alarm for people to see. One that comes again is there once, with the time of the last: what is tried
// again and again does not push others out.
func (b *Board) Alarm(text string) {
	text = text[:min(len(text), 500)]
	b.mu.Lock()
	defer b.mu.Unlock()
	b.alarms = slices.DeleteFunc(b.alarms, func(a Alarm) bool { return a.Text == text })
	b.alarms = append(b.alarms, Alarm{b.now(), text})
	b.alarms = b.alarms[max(len(b.alarms)-maxAlarms, 0):]
}

// Alarms returns the last alarms, the newest first.
func (b *Board) Alarms() []Alarm {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := slices.Clone(b.alarms)
	slices.Reverse(all)
	return all
}

// at returns the counts of the present step. Steps in which nothing was written are emptied first.
func (h *history) at(now time.Time) map[string]int {
	step := now.Unix() / int64(Step.Seconds())
	for h.last < step {
		h.last = max(h.last+1, step-Steps+1)
		h.steps[h.last%Steps] = nil
	}
	at := &h.steps[h.last%Steps] // a clock that goes back counts in the step that was the last
	if *at == nil {
		*at = make(map[string]int)
	}
	return *at
}

// An Outcome is how many sessions of a route ended in one way.
type Outcome struct {
	Word  string
	Steps [Steps]int // the newest last
	Total int
}

// Day returns what became of a route's sessions within a day, the most frequent outcome first.
func (b *Board) Day(route string) []Outcome {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.routes[route]
	if h == nil {
		return nil
	}
	h.at(b.now())
	found := make(map[string]*Outcome)
	for i := range Steps {
		for word, n := range h.steps[(h.last+1+int64(i))%Steps] {
			if found[word] == nil {
				found[word] = &Outcome{Word: word}
			}
			found[word].Steps[i] = n
			found[word].Total += n
		}
	}
	all := make([]Outcome, 0, len(found))
	for o := range maps.Values(found) {
		all = append(all, *o)
	}
	slices.SortFunc(all, func(x, y Outcome) int {
		return cmp.Or(cmp.Compare(y.Total, x.Total), cmp.Compare(x.Word, y.Word))
	})
	return all
}
