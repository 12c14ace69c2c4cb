package peers

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/miekg/dns"

	"starttls/internal/zone"
	"starttls/test/peers/peer"
)

// Two policy servers share what they know of MTA-STS by one PostgreSQL, and what that has confirmed survives
// the end of either, however it ends.
func TestPolicyServersShareAStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := peer.StartPostgres(t, peer.PostgresOptions{})
	url := fmt.Sprintf("postgres://%s:%s@%s/postgres?sslmode=disable", peer.User, peer.Password, p.Addr)
	begin := func(url string) (*gateway, string) {
		place, g := w.policyServe(t, "--store", url, "--state", t.TempDir(), "--metrics", "127.0.0.1:0")
		g.mayFail = true // the alarms of policies that cannot be fetched
		return g, place
	}
	first := []string{"sts-enforce.test", "sts-wildcard.test"}
	second := []string{"sts-second.test", "sts-name.test"}
	a, atA := begin(url)
	b, atB := begin(url)
	for _, domain := range first {
		asksPolicy(t, atA, domain, "secure match=")
	}
	a.confirmed()
	w.hidePolicies(t, first)
	for _, domain := range first { // that it cannot fetch
		asksPolicy(t, atB, domain, "secure match=")
	}
	a.kill()
	for _, domain := range second {
		asksPolicy(t, atB, domain, "secure match=")
	}
	b.confirmed()
	b.kill()

	w.hidePolicies(t, second)
	_, atC := begin(url)
	_, atD := begin("sqlite:" + t.TempDir() + "/empty.db")
	for _, domain := range append(first, second...) {
		asksPolicy(t, atC, domain, "secure match=")
		asksPolicy(t, atD, domain, "") // who has not seen it has nothing
	}
}

// hidePolicies takes policy hosts out of the DNS.
func (w *world) hidePolicies(t *testing.T, domains []string) {
	t.Helper()
	for _, domain := range domains {
		w.Zones().Lie("mta-sts."+domain, dns.TypeA, zone.Code(dns.RcodeServerFailure))
	}
}

// asksPolicy asks a policy map, for an answer that begins so; none if that is empty.
func asksPolicy(t *testing.T, at, key, want string) {
	t.Helper()
	config := t.TempDir()
	if err := os.WriteFile(filepath.Join(config, "main.cf"), []byte("compatibility_level = 3.6\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, _ := peer.Run(t, limit, nil, "postmap", "-c", config, "-q", key, at)
	if !strings.HasPrefix(out, want) || want == "" && out != "" {
		t.Errorf("%s says %q of %s, want %q", at, out, key, want)
	}
}

// confirmed waits until nothing waits to be written.
func (g *gateway) confirmed() {
	g.t.Helper()
	_, rest, _ := strings.Cut(g.out.String(), "metrics    ")
	url, _, _ := strings.Cut(rest, "\n")
	g.wait("what waits to be written", func() bool {
		r, err := http.Get(url)
		if err != nil {
			g.t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		return err == nil && strings.Contains(string(text), "starttls_store_waiting 0\n") && strings.Contains(string(text), "starttls_store_up 1\n")
	})
}

// kill ends the program without a word of warning.
func (g *gateway) kill() {
	g.t.Helper()
	g.killed = true
	g.signal(syscall.SIGKILL)
	g.ended()
}
