package resolver

import (
	"github.com/miekg/dns"
)

// matchNSEC returns the record of a name, or nil.
func (p *proofs) matchNSEC(name string) *dns.NSEC {
	for _, rr := range p.nsec {
		if rr.Hdr.Name == name {
			return rr
		}
	}
	return nil
}

// coverNSEC returns a record that proves that there is no record at a name (RFC 4034 §4.1), or nil. Names
// below it may exist.
func (p *proofs) coverNSEC(name string) *dns.NSEC {
	for _, rr := range p.nsec {
		owner, next := rr.Hdr.Name, dns.CanonicalName(rr.NextDomain)
		if !within(name, p.apex) || !within(next, p.apex) || compare(owner, name) >= 0 {
			continue
		}
		// The last record of a zone points back to its apex.
		if compare(name, next) >= 0 && next != p.apex {
			continue
		}
		if below(name, owner) && hides(rr.TypeBitMap) {
			continue
		}
		return rr
	}
	return nil
}

// denyNSEC returns what NSEC records prove of a name and type (RFC 4035 §5.4).
func (p *proofs) denyNSEC(name string, t uint16) (d denial, ok bool) {
	if rr := p.matchNSEC(name); rr != nil {
		return denial{cut: delegates(rr.TypeBitMap)}, silent(rr.TypeBitMap, t)
	}
	rr := p.coverNSEC(name)
	if rr == nil {
		return denial{}, false
	}
	next := dns.CanonicalName(rr.NextDomain)
	if below(next, name) {
		return denial{}, true // an empty non-terminal: it is only the way to other names
	}
	// The closest encloser is the longest name above this one that one of the neighbours has in common.
	shared := max(dns.CompareDomainName(name, rr.Hdr.Name), dns.CompareDomainName(name, next))
	star := wildcard(last(name, shared))
	if rr := p.matchNSEC(star); rr != nil {
		return denial{}, silent(rr.TypeBitMap, t) && !delegates(rr.TypeBitMap)
	}
	if rr := p.coverNSEC(star); rr != nil {
		return denial{noName: !below(dns.CanonicalName(rr.NextDomain), star)}, true
	}
	return denial{}, false
}
