// Package finding has the words of "starttls check": findings, the catalogue of them, facts of TLS,
// standards that judge facts, and the result that all reports are made of.
//
// A [Finding] is one checked claim about a target. Its ID is an [Entry] of the [Catalogue] and does not
// change from release to release; what it means and how to mend it is written there and nowhere else.
// A [Result] is the whole of a check. Its JSON is versioned by [Schema] and described by schema.json of
// package report.
//
// This package does no I/O: a finding is a fact about facts.
package finding

import (
	"slices"
	"strconv"
	"strings"
)

// A Verdict is one of the four bands of a standard, or one of the two that say nothing.
type Verdict string

// The verdicts. The bands are those of NCSC-NL's guidelines for TLS.
const (
	Good          Verdict = "good"
	Sufficient    Verdict = "sufficient"   // will do, and better is known
	PhaseOut      Verdict = "phase-out"    // to be given up soon
	Insufficient  Verdict = "insufficient" // to be mended now
	NotApplicable Verdict = "not-applicable"
	NotTestable   Verdict = "not-testable" // nothing is known; never the same as insufficient
)

// Verdicts are all verdicts, the worse the later.
var Verdicts = []Verdict{NotApplicable, NotTestable, Good, Sufficient, PhaseOut, Insufficient}

// Worse reports whether v is worse than w.
func (v Verdict) Worse(w Verdict) bool {
	return slices.Index(Verdicts, v) > slices.Index(Verdicts, w)
}

// Bad reports whether v asks for something to be done.
func (v Verdict) Bad() bool { return v == PhaseOut || v == Insufficient }

// A Severity says how much is at stake.
type Severity string

// The severities.
const (
	None   Severity = "none" // nothing is wrong
	Info   Severity = "info" // good to know
	Low    Severity = "low"
	Medium Severity = "medium"
	High   Severity = "high" // passwords or mail can be read or changed by who sits on the path
)

// Severities are all severities, the graver the later.
var Severities = []Severity{None, Info, Low, Medium, High}

// A Grade says how sure it is that somebody on the path took TLS away.
type Grade string

// The grades of evidence for stripping.
const (
	Certain  Grade = "certain"  // nothing but an interception explains it
	Likely   Grade = "likely"   // as a rule it is one
	Possible Grade = "possible" // a server's own fault looks the same
)

// A Finding is one checked claim about a target.
type Finding struct {
	ID       string      `json:"id"`
	Title    string      `json:"title"`
	Verdict  Verdict     `json:"verdict"`
	Severity Severity    `json:"severity"`
	Evidence string      `json:"evidence,omitempty"` // what was seen, peers' words quoted
	Grade    Grade       `json:"grade,omitempty"`    // of stripping only
	Clauses  []Clause    `json:"clauses,omitempty"`  // of the catalogue
	Judged   []Judgement `json:"judged,omitempty"`   // by standards, for facts of TLS
}

// Headline returns the title as it stands in reports: nobody may take what should be for what was seen.
func (f Finding) Headline() string {
	switch f.Verdict {
	case PhaseOut, Insufficient:
		return "not so: " + f.Title
	case Sufficient:
		return "good would be: " + f.Title
	case NotTestable:
		return "not known: " + f.Title
	case NotApplicable:
		return "does not apply: " + f.Title
	}
	return f.Title
}

// longest is how much of what was seen is kept.
const longest = 400

// New makes the finding of a catalogue's entry. It panics if there is none: ids are constants.
func New(id string, v Verdict, evidence string) Finding {
	e, ok := ByID(id)
	if !ok {
		panic("finding: no entry " + id)
	}
	if len(evidence) > longest {
		evidence = strings.ToValidUTF8(evidence[:longest], "") + " …"
	}
	return Finding{ID: id, Title: e.Title, Verdict: v, Severity: e.severity(v), Evidence: evidence, Clauses: e.Clauses}
}

// Quote returns a peer's words as they may stand in evidence: the first of them, quoted.
func Quote(words []byte) string {
	const most = 120
	cut := ""
	if words = []byte(strings.TrimRight(string(words), "\r\n")); len(words) > most {
		words, cut = words[:most], " …"
	}
	return strconv.QuoteToASCII(string(words)) + cut
}

// Worst returns the worst verdict of all, NotApplicable when there are none.
func Worst(all []Finding) Verdict {
	worst := NotApplicable
	for _, f := range all {
		if f.Verdict.Worse(worst) {
			worst = f.Verdict
		}
	}
	return worst
}
