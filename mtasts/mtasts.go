// Package mtasts is MTA-STS (RFC 8461): the record that announces a policy, the policy, and its life in
// a sender's cache.
package mtasts

import (
	"strings"
	"time"
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

// Matches reports whether the policy lists an MX host. "*." stands for exactly one label
// (RFC 8461 §4.1).
func (p *Policy) Matches(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, pattern := range p.MX {
		if pattern == host {
			return true
		}
		if suffix, ok := strings.CutPrefix(pattern, "*."); ok {
			if first, rest, ok := strings.Cut(host, "."); ok && first != "" && rest == suffix {
				return true
			}
		}
	}
	return false
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
	// Err is why there is no newer policy: the record or the fetch failed (see [Error]). Policy may be in
	// force all the same.
	Err error
}
