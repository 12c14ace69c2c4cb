package peers

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"starttls/resolver"
	"starttls/test/peers/peer"
)

// signedZones are of every kind, below "test.", signed by ldns and served by NSD.
func signedZones() []peer.SignedZone {
	const text = `
@           MX    10 mx
mx          A     192.0.2.2
_25._tcp.mx TLSA  3 1 1 abababababababababababababababababababababababababababababababab
*.wild      TXT   "from a wildcard"
in.wild     TXT   "not from a wildcard"
a.ent.wild  TXT   "below an empty non-terminal"
*.aliases   CNAME mx
alias       CNAME mx
to          DNAME other
x.other     TXT   "through a DNAME"
out         CNAME mx.unsigned.test.
bad         CNAME mx.wrongds.test.
a.b.c       A     192.0.2.3`
	p256 := []string{"ECDSAP256SHA256"}
	day := 24 * time.Hour
	now := time.Now()
	without := func(expr string) func(string) string {
		lines := regexp.MustCompile(`(?m)^.*` + expr + `.*\n`)
		return func(zone string) string { return lines.ReplaceAllString(zone, "") }
	}
	zones := []peer.SignedZone{
		{Origin: "nsec", Algorithms: p256},
		{Origin: "nsec3", Algorithms: p256, NSEC3: []string{"-t", "0"}},
		{Origin: "salted", Algorithms: p256, NSEC3: []string{"-t", "10", "-s", "c0ffee"}},
		{Origin: "optout", Algorithms: p256, NSEC3: []string{"-t", "0", "-p"}},
		{Origin: "iterations300", Algorithms: p256, NSEC3: []string{"-t", "300"}},
		{Origin: "unsigned"},
		{Origin: "island", Algorithms: p256, DS: "none"},
		{Origin: "wrongds", Algorithms: p256, DS: "wrong"},
		{Origin: "expired", Algorithms: p256, From: now.Add(-60 * day), To: now.Add(-30 * day)},
		{Origin: "early", Algorithms: p256, From: now.Add(30 * day), To: now.Add(60 * day)},
		{Origin: "changed", Algorithms: p256, Edit: func(zone string) string { return strings.ReplaceAll(zone, "192.0.2.2", "192.0.2.66") }},
		{Origin: "unproved", Algorithms: p256, Edit: without(`\tNSEC\t`)},
		{Origin: "unproved3", Algorithms: p256, NSEC3: []string{"-t", "0"}, Edit: without(`\tNSEC3\t`)},
		{Origin: "nosig", Algorithms: p256, Edit: without(`\tRRSIG\t(A|MX|TLSA|TXT) `)},
		{Origin: "nokeysig", Algorithms: p256, Edit: without(`\tRRSIG\tDNSKEY `)},
		{Origin: "two", Algorithms: []string{"ECDSAP256SHA256", "RSASHA256"}},
		{Origin: "one-of-two", Algorithms: []string{"ECDSAP256SHA256", "RSASHA256"}, Edit: without(`\tRRSIG\t\w+ 8 `)},
		{Origin: "child.nsec", Algorithms: p256},
		{Origin: "child.nsec3", Algorithms: p256, NSEC3: []string{"-t", "1"}},
		{Origin: "child.unsigned", Algorithms: p256},
	}
	for _, algorithm := range []string{"RSASHA1", "RSASHA1-NSEC3-SHA1", "RSASHA256", "RSASHA512", "ECDSAP256SHA256", "ECDSAP384SHA384", "ED25519"} {
		zones = append(zones, peer.SignedZone{Origin: strings.ToLower(algorithm), Algorithms: []string{algorithm}})
	}
	for i := range zones {
		zones[i].Origin += ".test."
		zones[i].Text = text
	}
	zones = append(zones, peer.SignedZone{Origin: "open.optout.test.", Text: text}, peer.SignedZone{Origin: "open.nsec.test.", Text: text}, peer.SignedZone{Origin: "open.nsec3.test.", Text: text})
	return append(zones, peer.SignedZone{Origin: ".", Algorithms: p256}, peer.SignedZone{Origin: "test.", Algorithms: p256, NSEC3: []string{"-t", "0", "-p"}})
}

// validated are asked of each zone. Those that delv judges too, a process for each, are few.
var validated = []struct {
	name string
	t    resolver.Type
	delv bool
}{
	{"", resolver.MX, false}, {"", resolver.AAAA, true}, {"mx.", resolver.A, false}, {"mx.", resolver.AAAA, false}, {"_25._tcp.mx.", resolver.TLSA, true},
	{"nope.", resolver.A, true}, {"no.such.name.", resolver.A, false}, {"x.wild.", resolver.TXT, false}, {"x.y.wild.", resolver.TXT, true}, {"x.wild.", resolver.A, false},
	{"in.wild.", resolver.TXT, false}, {"x.in.wild.", resolver.TXT, false}, {"x.ent.wild.", resolver.TXT, false}, {"ent.wild.", resolver.TXT, false}, {"*.wild.", resolver.TXT, false},
	{"b.c.", resolver.A, false}, {"alias.", resolver.A, false}, {"alias.", resolver.CNAME, false}, {"x.aliases.", resolver.A, false}, {"x.to.", resolver.TXT, true}, {"y.to.", resolver.TXT, false},
	{"to.", resolver.TXT, false}, {"out.", resolver.A, false}, {"bad.", resolver.A, false}, {"mx.open.", resolver.A, false},
}

