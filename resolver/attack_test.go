package resolver_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"starttls/internal/zone"
	"starttls/resolver"
)

const (
	mxA      = "mx.nsec.example"
	mxA3     = "mx.nsec3.example"
	forged   = " 300 IN A 203.0.113.66"
	day      = 24 * 60 * 60
	noDenial = dns.RcodeSuccess
)

// The attacks on a name. Each must end in the status and the extended error, and never in what the
// villain says.
var attacks = []struct {
	attack string
	name   string
	t      resolver.Type
	lie    func(w villain)
	want   resolver.Status
	code   int
}{
	// Signatures.
	{"nothing", mxA, resolver.A, func(w villain) {}, resolver.Secure, -1},
	{"the signature is taken away", mxA, resolver.A, func(w villain) { w.Lie(mxA, dns.TypeA, zone.Without(dns.TypeRRSIG)) }, resolver.Bogus, 10},
	{"all signatures are taken away", mxA, resolver.A, func(w villain) {
		for _, name := range []string{".", "example", "nsec.example", mxA} {
			w.Lie(name, dns.TypeANY, zone.Without(dns.TypeRRSIG, dns.TypeDS, dns.TypeDNSKEY, dns.TypeNSEC, dns.TypeNSEC3))
		}
	}, resolver.Bogus, 9},
	{"another record under the signature", mxA, resolver.A, func(w villain) { w.Lie(mxA, dns.TypeA, zone.Replace(mxA+forged)) }, resolver.Bogus, 6},
	{"a record more under the signature", mxA, resolver.A, func(w villain) {
		w.answers(mxA, dns.TypeA, append(w.Records("nsec.example", mxA, dns.TypeA), record(mxA+forged))...)
	}, resolver.Bogus, 6},
	{"the signed set of another name", mxA, resolver.A, func(w villain) {
		w.answers(mxA, dns.TypeA, renamed(mxA, w.Records("nsec.example", "a.b.c.nsec.example", dns.TypeA))...)
	}, resolver.Bogus, 6},
	{"an answer for another name", mxA, resolver.A, func(w villain) {
		w.answers(mxA, dns.TypeA, w.Records("nsec.example", "a.b.c.nsec.example", dns.TypeA)...)
	}, resolver.Bogus, 12},
	{"the signature of another type", mxA, resolver.A, func(w villain) {
		sigs := renamed(mxA, w.Records("nsec.example", "_25._tcp.mx.nsec.example", dns.TypeTLSA)[1:])
		w.answers(mxA, dns.TypeA, append(sigs, record(mxA+forged))...)
	}, resolver.Bogus, 10},
	{"signed by a zone whose name ends alike", "nsec.example", resolver.MX, func(w villain) {
		w.answers("nsec.example", dns.TypeMX, w.Sign("ec.example", nil, record("nsec.example 300 IN MX 1 evil.example"))...)
	}, resolver.Bogus, 10},
	{"signed by the keys of another zone", mxA, resolver.A, func(w villain) {
		w.answers(mxA, dns.TypeA, w.Sign("ec.example", func(s *dns.RRSIG) { s.SignerName = "nsec.example." }, record(mxA+forged))...)
	}, resolver.Bogus, 9},
	{"signed by a child", mxA, resolver.A, func(w villain) {
		w.answers(mxA, dns.TypeA, w.Sign("child.nsec.example", nil, record(mxA+forged))...)
	}, resolver.Bogus, 10},
	{"signed by what is no zone", mxA, resolver.A, func(w villain) {
		w.answers(mxA, dns.TypeA, w.Sign("nsec.example", func(s *dns.RRSIG) { s.SignerName = dns.Fqdn(mxA) }, record(mxA+forged))...)
	}, resolver.Bogus, 6},
	{"signed by an island below", "mx.island.example", resolver.A, func(w villain) {
		w.answers("mx.island.example", dns.TypeA, w.Sign("island.example", nil, record("mx.island.example"+forged))...)
	}, resolver.Insecure, -1},
	{"long expired", mxA, resolver.A, func(w villain) {
		w.answers(mxA, dns.TypeA, w.Sign("nsec.example", func(s *dns.RRSIG) { s.Inception, s.Expiration = s.Inception-9*day, s.Inception-day }, record(mxA+forged))...)
	}, resolver.Bogus, 7},
	{"not yet valid", mxA, resolver.A, func(w villain) {
		w.answers(mxA, dns.TypeA, w.Sign("nsec.example", func(s *dns.RRSIG) { s.Inception += day }, record(mxA+forged))...)
	}, resolver.Bogus, 8},
	{"ends before it begins", mxA, resolver.A, func(w villain) {
		w.answers(mxA, dns.TypeA, w.Sign("nsec.example", func(s *dns.RRSIG) { s.Inception, s.Expiration = s.Expiration, s.Inception }, record(mxA+forged))...)
	}, resolver.Bogus, 6},
	{"only a signature of an unknown algorithm", "mx.both.example", resolver.A, func(w villain) {
		w.on("mx.both.example", dns.TypeA, func(m *dns.Msg) {
			m.Answer = slices.DeleteFunc(m.Answer, func(rr dns.RR) bool { s, ok := rr.(*dns.RRSIG); return ok && s.Algorithm != 200 })
		})
	}, resolver.Bogus, 10},

	// The way down: DS and DNSKEY.
	{"no DS, and no proof", mxA, resolver.A, func(w villain) { w.denies("nsec.example", dns.TypeDS, noDenial) }, resolver.Bogus, 12},
	{"no DS, by the proof of another name", mxA, resolver.A, func(w villain) {
		w.on("nsec.example", dns.TypeDS, func(m *dns.Msg) { m.Answer, m.Ns = nil, w.Records("example", "", dns.TypeNSEC3)[:2] })
		w.Lie(mxA, dns.TypeA, zone.Without(dns.TypeRRSIG))
	}, resolver.Bogus, 12},
	{"no DS, by the child's own word", "mx.child.nsec.example", resolver.A, func(w villain) {
		w.denies("child.nsec.example", dns.TypeDS, noDenial, w.Records("child.nsec.example", "child.nsec.example", dns.TypeNSEC)...)
	}, resolver.Bogus, 10},
	{"no DS, by an apex that the parent has signed", mxA, resolver.A, func(w villain) {
		w.denies("nsec.example", dns.TypeDS, noDenial, w.Sign("example", nil, record("nsec.example 300 IN NSEC zz.example NS SOA"))...)
	}, resolver.Bogus, 12},
	{"no DS, by a name that is no delegation", mxA, resolver.A, func(w villain) {
		w.Lie(mxA, dns.TypeA, zone.Replace(mxA+forged))
		w.Lie(mxA, dns.TypeA, zone.Without(dns.TypeRRSIG))
		w.denies(mxA, dns.TypeDS, noDenial, w.Records("nsec.example", mxA, dns.TypeNSEC)...)
	}, resolver.Bogus, 10},
	{"the DS of another zone", mxA, resolver.A, func(w villain) {
		w.answers("nsec.example", dns.TypeDS, renamed("nsec.example", w.Records("example", "ec.example", dns.TypeDS))...)
	}, resolver.Bogus, 6},
	{"another key", mxA, resolver.A, func(w villain) {
		w.answers("nsec.example", dns.TypeDNSKEY, renamed("nsec.example", w.Records("ec.example", "ec.example", dns.TypeDNSKEY))...)
	}, resolver.Bogus, 9},
	{"a key more", mxA, resolver.A, func(w villain) {
		w.answers("nsec.example", dns.TypeDNSKEY, append(w.Records("nsec.example", "nsec.example", dns.TypeDNSKEY), w.Records("ec.example", "ec.example", dns.TypeDNSKEY)[0])...)
	}, resolver.Secure, -1}, // it is at another name, and counts for nothing
	{"a key more, at this name", mxA, resolver.A, func(w villain) {
		w.answers("nsec.example", dns.TypeDNSKEY, append(w.Records("nsec.example", "nsec.example", dns.TypeDNSKEY), renamed("nsec.example", w.Records("ec.example", "ec.example", dns.TypeDNSKEY))[0])...)
	}, resolver.Bogus, 6},
	{"keys signed by the zone's key that is not the DS's", mxA, resolver.A, func(w villain) {
		w.on("nsec.example", dns.TypeDNSKEY, func(m *dns.Msg) {
			m.Answer = slices.DeleteFunc(m.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeRRSIG })
			sig := w.Sign("nsec.example", nil, record("nsec.example 300 IN A 192.0.2.1"))[1].(*dns.RRSIG)
			sig.TypeCovered = dns.TypeDNSKEY
			m.Answer = append(m.Answer, sig)
		})
	}, resolver.Bogus, 9},
	{"a wrong SHA-256 beside the right SHA-1", mxA, resolver.A, func(w villain) {
		w.ds("nsec.example", dns.SHA1, dns.SHA256)
	}, resolver.Bogus, 9},
	{"a wrong DS beside an unknown one", mxA, resolver.A, func(w villain) {
		w.ds("nsec.example", 99, dns.SHA256)
	}, resolver.Bogus, 9},
	{"a DS of an unknown algorithm, and no such key", mxA, resolver.A, func(w villain) {
		w.answers("nsec.example", dns.TypeDS, w.Sign("example", nil, record("nsec.example 300 IN DS 1 200 2 "+strings.Repeat("ab", 32)))...)
	}, resolver.Insecure, -1},
	{"a DS made from a wildcard", mxA, resolver.A, func(w villain) {
		ds := w.Records("example", "nsec.example", dns.TypeDS)[:1]
		w.answers("nsec.example", dns.TypeDS, renamed("nsec.example", w.Sign("example", nil, renamed("*.example", ds)...))...)
	}, resolver.Bogus, 6},
	{"a revoked key", mxA, resolver.A, func(w villain) { w.flagged("nsec.example", dns.REVOKE) }, resolver.Bogus, 11},
	{"a key that is not for zones", mxA, resolver.A, func(w villain) { w.flagged("nsec.example", dns.ZONE) }, resolver.Bogus, 11},

	// Wildcards.
	{"a wildcard, and no proof that it applies", "x.wild.nsec.example", resolver.TXT, func(w villain) {
		w.Lie("x.wild.nsec.example", dns.TypeTXT, zone.Without(dns.TypeNSEC))
	}, resolver.Bogus, 12},
	{"a wildcard where there is a name", "in.wild.nsec.example", resolver.TXT, func(w villain) {
		w.wild("nsec.example", "in.wild.nsec.example", dns.TypeNSEC)
	}, resolver.Bogus, 12},
	{"a wildcard where there is a name (NSEC3)", "in.wild.nsec3.example", resolver.TXT, func(w villain) {
		w.wild("nsec3.example", "in.wild.nsec3.example", dns.TypeNSEC3)
	}, resolver.Bogus, 12},
	{"a wildcard below a name that there is", "x.in.wild.nsec.example", resolver.TXT, func(w villain) {
		w.wild("nsec.example", "x.in.wild.nsec.example", dns.TypeNSEC)
	}, resolver.Bogus, 12},
	{"a wildcard below an empty non-terminal", "x.ent.wild.nsec.example", resolver.TXT, func(w villain) {
		w.wild("nsec.example", "x.ent.wild.nsec.example", dns.TypeNSEC)
	}, resolver.Bogus, 12},
	{"a wildcard below a name that there is (NSEC3)", "x.in.wild.nsec3.example", resolver.TXT, func(w villain) {
		w.wild("nsec3.example", "x.in.wild.nsec3.example", dns.TypeNSEC3)
	}, resolver.Bogus, 12},
	{"the wildcard's proof under another name", "in.wild.nsec.example", resolver.TXT, func(w villain) {
		w.on("in.wild.nsec.example", dns.TypeTXT, func(m *dns.Msg) {
			proof := w.each("nsec.example", w.Records("nsec.example", "*.wild.nsec.example", dns.TypeNSEC), func(rr dns.RR) { rr.(*dns.NSEC).TypeBitMap = []uint16{dns.TypeA} })
			m.Rcode, m.Answer, m.Ns = noDenial, nil, renamed("in.wild.nsec.example", proof)
		})
	}, resolver.Bogus, 12},

	// Denials.
	{"a denial without proof", mxA, resolver.A, func(w villain) { w.denies(mxA, dns.TypeA, dns.RcodeNameError) }, resolver.Bogus, 12},
	{"the denial of another type", mxA, resolver.A, func(w villain) {
		w.denies(mxA, dns.TypeA, noDenial, w.Records("nsec.example", mxA, dns.TypeNSEC)...)
	}, resolver.Bogus, 12},
	{"an alias denied", "alias.nsec.example", resolver.A, func(w villain) {
		w.denies("alias.nsec.example", dns.TypeA, noDenial, w.Records("nsec.example", "alias.nsec.example", dns.TypeNSEC)...)
	}, resolver.Bogus, 12},
	{"the parent's NSEC denies what the child has", "child.nsec.example", resolver.MX, func(w villain) {
		w.denies("child.nsec.example", dns.TypeMX, noDenial, w.Records("nsec.example", "child.nsec.example", dns.TypeNSEC)...)
	}, resolver.Bogus, 12},
	{"the ancestor's NSEC denies what is below the cut", "mx.child.nsec.example", resolver.A, func(w villain) {
		w.denies("mx.child.nsec.example", dns.TypeA, dns.RcodeNameError, w.Records("nsec.example", "", dns.TypeNSEC)...)
	}, resolver.Bogus, 12},
	{"the ancestor's NSEC denies what is below an insecure cut", "mx.open.nsec.example", resolver.A, func(w villain) {
		w.denies("mx.open.nsec.example", dns.TypeA, dns.RcodeNameError, w.Records("nsec.example", "", dns.TypeNSEC)...)
	}, resolver.Bogus, 12},
	{"the parent's NSEC3 denies what the child has", "child.nsec3.example", resolver.MX, func(w villain) {
		w.denies("child.nsec3.example", dns.TypeMX, noDenial, w.Records("nsec3.example", "", dns.TypeNSEC3)...)
	}, resolver.Bogus, 12},
	{"the ancestor's NSEC3 denies what is below the cut", "mx.child.nsec3.example", resolver.A, func(w villain) {
		w.denies("mx.child.nsec3.example", dns.TypeA, dns.RcodeNameError, w.Records("nsec3.example", "", dns.TypeNSEC3)...)
	}, resolver.Bogus, 12},
	{"the NSEC of a DNAME denies what is below it", "x.to.nsec.example", resolver.TXT, func(w villain) {
		w.denies("x.to.nsec.example", dns.TypeTXT, dns.RcodeNameError, w.Records("nsec.example", "", dns.TypeNSEC)...)
	}, resolver.Bogus, 12},
	{"the NSEC3 of a DNAME denies what is below it", "x.to.nsec3.example", resolver.TXT, func(w villain) {
		w.denies("x.to.nsec3.example", dns.TypeTXT, dns.RcodeNameError, w.Records("nsec3.example", "", dns.TypeNSEC3)...)
	}, resolver.Bogus, 12},
	{"no name, and nothing of the wildcard", "x.wild.nsec.example", resolver.TXT, func(w villain) {
		w.denies("x.wild.nsec.example", dns.TypeTXT, dns.RcodeNameError, w.Records("nsec.example", "in.wild.nsec.example", dns.TypeNSEC)...)
	}, resolver.Bogus, 12},
	{"no name, and nothing of the wildcard (NSEC3)", "x.wild.nsec3.example", resolver.TXT, func(w villain) {
		w.denies("x.wild.nsec3.example", dns.TypeTXT, dns.RcodeNameError, w.hashes("nsec3.example", "wild.nsec3.example", "x.wild.nsec3.example")...)
	}, resolver.Bogus, 12},
	{"no name, and a wildcard is not denied", "x.wild.nsec.example", resolver.TXT, func(w villain) {
		w.denies("x.wild.nsec.example", dns.TypeTXT, dns.RcodeNameError, w.Records("nsec.example", "", dns.TypeNSEC)...)
	}, resolver.Bogus, 12},
	{"no name, and a wildcard is not denied (NSEC3)", "x.wild.nsec3.example", resolver.TXT, func(w villain) {
		w.denies("x.wild.nsec3.example", dns.TypeTXT, dns.RcodeNameError, w.Records("nsec3.example", "", dns.TypeNSEC3)...)
	}, resolver.Bogus, 12},
	{"a name is denied, and it is there", mxA3, resolver.A, func(w villain) {
		w.denies(mxA3, dns.TypeA, dns.RcodeNameError, w.Records("nsec3.example", "", dns.TypeNSEC3)...)
	}, resolver.Bogus, 12},
	{"denied by records of another zone", mxA, resolver.A, func(w villain) {
		w.denies(mxA, dns.TypeA, dns.RcodeNameError, w.Records("ec.example", "", dns.TypeNSEC)...)
	}, resolver.Bogus, 12},
	{"NSEC3, signed anew", "nope.nsec3.example", resolver.A, func(w villain) {
		w.nsec3("nope.nsec3.example", func(rr *dns.NSEC3) {})
	}, resolver.Secure, -1}, // the rows below differ in one thing
	{"NSEC3 with an unknown hash", "nope.nsec3.example", resolver.A, func(w villain) {
		w.nsec3("nope.nsec3.example", func(rr *dns.NSEC3) { rr.Hash = 2 })
	}, resolver.Bogus, 12},
	{"NSEC3 with an unknown flag", "nope.nsec3.example", resolver.A, func(w villain) {
		w.nsec3("nope.nsec3.example", func(rr *dns.NSEC3) { rr.Flags = 2 })
	}, resolver.Bogus, 12},
	{"NSEC3 with other parameters in one answer", "nope.nsec3.example", resolver.A, func(w villain) {
		proofs := w.Records("nsec3.example", "", dns.TypeNSEC3)
		w.denies("nope.nsec3.example", dns.TypeA, dns.RcodeNameError, append(proofs,
			w.Sign("nsec3.example", nil, record("00000000000000000000000000000000.nsec3.example 300 IN NSEC3 1 0 3 - 00000000000000000000000000000001"))...)...)
	}, resolver.Bogus, 12},
	{"NSEC3 iterations changed under the signature", "mx.nsec3.example", resolver.A, func(w villain) {
		rrs := w.Records("nsec3.example", "", dns.TypeNSEC3)
		for _, rr := range rrs {
			if rr, ok := rr.(*dns.NSEC3); ok {
				rr.Iterations = 200
			}
		}
		w.denies("mx.nsec3.example", dns.TypeA, dns.RcodeNameError, rrs...)
	}, resolver.Bogus, 6},
	{"opt-out set under the signature", "mx.nsec3.example", resolver.A, func(w villain) {
		rrs := w.Records("nsec3.example", "", dns.TypeNSEC3)
		for _, rr := range rrs {
			if rr, ok := rr.(*dns.NSEC3); ok {
				rr.Flags = 1
			}
		}
		w.denies("mx.nsec3.example", dns.TypeA, dns.RcodeNameError, rrs...)
	}, resolver.Bogus, 6},
	{"opt-out does not hide a signed zone", "mx.nsec.example", resolver.A, func(w villain) {
		w.denies("nsec.example", dns.TypeDS, noDenial, w.Records("example", "", dns.TypeNSEC3)...)
	}, resolver.Bogus, 12},

	// Aliases.
	{"a CNAME of his own", mxA, resolver.A, func(w villain) {
		w.answers(mxA, dns.TypeA, record(mxA+" 300 IN CNAME mx.insecure.example"), record("mx.insecure.example"+forged))
	}, resolver.Bogus, 10},
	{"a CNAME as if made from a DNAME", "x.to.nsec.example", resolver.A, func(w villain) {
		w.answers("x.to.nsec.example", dns.TypeA, record("x.to.nsec.example 300 IN CNAME mx.insecure.example"))
	}, resolver.Bogus, 10},
	{"a DNAME of his own", mxA, resolver.A, func(w villain) {
		w.answers(mxA, dns.TypeA, record("nsec.example 300 IN DNAME insecure.example"), record(mxA+" 300 IN CNAME mx.insecure.example"))
	}, resolver.Bogus, 10},
	{"a DNAME with another target", "x.to.nsec.example", resolver.TXT, func(w villain) {
		w.Lie("x.to.nsec.example", dns.TypeTXT, zone.Replace("to.nsec.example 300 IN DNAME insecure.example"))
	}, resolver.Bogus, 6},
	{"another CNAME beside the DNAME", "x.to.nsec.example", resolver.CNAME, func(w villain) {
		w.Lie("x.to.nsec.example", dns.TypeCNAME, zone.Replace("x.to.nsec.example 300 IN CNAME mx.insecure.example"))
	}, resolver.Secure, -1}, // what follows from the DNAME counts
	{"two CNAMEs", "two.insecure.example", resolver.A, func(w villain) {
		w.answers("two.insecure.example", dns.TypeA, record("two.insecure.example 300 IN CNAME a.example"), record("two.insecure.example 300 IN CNAME b.example"))
	}, resolver.Indeterminate, 24},
	{"a forged target of a signed alias", "alias.nsec.example", resolver.A, func(w villain) {
		w.answers("alias.nsec.example", dns.TypeA, append(w.Records("nsec.example", "alias.nsec.example", dns.TypeCNAME), record(mxA+forged))...)
	}, resolver.Bogus, 10},
	{"the alias's target is denied by nobody", "alias.nsec.example", resolver.A, func(w villain) {
		w.answers("alias.nsec.example", dns.TypeA, w.Records("nsec.example", "alias.nsec.example", dns.TypeCNAME)...)
		w.denies(mxA, dns.TypeA, dns.RcodeNameError)
	}, resolver.Bogus, 12},
	{"records of other names in an insecure answer", "nope.insecure.example", resolver.A, func(w villain) {
		w.answers("nope.insecure.example", dns.TypeA, record(mxA+forged))
	}, resolver.Insecure, -1},

	// Work.
	{"KeyTrap: many keys with one tag", mxA, resolver.A, func(w villain) { w.keyTrap("nsec.example", mxA) }, resolver.Indeterminate, -1},
	{"many signatures", mxA, resolver.A, func(w villain) {
		w.answers(mxA, dns.TypeA, heaped(20, w.Records("nsec.example", mxA, dns.TypeA))...)
	}, resolver.Indeterminate, -1},
	{"many signatures in all", "links8.nsec.example", resolver.A, func(w villain) {
		w.on("links8.nsec.example", dns.TypeA, func(m *dns.Msg) {
			chain := m.Answer
			m.Answer = nil
			for i := 0; i < len(chain); i += 2 {
				m.Answer = append(m.Answer, heaped(14, chain[i:i+2])...)
			}
		})
	}, resolver.Indeterminate, -1},
	{"many keys", mxA, resolver.A, func(w villain) {
		keys := w.Records("nsec.example", "nsec.example", dns.TypeDNSKEY)
		for range 100 {
			k := dns.Copy(keys[0]).(*dns.DNSKEY)
			k.PublicKey = base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%064d", len(keys)))
			keys = append(keys, k)
		}
		w.answers("nsec.example", dns.TypeDNSKEY, w.resigned("nsec.example", keys, nil)...)
	}, resolver.Indeterminate, -1},
	{"many hashes", "0.aliases.nsec3.example", resolver.A, func(w villain) { w.hashTrap("nsec3.example") }, resolver.Indeterminate, -1},
	{"zones below zones", strings.Repeat("x.", 100) + "nsec.example", resolver.A, func(w villain) {
		w.answers(strings.Repeat("x.", 100)+"nsec.example", dns.TypeA, record(strings.Repeat("x.", 100)+"nsec.example"+forged))
		for n := range 100 {
			name := strings.Repeat("x.", n+1) + "nsec.example"
			w.denies(name, dns.TypeDS, noDenial, w.Sign("nsec.example", nil, record(name+" 300 IN NSEC "+name+" A"))...)
		}
	}, resolver.Indeterminate, -1},

	// Servers.
	{"the server fails, and says why", mxA, resolver.A, func(w villain) {
		w.on(mxA, dns.TypeA, func(m *dns.Msg) {
			m.Rcode, m.Answer = dns.RcodeServerFailure, nil
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_EDE{InfoCode: 14, ExtraText: "not ready"})
		})
	}, resolver.Indeterminate, 14},
	{"truncated, even by TCP", mxA, resolver.A, func(w villain) { w.on(mxA, dns.TypeA, func(m *dns.Msg) { m.Truncated = true }) }, resolver.Indeterminate, 22},
	{"the answer to another question", mxA, resolver.A, func(w villain) { w.on(mxA, dns.TypeA, func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA }) }, resolver.Indeterminate, 22},
}

func TestAttacks(t *testing.T) {
	tree := newTree(t)
	server := serve(t, tree.Recursor())
	for _, row := range attacks {
		t.Run(row.attack, func(t *testing.T) {
			row.lie(villain{tree, t})
			v := &resolver.Validator{Servers: []string{server}, Anchors: tree.Anchor()}
			a, err := v.Lookup(t.Context(), row.name, row.t)
			got, code := status(a, err)
			if got != row.want || code != row.code {
				t.Errorf("got %s (EDE %d): %+v, %v; want %s (EDE %d)", got, code, a, err, row.want, row.code)
			}
			if got == resolver.Secure && strings.Contains(said(a), "203.0.113.66") {
				t.Errorf("the villain is believed")
			}
		})
	}
}
