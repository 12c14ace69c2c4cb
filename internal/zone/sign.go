package zone

import (
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// signatures are made when they are first asked for, and again when they have become old.
type signatures struct {
	mu   sync.Mutex
	made map[set]made
}

// A set is the name and type of a RRset.
type set struct {
	name string
	t    uint16
}

type made struct {
	at   time.Time
	sigs []*dns.RRSIG
}

// fresh is how long signatures are used again, if they are valid for twice as long.
const fresh = 24 * time.Hour

// sign returns the signatures of a RRset. A wildcard's set has the wildcard's name.
func (z *zone) sign(rrs []dns.RR) []*dns.RRSIG {
	if z.keys == nil || len(rrs) == 0 {
		return nil
	}
	h := rrs[0].Header()
	now, id := z.now(), set{h.Name, h.Rrtype}
	z.sigs.mu.Lock()
	defer z.sigs.mu.Unlock()
	if m, ok := z.sigs.made[id]; ok && now.Sub(m.at).Abs() < min(fresh, z.Until/2) {
		return m.sigs
	}
	m := made{at: now}
	for _, k := range z.keys {
		// Keys sign keys, and the others all else (RFC 4034 §2.1.1).
		if (k.Flags&dns.SEP != 0) == (h.Rrtype == dns.TypeDNSKEY) {
			m.sigs = append(m.sigs, z.signWith(k, rrs, now))
		}
	}
	z.sigs.made[id] = m
	return m.sigs
}

func (z *zone) signWith(k key, rrs []dns.RR, now time.Time) *dns.RRSIG {
	sig := &dns.RRSIG{
		Hdr:       dns.RR_Header{Ttl: rrs[0].Header().Ttl},
		Algorithm: k.Algorithm, KeyTag: k.KeyTag(), SignerName: z.origin,
		Inception: uint32(now.Add(z.From).Unix()), Expiration: uint32(now.Add(z.Until).Unix()),
	}
	err := dns.ErrAlg
	if k.private != nil {
		err = sig.Sign(k.private, rrs)
	}
	if err != nil {
		// Sign has filled in all but the signature, or would have.
		sig.Hdr = dns.RR_Header{Name: rrs[0].Header().Name, Rrtype: dns.TypeRRSIG, Class: dns.ClassINET, Ttl: rrs[0].Header().Ttl}
		sig.TypeCovered, sig.OrigTtl = rrs[0].Header().Rrtype, sig.Hdr.Ttl
		labels := labelsOf(sig.Hdr.Name)
		sig.Labels = uint8(len(labels))
		if len(labels) > 0 && labels[len(labels)-1] == "*" {
			sig.Labels--
		}
		sig.Signature = base64.StdEncoding.EncodeToString(random(64))
	}
	if z.Spoiled {
		raw, _ := base64.StdEncoding.DecodeString(sig.Signature)
		raw[len(raw)/2] ^= 1
		sig.Signature = base64.StdEncoding.EncodeToString(raw)
	}
	return sig
}

// keyBits are the sizes of keys, in bits.
var keyBits = map[uint8]int{
	dns.RSASHA1: 2048, dns.RSASHA1NSEC3SHA1: 2048, dns.RSASHA256: 2048, dns.RSASHA512: 2048,
	dns.ECDSAP256SHA256: 256, dns.ECDSAP384SHA384: 384, dns.ED25519: 256,
}

// makeKeys makes the zone's keys.
func (z *zone) makeKeys() error {
	for _, algorithm := range z.Algorithms {
		for _, flags := range []uint16{dns.ZONE | dns.SEP, dns.ZONE} {
			k, err := makeKey(z.origin, algorithm, flags)
			if err != nil {
				return err
			}
			z.keys = append(z.keys, k)
		}
	}
	return nil
}

func makeKey(origin string, algorithm uint8, flags uint16) (key, error) {
	k := key{DNSKEY: &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: origin, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 300},
		Flags: flags, Protocol: 3, Algorithm: algorithm,
	}}
	bits, ok := keyBits[algorithm]
	if !ok {
		k.PublicKey = base64.StdEncoding.EncodeToString(random(64))
		return k, nil
	}
	private, err := k.Generate(bits)
	if err != nil {
		return k, err
	}
	k.private = private.(crypto.Signer)
	return k, nil
}

// ds returns the DS records for the zone's keys.
func (z *zone) ds(kind DS) (all []dns.RR) {
	if kind == DSMissing {
		return nil
	}
	for _, k := range z.keys {
		if k.Flags&dns.SEP == 0 {
			continue
		}
		for _, digest := range z.Digests {
			ds := k.ToDS(digest)
			if ds == nil {
				ds = &dns.DS{KeyTag: k.KeyTag(), Algorithm: k.Algorithm, DigestType: digest, Digest: hex.EncodeToString(random(32))}
				ds.Hdr = dns.RR_Header{Name: z.origin, Rrtype: dns.TypeDS, Class: dns.ClassINET, Ttl: k.Hdr.Ttl}
			}
			if kind == DSWrong {
				ds.Digest = hex.EncodeToString(random(len(ds.Digest) / 2))
			}
			all = append(all, ds)
		}
	}
	return all
}

func random(n int) []byte {
	raw := make([]byte, n)
	rand.Read(raw) // never fails
	return raw
}

// all returns every record of the zone, in canonical order.
func (z *zone) all() (rrs []dns.RR) {
	nodes := make([]*node, 0, len(z.nodes))
	for _, n := range z.nodes {
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, canonical)
	signed := func(set []dns.RR) {
		rrs = append(rrs, set...)
		for _, sig := range z.sign(set) {
			rrs = append(rrs, sig)
		}
	}
	for _, n := range nodes {
		for _, t := range n.types() {
			if n.hidden || n.cut && t != dns.TypeDS {
				rrs = append(rrs, n.sets[t]...)
			} else {
				signed(n.sets[t])
			}
		}
	}
	for i := range z.chain {
		signed([]dns.RR{z.nsec(i)})
	}
	for i := range z.hashes {
		signed([]dns.RR{z.nsec3(i)})
	}
	return rrs
}
