package peers

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"starttls"
	"starttls/internal/lab"
	"starttls/test/peers/peer"
)

// realLab starts a lab at the ports of the world, and a real Unbound on it. It needs root.
func realLab(t *testing.T) (l *lab.Lab, dir, resolver string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("ports 25, 53 and 443 need root")
	}
	return labAt(t, lab.Config{Ports: lab.RealPorts})
}

// labAt starts a lab, and a real Unbound as "starttls lab --dir" has it configured, from the root down if
// the port is that of the DNS. It returns where that answers.
func labAt(t *testing.T, c lab.Config) (l *lab.Lab, dir, resolver string) {
	t.Helper()
	c.Net = netip.MustParsePrefix(fmt.Sprintf("127.%d.0.0/16", 26+rand.IntN(200)))
	l, err := lab.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	dir = t.TempDir()
	for name, text := range l.Files(dir) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	first, _, _ := strings.Cut(l.Resolver().Addr().String(), ".0.3")
	resolver = first + ".0.53"
	peer.StartUnbound(t, peer.UnboundOptions{Conf: filepath.Join(dir, "unbound.conf"), Listen: fmt.Sprintf("%s:%d", resolver, l.Ports().DNS)})
	return l, dir, resolver
}

// TestLabUnbound has a real Unbound judge domains of the lab, as who uses it at free ports and as who uses
// it at those of the world would have it.
func TestLabUnbound(t *testing.T) {
	labs := map[string]lab.Ports{"free": {}}
	if os.Geteuid() == 0 {
		labs["real"] = lab.RealPorts
	}
	for name, ports := range labs {
		t.Run(name, func(t *testing.T) {
			l, _, resolver := labAt(t, lab.Config{Ports: ports})
			addr := fmt.Sprintf("%s:%d", resolver, l.Ports().DNS)
			for name, want := range map[string]string{
				"dane-ee.test.": "secure", "dane-nsec3.test.": "secure", "dane-ed25519.test.": "secure", "nowhere.test.": "secure",
				"tls.test.": "insecure", "island.test.": "insecure", "dane-unknown-algorithm.test.": "insecure",
				"bogus.test.": "bogus", "bogus-expired.test.": "bogus", "bogus-ds.test.": "bogus", "mx-forged-dane.test.": "bogus",
			} {
				if got := judged(t, addr, name, dns.TypeMX); got != want {
					t.Errorf("%s: Unbound says %s, want %s", name, got, want)
				}
			}
		})
	}
}

// otherwise is where Postfix 3.7 does not do what the lab says that senders must, and what it does. A
// newer one may do better.
var otherwise = map[string]struct{ status, says, why string }{
	"injected-response-may.test":       {"sent", "Trusted TLS", "it throws the bytes away, and TLS goes on"},
	"injected-response-sts.test":       {"sent", "Trusted TLS", "it throws the bytes away, and TLS goes on"},
	"injected-response-dane.test":      {"sent", "Verified TLS", "it throws the bytes away, and TLS goes on"},
	"starttls-501-dane.test":           {"bounced", "refused to start TLS", "it takes a 5xx to STARTTLS for the end"},
	"command-x-dane.test":              {"bounced", "refused to start TLS", "it takes a 5xx to STARTTLS for the end"},
	"banner-masked-asterisk-may.test":  {"sent", "disable_esmtp", "it says HELO to what looks like a PIX, and so goes on in the clear"},
	"banner-masked-asterisk-sts.test":  {"sent", "disable_esmtp", "it says HELO to what looks like a PIX, and so goes on in the clear"},
	"banner-masked-asterisk-dane.test": {"deferred", "disable_esmtp", "it says HELO to what looks like a PIX"},
	"dane-insecure-mx.test":            {"sent", "Trusted TLS", "it calls verified what is reached by a secure MX alone"},
}

// manyTLSA has 300 records, of which Postfix looks at 100, whichever.
const manyTLSA = "dane-many.test"

// TestLabPostfix has a real Postfix, with a real Unbound behind it, deliver to every domain of the lab
// under its level dane: it delivers, defers and bounces as the lab says of senders that do DANE alone.
func TestLabPostfix(t *testing.T) {
	l, dir, resolver := realLab(t)
	var lines []string
	for line := range strings.Lines(l.Files(dir)["postfix.cf"]) {
		lines = append(lines, strings.TrimSpace(line))
	}
	postfix := peer.StartPostfix(t, peer.PostfixOptions{Hostname: "sender.test", Domain: "-", Resolver: resolver, Main: lines})
	for _, d := range l.Domains() {
		if d.Slow || d.Name == manyTLSA {
			continue
		}
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			_, log := deliver(t, postfix, d.Name)
			if known, ok := otherwise[d.Name]; ok {
				if !strings.Contains(log, "status="+known.status) || !strings.Contains(log, known.says) {
					t.Errorf("want it %s (%s), Postfix says\n%s", known.status, known.why, log)
				}
				return
			}
			labelled(t, l, d, log)
		})
	}
}

// labelled holds what Postfix says of a delivery, and what has arrived, against what must be.
func labelled(t *testing.T, l *lab.Lab, d lab.Domain, log string) {
	t.Helper()
	want := d.DANEOnly
	status := "deferred"
	switch {
	case want.Reply == "":
		status = "sent"
	case want.Reply[0] == '5':
		status = "bounced"
	}
	if !strings.Contains(log, "status="+status) && !(want.Deferrable && strings.Contains(log, "status=deferred")) {
		t.Errorf("want %s, Postfix says\n%s", want, log)
	}
	if n := l.Count(d.Name); status != "sent" && n > 0 {
		t.Errorf("want %s, and %d messages have arrived", want, n)
	}
	for _, m := range l.Messages(d.Name) { // Debian's OpenSSL has no old TLS
		if m.Host != want.Host || want.Clear != (m.TLS == 0) && !strings.HasSuffix(d.Name, "old-tls.test") {
			t.Errorf("want %s, got %+v; Postfix says\n%s", want, m, log)
		}
	}
	if verified := strings.Contains(log, "Verified TLS connection"); status == "sent" && verified != (want.Level == starttls.Dane) {
		t.Errorf("want %s, Postfix says\n%s", want, log)
	}
}
