package peers

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/dns"

	"starttls/internal/zone"
	"starttls/resolver"
	"starttls/test/peers/peer"
)

// zones is a tree with a zone of each kind below "example", and what a validator must say of it: secure,
// insecure or bogus.
func zones(t *testing.T) (tree *zone.Tree, verdicts map[string]string) {
	t.Helper()
	const text = `
		@           MX    10 mx
		mx          A     192.0.2.2
		_25._tcp.mx TLSA  3 1 1 abababababababababababababababababababababababababababababababab
		*.wild      TXT   "from a wildcard"
		alias       CNAME mx
		to          DNAME other
		x.other     TXT   "through a DNAME"
		out         CNAME mx.insecure.example.
		a.b.c       A     192.0.2.3`
	tree, verdicts = &zone.Tree{}, map[string]string{}
	configs := []zone.Config{{Origin: "."}, {Origin: "example", NSEC3: &zone.NSEC3{OptOut: true}}}
	add := func(verdict string, c zone.Config) {
		verdicts[c.Origin] = verdict
		c.Text, c.Origin = text, c.Origin+".example"
		configs = append(configs, c)
	}
	add("secure", zone.Config{Origin: "nsec"})
	add("secure", zone.Config{Origin: "nsec3", NSEC3: &zone.NSEC3{}})
	add("secure", zone.Config{Origin: "salted", NSEC3: &zone.NSEC3{Iterations: 5, Salt: "c0ffee"}})
	add("insecure", zone.Config{Origin: "iterations", NSEC3: &zone.NSEC3{Iterations: 400}})
	add("insecure", zone.Config{Origin: "insecure", Unsigned: true})
	add("insecure", zone.Config{Origin: "island", DS: zone.DSMissing})
	add("bogus", zone.Config{Origin: "wrongds", DS: zone.DSWrong})
	add("bogus", zone.Config{Origin: "expired", From: -60 * 24 * time.Hour, Until: -30 * 24 * time.Hour})
	add("bogus", zone.Config{Origin: "early", From: 10 * 24 * time.Hour, Until: 30 * 24 * time.Hour})
	add("bogus", zone.Config{Origin: "spoiled", Spoiled: true})
	add("insecure", zone.Config{Origin: "unknown", Algorithms: []uint8{200}})
	add("insecure", zone.Config{Origin: "digest", Digests: []uint8{99}})
	add("secure", zone.Config{Origin: "both", Algorithms: []uint8{dns.RSASHA256, dns.ED25519}, Digests: []uint8{2, 4}})
	for _, a := range []uint8{dns.RSASHA256, dns.RSASHA512, dns.ECDSAP256SHA256, dns.ECDSAP384SHA384, dns.ED25519} {
		add("secure", zone.Config{Origin: fmt.Sprintf("alg%d", a), Algorithms: []uint8{a}})
	}
	if err := tree.Set(configs...); err != nil {
		t.Fatal(err)
	}
	return tree, verdicts
}

func serveZones(t *testing.T, face dns.Handler) string {
	t.Helper()
	s, err := zone.Listen("127.0.0.1:0", face)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.Addr.String()
}

// questions are asked of each zone.
var questions = []struct {
	name   string
	qtype  uint16
	denial bool // the answer is proved by NSEC or NSEC3
}{
	{"", dns.TypeMX, false},
	{"", dns.TypeAAAA, true},
	{"_25._tcp.mx.", dns.TypeTLSA, false},
	{"nope.", dns.TypeA, true},
	{"no.such.name.", dns.TypeA, true},
	{"x.y.wild.", dns.TypeTXT, true},
	{"x.wild.", dns.TypeA, true},
	{"b.c.", dns.TypeA, true},
	{"alias.", dns.TypeA, false},
	{"x.to.", dns.TypeTXT, false},
}

// TestZonesUnbound has Unbound judge every kind of zone and proof, from the name server and through the
// forwarder.
func TestZonesUnbound(t *testing.T) {
	tree, verdicts := zones(t)
	origins := []string{".", "example."}
	for origin := range verdicts {
		origins = append(origins, origin+".example.")
	}
	for face, o := range map[string]peer.UnboundOptions{
		"authority": {Server: serveZones(t, tree.Authority()), Zones: origins},
		"recursor":  {Forward: serveZones(t, tree.Recursor())},
	} {
		o.Anchor = tree.Anchor()
		unbound := peer.StartUnbound(t, o)
		for origin, want := range verdicts {
			for _, q := range questions {
				want := want
				if origin == "iterations" && !q.denial {
					want = "secure" // what is too much work (RFC 9276 §3.2) is not needed
				}
				t.Run(fmt.Sprintf("%s/%s/%s%s", face, origin, q.name, dns.TypeToString[q.qtype]), func(t *testing.T) {
					if got := judged(t, unbound.Addr, q.name+origin+".example.", q.qtype); got != want {
						t.Errorf("Unbound says %s, want %s", got, want)
					}
				})
			}
		}
		if got := judged(t, unbound.Addr, "out.nsec.example.", dns.TypeA); got != "insecure" {
			t.Errorf("an alias into an insecure zone is %s", got)
		}
	}
}

// judged asks a validating resolver, and says what it makes of the name.
func judged(t *testing.T, addr, name string, qtype uint16) string {
	t.Helper()
	q := new(dns.Msg).SetQuestion(name, qtype)
	q.SetEdns0(4096, true)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	m, _, err := (&dns.Client{Net: "tcp", Timeout: 20 * time.Second}).ExchangeWithConn(q, &dns.Conn{Conn: conn})
	switch {
	case err != nil:
		t.Fatal(err)
	case m.Rcode == dns.RcodeServerFailure:
		return "bogus"
	case m.AuthenticatedData:
		return "secure"
	}
	return "insecure"
}

// TestZonesDelv has delv validate from the root, and find what is expected.
func TestZonesDelv(t *testing.T) {
	tree, verdicts := zones(t)
	delv := newDelv(t, serveZones(t, tree.Recursor()), tree.Anchor())
	for origin, verdict := range verdicts {
		if origin == "iterations" {
			verdict = "secure" // no denial is asked for
		}
		t.Run(origin, func(t *testing.T) {
			if got := delv.judges(t, "_25._tcp.mx."+origin+".example", resolver.TLSA); got != verdict {
				t.Errorf("delv says %s, want %s", got, verdict)
			}
		})
	}
}

// TestZonesLDNS has every record, signature and proof of whole zones checked.
func TestZonesLDNS(t *testing.T) {
	tree, verdicts := zones(t)
	for origin, verdict := range verdicts {
		if verdict != "secure" {
			continue
		}
		t.Run(origin, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "zone")
			if err := os.WriteFile(file, []byte(tree.Dump(origin+".example")), 0o644); err != nil {
				t.Fatal(err)
			}
			if out, status := peer.Run(t, 20*time.Second, nil, "ldns-verify-zone", file); status != 0 {
				t.Errorf("status %d: %s", status, out)
			}
		})
	}
}
