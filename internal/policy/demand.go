package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"starttls"
	"starttls/dane"
	"starttls/mtasts"
	"starttls/resolver"
	"starttls/tlsrpt"
)

// attempt decides on one host.
func (d *decision) attempt(h *Host) Attempt {
	a := Attempt{
		Host: h.Name, Pref: h.Pref, Port: d.Port, Addrs: h.DANE.Addrs, SNI: h.Name,
		Level: starttls.May, Source: FromDefault, RequireTLS: d.o.RequireTLS,
		Policy: tlsrpt.Policy{Type: tlsrpt.NoPolicy, Domain: d.Domain},
	}
	if a.Refusal = d.unreachable(h); a.Refusal != nil {
		a.Why = a.Refusal.Text
		return a
	}
	d.demand(&a, h)
	d.watch(&a, h)
	switch {
	case d.o.RequireTLS:
		d.requireTLS(&a)
	case d.o.TLSOptional:
		d.relax(&a)
	}
	return a
}

// unreachable returns why a host cannot be connected to.
func (d *decision) unreachable(h *Host) *Refusal {
	_, err := resolver.Name(h.Name)
	_, notName := netip.ParseAddr(h.Name)
	switch {
	case d.Addr.IsValid():
		return nil
	case err != nil || h.Name == "" || notName == nil:
		return d.refuse(550, "5.4.4", nil, "the MX record of %s names %q, which is no host", d.Domain, h.Name)
	case len(h.DANE.Addrs) > 0:
		return nil
	case h.DANE.AddrErr != nil:
		return d.refuse(451, "4.4.4", dnsFailure(h.DANE.AddrErr), "the addresses of %s could not be looked up: %v", h.Name, h.DANE.AddrErr)
	}
	return d.refuse(550, "5.4.4", nil, "%s has no address", h.Name)
}

// demand sets what is demanded of a host, before the message's own wishes.
func (d *decision) demand(a *Attempt, h *Host) {
	wish := d.wish()
	switch {
	case len(wish.Fingerprints) > 0:
		a.pin(wish.Fingerprints)
	case wish.Level == starttls.Auto:
		d.auto(a, h)
	case wish.Level == starttls.Dane:
		if !d.byDANE(a, h) {
			d.opportunistic(a, h)
		}
	case wish.Level == starttls.DaneOnly:
		d.daneOnly(a, h)
	case wish.Level == starttls.May:
		d.opportunistic(a, h)
	default:
		a.set(wish.Level, FromOverride, fmt.Sprintf("the operator demands %s", wish.Level))
		if wish.Level >= starttls.Verify {
			a.Names = d.wanted(wish, h)
		}
	}
}

func (a *Attempt) set(level starttls.Level, source Source, why string) {
	a.Level, a.Source, a.Why = level, source, why
}

// auto is DANE, else MTA-STS, else opportunistic, for this host.
func (d *decision) auto(a *Attempt, h *Host) {
	sts := d.enforced()
	// MX records that are not secure are for MTA-STS to vouch for, and TLSA records below them prove
	// nothing about the domain (RFC 7672 §2.2.1).
	if sts != nil && h.DANE.Outcome == dane.Usable && !d.secureWay() {
		d.bySTS(a, sts)
		return
	}
	found := d.byDANE(a, h)
	switch {
	case a.Refusal != nil || a.Level == starttls.Dane:
	case sts != nil: // also where no TLSA record is usable: both are obeyed
		d.bySTS(a, sts)
	case !found:
		d.opportunistic(a, h)
	}
}

// byDANE sets what TLSA records demand and reports whether they demand anything (RFC 7672 §2.2).
func (d *decision) byDANE(a *Attempt, h *Host) bool {
	r := &h.DANE
	switch {
	case r.Outcome == dane.Absent, !d.secureWay() && d.o.IgnoreInsecureMX:
		return false
	case r.Outcome == dane.Failed:
		a.Source, a.Policy = FromDANE, d.danePolicy(h)
		// Also where nothing is bogus: no valid records were returned (RFC 8460 §4.3.2.2).
		f := &tlsrpt.Failure{Type: tlsrpt.DNSSECInvalid}
		a.Refusal = d.refuse(451, "4.7.5", f, "DANE: TLSA lookup for %s: %s: %v", h.Name, r.Why, r.Err)
		a.Why = r.Why + ", and so it is not known what they demand"
		return true
	case r.Outcome == dane.Unusable:
		a.set(starttls.Encrypt, FromDANE, "none of its TLSA records is usable, so TLS is demanded, of whomever")
		a.Policy, a.Failure = d.danePolicy(h), unusable(h)
		return true
	}
	a.set(starttls.Dane, FromDANE, "it has secure TLSA records, one of which must match")
	if !d.secureWay() {
		a.Why = "it has secure TLSA records, one of which must match; but that this is the right host is not proved"
	}
	a.TLSA, a.SNI, a.Names, a.Policy = r.Records, r.Base, d.daneNames(h), d.danePolicy(h)
	return true
}

// unusable is how reports count records none of which is usable, nil if one is.
func unusable(h *Host) *tlsrpt.Failure {
	if h.DANE.Outcome != dane.Unusable {
		return nil
	}
	return &tlsrpt.Failure{Type: tlsrpt.TLSAInvalid, Info: h.DANE.Why}
}

