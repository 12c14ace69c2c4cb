package resolver

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	served "starttls/internal/zone"
)

// FuzzDenial takes any part of the records of denial of a zone, and asks for any name. What they deny is
// not there, and what a zone below has is never denied.
func FuzzDenial(f *testing.F) {
	const text = `
		mx      A     192.0.2.2
		*.wild  TXT   x
		in.wild TXT   x
		a.e.wild A    192.0.2.2
		alias   CNAME mx
		to      DNAME mx
		a.b.c   A     192.0.2.3
		a.*.s   A     192.0.2.3`
	tree := new(served.Tree)
	err := tree.Set(served.Config{Origin: "n", Text: text}, served.Config{Origin: "h", Text: text, NSEC3: &served.NSEC3{}},
		served.Config{Origin: "cut.n", Text: text}, served.Config{Origin: "open.n", Text: text, Unsigned: true}, served.Config{Origin: "cut.h", Text: text}, served.Config{Origin: "open.h", Text: text, Unsigned: true})
	if err != nil {
		f.Fatal(err)
	}
	nsec, nsec3 := tree.Records("n", "", dns.TypeNSEC), tree.Records("h", "", dns.TypeNSEC3)
	types := []uint16{dns.TypeA, dns.TypeTXT, dns.TypeCNAME, dns.TypeDS}
	for _, name := range []string{"mx", "x.mx", "x.wild", "in.wild", "x.in.wild", "e.wild", "x.e.wild", "alias", "to", "x.to", "b.c", "c", "x.c", "x.s", "*.s", "cut", "mx.cut", "x.cut", "open", "mx.open", ""} {
		f.Add(^uint64(0), name, uint8(0))
		f.Add(^uint64(0), name, uint8(1))
	}
	f.Fuzz(func(t *testing.T, mask uint64, prefix string, which uint8) {
		for _, apex := range []string{"n.", "h."} {
			name := apex
			if prefix != "" {
				name = strings.ToLower(prefix) + "." + apex
			}
			if _, err := Name(name); err != nil {
				return
			}
			qtype := types[int(which)%len(types)]
			p := &proofs{apex: apex}
			chosen := func(i int) bool { return mask>>(i%64)&1 == 1 }
			if apex == "n." {
				for i, rr := range nsec {
					if rr, ok := rr.(*dns.NSEC); ok && chosen(i) {
						p.nsec = append(p.nsec, rr)
					}
				}
			} else {
				var some []*dns.NSEC3
				for i, rr := range nsec3 {
					if rr, ok := rr.(*dns.NSEC3); ok && chosen(i) {
						some = append(some, rr)
					}
				}
				if p.nsec3, err = hashedBy(some, apex); err != nil {
					t.Fatal(err)
				}
			}
			d, err := p.deny(&search{new(Validator), newBudget()}, name, qtype)
			if err == nil {
				holds(t, tree, d, name, apex, qtype)
			}
		}
	})
}

// holds compares a denial with the truth.
func holds(t *testing.T, tree *served.Tree, d denial, name, apex string, qtype uint16) {
	t.Helper()
	if slices.ContainsFunc([]string{"cut.", "open."}, func(cut string) bool {
		return below(name, cut+apex) || name == cut+apex && qtype != dns.TypeDS
	}) {
		t.Fatalf("%s %s is of another zone, and denied: %+v", name, dns.Type(qtype), d)
	}
	if below(name, "to."+apex) {
		t.Fatalf("%s is below a DNAME, and denied: %+v", name, d)
	}
	var m *dns.Msg
	q := new(dns.Msg).SetQuestion(name, qtype)
	q.SetEdns0(4096, false)
	tree.Recursor().ServeDNS(writer{to: &m}, q)
	if len(m.Answer) > 0 || d.noName != (m.Rcode == dns.RcodeNameError) || d.why != "" {
		t.Fatalf("%s %s is denied, %+v, and the truth is %v", name, dns.Type(qtype), d, m)
	}
}

// A writer takes the answer of a handler.
type writer struct {
	dns.ResponseWriter
	to **dns.Msg
}

func (writer) LocalAddr() net.Addr { return new(net.TCPAddr) }

func (w writer) WriteMsg(m *dns.Msg) error {
	*w.to = m
	return nil
}