// TestValidator holds the verdicts of our validator against Unbound's and delv's, name by name. It asks
// by way of that Unbound, which must not keep it from what it finds bogus itself.
func TestValidator(t *testing.T) {
	zones := signedZones()
	nsd := peer.StartNSD(t, zones...)
	unbound := peer.StartUnbound(t, peer.UnboundOptions{Anchor: nsd.Anchor, Server: nsd.Addr, Zones: nsd.Zones})
	v := &resolver.Validator{Servers: []string{unbound.Addr}, Anchors: nsd.Anchor, SHA1: true, Probe: "test"}
	if err := v.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	trusting := &resolver.TrustAD{Servers: []string{unbound.Addr}, Bogus: "mx.wrongds.test"}
	delv := newDelv(t, unbound.Addr, nsd.Anchor)
	count := map[string]int{}
	for _, z := range zones {
		for _, q := range validated {
			if z.Text == "" {
				continue // the root and "test."
			}
			name := q.name + z.Origin
			t.Run(name+"/"+q.t.String(), func(t *testing.T) {
				a, err := v.Lookup(t.Context(), name, q.t)
				got := verdict(a, err)
				count[got]++
				if want := judged(t, unbound.Addr, name, uint16(q.t)); got != want {
					t.Errorf("%s, and Unbound says %s (%+v, %v)", got, want, a, err)
				}
				// Who believes Unbound says the same.
				if a, err := trusting.Lookup(t.Context(), name, q.t); verdict(a, err) != got {
					t.Errorf("%s, and by the AD bit %+v, %v", got, a, err)
				}
				if !q.delv || strings.HasPrefix(name, "nope.optout.") {
					return // delv calls a denial secure where RFC 5155 §9.2 does not, by opt-out
				}
				if want := delv.judges(t, name, q.t); got != want {
					t.Errorf("%s, and delv says %s (%+v, %v)", got, want, a, err)
				}
			})
		}
	}
	for _, verdict := range []string{"secure", "insecure", "bogus"} {
		if count[verdict] < 20 {
			t.Errorf("only %d names are %s: the zones are not what they should be", count[verdict], verdict)
		}
	}
	t.Log(count)
}

func verdict(a *resolver.Answer, err error) string {
	if e, ok := errors.AsType[*resolver.Error](err); ok {
		return e.Status.String()
	}
	if err != nil {
		return err.Error()
	}
	return a.Status.String()
}

// delv is BIND's validator, as a program.
type delv struct{ port, anchor string }

func newDelv(t *testing.T, server, anchor string) delv {
	t.Helper()
	_, port, _ := net.SplitHostPort(server)
	var lines strings.Builder
	for line := range strings.Lines(anchor) {
		if rr, err := dns.NewRR(line); err == nil && rr != nil {
			ds := rr.(*dns.DS)
			fmt.Fprintf(&lines, "trust-anchors { . static-ds %d %d %d \"%s\"; };\n", ds.KeyTag, ds.Algorithm, ds.DigestType, ds.Digest)
		}
	}
	file := filepath.Join(t.TempDir(), "anchor")
	if err := os.WriteFile(file, []byte(lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return delv{port, file}
}

// judges returns delv's verdict. Of a chain of aliases it tells each link's, and the weakest counts.
func (d delv) judges(t *testing.T, name string, qtype resolver.Type) string {
	t.Helper()
	out, _ := peer.Run(t, 20*time.Second, nil, "delv", "@127.0.0.1", "-p", d.port, "-a", d.anchor, "+root=.", "-t", qtype.String(), "-q", name)
	switch {
	case strings.Contains(out, "unsigned answer"):
		return "insecure"
	case strings.Contains(out, "fully validated"):
		return "secure"
	}
	return "bogus"
}

// TestValidatorDiffers is the table of docs/resolver.md: where verdicts are not the same.
func TestValidatorDiffers(t *testing.T) {
	const text = "mx A 192.0.2.2\n"
	p256 := []string{"ECDSAP256SHA256"}
	nsd := peer.StartNSD(t,
		peer.SignedZone{Origin: ".", Algorithms: p256},
		peer.SignedZone{Origin: "test.", Algorithms: p256},
		peer.SignedZone{Origin: "optout.test.", Text: text, Algorithms: p256, NSEC3: []string{"-t", "0", "-p"}},
		peer.SignedZone{Origin: "iterations120.test.", Text: text, Algorithms: p256, NSEC3: []string{"-t", "120"}},
		peer.SignedZone{Origin: "iterations600.test.", Text: text, Algorithms: p256, NSEC3: []string{"-t", "600"}},
		peer.SignedZone{Origin: "sha1.test.", Text: text, Algorithms: []string{"RSASHA1"}},
		peer.SignedZone{Origin: "ed448.test.", Text: text, Algorithms: []string{"ED448"}},
	)
	unbound := peer.StartUnbound(t, peer.UnboundOptions{Anchor: nsd.Anchor, Server: nsd.Addr, Zones: nsd.Zones})
	v := &resolver.Validator{Servers: []string{unbound.Addr}, Anchors: nsd.Anchor}
	delv := newDelv(t, unbound.Addr, nsd.Anchor)
	for _, row := range []struct{ name, ours, unbound, delv string }{
		{"nope.optout.test.", "insecure", "insecure", "secure"},
		{"nope.iterations120.test.", "insecure", "secure", "secure"},
		{"nope.iterations600.test.", "bogus", "insecure", "insecure"},
		{"mx.sha1.test.", "insecure", "secure", "secure"},
		{"mx.ed448.test.", "insecure", "secure", "secure"},
	} {
		a, err := v.Lookup(t.Context(), row.name, resolver.A)
		got := [3]string{verdict(a, err), judged(t, unbound.Addr, row.name, dns.TypeA), delv.judges(t, row.name, resolver.A)}
		if want := [3]string{row.ours, row.unbound, row.delv}; got != want {
			t.Errorf("%s: we, Unbound and delv say %s, want %s", row.name, got, want)
		}
	}
}
