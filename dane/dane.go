// Package dane verifies servers by TLSA records (RFC 6698, 7671, and 7672 for SMTP): which records count,
// whose name they are found under, and whether a chain matches them.
package dane

import "starttls/resolver"

// A Result is what the TLSA records of a host mean (RFC 7672 §2.2).
type Result struct {
	Outcome Outcome
	// Base is the name under which the records were found: the one for SNI and the first reference name
	// (RFC 7672 §2.2.1). It is the host's own if there are none.
	Base string
	// Records are those that count: usable, and after digest agility (RFC 7671 §9).
	Records []resolver.TLSARecord
	// All are the records as published.
	All []resolver.TLSARecord
	// Why says how it came to this, for people.
	Why string
	// Err is the lookup's, when Outcome is Failed.
	Err error
}

// An Outcome is one of the four of RFC 7672 §2.2.
type Outcome uint8

// The outcomes of a lookup of TLSA records.
const (
	Failed   Outcome = iota // the lookup failed: the host must not be used
	Absent                  // no records, or none that are secure: DANE says nothing
	Unusable                // secure records, none of them usable: TLS is demanded, without authentication
	Usable                  // the host must match
)

// String returns the outcome's word.
func (o Outcome) String() string {
	return [...]string{"failed", "absent", "unusable", "usable"}[min(o, Usable)]
}