// daneOnly demands DANE (RFC 7672 §6).
func (d *decision) daneOnly(a *Attempt, h *Host) {
	if d.secureWay() && d.byDANE(a, h) && (a.Refusal != nil || a.Level == starttls.Dane) {
		return
	}
	why := h.DANE.Why
	if !d.secureWay() {
		why = "the MX records of " + d.Domain + " are not secure"
	}
	a.set(starttls.Dane, FromOverride, "the operator demands DANE, and "+why)
	a.Policy, a.Failure = d.danePolicy(h), nil
	a.Refusal = d.refuse(451, "4.7.5", &tlsrpt.Failure{Type: tlsrpt.DANERequired}, "DANE is demanded of %s: %s", h.Name, why)
}

// daneNames returns the reference identifiers for records of usage 2 (RFC 7672 §3.2.2).
func (d *decision) daneNames(h *Host) []string {
	names := []string{h.DANE.Base}
	if !d.secureWay() {
		return names // whoever changed the MX records may have a certificate for anything but the host
	}
	for _, name := range d.ways() {
		if name != names[0] {
			names = append(names, name)
		}
	}
	return names
}

// bySTS sets what an MTA-STS policy demands (RFC 8461 §4).
func (d *decision) bySTS(a *Attempt, p *mtasts.Policy) {
	a.set(starttls.Secure, FromSTS, "the MTA-STS policy demands a certificate for it from a public authority")
	a.Names, a.SNI, a.TLSA = []string{a.Host}, a.Host, nil
	a.Policy, a.Failure = d.stsPolicy(), d.stsFailure()
	if !p.Matches(a.Host) {
		f := d.notInPolicy(a.Host)
		a.Refusal = d.refuse(451, "4.7.5", f, "MTA-STS mx: %s", f.Info)
		a.Why = a.Refusal.Text
	}
}

// notInPolicy is how reports count a host that the MTA-STS policy does not list.
func (d *decision) notInPolicy(host string) *tlsrpt.Failure {
	return &tlsrpt.Failure{
		Type: tlsrpt.ValidationFailure, Reason: tlsrpt.ReasonMXNotInPolicy,
		Info: fmt.Sprintf("%s is not in the policy of %s", host, d.Domain),
	}
}

// opportunistic takes what it gets, unless the host has given more before.
func (d *decision) opportunistic(a *Attempt, h *Host) {
	a.set(starttls.May, FromDefault, "nothing demands TLS")
	if wish := d.wish(); wish.Level != starttls.Auto {
		a.set(starttls.May, FromOverride, "the operator demands no TLS beyond "+wish.Level.String())
	}
	none := a.Why
	a.Why += "; it is used if it is offered"
	seen := d.recent(h)
	if seen == nil {
		return
	}
	when := seen.Last.UTC().Format(time.DateOnly)
	if d.o.Stripped == Delay {
		a.set(starttls.Encrypt, FromMemory, "it gave TLS on "+when+"; without it mail waits")
		return
	}
	a.Remembered = seen
	a.Why = none + "; it gave TLS on " + when + ", and if it offers none now that is an alarm"
}

// pin demands one of several certificates or keys, whatever names and dates they have. That is what
// records of usage 3 say.
func (a *Attempt) pin(prints [][32]byte) {
	a.set(starttls.Dane, FromOverride, "the operator demands a certificate or key with a certain fingerprint")
	a.Names = []string{a.Host}
	for _, print := range prints {
		for selector := range uint8(2) {
			a.TLSA = append(a.TLSA, resolver.TLSARecord{Usage: 3, Selector: selector, Matching: 1, Data: print[:]})
		}
	}
}

// wanted returns the names for Verify and Secure, in the manner of Postfix's smtp_tls_verify_cert_match
// and smtp_tls_secure_cert_match.
func (d *decision) wanted(wish Override, h *Host) []string {
	switch {
	case len(wish.Names) > 0:
		return wish.Names
	case wish.Level == starttls.Verify || d.Fixed:
		return []string{h.Name}
	}
	return []string{d.Domain, "." + d.Domain}
}

// danePolicy is the TLSA policy of a host as reports name it.
func (d *decision) danePolicy(h *Host) tlsrpt.Policy {
	p := tlsrpt.Policy{Type: tlsrpt.TLSA, Domain: h.DANE.Base, MX: []string{h.Name}}
	for _, r := range h.DANE.All {
		p.String = append(p.String, r.String())
	}
	return p
}

// stsPolicy is the MTA-STS policy as reports name it.
func (d *decision) stsPolicy() tlsrpt.Policy {
	p := tlsrpt.Policy{Type: tlsrpt.STS, Domain: d.Domain}
	if d.STS.Policy != nil {
		p.MX = d.STS.Policy.MX
		p.String = strings.FieldsFunc(d.STS.Policy.Text, func(c rune) bool { return c == '\r' || c == '\n' })
	}
	return p
}

// stsFailure is a policy that could not be had or renewed, as reports count it (RFC 8461 §6).
func (d *decision) stsFailure() *tlsrpt.Failure {
	e, ok := errors.AsType[*mtasts.Error](d.STS.Err)
	if !ok {
		return nil
	}
	return &tlsrpt.Failure{Type: e.Type, Info: e.Error()}
}
