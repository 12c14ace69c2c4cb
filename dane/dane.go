// Package dane verifies servers by TLSA records (RFC 6698, 7671, and 7672 for SMTP): which records count,
// whose name they are found under, and whether a chain matches them.
//
// # Where to start
//
// [Lookup] asks for a host's addresses and TLSA records, in the order and with the care of RFC 7672 §2.2.
// If its [Result] is Usable, [Config] makes a tls.Config that lets nobody else in:
//
//	found := dane.Lookup(ctx, r, "mx.example.net", 25)
//	if found.Outcome == dane.Usable {
//		config = dane.Config(config, found.Records, []string{found.Base, "example.com"})
//	}
//
// A Result that is Unusable demands TLS all the same, without authentication; one that is Failed forbids
// the host; Absent says that DANE has nothing to say.
//
// # What it promises
//
// Records that are not secure are never used, and an error is never taken for "there are none". Every
// connection is verified, resumed ones too. A record of usage 3 (DANE-EE) is about the server's
// certificate and nothing else: names and dates are not looked at. A record of usage 2 (DANE-TA) needs a
// path to the trust anchor, valid at the time, and a name; the server's own certificate is never a trust
// anchor. What crypto/x509 cannot parse is not verified: such a handshake fails.
package dane

import (
	"net/netip"

	"starttls/resolver"
)

// A Result is what the DNS said of a host, and what its TLSA records mean (RFC 7672 §2.2).
type Result struct {
	Outcome Outcome
	// Base is the name under which the records were found: the one for SNI and the first reference name
	// (RFC 7672 §2.2.3). It is the host's own if there are none.
	Base string
	// Records are those that count: usable, and after digest agility (RFC 7671 §9).
	Records []resolver.TLSARecord
	// All are the records as published, in the order of the answer; Dropped those that do not count.
	All     []resolver.TLSARecord
	Dropped []Dropped
	// Why says how it came to this, for people.
	Why string
	// Err is the lookup's, when Outcome is Failed.
	Err error

	// Addrs are the host's addresses, A before AAAA. Without any it cannot be reached.
	Addrs []netip.Addr
	// AddrErr is a lookup of addresses that failed, in whichever family. Addrs may be there all the same.
	AddrErr error
	// Canonical is the name at the end of CNAMEs, or the host's own.
	Canonical string
	// Secure says that the addresses are, in one family at least, and so the way to Canonical.
	Secure bool
	// Steps are all questions that were asked, in order.
	Steps []Step
}

// A Step is one question to the DNS: Answer or Err is set.
type Step struct {
	Name   string
	Type   resolver.Type
	Answer *resolver.Answer
	Err    error
}

// A Dropped is a record that does not count.
type Dropped struct {
	Record resolver.TLSARecord
	Why    string // for people
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
