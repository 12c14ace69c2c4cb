package policy

import (
	"time"

	"starttls"
	"starttls/dane"
	"starttls/mtasts"
	"starttls/resolver"
)

// Evidence is all that is known of a destination, before anything is decided.
type Evidence struct {
	Domain string
	At     time.Time
	Port   uint16
	// Fixed says that the host is given, "[mail.example.org]:587", and not looked up in MX.
	Fixed bool
	// MX is the answer, nil when Fixed or when MXErr is set.
	MX    *resolver.Answer
	MXErr error
	Hosts []Host
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
	Seen *Seen
}

// An Override is what an operator demands of a destination, whatever the evidence.
type Override struct {
	Level starttls.Level
	// Names replace those that the certificate must be for.
	Names []string
	// Fingerprints are SHA-256 of leaf certificates or public keys, one of which must match.
	Fingerprints [][32]byte
}
