package peers

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
	for _, folder := range []string{dir, filepath.Dir(dir)} { // mail servers give root up, and read on
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
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

// manyTLSA has 300 records, of which Postfix looks at 100, and Exim at fewer, whichever.
const manyTLSA = "dane-many.test"

// A habit is what a mail server does that is not what the lab says that senders must, and why. A newer
// version may do better.
type habit struct{ status, says, why string }

var postfixHabits = map[string]habit{
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

// TestLabPostfix has a real Postfix, with a real Unbound behind it, deliver to every domain of the lab
// under its level dane: it delivers, defers and bounces as the lab says of senders that do DANE alone.
func TestLabPostfix(t *testing.T) {
	l, dir, resolver := realLab(t)
	postfix := labPostfix(t, l, dir, resolver)
	everywhere(t, l, postfixHabits, func(t *testing.T, domain string) attempt {
		_, log := deliver(t, postfix, domain)
		_, status, _ := strings.Cut(log, "status=")
		status, _, _ = strings.Cut(status, " ")
		return attempt{status, strings.Contains(log, "Verified TLS connection"), log}
	})
}

// labPostfix starts a Postfix that sends to a lab as "starttls lab --dir" has it configured, in which old
// becomes new.
func labPostfix(t *testing.T, l *lab.Lab, dir, resolver string, oldnew ...string) *peer.Postfix {
	t.Helper()
	var lines []string
	for line := range strings.Lines(strings.NewReplacer(oldnew...).Replace(l.Files(dir)["postfix.cf"])) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return peer.StartPostfix(t, peer.PostfixOptions{Hostname: "sender.test", Domain: "-", Resolver: resolver, Main: lines})
}

var eximHabits = map[string]habit{
	"dane-ta-absent.test":   {"deferred", "none usable", "GnuTLS does not take the authority from the record"},
	"dane-ta-domain.test":   {"deferred", "certificate invalid", "the MX host's is the only name that it takes"},
	"dane-agility.test":     {"sent", "CV=dane", "any record that matches will do"},
	"dane-insecure-mx.test": {"sent", "CV=yes", "it wants a secure MX"},
}

// TestLabExim is the same with Exim, whose TLS is GnuTLS's.
func TestLabExim(t *testing.T) {
	l, dir, resolver := realLab(t)
	exim := labExim(t, dir, resolver)
	everywhere(t, l, eximHabits, func(t *testing.T, domain string) attempt { return eximTries(t, exim, domain) })
}

func labExim(t *testing.T, dir, resolver string) *peer.Exim {
	t.Helper()
	return peer.StartExim(t, peer.EximOptions{
		Hostname: "sender.test", Domain: "-", Resolver: resolver, MX: true,
		Transport: []string{"tls_verify_certificates = " + filepath.Join(dir, "ca.pem"), "tls_try_verify_hosts = *"},
	})
}

// eximTries hands a message to Exim and returns what becomes of it.
func eximTries(t *testing.T, exim *peer.Exim, domain string) attempt {
	t.Helper()
	to := fmt.Sprintf("u%d@%s", rand.Uint32(), domain)
	if err := smtp.SendMail(exim.Plain, nil, "a@sender.test", []string{to}, []byte("Subject: lab\r\n\r\nhello\r\n")); err != nil {
		t.Fatal(err)
	}
	return eximTried(t, exim, to)
}

// eximTried waits for what is logged of the first try to deliver to an address.
func eximTried(t *testing.T, exim *peer.Exim, to string) attempt {
	t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		log, err := os.ReadFile(exim.Log)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(log)) {
			for mark, status := range map[string]string{" => ": "sent", " == ": "deferred", " ** ": "bounced"} {
				if strings.Contains(line, mark+to) && strings.HasSuffix(line, "\n") {
					return attempt{status, strings.Contains(line, "CV=dane"), line}
				}
			}
		}
	}
	t.Fatalf("no try to deliver to %s in %s", to, exim.Log)
	return attempt{}
}

// An attempt is the first try of a mail server to deliver to a domain.
type attempt struct {
	status string // sent, deferred, bounced
	dane   bool   // the server says that a TLSA record has matched
	log    string
}

// everywhere has a mail server deliver to all domains of a lab.
func everywhere(t *testing.T, l *lab.Lab, habits map[string]habit, try func(*testing.T, string) attempt) {
	for _, d := range l.Domains() {
		if d.Slow || d.Name == manyTLSA {
			continue
		}
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			a := try(t, d.Name)
			if h, ok := habits[d.Name]; ok {
				if a.status != h.status || !strings.Contains(a.log, h.says) {
					t.Errorf("want it %s (%s), got\n%s", h.status, h.why, a.log)
				}
				return
			}
			a.check(t, l, d)
		})
	}
}

// check holds an attempt, and what has arrived, against what must be.
func (a attempt) check(t *testing.T, l *lab.Lab, d lab.Domain) {
	t.Helper()
	want := d.DANEOnly
	status := "deferred"
	switch {
	case want.Reply == "":
		status = "sent"
	case want.Reply[0] == '5':
		status = "bounced"
	}
	if a.status != status && !(want.Deferrable && a.status == "deferred") {
		t.Errorf("want %s, got\n%s", want, a.log)
	}
	if n := l.Count(d.Name); status != "sent" && n > 0 {
		t.Errorf("want %s, and %d messages have arrived", want, n)
	}
	for _, m := range l.Messages(d.Name) {
		old := strings.HasSuffix(d.Name, "old-tls.test") // Debian's libraries may have none
		if m.Host != want.Host || want.Clear != (m.TLS == 0) && !old {
			t.Errorf("want %s, got %+v\n%s", want, m, a.log)
		}
	}
	if status == "sent" && a.dane != (want.Level == starttls.Dane) {
		t.Errorf("want %s, got\n%s", want, a.log)
	}
}
