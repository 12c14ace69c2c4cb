package resolver_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"starttls/internal/zone"
)

// A villain is between a validator and the tree. He has kept whatever the tree ever signed, and can say
// anything; in some rows he holds the keys of a zone.
type villain struct {
	*zone.Tree
	t *testing.T
}

// Lie lies until the test is over.
func (w villain) Lie(name string, t uint16, lie zone.Lie) {
	w.Tree.Lie(name, t, lie)
	w.t.Cleanup(func() { w.Tree.Lie(name, t, nil) })
}

// on has the answer to a question replaced in whole.
func (w villain) on(name string, t uint16, change func(m *dns.Msg)) {
	w.Lie(name, t, func(m *dns.Msg) *dns.Msg {
		change(m)
		return m
	})
}

// answers has a question answered by records, and nothing else.
func (w villain) answers(name string, t uint16, rrs ...dns.RR) {
	w.on(name, t, func(m *dns.Msg) { m.Rcode, m.Answer, m.Ns = dns.RcodeSuccess, rrs, nil })
}

// denies has a question answered by proofs, and nothing else.
func (w villain) denies(name string, t uint16, rcode int, proofs ...dns.RR) {
	w.on(name, t, func(m *dns.Msg) { m.Rcode, m.Answer, m.Ns = rcode, nil, proofs })
}

// renamed returns records under another name.
func renamed(name string, rrs []dns.RR) []dns.RR {
	for _, rr := range rrs {
		rr.Header().Name = dns.Fqdn(name)
	}
	return rrs
}

// record reads a line of a zone file.
func record(line string) dns.RR {
	rr, err := dns.NewRR(line)
	if err != nil || rr == nil {
		panic(line)
	}
	return rr
}

// resigned returns a set, changed, with new signatures by the keys of a zone.
func (w villain) resigned(origin string, set []dns.RR, change func(rr dns.RR)) []dns.RR {
	set = slices.DeleteFunc(set, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeRRSIG })
	for _, rr := range set {
		if change != nil {
			change(rr)
		}
	}
	return w.Sign(origin, nil, set...)
}

// each returns sets, each changed and signed anew.
func (w villain) each(origin string, sets []dns.RR, change func(rr dns.RR)) (all []dns.RR) {
	for _, rr := range sets {
		if rr.Header().Rrtype != dns.TypeRRSIG {
			all = append(all, w.resigned(origin, []dns.RR{rr}, change)...)
		}
	}
	return all
}

// ds has a zone's DS answered with two digests: right of the first type, wrong of the second.
func (w villain) ds(origin string, right, wrong uint8) {
	for _, rr := range w.Records(origin, origin, dns.TypeDNSKEY) {
		k, ok := rr.(*dns.DNSKEY)
		if !ok || k.Flags&dns.SEP == 0 {
			continue
		}
		good := k.ToDS(right)
		if good == nil {
			good = k.ToDS(dns.SHA256)
			good.DigestType = right
		}
		bad := k.ToDS(wrong)
		bad.Digest = strings.Repeat("00", len(bad.Digest)/2)
		w.answers(origin, dns.TypeDS, w.Sign("example", nil, good, bad)...)
	}
}

// flagged turns a flag of the zone's keys over, and all else is as its holder would do it.
func (w villain) flagged(origin string, flag uint16) {
	var keys []dns.RR
	for _, rr := range w.Records(origin, origin, dns.TypeDNSKEY) {
		k, ok := rr.(*dns.DNSKEY)
		if !ok {
			continue
		}
		k.Flags ^= flag
		keys = append(keys, k)
		if k.Flags&dns.SEP != 0 {
			w.answers(origin, dns.TypeDS, w.Sign("example", nil, k.ToDS(dns.SHA256))...)
			defer func() {
				w.answers(origin, dns.TypeDNSKEY, w.Sign(origin, func(s *dns.RRSIG) { s.KeyTag = k.KeyTag() }, keys...)...)
			}()
		}
	}
}

// wild has a name answered from *.wild, with all proofs that the zone has.
func (w villain) wild(origin, name string, proofs uint16) {
	w.on(name, dns.TypeTXT, func(m *dns.Msg) {
		m.Rcode, m.Answer = dns.RcodeSuccess, renamed(name, w.Records(origin, "*.wild."+origin, dns.TypeTXT))
		m.Ns = w.Records(origin, "", proofs)
	})
}

