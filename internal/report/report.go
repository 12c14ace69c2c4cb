// Package report shows a finding.Result: as text for a terminal, JSON, HTML, SARIF, JUnit, a line for
// Nagios, CSV. It computes nothing that is not in the result, and fetches nothing.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"starttls/internal/finding"
)

// JSON writes a result, indented. Its schema is schema.json of this package.
func JSON(w io.Writer, r *finding.Result) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// JSONLine writes a result in one line, for many, brief.
func JSONLine(w io.Writer, r *finding.Result) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(r.Brief())
}

// columns is the width of text.
const columns = 80

// Text writes a result for people, at most 80 columns wide. Findings that are as they should be are
// counted, or listed if all is true.
type Text struct {
	W   io.Writer
	All bool
	// Color says that W is a terminal that shows colours.
	Color bool
}

// marks are how verdicts are shown: a word of a fixed width, and its colour.
var marks = map[finding.Verdict][2]string{
	finding.Good:          {"ok", "32"},
	finding.Sufficient:    {"fair", "36"},
	finding.PhaseOut:      {"old", "33"},
	finding.Insufficient:  {"BAD", "31;1"},
	finding.NotTestable:   {"?", "35"},
	finding.NotApplicable: {"n/a", "2"},
}

// Mark returns how a verdict is shown, five columns wide.
func (t Text) Mark(v finding.Verdict) string {
	m := marks[v]
	word := fmt.Sprintf("%-5s", m[0])
	if t.Color {
		return "\x1b[" + m[1] + "m" + word + "\x1b[0m"
	}
	return word
}

// Result writes the whole of a result.
func (t Text) Result(r *finding.Result) {
	fmt.Fprintf(t.W, "%s\n", r.Target)
	if r.Domain != nil {
		t.domain(r.Domain)
	}
	t.changes(r.Changes)
	for i := range r.Services {
		t.service(&r.Services[i])
	}
	if len(r.Findings) > 0 {
		fmt.Fprintf(t.W, "\n%s as a whole\n", r.Target)
	}
	t.findings("", r.Findings)
	t.verdict(r)
}

// Summary writes a result without its findings, for who has seen them come.
func (t Text) Summary(r *finding.Result) {
	if r.Domain != nil || len(r.Changes) > 0 {
		fmt.Fprintf(t.W, "\n%s\n", r.Target)
	}
	if r.Domain != nil {
		t.domain(r.Domain)
	}
	t.changes(r.Changes)
	for i := range r.Services {
		t.head(&r.Services[i])
	}
	t.verdict(r)
}

// domain writes what is demanded of each host, and what senders would do.
func (t Text) domain(d *finding.Domain) {
	for _, mx := range d.MX {
		t.line(fmt.Sprintf("MX %d", mx.Pref), fmt.Sprintf("%s, tls=%s: %s", mx.Host, mx.Level, mx.Why))
	}
	for _, s := range d.Senders {
		t.line(s.Kind, senderText(s))
	}
}

// senderText says in a sentence what a sender would do with a message now.
func senderText(s finding.Sender) string {
	switch {
	case !s.Delivers && s.Reply == "":
		return "not known: no host could be tested"
	case !s.Delivers:
		return "does not deliver: " + s.Reply
	case !s.TLS:
		return "delivers to " + s.Host + " in the clear"
	case !s.Verified:
		return "delivers to " + s.Host + " with TLS, whoever that is"
	}
	return "delivers to " + s.Host + " with TLS, authenticated (" + s.Level + ")"
}

func (t Text) service(s *finding.Service) {
	t.head(s)
	t.findings(s.Protocol, s.Findings)
}

// head writes what a service agreed on.
func (t Text) head(s *finding.Service) {
	head := fmt.Sprintf("%s at %s: %s", s.URL, s.Address, s.Outcome)
	if s.Why != "" {
		head += ", " + s.Why
	}
	fmt.Fprintf(t.W, "\n%s\n", finding.Wrap(head, columns, "  "))
	if s.TLS != nil {
		t.line("agreed", strings.Join(slices.DeleteFunc([]string{s.TLS.Version, s.TLS.Suite, s.TLS.Group, s.TLS.ALPN}, empty), ", "))
	}
	if len(s.Chain) > 0 {
		leaf := s.Chain[0]
		t.line("certificate", fmt.Sprintf("%s, by %s, until %s, %s", leaf.Subject, leaf.Issuer, leaf.NotAfter.Format("2006-01-02"), leaf.Key))
	}
	for _, st := range s.Standards {
		t.line("standard", fmt.Sprintf("%s (%s): %s", st.Name, st.Edition, st.Verdict))
	}
	t.changes(s.Changes)
}

