package resolver

import (
	"context"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// A denial is what records of denial prove. The code of the reply (NXDOMAIN or not) is not signed, and
// decides nothing.
type denial struct {
	noName bool   // the name does not exist, and no wildcard in its place; else it has no such record
	cut    bool   // the name is one where a zone is cut off
	why    string // the proof leaves room for unsigned zones; "" if it does not
}

// proofs are the records of denial in a reply that are signed by the zone that they speak for.
type proofs struct {
	apex  string
	nsec  []*dns.NSEC
	nsec3 *hashed       // nil if there are none
	ttl   time.Duration // how long a denial may be kept (RFC 9077 §3)
	until time.Time
	fault error // the last that was not signed so
}

// proofs collects what a zone has signed.
func (s *search) proofs(ctx context.Context, z *zone, r *reply) (*proofs, error) {
	p := &proofs{apex: z.apex, ttl: maxKeep, until: z.until}
	var nsec3 []*dns.NSEC3
	for _, set := range r.authority {
		if set.rtype != dns.TypeNSEC && set.rtype != dns.TypeNSEC3 {
			continue
		}
		seal, err := s.verify(ctx, z, set)
		if err != nil {
			if !isBogus(err) {
				return nil, err
			}
			p.fault = err
			continue
		}
		if seal.closer != "" {
			continue // made from a wildcard: it says nothing of the name that it was given
		}
		p.ttl, p.until = min(p.ttl, seal.ttl), earlier(p.until, seal.until)
		for _, rr := range set.rrs {
			switch rr := rr.(type) {
			case *dns.NSEC:
				p.nsec = append(p.nsec, rr)
			case *dns.NSEC3:
				nsec3 = append(nsec3, rr)
			}
		}
	}
	var err error
	p.nsec3, err = hashedBy(nsec3, z.apex)
	return p, err
}

// deny returns what is proved of a name and type, or why it is bogus to say that it is not there.
func (p *proofs) deny(s *search, name string, t uint16) (denial, error) {
	if d, ok := p.denyNSEC(name, t); ok {
		return d, nil
	}
	if p.nsec3 != nil {
		d, ok, err := p.nsec3.deny(s, name, t)
		if err != nil || ok {
			return d, err
		}
	}
	return denial{}, p.unproved("that there is no %s %s", plain(name), dns.Type(t))
}

// lacks proves that a name does not exist, nor any below it: then the wildcard that would be in its
// place applies. It says why the proof leaves room for unsigned zones, or "".
func (p *proofs) lacks(s *search, closer string) (why string, err error) {
	if rr := p.coverNSEC(closer); rr != nil && !within(dns.CanonicalName(rr.NextDomain), closer) {
		return "", nil
	}
	if p.nsec3 != nil {
		why, ok, err := p.nsec3.lacks(s, closer)
		if err != nil || ok {
			return why, err
		}
	}
	return "", p.unproved("that %s does not exist and a wildcard applies", plain(closer))
}

func (p *proofs) unproved(format string, args ...any) error {
	if p.fault != nil {
		return p.fault
	}
	return bogus(edeNoDenial, plain(p.apex)+" does not prove "+format, args...)
}

// silent reports whether the types at a name prove that it has none of type t.
func silent(types []uint16, t uint16) bool {
	if slices.Contains(types, t) || slices.Contains(types, dns.TypeCNAME) { // RFC 6840 §4.3
		return false
	}
	if t == dns.TypeDS { // the parent's: the child says nothing of its own DS (RFC 4035 §5.2)
		return !slices.Contains(types, dns.TypeSOA)
	}
	return !delegates(types)
}

// delegates reports whether types are those that a parent knows of a delegation. Such a record proves
// nothing of what is at that name, but for its DS, and below it (RFC 6840 §4.1).
func delegates(types []uint16) bool {
	return slices.Contains(types, dns.TypeNS) && !slices.Contains(types, dns.TypeSOA)
}

// hides reports whether a record with these types proves nothing of the names below its own: they are
// in another zone, or redirected by a DNAME (RFC 6840 §4.1).
func hides(types []uint16) bool {
	return delegates(types) || slices.Contains(types, dns.TypeDNAME)
}
