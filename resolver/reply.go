package resolver

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// A reply is what a server said, sorted into sets. Nothing of it is proved.
type reply struct {
	rcode             int
	authentic         bool // the AD bit: the server says that it has validated all of it
	checkingDisabled  bool // the CD bit
	answer, authority []*rrset
	ede               *dns.EDNS0_EDE // RFC 8914; nil if the server gave none
}

// An rrset is all records of one name and type (RFC 2181 §5), with the signatures that came with them.
type rrset struct {
	owner string
	rtype uint16
	rrs   []dns.RR
	sigs  []*dns.RRSIG
}

func newReply(m *dns.Msg) *reply {
	r := &reply{
		rcode: m.Rcode, authentic: m.AuthenticatedData, checkingDisabled: m.CheckingDisabled,
		answer: sets(m.Answer), authority: sets(m.Ns),
	}
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if ede, ok := o.(*dns.EDNS0_EDE); ok && r.ede == nil {
				r.ede = ede
			}
		}
	}
	return r
}

// sets sorts a section, in the order in which the sets begin. Names are made lower-case: the case of
// what was asked is random.
func sets(section []dns.RR) []*rrset {
	type key struct {
		owner string
		rtype uint16
	}
	var all []*rrset
	known := make(map[key]*rrset)
	for _, rr := range section {
		h := rr.Header()
		if h.Class != dns.ClassINET {
			continue
		}
		h.Name = dns.CanonicalName(h.Name)
		k := key{h.Name, h.Rrtype}
		sig, isSig := rr.(*dns.RRSIG)
		if isSig {
			k.rtype = sig.TypeCovered
			sig.SignerName = dns.CanonicalName(sig.SignerName)
		}
		set := known[k]
		if set == nil {
			set = &rrset{owner: k.owner, rtype: k.rtype}
			known[k] = set
			all = append(all, set)
		}
		if isSig {
			set.sigs = append(set.sigs, sig)
		} else {
			set.rrs = append(set.rrs, rr)
		}
	}
	return slices.DeleteFunc(all, func(s *rrset) bool { return len(s.rrs) == 0 })
}

// set returns the records of a name and type in the answer, or nil.
func (r *reply) set(owner string, rtype uint16) *rrset {
	for _, s := range r.answer {
		if s.owner == owner && s.rtype == rtype {
			return s
		}
	}
	return nil
}

// about returns what the answer has on a name and type: a DNAME above the name, which leads to another
// (RFC 6672 §2.3; the CNAME that servers make of it is signed by nobody), else the records, else a CNAME;
// nil if there is nothing.
func (r *reply) about(name string, rtype uint16) *rrset {
	for _, s := range r.answer {
		if s.rtype == dns.TypeDNAME && below(name, s.owner) {
			return s
		}
	}
	if s := r.set(name, rtype); s != nil {
		return s
	}
	return r.set(name, dns.TypeCNAME)
}

// denier returns the deepest zone at or above a name that says to have signed records of denial, or "".
func (r *reply) denier(name string) string {
	zone := ""
	for _, set := range r.authority {
		if set.rtype != dns.TypeNSEC && set.rtype != dns.TypeNSEC3 {
			continue
		}
		if z := set.signer(); z != "" && within(name, z) && (zone == "" || below(z, zone)) {
			zone = z
		}
	}
	return zone
}

// denialTTL returns how long the absence of a record may be kept that nobody signed (RFC 2308 §5).
func (r *reply) denialTTL() time.Duration {
	for _, set := range r.authority {
		if soa, ok := set.rrs[0].(*dns.SOA); ok {
			return seconds(min(soa.Minttl, set.ttl()))
		}
	}
	return 0
}

// signer returns the zone that a set says it is of, or "" if it is not signed. Of several, the deepest.
func (s *rrset) signer() string {
	signer, depth := "", -1
	for _, sig := range s.sigs {
		if n := dns.CountLabel(sig.SignerName); n > depth && within(s.owner, sig.SignerName) {
			signer, depth = sig.SignerName, n
		}
	}
	return signer
}

// ttl returns the shortest TTL in a set, in seconds.
func (s *rrset) ttl() uint32 {
	shortest := slices.MinFunc(s.rrs, func(a, b dns.RR) int { return cmp.Compare(a.Header().Ttl, b.Header().Ttl) })
	return shortest.Header().Ttl
}

// String returns what a set is called in messages for people.
func (s *rrset) String() string {
	return plain(s.owner) + " " + dns.Type(s.rtype).String()
}

// plain returns a name as people write it: without the last dot, which the root keeps.
func plain(name string) string {
	if name == "." {
		return name
	}
	return strings.TrimSuffix(name, ".")
}
