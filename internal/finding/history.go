package finding

import (
	"slices"
	"strings"
	"time"
)

// A Run is what a check has found before.
type Run struct {
	ID     string // of who keeps it
	Result *Result
	Last   time.Time // when the same was found last
}

// A Change is something that is otherwise than in the last run that knew of it.
type Change struct {
	What  string    `json:"what"`  // "tls", "certificate", "mx" …, or the id of a finding
	Since time.Time `json:"since"` // when it was last seen as it was
	Was   string    `json:"was"`
	Is    string    `json:"is"`
}

// Changed returns how many changes there are.
func (r *Result) Changed() int {
	n := len(r.Changes)
	for _, s := range r.Services {
		n += len(s.Changes)
	}
	return n
}

// Whole reports whether everything could be asked: nobody has put us off, and the DNS has answered.
func (r *Result) Whole() bool {
	busy := func(s Service) bool { return s.Outcome == Busy }
	mute := func(f Finding) bool { return f.ID == "mail.mx" && f.Verdict == NotTestable }
	return !slices.ContainsFunc(r.Services, busy) && !slices.ContainsFunc(r.Findings, mute)
}

// Stripped reports whether something looks like the work of somebody who strips.
func (r *Result) Stripped() bool {
	looks := func(f Finding) bool { return strings.HasPrefix(f.ID, "strip.") && f.Verdict == Insufficient }
	return slices.ContainsFunc(r.Findings, looks) ||
		slices.ContainsFunc(r.Services, func(s Service) bool { return slices.ContainsFunc(s.Findings, looks) })
}

// Brief returns the result without what is the same for every target (the clauses) and what stands in it
// twice (how standards have judged the facts).
func (r *Result) Brief() *Result {
	short := *r
	short.Findings, short.Services = brief(r.Findings), slices.Clone(r.Services)
	for i := range short.Services {
		short.Services[i].Findings = brief(short.Services[i].Findings)
	}
	return &short
}

func brief(all []Finding) []Finding {
	all = slices.Clone(all)
	for i := range all {
		all[i].Clauses, all[i].Judged = nil, nil
	}
	return all
}
