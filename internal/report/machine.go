package report

import (
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"starttls/internal/finding"
)

// about names what a finding is about: a service at an address, or the target.
func about(r *finding.Result, s *finding.Service) string {
	if s == nil {
		return r.Target
	}
	return s.URL + " at " + s.Address
}

// CSV writes a row for each finding, the first row of a file naming the columns.
type CSV struct{ w *csv.Writer }

// NewCSV writes the names of the columns and returns what writes results behind them.
func NewCSV(w io.Writer) (CSV, error) {
	c := CSV{csv.NewWriter(w)}
	c.w.Write([]string{"target", "service", "address", "finding", "verdict", "severity", "evidence"})
	c.w.Flush()
	return c, c.w.Error()
}

// Result writes the rows of a result.
func (c CSV) Result(r *finding.Result) error {
	for s, f := range r.All {
		url, address := "", ""
		if s != nil {
			url, address = s.URL, s.Address
		}
		row := []string{r.Target, url, address, f.ID, string(f.Verdict), string(f.Severity), f.Evidence}
		for i := range row {
			row[i] = harmless(row[i])
		}
		c.w.Write(row)
	}
	c.w.Flush()
	return c.w.Error()
}

// harmless keeps a spreadsheet from taking a peer's words for a formula, and a terminal from taking them for orders.
func harmless(cell string) string {
	cell = finding.Clean(cell)
	if cell != "" && strings.ContainsRune("=+-@", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

// Line writes one line for a target: its verdict, what is bad, what has changed, and the time.
func Line(w io.Writer, r *finding.Result) error {
	_, err := fmt.Fprintf(w, "%-12s %s (%s)%s%s\n", verdictOf(r), r.Target, took(r), listed(": ", bad(r)), listed("; changed: ", changed(r)))
	return err
}

// changed lists what has changed, each once.
func changed(r *finding.Result) (what []string) {
	note := func(all []finding.Change) {
		for _, c := range all {
			if !slices.Contains(what, c.What) {
				what = append(what, c.What)
			}
		}
	}
	note(r.Changes)
	for _, s := range r.Services {
		note(s.Changes)
	}
	return what
}

// verdictOf is the verdict of a result, or that nothing was reached or could be tested.
func verdictOf(r *finding.Result) string {
	busy := func(s finding.Service) bool { return s.Outcome == finding.Busy }
	switch {
	case r.Reached:
	case slices.ContainsFunc(r.Services, busy):
		return string(finding.NotTestable)
	default:
		return "unreached"
	}
	return string(r.Verdict)
}

// bad lists the ids of what is bad, each once, the insufficient first.
func bad(r *finding.Result) (ids []string) {
	for _, v := range []finding.Verdict{finding.Insufficient, finding.PhaseOut} {
		for _, f := range r.All {
			if f.Verdict == v && !slices.Contains(ids, f.ID) {
				ids = append(ids, f.ID)
			}
		}
	}
	return ids
}

func listed(before string, words []string) string {
	if len(words) == 0 {
		return ""
	}
	return before + strings.Join(words, ", ")
}

// Nagios statuses (Monitoring Plugins guidelines).
const (
	NagiosOK = iota
	NagiosWarning
	NagiosCritical
	NagiosUnknown
)

// Nagios writes the line of a plugin with performance data, and returns the plugin's status.
func Nagios(w io.Writer, r *finding.Result, now time.Time) (status int, err error) {
	switch {
	case !r.Reached:
		status = NagiosUnknown
	case r.Verdict == finding.Insufficient:
		status = NagiosCritical
	case r.Verdict == finding.PhaseOut:
		status = NagiosWarning
	}
	word := [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}[status]
	counts := map[finding.Verdict]int{}
	for _, f := range r.All {
		counts[f.Verdict]++
	}
	connections := 0
	for _, s := range r.Services {
		connections += s.Connections
	}
	_, err = fmt.Fprintf(w, "STARTTLS %s: %s%s|time=%.3fs;;;0 insufficient=%d;;1;0 phase_out=%d;1;;0 not_testable=%d;;;0 connections=%d;;;0%s%s\n",
		word, nagiosText(r.Target), nagiosText(listed(": ", bad(r))), r.Seconds,
		counts[finding.Insufficient], counts[finding.PhaseOut], counts[finding.NotTestable], connections, days(r, now), changes(r))
	return status, err
}

// nagiosText takes out what would end the text.
func nagiosText(s string) string { return strings.NewReplacer("|", "/", "\n", " ").Replace(s) }

// days is how long the certificate that ends first still has.
func days(r *finding.Result, now time.Time) string {
	var first time.Time
	for _, s := range r.Services {
		for _, c := range s.Chain[:min(1, len(s.Chain))] {
			if first.IsZero() || c.NotAfter.Before(first) {
				first = c.NotAfter
			}
		}
	}
	if first.IsZero() {
		return ""
	}
	return fmt.Sprintf(" certificate_days=%d;14:;0:", int(first.Sub(now).Hours()/24))
}

// changes is how much has changed, if a run was compared with.
func changes(r *finding.Result) string {
	if r.Before == nil {
		return ""
	}
	return fmt.Sprintf(" changes=%d;;;0", r.Changed())
}

// JUnit writes results as test suites: one for each service and target, a case for each finding. What is
// insufficient has failed; what is not applicable or not testable was skipped.
func JUnit(w io.Writer, results []*finding.Result) error {
	type message struct {
		Text string `xml:"message,attr"`
		Type string `xml:"type,attr,omitempty"`
		Body string `xml:",chardata"`
	}
	type testcase struct {
		Class   string   `xml:"classname,attr"`
		Name    string   `xml:"name,attr"`
		Failure *message `xml:"failure"`
		Skipped *message `xml:"skipped"`
	}
	type suite struct {
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Skipped  int        `xml:"skipped,attr"`
		Time     string     `xml:"time,attr"`
		Stamp    string     `xml:"timestamp,attr"`
		Cases    []testcase `xml:"testcase"`
	}
	var all struct {
		XMLName xml.Name `xml:"testsuites"`
		Suites  []*suite `xml:"testsuite"`
	}
	for _, r := range results {
		var at *suite
		for s, f := range r.All {
			if name := about(r, s); at == nil || at.Name != name {
				at = &suite{Name: name, Time: fmt.Sprintf("%.3f", r.Seconds), Stamp: r.Started.Format("2006-01-02T15:04:05")}
				all.Suites = append(all.Suites, at)
			}
			c := testcase{Class: at.Name, Name: f.ID}
			at.Tests++
			switch f.Verdict {
			case finding.Insufficient:
				at.Failures++
				c.Failure = &message{f.Headline(), string(f.Severity), f.Evidence}
			case finding.NotApplicable, finding.NotTestable:
				at.Skipped++
				c.Skipped = &message{Text: string(f.Verdict) + ": " + f.Evidence}
			}
			at.Cases = append(at.Cases, c)
		}
		if !r.Reached {
			all.Suites = append(all.Suites, &suite{
				Name: r.Target, Tests: 1, Failures: 1, Time: fmt.Sprintf("%.3f", r.Seconds), Stamp: r.Started.Format("2006-01-02T15:04:05"),
				Cases: []testcase{{Class: r.Target, Name: "reached", Failure: &message{Text: "nothing was reached"}}},
			})
		}
	}
	io.WriteString(w, xml.Header)
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// SARIF writes results as a run of SARIF 2.1.0: findings that are not as they should be, the address of
// the service in the place of a file.
func SARIF(w io.Writer, results []*finding.Result) error {
	type text struct {
		Text string `json:"text"`
	}
	type object map[string]any
	levels := map[finding.Severity]string{finding.High: "error", finding.Medium: "error", finding.Low: "warning", finding.Info: "note", finding.None: "none"}
	rules, index := []object{}, map[string]int{}
	for _, e := range finding.Catalogue() {
		index[e.ID] = len(rules)
		rules = append(rules, object{
			"id": e.ID, "shortDescription": text{e.Title}, "fullDescription": text{e.Means}, "help": text{e.Explain()},
			"defaultConfiguration": object{"level": levels[e.Stake]},
		})
	}
	found := []object{}
	for _, r := range results {
		for s, f := range r.All {
			if f.Verdict == finding.Good || f.Verdict == finding.NotApplicable {
				continue
			}
			uri, place := r.Target, r.Target
			if s != nil {
				uri, place = s.URL, about(r, s)
			}
			kind, level := "fail", levels[f.Severity]
			if f.Verdict == finding.NotTestable {
				kind, level = "open", "none"
			}
			found = append(found, object{
				"ruleId": f.ID, "ruleIndex": index[f.ID], "kind": kind, "level": level,
				"message": text{string(f.Verdict) + ": " + f.Headline() + ". Seen: " + f.Evidence},
				"locations": []object{{
					"physicalLocation": object{"artifactLocation": object{"uri": uri}},
					"logicalLocations": []object{{"fullyQualifiedName": place, "kind": "resource"}},
				}},
				"partialFingerprints": object{"finding/v1": f.ID + " " + place},
			})
		}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(object{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
		"runs": []object{{"tool": object{"driver": object{"name": "starttls", "rules": rules}}, "results": found}},
	})
}