// minute is how times of runs are written.
const minute = "2006-01-02 15:04"

// changes writes what has changed.
func (t Text) changes(all []finding.Change) {
	for _, c := range all {
		t.line("changed", fmt.Sprintf("%s: %s; on %s it was: %s", c.What, c.Is, c.Since.Format(minute), c.Was))
	}
}

// took is how long a check took: what is short in milliseconds.
func took(r *finding.Result) string {
	if r.Seconds < 1 {
		return fmt.Sprintf("%.0f ms", r.Seconds*1000)
	}
	return fmt.Sprintf("%.1f s", r.Seconds)
}

func empty(s string) bool { return s == "" }

// line writes a line with a label.
func (t Text) line(label, text string) {
	fmt.Fprintf(t.W, "  %-13s %s\n", label, finding.Wrap(text, columns-16, strings.Repeat(" ", 16)))
}

// findings writes findings, the gravest first, and counts those that are well.
func (t Text) findings(protocol string, all []finding.Finding) {
	hidden := map[finding.Verdict]int{}
	for _, f := range byGravity(all) {
		if !t.Shows(f) {
			hidden[f.Verdict]++
			continue
		}
		t.Finding(protocol, f)
	}
	if n := hidden[finding.Good]; n > 0 {
		fmt.Fprintf(t.W, "  %s %d more are as they should be\n", t.Mark(finding.Good), n)
	}
}

// byGravity returns findings, the gravest first.
func byGravity(all []finding.Finding) []finding.Finding {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b finding.Finding) int {
		return slices.Index(finding.Verdicts, b.Verdict) - slices.Index(finding.Verdicts, a.Verdict)
	})
	return all
}

// Shows reports whether a finding is written, and not only counted.
func (t Text) Shows(f finding.Finding) bool {
	return t.All || f.Verdict != finding.Good && f.Verdict != finding.NotApplicable
}

// Finding writes one finding about a service of a protocol, and what to change in the servers of it.
func (t Text) Finding(protocol string, f finding.Finding) {
	title := f.Headline()
	if f.Grade != "" {
		title += " (" + string(f.Grade) + ")"
	}
	fmt.Fprintf(t.W, "  %s %s\n        %s\n", t.Mark(f.Verdict), f.ID, finding.Wrap(title, columns-8, "        "))
	if f.Evidence != "" {
		fmt.Fprintf(t.W, "        seen: %s\n", finding.Wrap(f.Evidence, columns-14, "              "))
	}
	if e, ok := finding.ByID(f.ID); ok && f.Verdict.Bad() {
		for _, m := range e.MendsFor(protocol) {
			fmt.Fprintf(t.W, "        %-10s %s\n", m.Server, finding.Wrap(m.Line, columns-19, strings.Repeat(" ", 19)))
		}
	}
}

// verdict writes the last line.
func (t Text) verdict(r *finding.Result) {
	counts := map[finding.Verdict]int{}
	for _, f := range r.All {
		counts[f.Verdict]++
	}
	var words []string
	for _, v := range slices.Backward(finding.Verdicts) {
		if counts[v] > 0 {
			words = append(words, fmt.Sprintf("%d %s", counts[v], v))
		}
	}
	last := fmt.Sprintf("%s: %s in %s", r.Target, verdictOf(r), took(r))
	if len(words) > 0 {
		last += " (" + strings.Join(words, ", ") + ")"
	}
	fmt.Fprintf(t.W, "\n%s\n", finding.Wrap(last+since(r), columns, "  "))
}

// since says how much has changed, if a run was compared with.
func since(r *finding.Result) string {
	switch n := r.Changed(); {
	case r.Before == nil:
		return ""
	case n == 0:
		return "; nothing has changed since " + r.Before.Format(minute)
	case n == 1:
		return "; 1 change since " + r.Before.Format(minute)
	default:
		return fmt.Sprintf("; %d changes since %s", n, r.Before.Format(minute))
	}
}
