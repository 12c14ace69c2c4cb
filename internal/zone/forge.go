package zone

import "github.com/miekg/dns"

// Sign returns the records of one set with signatures by a zone's keys, for lies that only who has the
// keys can tell: any records, and, by edit unless it is nil, any times, key tag or signer. It panics if
// there is no such zone or the records cannot be signed.
func (t *Tree) Sign(origin string, edit func(*dns.RRSIG), rrs ...dns.RR) []dns.RR {
	t.mu.RLock()
	z := t.zones[dns.CanonicalName(origin)]
	t.mu.RUnlock()
	now := z.now()
	set := rrs[:len(rrs):len(rrs)]
	for _, k := range z.keys {
		if (k.Flags&dns.SEP != 0) != (set[0].Header().Rrtype == dns.TypeDNSKEY) {
			continue
		}
		sig := &dns.RRSIG{
			Algorithm: k.Algorithm, KeyTag: k.KeyTag(), SignerName: z.origin,
			Inception: uint32(now.Add(z.From).Unix()), Expiration: uint32(now.Add(z.Until).Unix()),
		}
		if edit != nil {
			edit(sig)
		}
		if err := sig.Sign(k.private, set); err != nil {
			panic("zone: cannot sign " + set[0].String() + ": " + err.Error())
		}
		rrs = append(rrs, sig)
	}
	return rrs
}

// Records returns the set of a name and type as a zone serves it, NSEC and NSEC3 too, with its
// signatures: what somebody can have kept, to say it again elsewhere. Without a name, of all names.
func (t *Tree) Records(origin, name string, qtype uint16) (found []dns.RR) {
	t.mu.RLock()
	z := t.zones[dns.CanonicalName(origin)]
	t.mu.RUnlock()
	for _, rr := range z.all() {
		covered := rr.Header().Rrtype
		if sig, ok := rr.(*dns.RRSIG); ok {
			covered = sig.TypeCovered
		}
		if covered == qtype && (name == "" || rr.Header().Name == dns.CanonicalName(name)) {
			found = append(found, dns.Copy(rr))
		}
	}
	return found
}
