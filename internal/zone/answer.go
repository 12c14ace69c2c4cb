package zone

import (
	"strings"

	"github.com/miekg/dns"
)

// A reply is a message on its way.
type reply struct {
	*dns.Msg
	do bool // signatures and proofs are wanted (RFC 3225)
}

// put adds a RRset with its signatures to a section.
func (z *zone) put(r *reply, section *[]dns.RR, rrs []dns.RR) {
	*section = append(*section, rrs...)
	if r.do {
		for _, sig := range z.sign(rrs) {
			*section = append(*section, sig)
		}
	}
}

// answer answers for a name in the zone (RFC 1034 §4.3.2, RFC 4035 §3.1). It returns the name to go on
// with, if the answer so far is an alias.
func (z *zone) answer(r *reply, name string, qtype uint16) (next string) {
	r.Authoritative = true
	encloser := z.nodes[z.origin]
	for _, at := range path(name, z.origin) {
		n := z.nodes[at]
		if n == nil {
			return z.absent(r, name, qtype, encloser)
		}
		if n.cut && !(at == name && qtype == dns.TypeDS) {
			z.refer(r, n)
			return ""
		}
		if d := n.sets[dns.TypeDNAME]; d != nil && at != name {
			return z.redirect(r, name, d)
		}
		encloser = n
	}
	return z.present(r, encloser, name, qtype)
}

// present answers from a node, which is that of name or a wildcard.
func (z *zone) present(r *reply, n *node, name string, qtype uint16) (next string) {
	if alias := n.sets[dns.TypeCNAME]; alias != nil && qtype != dns.TypeCNAME && qtype != dns.TypeNSEC && qtype != dns.TypeANY {
		z.copy(r, name, alias)
		return dns.CanonicalName(alias[0].(*dns.CNAME).Target)
	}
	found := false
	for _, t := range n.types() {
		if t == qtype || qtype == dns.TypeANY {
			z.copy(r, name, n.sets[t])
			found = true
		}
	}
	if !found {
		z.negative(r)
		z.owns(r, n.name)
	}
	return ""
}

// copy adds a RRset to the answer under the name asked for, which is another if the set is a wildcard's
// (RFC 4035 §3.1.3.3).
func (z *zone) copy(r *reply, name string, rrs []dns.RR) {
	if rrs[0].Header().Name == name {
		z.put(r, &r.Answer, rrs)
		return
	}
	from := len(r.Answer)
	z.put(r, &r.Answer, rrs)
	for i, rr := range r.Answer[from:] {
		rr = dns.Copy(rr)
		rr.Header().Name = name
		r.Answer[from+i] = rr
	}
}

// absent answers for a name that has no node: from a wildcard, or that it does not exist.
func (z *zone) absent(r *reply, name string, qtype uint16, encloser *node) (next string) {
	star := wildcard(encloser.name)
	if n := z.nodes[star]; n != nil {
		before := len(r.Answer)
		next = z.present(r, n, name, qtype)
		if z.NSEC3 == nil || len(r.Answer) == before {
			z.denies(r, name, encloser.name)
		} else { // the signature's label count names the encloser (RFC 5155 §7.2.6)
			z.covers(r, nextCloser(name, encloser.name))
		}
		return next
	}
	r.Rcode = dns.RcodeNameError
	z.negative(r)
	z.denies(r, name, encloser.name)
	z.covers(r, star)
	return ""
}

// refer refers to the zone below a cut, with the proof of whether it is signed (RFC 4035 §3.1.4).
func (z *zone) refer(r *reply, n *node) {
	r.Authoritative = len(r.Answer) > 0
	r.Ns = append(r.Ns, n.sets[dns.TypeNS]...)
	if ds := n.sets[dns.TypeDS]; ds != nil && r.do {
		z.put(r, &r.Ns, ds)
	} else {
		z.owns(r, n.name)
	}
	for _, rr := range n.sets[dns.TypeNS] {
		if glue := z.nodes[dns.CanonicalName(rr.(*dns.NS).Ns)]; glue != nil {
			r.Extra = append(r.Extra, glue.sets[dns.TypeA]...)
			r.Extra = append(r.Extra, glue.sets[dns.TypeAAAA]...)
		}
	}
}

// redirect answers by a DNAME, and the CNAME that follows from it (RFC 6672 §3.1).
func (z *zone) redirect(r *reply, name string, dname []dns.RR) (next string) {
	z.put(r, &r.Answer, dname)
	d := dname[0].(*dns.DNAME)
	target := dns.CanonicalName(strings.TrimSuffix(name, d.Hdr.Name) + strings.TrimPrefix(dns.CanonicalName(d.Target), "."))
	if _, ok := dns.IsDomainName(target); !ok {
		r.Rcode = dns.RcodeYXDomain
		return ""
	}
	h := dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: d.Hdr.Ttl}
	r.Answer = append(r.Answer, &dns.CNAME{Hdr: h, Target: target})
	return target
}

// negative adds the SOA that says how long a denial may be kept (RFC 2308 §3).
func (z *zone) negative(r *reply) {
	soa := dns.Copy(z.soa)
	soa.Header().Ttl = min(z.soa.Hdr.Ttl, z.soa.Minttl)
	r.Ns = append(r.Ns, soa)
	if r.do {
		for _, sig := range z.sign([]dns.RR{z.soa}) {
			sig := dns.Copy(sig)
			sig.Header().Ttl = soa.Header().Ttl
			r.Ns = append(r.Ns, sig)
		}
	}
}
