package policy

import (
	"starttls"
	"starttls/dane"
	"starttls/mtasts"
	"starttls/tlsrpt"
)

// watch adds the policies that there are and that are not what is enforced.
func (d *decision) watch(a *Attempt, h *Host) {
	wish := d.wish()
	below := (wish.Level != starttls.Auto || len(wish.Fingerprints) > 0) && a.Level != starttls.None && !d.o.TLSOptional
	if a.Policy.Type != tlsrpt.TLSA && h.DANE.Outcome >= dane.Unusable {
		a.Watch = append(a.Watch, Watch{
			Source: FromDANE, Level: starttls.Dane, Names: d.daneNames(h), TLSA: h.DANE.Records,
			Policy: d.danePolicy(h), Failure: unusable(h), Overridden: below && h.DANE.Outcome == dane.Usable,
		})
	}
	p := d.STS.Policy
	failure := d.stsFailure()
	switch {
	case a.Policy.Type == tlsrpt.STS:
		return
	case p == nil && failure == nil, p != nil && p.Mode == mtasts.None:
		return
	case p != nil && !p.Matches(a.Host):
		failure = d.notInPolicy(a.Host)
	}
	a.Watch = append(a.Watch, Watch{
		Source: FromSTS, Level: starttls.Secure, Names: []string{a.Host}, Failure: failure, Policy: d.stsPolicy(),
		Overridden: below && d.enforced() != nil && a.Policy.Type != tlsrpt.TLSA, // which goes before it
	})
}

// requireTLS raises an attempt to what REQUIRETLS demands: the host's name from a source that can be
// trusted, and a certificate for it (RFC 8689 §4.2.1).
func (d *decision) requireTLS(a *Attempt) {
	switch {
	case a.Refusal != nil:
	case a.Level == starttls.Dane && (a.Source == FromOverride || d.secureWay()),
		a.Level == starttls.Secure:
	case d.secureWay() && !d.Addr.IsValid():
		a.set(starttls.Secure, FromMessage, "the message demands TLS with a certificate for the host (REQUIRETLS)")
		a.Names, a.SNI, a.TLSA = []string{a.Host}, a.Host, nil
	default:
		f := &tlsrpt.Failure{Type: tlsrpt.ValidationFailure}
		a.Refusal = d.refuse(550, "5.7.10", f, "REQUIRETLS: neither DNSSEC nor MTA-STS proves that %s is a host for %s", a.Host, d.Domain)
		a.Why = a.Refusal.Text
	}
}

// relax takes from an attempt all that could stop the message (RFC 8689 §4.2.2). What would have stopped
// it is still judged and reported.
func (d *decision) relax(a *Attempt) {
	w := Watch{Source: a.Source, Level: a.Level, Names: a.Names, TLSA: a.TLSA, Policy: a.Policy, Failure: a.Failure}
	if a.Refusal != nil {
		w.Failure = a.Refusal.Failure
	}
	unknown := a.Refusal != nil && w.Failure == nil // a lookup failed: there is nothing to judge by
	if a.Policy.Type != tlsrpt.NoPolicy && !unknown {
		a.Watch = append([]Watch{w}, a.Watch...)
	}
	a.set(min(a.Level, starttls.May), FromMessage, "the message says TLS-Required: No; TLS is used if that is possible")
	a.Names, a.TLSA, a.Refusal, a.Failure, a.Remembered = nil, nil, nil, nil, nil
	a.Policy = tlsrpt.Policy{Type: tlsrpt.NoPolicy, Domain: d.Domain}
}
