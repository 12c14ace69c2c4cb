package resolver

import (
	"context"
	"time"

	"github.com/miekg/dns"
)

// A seal is what a valid signature says of a set.
type seal struct {
	ttl   time.Duration // the set's, no longer than the signed one (RFC 4035 §5.3.3)
	until time.Time     // the signature's end
	// closer is set when the set was made from a wildcard: the name that must not exist, or the wildcard
	// would not apply (RFC 4035 §5.3.4).
	closer string
}

// verify looks for a signature of the set that a key of the zone made (RFC 4035 §5.3). One is enough
// (RFC 6840 §5.4). Its error is a bogus one, or one that ends the search.
func (s *search) verify(ctx context.Context, z *zone, set *rrset) (seal, error) {
	fault := bogus(edeNoSignature, "%s is not signed by %s", set, plain(z.apex))
	tries := maxSignaturesSet
	for _, sig := range set.sigs {
		if err := s.v.unfit(z, set, sig); err != nil {
			fault = err
			continue
		}
		same := 0
		for _, k := range z.keys {
			if k.tag != sig.KeyTag || k.Algorithm != sig.Algorithm {
				continue
			}
			if same++; same > maxSameTag || tries == 0 {
				return seal{}, spent("signatures")
			}
			tries--
			good, err := s.try(ctx, k, sig, set)
			if err != nil {
				return seal{}, err
			}
			if good {
				return s.v.sealed(set, sig), nil
			}
			fault = bogus(edeBogus, "the signature of %s by key %d of %s is wrong", set, k.tag, plain(z.apex))
		}
		if same == 0 {
			fault = bogus(edeNoKey, "%s is signed by a key (%d, algorithm %d) that %s does not have", set, sig.KeyTag, sig.Algorithm, plain(z.apex))
		}
	}
	return seal{}, fault
}

// try verifies one signature with one key.
func (s *search) try(ctx context.Context, k key, sig *dns.RRSIG, set *rrset) (good bool, err error) {
	if err := spend(&s.budget.signatures, "signatures"); err != nil {
		return false, err
	}
	err = gated(ctx, func() { good = sig.Verify(k.DNSKEY, set.rrs) == nil })
	return good, err
}

// unfit says why a signature need not be tried (RFC 4035 §5.3.1).
func (v *Validator) unfit(z *zone, set *rrset, sig *dns.RRSIG) error {
	// By label: package dns looks at the end of the text only.
	if sig.SignerName != z.apex || !within(set.owner, z.apex) {
		return bogus(edeNoSignature, "%s is signed by %s and not by %s", set, plain(sig.SignerName), plain(z.apex))
	}
	if int(sig.Labels) > sourceLabels(set.owner) || int(sig.Labels) < dns.CountLabel(z.apex) {
		return bogus(edeBogus, "the signature of %s is for a name of %d labels", set, sig.Labels)
	}
	if why := v.algorithm(sig.Algorithm); why != "" {
		return bogus(edeNoSignature, "the signature of %s: %s", set, why)
	}
	// Times are numbers that wrap around (RFC 4034 §3.1.5).
	now, skew := uint32(v.now().Unix()), int32(v.skew()/time.Second)
	if int32(sig.Expiration-sig.Inception) < 0 {
		return bogus(edeBogus, "the signature of %s ends before it begins", set)
	}
	if int32(sig.Expiration-now) < -skew {
		return bogus(edeExpired, "the signature of %s has expired at %s", set, dns.TimeToString(sig.Expiration))
	}
	if int32(now-sig.Inception) < -skew {
		return bogus(edeNotYetValid, "the signature of %s is not valid before %s", set, dns.TimeToString(sig.Inception))
	}
	return nil
}

// sealed returns what a signature that is right says.
func (v *Validator) sealed(set *rrset, sig *dns.RRSIG) seal {
	now := v.now()
	left := max(time.Duration(int32(sig.Expiration-uint32(now.Unix())))*time.Second, 0) // below zero within the skew
	s := seal{ttl: min(seconds(set.ttl()), seconds(sig.OrigTtl), left), until: now.Add(left)}
	if int(sig.Labels) < sourceLabels(set.owner) {
		s.closer = last(set.owner, int(sig.Labels)+1)
	}
	return s
}

func seconds(n uint32) time.Duration { return time.Duration(n) * time.Second }
