package resolver

import (
	"context"
	"time"

	"github.com/miekg/dns"
)

// A search is the work for one question.
type search struct {
	v      *Validator
	budget budget
}

// A verdict is how far a set, or the denial of one, can be trusted.
type verdict struct {
	why    string // it is insecure; "" if it is secure
	ttl    time.Duration
	noName bool // of a denial
}

func (s *search) ask(ctx context.Context, name string, t uint16) (*reply, error) {
	if err := spend(&s.budget.queries, "messages"); err != nil {
		return nil, err
	}
	return s.v.client.exchange(ctx, query(name, t, true))
}

// follow asks, and goes from alias to alias until there is an answer or its denial. Each link is proved
// by the zone that it is in.
func (s *search) follow(ctx context.Context, q question) (*Answer, error) {
	a := &Answer{Name: q.name, Type: q.t, Status: Secure, TTL: maxKeep}
	at, t := dns.CanonicalName(q.name), uint16(q.t)
	r, err := s.ask(ctx, at, t)
	if err != nil {
		return nil, err
	}
	for range maxLinks + 1 {
		a.Canonical = hostOf(at)
		set, link := r.set(at, t), r.alias(at)
		switch {
		case set != nil && (link == nil || link == set || link.rtype == dns.TypeCNAME):
			link = nil
		case link == nil:
			return a, s.denied(ctx, a, r, at, t)
		default:
			set = link
		}
		v, err := s.judge(ctx, set, r)
		if err != nil {
			return nil, err
		}
		a.weaken(v)
		if link == nil {
			a.fill(set)
			return a, nil
		}
		target, err := target(link, at)
		if err != nil {
			return nil, err
		}
		if t == dns.TypeCNAME { // made from a DNAME, which is proved
			a.CNAME = hostOf(target)
			return a, nil
		}
		if at = target; r.set(at, t) == nil && r.alias(at) == nil {
			if r, err = s.ask(ctx, at, t); err != nil {
				return nil, err
			}
		}
	}
	return nil, indeterminate(edeNone, "more than %d aliases in a row", maxLinks)
}

// judge says how far a set can be trusted: it is signed by the keys of its zone, or it is proved that
// there need be no signature.
func (s *search) judge(ctx context.Context, set *rrset, r *reply) (verdict, error) {
	z, err := s.zoneOf(ctx, set)
	if err != nil {
		return verdict{}, err
	}
	if z.why != "" {
		return verdict{why: z.why, ttl: seconds(set.ttl())}, nil
	}
	seal, why, err := s.prove(ctx, z, set, r)
	return verdict{why: why, ttl: min(seal.ttl, z.until.Sub(s.v.now()))}, err
}

// zoneOf returns the zone that signed a set. A set without a signature is in the deepest zone above it,
// and if that is secure then somebody took the signature away.
func (s *search) zoneOf(ctx context.Context, set *rrset) (*zone, error) {
	signer := set.signer()
	if signer == "" {
		z, err := s.descend(ctx, set.owner)
		if err == nil && z.why == "" {
			err = bogus(edeNoSignature, "%s has no signature, and %s is a signed zone", set, plain(z.apex))
		}
		return z, err
	}
	z, err := s.descend(ctx, signer)
	if err == nil && z.why == "" && z.apex != signer {
		err = bogus(edeBogus, "%s is signed by %s, which is no zone", set, plain(signer))
	}
	return z, err
}

// prove verifies a set of a secure zone. For one that was made from a wildcard the reply has to prove
// that the wildcard applies; why says that the proof leaves room for unsigned zones.
func (s *search) prove(ctx context.Context, z *zone, set *rrset, r *reply) (sl seal, why string, err error) {
	sl, err = s.verify(ctx, z, set)
	if err != nil || sl.closer == "" {
		return sl, "", err
	}
	p, err := s.proofs(ctx, z, r)
	if err != nil {
		return sl, "", err
	}
	sl.ttl = min(sl.ttl, p.ttl)
	why, err = p.lacks(s, sl.closer)
	return sl, why, err
}

// denied finishes an answer without records.
func (s *search) denied(ctx context.Context, a *Answer, r *reply, name string, t uint16) error {
	v, err := s.judgeDenial(ctx, r, name, t)
	if err != nil {
		return err
	}
	a.weaken(v)
	a.NoName = v.noName
	return nil
}

// judgeDenial says how far to trust that there is no such record. Where nothing is signed, the reply's
// code is all there is.
func (s *search) judgeDenial(ctx context.Context, r *reply, name string, t uint16) (verdict, error) {
	open := verdict{ttl: r.denialTTL(), noName: r.rcode == dns.RcodeNameError}
	signer := r.denier(name)
	z, err := s.descend(ctx, orElse(signer, name))
	switch {
	case err != nil:
		return verdict{}, err
	case z.why != "":
		open.why = z.why
		return open, nil
	case signer == "":
		return verdict{}, bogus(edeNoDenial, "nothing proves that there is no %s %s, and %s is a signed zone", plain(name), dns.Type(t), plain(z.apex))
	case signer != z.apex:
		return verdict{}, bogus(edeBogus, "that there is no %s %s is signed by %s, which is no zone", plain(name), dns.Type(t), plain(signer))
	}
	p, err := s.proofs(ctx, z, r)
	if err != nil {
		return verdict{}, err
	}
	d, err := p.deny(s, name, t)
	if err != nil || d.why == "" {
		return verdict{ttl: min(p.ttl, p.until.Sub(s.v.now())), noName: d.noName}, err
	}
	open.why = d.why
	return open, nil
}

// denier returns the deepest zone at or above a name that signed records of denial, or "".
func (r *reply) denier(name string) string {
	zone := ""
	for _, set := range r.authority {
		if set.rtype != dns.TypeNSEC && set.rtype != dns.TypeNSEC3 {
			continue
		}
		if z := set.signer(); z != "" && within(name, z) && (zone == "" || below(z, zone)) {
			zone = z
		}
	}
	return zone
}

// denialTTL returns how long the absence of a record may be kept that nobody signed (RFC 2308 §5).
func (r *reply) denialTTL() time.Duration {
	for _, set := range r.authority {
		if soa, ok := set.rrs[0].(*dns.SOA); ok {
			return seconds(min(soa.Minttl, set.ttl()))
		}
	}
	return 0
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
