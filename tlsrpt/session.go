package tlsrpt

import "time"

// A Session is one session with a host of a domain, or the attempt at one, as reports count it. A session
// is counted once, however many messages went through it.
type Session struct {
	Time   time.Time // when it was over; it counts for that day in UTC (RFC 8460 §4.1)
	Domain string    // the next hop's, as A-labels: whom the report is for
	// Outcomes are what it was under each policy that applied, at least one. A policy that is watched and
	// not enforced has one like the others.
	Outcomes []Outcome
}

// An Outcome is what a session was under one policy.
type Outcome struct {
	Policy Policy
	// Failed says that the session failed the policy (RFC 8460 §4.2.2). It may be false although there
	// are failures: one that was reported and passed over.
	Failed   bool
	Failures []Failure
}
