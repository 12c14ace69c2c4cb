// Package policy says what a delivery to a domain must demand, and why: evidence is gathered from DNS,
// MTA-STS and memory, and decided on.
//
// # Where to start
//
// [Gatherer].Gather does all I/O and returns [Evidence]. [Decide] is pure: evidence in, [Plan] out; its
// table test is the specification. [Attempt].TLSConfig is how the TLS of an attempt is verified,
// [Attempt].Judge what a session was worth, and [Plan].Conclude what is told to who sent the mail when
// no attempt led anywhere. The same Plan is printed by "starttls policy", told to Postfix, walked by the
// mx: backend and judged by "starttls check".
//
// # What it promises
//
// An error is never taken for "there is nothing". A failed policy delays mail, with a temporary refusal;
// only REQUIRETLS and facts that have nothing to do with TLS refuse it for good. Each host is judged by
// itself: one that is broken does not stop the others.
package policy

import (
	"net/netip"
	"time"

	"starttls"
	"starttls/resolver"
	"starttls/tlsrpt"
)

// A Plan is what a delivery to a domain must do: attempts in order, each with what it must demand.
type Plan struct {
	Domain string // the next hop, as resolver.Name returns it, or a host or address literal in brackets
	// Attempts are the MX hosts in the order in which they are to be tried, those that must not be used
	// included: they are told, reported, and passed over.
	Attempts []Attempt
	// Refusal, if not nil, is why no host can be tried at all.
	Refusal *Refusal
	// RequireTLS says that the message demands REQUIRETLS (RFC 8689) of every hop.
	RequireTLS bool
	// Until is when the evidence is too old for the plan to be used again. It may be in the past: then it
	// is good for one delivery.
	Until    time.Time
	Evidence *Evidence
}

// An Attempt is one MX host, and what is demanded of it.
type Attempt struct {
	Host  string // its name in DNS; empty for an address literal
	Pref  uint16
	Port  uint16
	Addrs []netip.Addr
	// Level is None, May, Encrypt, Verify, Secure or Dane.
	Level starttls.Level
	// Source is where Level comes from.
	Source Source
	// Names are those for one of which the certificate must be: at Verify and Secure, and at Dane for
	// records of usage 2. ".example.org" is any name below example.org.
	Names []string
	// SNI is the name that is sent in the handshake, empty for none.
	SNI string
	// TLSA are the records that count, at Dane.
	TLSA []resolver.TLSARecord
	// Refusal, if not nil, is why the host must not be used: it is passed over like one that is down.
	Refusal *Refusal
	// Policy is the one that Level comes from, as TLS-RPT names it; tlsrpt.NoPolicy if it comes from none.
	Policy tlsrpt.Policy
	// Failure is one of Policy that was known before any session and stops nothing, nil if there is none:
	// it could not be renewed, or no TLSA record is usable.
	Failure *tlsrpt.Failure
	// Watch are the other policies that there are: they are judged and reported but not enforced.
	// MTA-STS in testing mode or behind DANE, TLSA records where the operator wants something else.
	Watch []Watch
	// Remembered is what was seen of the host before, at May: it gave TLS, and when it offers none now that
	// is an alarm (RFC 3207 §6), and the mail goes on. It is nil if nothing was seen or memory is off.
	// Where such mail is to wait, Level is Encrypt and Source FromMemory.
	Remembered *Seen
	// RequireTLS is the plan's.
	RequireTLS bool
	// Why says in one sentence what is demanded and because of what.
	Why string
}

// A Source is where a level comes from.
type Source string

// The sources of a level.
const (
	FromDANE     Source = "dane"
	FromSTS      Source = "mta-sts"
	FromOverride Source = "override"
	FromMemory   Source = "memory"
	FromDefault  Source = "default"
	FromMessage  Source = "message" // TLS-Required: No, or REQUIRETLS
)

// A Watch is a policy that a host is judged by without consequence for the delivery.
type Watch struct {
	Source Source
	Level  starttls.Level
	Names  []string
	TLSA   []resolver.TLSARecord
	// Failure is set when the policy is failed already, before any connection: the MX is not in it, or it
	// could not be had.
	Failure *tlsrpt.Failure
	Policy  tlsrpt.Policy
	// Overridden: this would be enforced if the operator did not have something else. A session that
	// contradicts it is an alarm all the same.
	Overridden bool
}

// A Refusal is why nothing is sent to a host or a domain, as it is told in SMTP (policy table of
// docs/policy.md) and in reports.
type Refusal struct {
	Code     int    // 451, 550 …
	Enhanced string // "4.7.5"
	Text     string // for people: names host, policy and reason
	// Failure is how reports count it, nil if it has nothing to do with TLS.
	Failure *tlsrpt.Failure
}

// Temporary reports whether to come again may help.
func (r *Refusal) Temporary() bool { return r.Code < 500 }
