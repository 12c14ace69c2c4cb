package resolver

import (
	"context"
	"fmt"
	"time"

	"github.com/miekg/dns"
)

// A zone is how far a chain of trust leads: to keys, or to a proof that there are none.
type zone struct {
	apex  string
	keys  []key     // that may sign it; none if it is insecure
	why   string    // it is insecure; "" if it is secure
	until time.Time // the end of the first signature on the way here
}

// A step is what is known of one name on the way down from a zone.
type step struct {
	zone *zone // that begins here, if one does
	end  bool  // no name is below
}

// descend goes down the first labels of a name, from a trust anchor, and returns the deepest zone on
// that way; or the first that is insecure, and all below it are. It asks for the DS of each name on the
// way; what it was told is kept.
func (s *search) descend(ctx context.Context, name string, depth int) (*zone, error) {
	z, err := s.anchored(ctx, name)
	if err != nil {
		return nil, err
	}
	for n := dns.CountLabel(z.apex) + 1; n <= depth && z.why == ""; n++ {
		at, child := z, last(name, n)
		next, err := s.v.steps.get(ctx, child, func() (step, time.Duration, error) {
			st, keep, err := s.step(ctx, at, child)
			if err != nil {
				return step{}, keepFault(err), err
			}
			return st, clamp(keep), nil
		})
		switch {
		case err != nil:
			return nil, err
		case next.end:
			return z, nil
		case next.zone != nil:
			z = next.zone
		}
	}
	return z, nil
}

// anchored returns the zone where the way to a name begins: the closest above it that is a trust anchor,
// or is configured to be insecure.
func (s *search) anchored(ctx context.Context, name string) (*zone, error) {
	for n := dns.CountLabel(name); n >= 0; n-- {
		apex := last(name, n)
		if s.v.unsigned[apex] {
			return s.v.open(apex, "it is configured to be taken as unsigned"), nil
		}
		ds := s.v.anchors[apex]
		if ds == nil {
			continue
		}
		return s.v.roots.get(ctx, apex, func() (*zone, time.Duration, error) {
			z, keep, err := s.zone(ctx, apex, ds)
			if err == nil && z.why != "" { // what we are told to trust is there to be used
				err = indeterminate(edeNone, "the trust anchor is of no use: %s", z.why)
			}
			if err != nil {
				return nil, keepFault(err), err
			}
			return z, clamp(keep), nil
		})
	}
	return s.v.open(".", "there is no trust anchor above it"), nil
}

// open returns an insecure zone that rests on no signature.
func (v *Validator) open(apex, why string) *zone {
	return &zone{apex: apex, why: why, until: v.now().Add(maxKeep)}
}

// step finds out what a name below a secure zone is: the apex of another, secure or not, or not. It says
// for how long.
func (s *search) step(ctx context.Context, parent *zone, child string) (step, time.Duration, error) {
	r, err := s.ask(ctx, child, dns.TypeDS)
	if err != nil {
		return step{}, 0, err
	}
	if set := r.about(child, dns.TypeDS); set != nil {
		if set.rtype == dns.TypeDS {
			return s.delegated(ctx, parent, set)
		}
		// An alias is no delegation. Below a DNAME there are no names, and so no zones (RFC 6672 §2.4).
		seal, _, err := s.prove(ctx, parent, set, r)
		return step{end: set.rtype == dns.TypeDNAME}, seal.ttl, err
	}
	p, err := s.proofs(ctx, parent, r)
	if err != nil {
		return step{}, 0, err
	}
	d, err := p.deny(s, child, dns.TypeDS)
	if err != nil {
		return step{}, 0, err
	}
	if d.why == "" && d.cut {
		d.why = fmt.Sprintf("%s is not signed: %s says that it has no DS", plain(child), plain(parent.apex))
	}
	if d.why != "" {
		return step{zone: &zone{apex: child, why: d.why, until: p.until}}, p.ttl, nil
	}
	return step{end: d.noName}, p.ttl, nil
}

// delegated follows a DS set, which the parent must have signed.
func (s *search) delegated(ctx context.Context, parent *zone, set *rrset) (step, time.Duration, error) {
	seal, err := s.verify(ctx, parent, set)
	if err != nil {
		return step{}, 0, err
	}
	if seal.closer != "" {
		return step{}, 0, bogus(edeBogus, "%s was made from a wildcard", set)
	}
	var all []*dns.DS
	for _, rr := range set.rrs {
		if ds, ok := rr.(*dns.DS); ok {
			all = append(all, ds)
		}
	}
	z, keep, err := s.zone(ctx, set.owner, all)
	if err != nil {
		return step{}, 0, err
	}
	under := *z
	under.until = earlier(z.until, earlier(parent.until, seal.until))
	return step{zone: &under}, min(keep, seal.ttl), nil
}

// zone gets the keys of a zone and holds them against the DS records of its parent, which are proved, or
// against a trust anchor.
func (s *search) zone(ctx context.Context, apex string, all []*dns.DS) (*zone, time.Duration, error) {
	usable, why := s.v.usableDS(all)
	if len(usable) == 0 {
		return s.v.open(apex, plain(apex)+" is as good as unsigned: "+why), maxKeep, nil
	}
	r, err := s.ask(ctx, apex, dns.TypeDNSKEY)
	if err != nil {
		return nil, 0, err
	}
	set := r.set(apex, dns.TypeDNSKEY)
	if set == nil {
		return nil, 0, bogus(edeNoKey, "%s has a DS and no DNSKEY", plain(apex))
	}
	if len(set.rrs) > maxKeys {
		return nil, 0, spent("keys")
	}
	z, seal, err := s.keyed(ctx, apex, usable, set)
	if err != nil {
		return nil, 0, err
	}
	z.until = seal.until
	return z, seal.ttl, nil
}

// keyed returns a zone whose keys are proved.
func (s *search) keyed(ctx context.Context, apex string, usable []*dns.DS, set *rrset) (*zone, seal, error) {
	all := zoneKeys(set)
	if len(all) == 0 {
		return nil, seal{}, bogus(edeNoZoneKey, "no key of %s is a zone key", plain(apex))
	}
	entry, whole, err := s.vouched(ctx, usable, all)
	if err != nil {
		return nil, seal{}, err
	}
	entry, why := s.v.usableKeys(entry)
	switch {
	case len(entry) > 0:
	case why == "" || !whole: // nothing is proved so far: somebody may have taken a key away
		return nil, seal{}, bogus(edeNoKey, "no key of %s is the one of its DS", plain(apex))
	default: // the parent vouches for keys that we cannot use, and for no other
		z := &zone{apex: apex, why: plain(apex) + " is as good as unsigned: " + why}
		return z, seal{ttl: maxKeep, until: s.v.now().Add(maxKeep)}, nil
	}
	proof, err := s.verify(ctx, &zone{apex: apex, keys: entry}, set)
	if err != nil {
		return nil, seal{}, err
	}
	// Each of them may sign what is in the zone, whatever its SEP bit says (RFC 4034 §2.1.1).
	z := &zone{apex: apex}
	z.keys, _ = s.v.usableKeys(all)
	return z, proof, nil
}

// usableKeys returns the keys that we can use, and else why there is one that we cannot.
func (v *Validator) usableKeys(keys []key) (usable []key, why string) {
	for _, k := range keys {
		if flaw := v.unsupported(k.DNSKEY); flaw != "" {
			why = flaw
			continue
		}
		usable = append(usable, k)
	}
	return usable, why
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
