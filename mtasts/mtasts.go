// Package mtasts is MTA-STS (RFC 8461): the record that announces a policy, the policy, and its life in
// a sender's cache.
//
// # Where to start
//
// A [Client] answers the one question of a sender, which policy is in force for a domain: [Client].Policy.
// Before mail is put off because of a policy, [Client].Recheck asks past the caches of the DNS whether
// there is a newer one (RFC 8461 §5). [Client].Run fetches cached policies anew long before they end.
// [ParseRecord] and [ParsePolicy] are the parsers alone.
//
// # What it promises
//
// A policy once fetched stays in force until its end, whatever becomes of DNS and HTTPS, unless a newer one
// takes its place (RFC 8461 §3.3): who forges an answer of the DNS and blocks a connection cannot switch it
// off. Nothing longer than [MaxBody] is read, no redirect followed, no address dialled that is not public.
// The client starts no goroutine that outlives the call.
package mtasts

import (
	"errors"
	"fmt"
	"time"

	"starttls/tlsrpt"
)

// A Mode is what a policy demands (RFC 8461 §5).
type Mode string

// The modes of a policy.
const (
	Enforce Mode = "enforce"
	Testing Mode = "testing"
	None    Mode = "none"
)

// MaxAge is the longest life of a policy; longer ones are cut to it (RFC 8461 §3.2).
const MaxAge = 31557600 * time.Second

// A Policy is a policy as fetched from its host (RFC 8461 §3.2).
type Policy struct {
	Mode   Mode
	MaxAge time.Duration
	MX     []string // patterns, lower-case A-labels, "*." in front of some; never empty unless Mode is None
	Text   string   // as fetched
}

// A State is what is known of a domain's policy at one moment.
type State struct {
	Domain string
	// Policy is the one in force, nil if there is none: freshly fetched, or from the cache and not past
	// its end.
	Policy  *Policy
	ID      string    // of the record with which Policy was fetched
	Fetched time.Time // when Policy was fetched; its end is Fetched + Policy.MaxAge
	Cached  bool      // Policy was in the cache before this question
	// Err is why there is no newer policy: the record or the fetch failed, and it is an [*Error]. Policy
	// may be in force all the same. It is nil where there is no policy and none is announced.
	Err error
}

// An Error is why there is no policy, or no newer one.
type Error struct {
	Domain string
	Type   tlsrpt.ResultType // how reports count it (RFC 8460 §4.3)
	Err    error             // what befell: a *resolver.Error, a *tls.CertificateVerificationError …
}

// Error says whose policy it is and what befell.
func (e *Error) Error() string { return fmt.Sprintf("MTA-STS policy of %s: %v", e.Domain, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ErrNoRecord says that no record announces a policy.
var ErrNoRecord = errors.New("no record announces a policy")
