package zone

import (
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/miekg/dns"
)

// A hashed node has a NSEC3 record.
type hashed struct {
	hash string
	node *node
}

func canonical(a, b *node) int { return slices.Compare(a.labels, b.labels) }

// types returns the types of the records at a node, sorted.
func (n *node) types() []uint16 { return slices.Sorted(maps.Keys(n.sets)) }

// link makes the chain of proofs.
func (z *zone) link() {
	for _, n := range z.nodes {
		switch {
		case n.hidden:
		case z.NSEC3 == nil && len(n.sets) > 0: // empty non-terminals have none (RFC 4035 §2.3)
			z.chain = append(z.chain, n)
		case z.NSEC3 != nil && !(z.NSEC3.OptOut && z.unsignedOnly(n)):
			z.hashes = append(z.hashes, hashed{z.hash(n.name), n})
		}
	}
	slices.SortFunc(z.chain, canonical)
	slices.SortFunc(z.hashes, func(a, b hashed) int { return strings.Compare(a.hash, b.hash) })
}

// unsignedOnly reports whether a node is an unsigned delegation or only leads to such (RFC 5155 §7.1).
func (z *zone) unsignedOnly(n *node) bool {
	if len(n.sets) > 0 {
		return n.cut && n.sets[dns.TypeDS] == nil
	}
	for _, below := range z.nodes {
		if below != n && !below.hidden && len(below.sets) > 0 && under(below.name, n.name) &&
			!(below.cut && below.sets[dns.TypeDS] == nil) {
			return false
		}
	}
	return true
}

func (z *zone) hash(name string) string {
	return dns.HashName(name, dns.SHA1, z.NSEC3.Iterations, z.NSEC3.Salt)
}

// nsec returns the record of the i-th node in the chain.
func (z *zone) nsec(i int) *dns.NSEC {
	n, next := z.chain[i], z.chain[(i+1)%len(z.chain)]
	return &dns.NSEC{
		Hdr:        dns.RR_Header{Name: n.name, Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: z.soa.Minttl},
		NextDomain: next.name, TypeBitMap: bitmap(n, dns.TypeRRSIG, dns.TypeNSEC),
	}
}

// nsec3 returns the record of the i-th hash.
func (z *zone) nsec3(i int) *dns.NSEC3 {
	h, next := z.hashes[i], z.hashes[(i+1)%len(z.hashes)]
	rr := &dns.NSEC3{
		Hdr:  dns.RR_Header{Name: dns.CanonicalName(h.hash + "." + strings.TrimPrefix(z.origin, ".")), Rrtype: dns.TypeNSEC3, Class: dns.ClassINET, Ttl: z.soa.Minttl},
		Hash: dns.SHA1, Iterations: z.NSEC3.Iterations, SaltLength: uint8(len(z.NSEC3.Salt) / 2), Salt: z.NSEC3.Salt,
		HashLength: 20, NextDomain: next.hash,
	}
	if z.NSEC3.OptOut {
		rr.Flags = 1
	}
	if n := h.node; n.cut && n.sets[dns.TypeDS] == nil || len(n.sets) == 0 {
		rr.TypeBitMap = bitmap(n)
	} else {
		rr.TypeBitMap = bitmap(n, dns.TypeRRSIG)
	}
	return rr
}

// bitmap lists the types of a node that its zone answers for: at a cut only the delegation
// (RFC 4035 §2.3).
func bitmap(n *node, more ...uint16) []uint16 {
	for _, t := range n.types() {
		if !n.cut || t == dns.TypeNS || t == dns.TypeDS {
			more = append(more, t)
		}
	}
	slices.Sort(more)
	return more
}

// owns adds the proof of which types a name in the zone has, or has not.
func (z *zone) owns(r *reply, name string) {
	switch {
	case z.keys == nil || !r.do:
	case z.NSEC3 == nil:
		z.covers(r, name)
	default:
		if i, ok := z.at(name); ok {
			z.prove(r, z.nsec3(i))
			return
		}
		// The name is an unsigned delegation that is left out, or leads to one (RFC 5155 §7.2.4).
		names := path(name, z.origin)
		for i := len(names) - 2; i >= 0; i-- {
			if at, ok := z.at(names[i]); ok {
				z.prove(r, z.nsec3(at))
				z.covers(r, names[i+1])
				return
			}
		}
	}
}

// covers adds the proof that a name is not in the zone: the record before it in the chain.
func (z *zone) covers(r *reply, name string) {
	switch {
	case z.keys == nil || !r.do:
	case z.NSEC3 == nil:
		labels := labelsOf(name)
		after := sort.Search(len(z.chain), func(i int) bool { return slices.Compare(z.chain[i].labels, labels) > 0 })
		z.prove(r, z.nsec((after+len(z.chain)-1)%len(z.chain)))
	default:
		i, _ := z.at(name)
		z.prove(r, z.nsec3((i+len(z.hashes)-1)%len(z.hashes)))
	}
}

// denies adds the proof that a name does not exist, and that none nearer than its encloser does. For
// NSEC3 this names the encloser (RFC 5155 §7.2.1).
func (z *zone) denies(r *reply, name, encloser string) {
	if z.keys == nil || !r.do {
		return
	}
	if z.NSEC3 == nil {
		z.covers(r, name)
		return
	}
	z.owns(r, encloser)
	z.covers(r, nextCloser(name, encloser))
}

// at finds a name's hash: where it is, or where it would be.
func (z *zone) at(name string) (int, bool) {
	return slices.BinarySearchFunc(z.hashes, z.hash(name), func(h hashed, hash string) int { return strings.Compare(h.hash, hash) })
}

// prove adds a record with its signatures to the authority section, once.
func (z *zone) prove(r *reply, rr dns.RR) {
	for _, have := range r.Ns {
		if have.Header().Rrtype == rr.Header().Rrtype && have.Header().Name == rr.Header().Name {
			return
		}
	}
	z.put(r, &r.Ns, []dns.RR{rr})
}

// nextCloser returns the name that is one label longer than the encloser (RFC 5155 §1.3).
func nextCloser(name, encloser string) string {
	return path(name, encloser)[1]
}
