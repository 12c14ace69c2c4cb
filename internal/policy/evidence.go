package policy

import (
	"net/netip"
	"time"

	"starttls/dane"
	"starttls/mtasts"
	"starttls/resolver"
)

// Evidence is all that is known of a destination, before anything is decided.
type Evidence struct {
	// Domain is the next hop's, as [Destination] has it; empty for an address literal.
	Domain string
	// Addr is that of an address literal.
	Addr netip.Addr
	At   time.Time
	Port uint16
	// Fixed says that the host is given, "[mail.example.org]:587", and not looked up in MX.
	Fixed bool
	// MX is the answer, nil when Fixed or when MXErr is set.
	MX    *resolver.Answer
	MXErr error
	// Hosts are those that may be tried, by preference. A domain without MX records is its own host
	// (RFC 5321 §5.1).
	Hosts []Host
	// Unseen is how many more hosts the MX records name. They were not looked up, and are not used.
	Unseen int
	// STS is the state of MTA-STS; zero when it was not asked for.
	STS mtasts.State
	// Override is what the operator has set for this domain, nil if nothing.
	Override *Override
}

// A Host is one MX host.
type Host struct {
	Name string
	Pref uint16
	// DANE has its addresses as well.
	DANE dane.Result
	// Seen is what was seen of it before, nil if nothing was.
	Seen *Seen
}

// Seen is what was seen of a host before.
type Seen struct {
	First, Last time.Time // of sessions with TLS
	Version     uint16    // of TLS, the last time
	SPKI        [32]byte  // SHA-256 of the leaf's public key, the last time
	Issuer      string
}

// secureWay reports whether nobody on the path can have changed which hosts are tried.
func (e *Evidence) secureWay() bool {
	return e.Fixed || e.MX != nil && e.MX.Status == resolver.Secure
}

// ways returns the names for which a certificate may be besides the host's: the next hop's, and what that
// is an alias of (RFC 7672 §3.2.2).
func (e *Evidence) ways() []string {
	names := []string{e.Domain}
	if e.MX != nil && e.MX.Canonical != e.Domain {
		names = append(names, e.MX.Canonical)
	}
	return names
}
