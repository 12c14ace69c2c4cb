//go:build linux

package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// better says which way of a figure is the good one.
type better string

const (
	more better = "↑"
	less better = "↓"
)

// A table collects the figures of all rounds.
type table struct {
	names   []string // of all columns, the first is ours
	rows    []*row
	proxies []string            // those that have figures
	notes   map[string][]string // by proxy
	shares  []float64           // of the machine, what clients and backend use in the bulk part
}

type row struct {
	what, unit string
	better     better
	values     map[string][]float64 // by proxy, one for each round
}

func (t *table) add(what, unit string, b better, proxy string, value float64) {
	at := slices.IndexFunc(t.rows, func(r *row) bool { return r.what == what })
	if at < 0 {
		at = len(t.rows)
		t.rows = append(t.rows, &row{what, unit, b, map[string][]float64{}})
	}
	t.rows[at].values[proxy] = append(t.rows[at].values[proxy], value)
	t.meet(proxy)
}

func (t *table) meet(proxy string) {
	if slices.Contains(t.proxies, proxy) {
		return
	}
	t.proxies = append(t.proxies, proxy)
	slices.SortFunc(t.proxies, func(a, b string) int {
		return slices.Index(t.names, a) - slices.Index(t.names, b)
	})
}

// note keeps a remark on a proxy, once.
func (t *table) note(proxy, text string) {
	if t.notes == nil {
		t.notes = map[string][]string{}
	}
	if !slices.Contains(t.notes[proxy], text) {
		t.notes[proxy] = append(t.notes[proxy], text)
	}
}

func (t *table) share(used, took time.Duration) {
	t.shares = append(t.shares, used.Seconds()/took.Seconds())
}

// markdown returns the table and the notes. Behind the figure of another stands how ours compares.
func (t *table) markdown(notes string) string {
	var b strings.Builder
	us := t.names[0]
	fmt.Fprintf(&b, "| |  | %s | spread |\n|-|-|%s-:|\n", strings.Join(t.names, " | "), strings.Repeat("-:|", len(t.names)))
	for _, r := range t.rows {
		fmt.Fprintf(&b, "| %s | %s %s |", r.what, r.unit, r.better)
		for _, p := range t.names {
			fmt.Fprintf(&b, " %s%s |", figure(median(r.values[p])), r.ratio(us, p))
		}
		fmt.Fprintf(&b, " %s |\n", r.spread(us))
	}
	b.WriteString(notes)
	for _, p := range t.proxies {
		if len(t.notes[p]) > 0 {
			fmt.Fprintf(&b, "- %s: %s.\n", p, strings.Join(t.notes[p], "; "))
		}
	}
	if len(t.shares) > 0 {
		fmt.Fprintf(&b, "- Clients and backend used %.2f cores while bulk was moved.\n", median(t.shares))
	}
	return b.String()
}

// ratio is that of the medians, in brackets, turned so that more than one is good for us.
func (r *row) ratio(us, other string) string {
	a, b := median(r.values[us]), median(r.values[other])
	if r.better == less {
		a, b = b, a
	}
	if us == other || math.IsNaN(a) || math.IsNaN(b) || b <= 0 || a <= 0 {
		return ""
	}
	return fmt.Sprintf(" (%.2f)", a/b)
}

// spread is how far our rounds lie apart, in percent of their median.
func (r *row) spread(us string) string {
	v := r.values[us]
	if len(v) < 2 {
		return "–"
	}
	return fmt.Sprintf("±%.0f %%", 50*(slices.Max(v)-slices.Min(v))/median(v))
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// figure writes three digits that say something.
func figure(f float64) string {
	switch {
	case math.IsNaN(f):
		return "–"
	case math.Abs(f) >= 100:
		return fmt.Sprintf("%.0f", f)
	case math.Abs(f) >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}
