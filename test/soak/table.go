//go:build linux

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// judgedFrom is how long a soak must be for the flatness of its memory to be judged.
const judgedFrom = 5 * time.Minute

// table tells what the soak was like, and judges what cannot be judged before.
func (w *world) table(v *watch) {
	took := v.samples[len(v.samples)-1].at.Sub(w.tally.begun)
	fmt.Fprintf(w.out, "\nafter %s:\n\n", took.Round(time.Second))
	w.tellDialects()
	fmt.Fprintln(w.out)
	v.tellSamples()
	fmt.Fprintln(w.out)
	v.tellGrowth()
	fmt.Fprintf(w.out, "\nprocessor: %.0f %% of a core on average, without the later instances of the one that is handed over\n",
		100*v.used.Seconds()/took.Seconds())
	fmt.Fprintf(w.out, "%d failures\n", len(w.tally.failures))
}

func (w *world) tellDialects() {
	t := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "dialect\tsessions\trounds of work\tended right\taimed at\tFAILED\t")
	all := count{aimed: make(map[string]int)}
	for _, name := range slices.Sorted(maps.Keys(w.tally.dialects)) {
		c := w.tally.dialects[name]
		c.tell(t, name)
		all.sessions, all.rounds, all.failed = all.sessions+c.sessions, all.rounds+c.rounds, all.failed+c.failed
		for why, n := range c.aimed {
			all.aimed[why] += n
		}
	}
	all.tell(t, "all")
	t.Flush()
	fmt.Fprintf(w.out, "\nthe longest session: %s; aimed at:\n", w.tally.longest.Round(time.Second))
	tellCounts(w.out, all.aimed)
	fmt.Fprintln(w.out, "\nwhat was done:")
	tellCounts(w.out, w.tally.done)
}

func (c *count) tell(t io.Writer, name string) {
	hit := 0
	for _, n := range c.aimed {
		hit += n
	}
	fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t\n", name, c.sessions, c.rounds, c.sessions-hit-c.failed, hit, c.failed)
}

func tellCounts(out io.Writer, counts map[string]int) {
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(out, "%7d %s\n", counts[what], what)
	}
}

// rowsOfSamples is how many of the samples are shown.
const rowsOfSamples = 12

func (v *watch) tellSamples() {
	t := tabwriter.NewWriter(v.w.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	heads := "after\t"
	for _, g := range v.w.gateways {
		heads += strings.ReplaceAll("G MB\tdescriptors\tgoroutines\tsessions\tinstances\t", "G", g.name)
	}
	fmt.Fprintln(t, heads)
	every := max(1, len(v.samples)/rowsOfSamples)
	for i, s := range v.samples {
		if i%every != 0 && i != len(v.samples)-1 {
			continue
		}
		fmt.Fprintf(t, "%s\t", max(0, s.at.Sub(v.w.tally.begun)).Round(time.Second))
		for _, f := range s.each {
			fmt.Fprintf(t, "%.1f\t%.0f\t%.0f\t%.0f\t%d\t", f.memory/1e6, f.descriptors, f.goroutines, f.live, f.instances)
		}
		fmt.Fprintln(t)
	}
	t.Flush()
}

// tellGrowth judges whether what the gateways use is flat.
func (v *watch) tellGrowth() {
	if v.w.pace.length < judgedFrom {
		fmt.Fprintf(v.w.out, "halves are compared from %s on\n", judgedFrom)
		return
	}
	if v.w.tally.done[handOvers] == 0 {
		v.w.fail("there were no hand-overs")
	}
	t := tabwriter.NewWriter(v.w.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "on average\tfirst half\tsecond half\tat most\t\t")
	for i, g := range v.w.gateways {
		for _, row := range []struct {
			what string
			unit float64
			some float64
			of   func(figures) float64
		}{
			{"MB", 1e6, 4e6, func(f figures) float64 { return f.memory }},
			{"descriptors", 1, slack, func(f figures) float64 { return f.descriptors }},
			{"goroutines", 1, slack, func(f figures) float64 { return f.goroutines }},
		} {
			grown, verdict := v.growth(i, row.some, row.of), "flat"
			if !grown.flat() {
				verdict = "GROWS"
				v.w.fail("%s of %s: %.1f in the first half, %.1f in the second", row.what, g.name, grown.first/row.unit, grown.second/row.unit)
			}
			fmt.Fprintf(t, "%s %s\t%.1f\t%.1f\t%.1f\t%s\t\n", g.name, row.what, grown.first/row.unit, grown.second/row.unit, grown.bound/row.unit, verdict)
		}
	}
	t.Flush()
}
