package zone

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// build parses the zone and completes it: what every zone has, delegations to children, the chain of
// proofs.
func (z *zone) build(server netip.Addr, children []*zone) error {
	z.nodes = make(map[string]*node)
	var text strings.Builder
	for line := range strings.Lines(z.Text) {
		text.WriteString(strings.TrimLeft(line, " \t"))
	}
	parser := dns.NewZoneParser(strings.NewReader(text.String()), z.origin, "")
	if z.TTL == 0 {
		z.TTL = 300
	}
	parser.SetDefaultTTL(z.TTL)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		if err := z.add(rr); err != nil {
			return err
		}
	}
	if err := parser.Err(); err != nil {
		return err
	}
	if err := z.apex(server); err != nil {
		return err
	}
	for _, child := range children {
		z.delegate(child)
	}
	z.fill()
	if z.keys != nil {
		z.link()
	}
	return nil
}

// add puts a record in its place.
func (z *zone) add(rr dns.RR) error {
	h := rr.Header()
	h.Name = dns.CanonicalName(h.Name)
	if !under(h.Name, z.origin) {
		return fmt.Errorf("%s is not in the zone", h.Name)
	}
	n := z.node(h.Name)
	if h.Rrtype == dns.TypeCNAME && len(n.sets) > 0 || len(n.sets[dns.TypeCNAME]) > 0 {
		return fmt.Errorf("%s has a CNAME and something else", h.Name)
	}
	n.sets[h.Rrtype] = append(n.sets[h.Rrtype], rr)
	return nil
}

// node returns the node of a name, which it makes.
func (z *zone) node(name string) *node {
	n := z.nodes[name]
	if n == nil {
		n = &node{name: name, labels: labelsOf(name), sets: make(map[uint16][]dns.RR)}
		z.nodes[name] = n
	}
	return n
}

// apex completes the records of the zone's own name.
func (z *zone) apex(server netip.Addr) error {
	n := z.node(z.origin)
	host := "ns." + strings.TrimPrefix(z.origin, ".")
	header := func(name string, t uint16) dns.RR_Header {
		return dns.RR_Header{Name: name, Rrtype: t, Class: dns.ClassINET, Ttl: z.TTL}
	}
	if n.sets[dns.TypeNS] == nil {
		n.sets[dns.TypeNS] = []dns.RR{&dns.NS{Hdr: header(z.origin, dns.TypeNS), Ns: host}}
		if z.node(host).sets[dns.TypeA] == nil {
			z.node(host).sets[dns.TypeA] = []dns.RR{&dns.A{Hdr: header(host, dns.TypeA), A: server.AsSlice()}}
		}
	}
	if n.sets[dns.TypeSOA] == nil {
		n.sets[dns.TypeSOA] = []dns.RR{&dns.SOA{Hdr: header(z.origin, dns.TypeSOA), Ns: host, Mbox: "hostmaster." + strings.TrimPrefix(z.origin, "."),
			Serial: uint32(z.now().Unix()), Refresh: 3600, Retry: 600, Expire: 86400, Minttl: z.TTL}}
	}
	if len(n.sets[dns.TypeSOA]) > 1 || n.sets[dns.TypeCNAME] != nil {
		return errors.New("a zone has one SOA, and no CNAME at its top")
	}
	z.soa = n.sets[dns.TypeSOA][0].(*dns.SOA)
	for _, k := range z.keys {
		rr := dns.Copy(k.DNSKEY)
		rr.Header().Ttl = z.TTL
		n.sets[dns.TypeDNSKEY] = append(n.sets[dns.TypeDNSKEY], rr)
	}
	if z.NSEC3 != nil && z.keys != nil {
		n.sets[dns.TypeNSEC3PARAM] = []dns.RR{&dns.NSEC3PARAM{Hdr: header(z.origin, dns.TypeNSEC3PARAM), Hash: dns.SHA1,
			Iterations: z.NSEC3.Iterations, SaltLength: uint8(len(z.NSEC3.Salt) / 2), Salt: z.NSEC3.Salt}}
	}
	return nil
}

// delegate takes over the name servers of a child, with the addresses that cannot be found otherwise,
// and the digests of its keys. Records that the text has itself stay.
func (z *zone) delegate(child *zone) {
	n := z.node(child.origin)
	if n.sets[dns.TypeNS] == nil {
		n.sets[dns.TypeNS] = child.nodes[child.origin].sets[dns.TypeNS]
	}
	for _, rr := range n.sets[dns.TypeNS] {
		host := dns.CanonicalName(rr.(*dns.NS).Ns)
		from := child.nodes[host]
		if from == nil || !under(host, child.origin) {
			continue
		}
		for _, t := range []uint16{dns.TypeA, dns.TypeAAAA} {
			if glue := z.node(host); glue.sets[t] == nil && from.sets[t] != nil {
				glue.sets[t] = from.sets[t]
			}
		}
	}
	if n.sets[dns.TypeDS] == nil && child.keys != nil && z.keys != nil {
		if ds := child.ds(child.DS); len(ds) > 0 {
			n.sets[dns.TypeDS] = ds
		}
	}
}

// fill makes empty non-terminals and finds out what is below a cut.
func (z *zone) fill() {
	for _, name := range slices.Collect(maps.Keys(z.nodes)) {
		for at := range ancestors(name) {
			if !under(at, z.origin) {
				break
			}
			z.node(at)
		}
	}
	for _, n := range z.nodes {
		n.cut = n.name != z.origin && n.sets[dns.TypeNS] != nil
	}
	for _, n := range z.nodes {
		for at := range ancestors(n.name) {
			if above := z.nodes[at]; above != nil && above.cut {
				n.hidden = true
			}
		}
	}
}
