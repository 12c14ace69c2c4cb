package policy

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"starttls"
	"starttls/mtasts"
	"starttls/resolver"
	"starttls/tlsrpt"
)

// Options are what the operator and the message wish. The zero Options are good for most.
type Options struct {
	// Default is what is demanded of destinations for which nothing else was set. If nil, starttls.Auto.
	Default *Override
	// RequireTLS: the message has REQUIRETLS (RFC 8689 §4.2.1).
	RequireTLS bool
	// TLSOptional: the message has "TLS-Required: No" (RFC 8689 §4.2.2): policies are followed as far as
	// that goes, and stop nothing. RequireTLS goes before it (RFC 8689 §4.1).
	TLSOptional bool
	// IgnoreInsecureMX: TLSA records of hosts from MX records that are not secure are not used.
	IgnoreInsecureMX bool
	// StrictSTS: a lookup of MTA-STS that failed puts mail off where no policy is cached.
	StrictSTS bool
	// Stripped is what becomes of mail for a host that gave TLS before and now gives none.
	Stripped Reaction
	// MemoryAge is how long what was seen of a host counts. If zero, 14 days; if negative, it does not.
	MemoryAge time.Duration
}

// A Reaction is what follows from an alarm.
type Reaction uint8

// The reactions.
const (
	Delay   Reaction = iota // the mail waits
	Deliver                 // the mail goes on, in the clear
)

const (
	defaultMemoryAge = 14 * 24 * time.Hour
	// longest bounds the life of a plan, and failedLife that of one that rests on an error.
	longest    = time.Hour
	failedLife = 30 * time.Second
)

// Decide says what a delivery must demand. It is pure: the same evidence and options are the same plan.
func Decide(e *Evidence, o Options) *Plan {
	d := decision{Evidence: e, o: o}
	p := &Plan{Domain: d.nextHop(), RequireTLS: o.RequireTLS, Until: d.until(), Evidence: e}
	if p.Refusal = d.domain(); p.Refusal != nil {
		return p
	}
	var refusals []*Refusal
	for i := range e.Hosts {
		a := d.attempt(&e.Hosts[i])
		p.Attempts = append(p.Attempts, a)
		if a.Refusal != nil {
			refusals = append(refusals, a.Refusal)
		}
	}
	if len(refusals) == len(p.Attempts) {
		p.Refusal = p.Conclude(refusals)
	}
	return p
}

// A decision is one in progress.
type decision struct {
	*Evidence
	o Options
}

func (d *decision) nextHop() string {
	return Destination{Domain: d.Domain, Addr: d.Addr, Fixed: d.Fixed}.String()
}

// domain returns why nothing can be sent to the domain, whatever its hosts.
func (d *decision) domain() *Refusal {
	switch {
	case d.MXErr != nil:
		return d.refuse(451, "4.4.3", dnsFailure(d.MXErr), "the MX records of %s could not be looked up: %v", d.Domain, d.MXErr)
	case d.MX != nil && d.MX.NoName:
		return d.refuse(550, "5.1.2", nil, "the domain %s does not exist", d.Domain)
	case d.MX != nil && isNull(d.MX):
		return d.refuse(556, "5.1.10", nil, "%s takes no mail (RFC 7505)", d.Domain)
	case d.o.StrictSTS && d.STS.Policy == nil && isLookup(d.STS.Err):
		return d.refuse(451, "4.4.3", d.stsFailure(), "whether %s has an MTA-STS policy could not be found out: %v", d.Domain, d.STS.Err)
	}
	return nil
}

func (d *decision) refuse(code int, enhanced string, f *tlsrpt.Failure, format string, args ...any) *Refusal {
	r := &Refusal{Code: code, Enhanced: enhanced, Failure: f, Text: fmt.Sprintf(format, args...)}
	if f != nil && f.Info == "" {
		f.Info = r.Text
	}
	return r
}

// dnsFailure is how reports count a lookup that failed: only that signatures were wrong is to be told.
func dnsFailure(err error) *tlsrpt.Failure {
	if e, ok := errors.AsType[*resolver.Error](err); ok && e.Status == resolver.Bogus {
		return &tlsrpt.Failure{Type: tlsrpt.DNSSECInvalid}
	}
	return nil
}

func isLookup(err error) bool {
	_, ok := errors.AsType[*resolver.Error](err)
	return ok
}

// wish returns what the operator demands of the destination.
func (d *decision) wish() Override {
	switch {
	case d.Override != nil:
		return *d.Override
	case d.o.Default != nil:
		return *d.o.Default
	}
	return Override{Level: starttls.Auto}
}

// enforced returns the MTA-STS policy that must be obeyed, or nil.
func (d *decision) enforced() *mtasts.Policy {
	if p := d.STS.Policy; p != nil && p.Mode == mtasts.Enforce {
		return p
	}
	return nil
}

// until returns when the first of all answers is too old. TTLs of 0 are honoured.
func (d *decision) until() time.Time {
	end := d.At.Add(longest)
	before := func(t time.Time) {
		if t.Before(end) {
			end = t
		}
	}
	answer := func(a *resolver.Answer, err error) {
		switch {
		case err != nil:
			before(d.At.Add(failedLife))
		case a != nil:
			before(d.At.Add(a.TTL))
		}
	}
	answer(d.MX, d.MXErr)
	for _, h := range d.Hosts {
		for _, s := range h.DANE.Steps {
			answer(s.Answer, s.Err)
		}
	}
	if p := d.STS.Policy; p != nil {
		before(d.STS.Fetched.Add(p.MaxAge))
	} else {
		answer(nil, d.STS.Err)
	}
	return end
}

// recent returns what was seen of a host, if that still counts.
func (d *decision) recent(h *Host) *Seen {
	age := cmp.Or(d.o.MemoryAge, defaultMemoryAge)
	if h.Seen == nil || age < 0 || d.At.Sub(h.Seen.Last) > age {
		return nil
	}
	return h.Seen
}
