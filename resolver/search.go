package resolver

import (
	"context"

	"github.com/miekg/dns"
)

// A search is the work of a Validator for one lookup.
type search struct {
	v      *Validator
	budget budget
}

func (s *search) ask(ctx context.Context, name string, t uint16) (*reply, error) {
	if err := spend(&s.budget.queries, "messages"); err != nil {
		return nil, err
	}
	return s.v.client.exchange(ctx, query(name, t, true))
}

// judge says that a set is signed by the keys of its zone, or that it is proved that it need not be.
func (s *search) judge(ctx context.Context, set *rrset, r *reply) (verdict, error) {
	signer := set.signer()
	z, err := s.claimed(ctx, set.owner, signer)
	switch {
	case err != nil:
		return verdict{}, err
	case z.why != "":
		return verdict{why: z.why, ttl: seconds(set.ttl())}, nil
	}
	seal, why, err := s.prove(ctx, z, set, r)
	return verdict{why: why, ttl: min(seal.ttl, z.until.Sub(s.v.now()))}, err
}

// judgeDenial says that there is no such record by the proof of its zone. Where nothing is signed, the
// reply's code is all there is.
func (s *search) judgeDenial(ctx context.Context, r *reply, name string, t uint16) (verdict, error) {
	open := verdict{ttl: r.denialTTL(), noName: r.rcode == dns.RcodeNameError}
	signer := r.denier(name)
	z, err := s.claimed(ctx, name, signer)
	switch {
	case err != nil:
		return verdict{}, err
	case z.why != "":
		open.why = z.why
		return open, nil
	case signer == "":
		return verdict{}, bogus(edeNoDenial, "nothing proves that there is no %s %s, and %s is a signed zone", plain(name), dns.Type(t), plain(z.apex))
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

// claimed returns the zone that a name is said to be in, by who signed for it, if that zone is secure;
// or the insecure zone above. Without a signer it is the deepest zone there is: if that is secure,
// somebody took the signatures away.
func (s *search) claimed(ctx context.Context, name, signer string) (*zone, error) {
	depth := dns.CountLabel(name)
	if signer != "" {
		depth = dns.CountLabel(signer)
	}
	z, err := s.descend(ctx, name, depth)
	if err == nil && z.why == "" && signer != "" && z.apex != signer {
		err = bogus(edeBogus, "what there is of %s is signed by %s, and that is not its zone", plain(name), plain(signer))
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
