package resolver

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// A key is a key of a zone with its tag, which is a sum over all of it.
type key struct {
	*dns.DNSKEY
	tag uint16
}

// zoneKeys returns the keys of a DNSKEY set that may sign a zone: with the zone bit and the protocol of
// RFC 4034 §2.1, and not revoked (RFC 5011 §2.1).
func zoneKeys(set *rrset) []key {
	var keys []key
	for _, rr := range set.rrs {
		k, ok := rr.(*dns.DNSKEY)
		if ok && k.Flags&dns.ZONE != 0 && k.Flags&dns.REVOKE == 0 && k.Protocol == 3 {
			keys = append(keys, key{k, k.KeyTag()})
		}
	}
	return keys
}

// algorithm says why we cannot verify what an algorithm signs, or "" (RFC 8624 §3.1). Where we cannot,
// zones are as good as unsigned (RFC 4035 §5.2).
func (v *Validator) algorithm(number uint8) string {
	switch number {
	case dns.RSASHA256, dns.RSASHA512, dns.ECDSAP256SHA256, dns.ECDSAP384SHA384, dns.ED25519:
		return ""
	case dns.RSASHA1, dns.RSASHA1NSEC3SHA1:
		if v.SHA1 {
			return ""
		}
	}
	if name, ok := dns.AlgorithmToString[number]; ok {
		return "algorithm " + name + " is not supported"
	}
	return fmt.Sprintf("algorithm %d is not supported", number)
}

// unsupported says why we cannot use a key, or "". Of RSA (RFC 3110 §2), Go takes no modulus under 1024
// bits and no exponent over 31.
func (v *Validator) unsupported(k *dns.DNSKEY) string {
	if why := v.algorithm(k.Algorithm); why != "" {
		return why
	}
	switch k.Algorithm {
	case dns.RSASHA1, dns.RSASHA1NSEC3SHA1, dns.RSASHA256, dns.RSASHA512:
	default:
		return ""
	}
	exponent, modulus := splitRSA(k.PublicKey)
	if bits := modulus.BitLen(); bits < 1024 || bits > 4096 {
		return fmt.Sprintf("an RSA key of %d bits is not supported", bits)
	}
	if bits := exponent.BitLen(); bits > 31 {
		return fmt.Sprintf("an RSA exponent of %d bits is not supported", bits)
	}
	return ""
}

// splitRSA takes a key apart. Both are zero if it is not one.
func splitRSA(text string) (exponent, modulus *big.Int) {
	exponent, modulus = new(big.Int), new(big.Int)
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) < 3 {
		return
	}
	size, raw := int(raw[0]), raw[1:]
	if size == 0 {
		size, raw = int(raw[0])<<8|int(raw[1]), raw[2:]
	}
	if size > len(raw) {
		return
	}
	return exponent.SetBytes(raw[:size]), modulus.SetBytes(raw[size:])
}

// usableDS returns the DS records that we can follow, and else why there is none: an algorithm or digest
// that we do not know is no fault of the zone (RFC 6840 §5.2). SHA-1 counts only where there is nothing
// better (RFC 4509 §3).
func (v *Validator) usableDS(set []*dns.DS) (usable []*dns.DS, why string) {
	strong := false
	for _, ds := range set {
		if unknown := v.algorithm(ds.Algorithm); unknown != "" {
			why = unknown
			continue
		}
		if digestSizes[ds.DigestType] == 0 {
			why = fmt.Sprintf("digest type %d is not supported", ds.DigestType)
			continue
		}
		strong = strong || ds.DigestType != dns.SHA1
		usable = append(usable, ds)
	}
	if strong {
		usable = slices.DeleteFunc(usable, func(ds *dns.DS) bool { return ds.DigestType == dns.SHA1 })
	}
	return usable, why
}

// vouched returns the keys that DS records stand for (RFC 4035 §5.2), and whether all of them have theirs.
func (s *search) vouched(ctx context.Context, usable []*dns.DS, keys []key) (found []key, whole bool, err error) {
	whole = true
	for _, ds := range usable {
		there := false
		for _, k := range keys {
			if ds.KeyTag != k.tag || ds.Algorithm != k.Algorithm {
				continue
			}
			if err := spend(&s.budget.hashes, "digests"); err != nil {
				return nil, false, err
			}
			if mine := k.ToDS(ds.DigestType); mine == nil || !strings.EqualFold(mine.Digest, ds.Digest) {
				continue
			}
			if there = true; !slices.Contains(found, k) {
				found = append(found, k)
			}
		}
		whole = whole && there
	}
	return found, whole, ctx.Err()
}