// nsec3 has a name denied by all proofs that its zone has, each changed and signed by the zone.
func (w villain) nsec3(name string, change func(*dns.NSEC3)) {
	proofs := w.each("nsec3.example", w.Records("nsec3.example", "", dns.TypeNSEC3), func(rr dns.RR) { change(rr.(*dns.NSEC3)) })
	w.denies(name, dns.TypeA, dns.RcodeNameError, proofs...)
}

// keyTrap gives a zone keys that share a tag, and a name a signature that could be by any of them
// (CVE-2023-50387).
func (w villain) keyTrap(origin, name string) {
	var keys []dns.RR
	for _, rr := range w.Records(origin, origin, dns.TypeDNSKEY) {
		if k, ok := rr.(*dns.DNSKEY); ok && k.Flags&dns.SEP != 0 {
			keys = append(keys, k)
		}
	}
	proto := dns.Copy(w.Records("ec.example", "ec.example", dns.TypeDNSKEY)[1]).(*dns.DNSKEY)
	proto.Flags, proto.Hdr.Name = dns.ZONE, dns.Fqdn(origin)
	raw, _ := base64.StdEncoding.DecodeString(proto.PublicKey)
	for i := range 10 { // the tag is a sum of words, whatever their order (RFC 4034 appendix B)
		k := dns.Copy(proto).(*dns.DNSKEY)
		mixed := slices.Clone(raw)
		mixed[2*i], mixed[2*i+1], mixed[2*i+2], mixed[2*i+3] = raw[2*i+2], raw[2*i+3], raw[2*i], raw[2*i+1]
		k.PublicKey = base64.StdEncoding.EncodeToString(mixed)
		keys = append(keys, k)
	}
	w.answers(origin, dns.TypeDNSKEY, w.Sign(origin, nil, keys...)...)
	rrs := w.Records(origin, name, dns.TypeA)
	sig := rrs[1].(*dns.RRSIG)
	sig.KeyTag = proto.KeyTag()
	w.answers(name, dns.TypeA, rrs[0], spoiled(sig))
}

// hashTrap has as many names proved not to exist as one question can need: a wildcard's alias that leads
// to the next, eight times, and then a name of as many labels as there can be (CVE-2023-50868).
func (w villain) hashTrap(origin string) {
	long := strings.Repeat("x.", 118) + origin + "."
	for i := range 8 {
		name, next := fmt.Sprintf("%d.aliases.%s.", i, origin), fmt.Sprintf("%d.aliases.%s.", i+1, origin)
		if i == 7 {
			next = long
		}
		link := renamed(name, w.Sign(origin, nil, record("*.aliases."+origin+" 300 IN CNAME "+next)))
		w.on(name, dns.TypeA, func(m *dns.Msg) { m.Rcode, m.Answer, m.Ns = dns.RcodeSuccess, link, w.hashes(origin, name) })
	}
}

// hashes returns the NSEC3 records of a zone that match or cover names.
func (w villain) hashes(origin string, names ...string) (found []dns.RR) {
	for _, rr := range w.Records(origin, "", dns.TypeNSEC3) {
		h, ok := rr.(*dns.NSEC3)
		if ok && slices.ContainsFunc(names, func(name string) bool { return h.Match(dns.Fqdn(name)) || h.Cover(dns.Fqdn(name)) }) {
			found = append(found, w.Records(origin, h.Hdr.Name, dns.TypeNSEC3)...)
		}
	}
	return found
}

// heaped returns a set with signatures that do not fit before its own.
func heaped(n int, set []dns.RR) []dns.RR {
	heap := []dns.RR{set[0]}
	sig := dns.Copy(set[1]).(*dns.RRSIG)
	for range n {
		heap = append(heap, spoiled(sig))
	}
	return append(heap, set[1])
}

// spoiled returns a signature that does not fit, each time another.
func spoiled(sig *dns.RRSIG) *dns.RRSIG {
	raw, _ := base64.StdEncoding.DecodeString(sig.Signature)
	raw[7]++
	sig.Signature = base64.StdEncoding.EncodeToString(raw)
	return dns.Copy(sig).(*dns.RRSIG)
}
