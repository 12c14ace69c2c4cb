package check

import (
	"fmt"

	"starttls/internal/finding"
)

// A ledger gathers what rows say until it is a finding.
type ledger struct {
	parts map[string][]part
	keep  func(finding.Finding)
}

func newLedger(keep func(finding.Finding)) *ledger {
	return &ledger{parts: map[string][]part{}, keep: keep}
}

// A part is what one row says of a finding, which may be made of several.
type part struct {
	verdict  finding.Verdict
	evidence string
}

// say notes what a row has found. The finding is told when its last row is done.
func (l *ledger) say(id string, verdict finding.Verdict, format string, args ...any) {
	l.parts[id] = append(l.parts[id], part{verdict, fmt.Sprintf(format, args...)})
}

// settle makes findings of what was said of them: the worst verdict, with its first evidence. What some
// row could test is not untestable.
func (l *ledger) settle(ids ...string) {
	for _, id := range ids {
		said := l.parts[id]
		if len(said) == 0 {
			continue
		}
		delete(l.parts, id)
		worst := said[0]
		for _, p := range said[1:] {
			if p.verdict.Worse(worst.verdict) {
				worst = p
			}
		}
		l.keep(finding.New(id, worst.verdict, worst.evidence))
	}
}

// signed tells a signature of stripping that was seen.
func (l *ledger) signed(id, evidence string) {
	e, _ := finding.ByID(id)
	l.graded(id, e.Evidence, evidence)
}

// graded tells one that is as sure as grade.
func (l *ledger) graded(id string, grade finding.Grade, evidence string) {
	f := finding.New(id, finding.Insufficient, evidence)
	f.Grade = grade
	l.keep(f)
}
