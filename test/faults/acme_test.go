//go:build linux

package faults

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starttls/internal/acme"
)

// lies of an ACME server. None of them may cost us the certificate that there is.
var lies = map[string]lie{
	"an answer of another kind":     answers("/order", func(c *ca, r *http.Response) { r.Header.Set("Content-Type", "text/html"); words("<html>")(c, r) }),
	"no JSON":                       answers("/order", words("{")),
	"an order without an end":       answers("/order", withoutEnd),
	"a chain without an end":        answers("/cert", withoutEnd),
	"a chain that is long":          answers("/cert", func(c *ca, r *http.Response) { words(strings.Repeat(string(c.chain), 100))(c, r) }),
	"a chain whose end is itself":   answers("/cert", func(c *ca, r *http.Response) { r.Header.Set("Link", "<"+c.url+`/cert>;rel="up"`) }),
	"a chain of nothing":            answers("/cert", words("")),
	"an order of other names":       answers("/order", words(`{"status":"ready","identifiers":[{"type":"dns","value":"evil.test"}],"finalize":"https://ca.test/finalize"}`)),
	"an account that is none":       answers("/account", words(`{"status":"revoked"}`)),
	"no nonce is ever good":         answers("/account", refusing("application/problem+json", `{"type":"urn:ietf:params:acme:error:badNonce"}`)),
	"a refusal in many words":       answers("/order", refusing("text/plain", strings.Repeat("no ", 50_000))),
	"soon, soon":                    processing("0"),
	"in ten years":                  processing("315360000"),
	"a certificate for another key": {certificate: func(_ *x509.Certificate, key *any) { *key = otherKey() }},
	"a certificate for other names": {certificate: func(c *x509.Certificate, _ *any) { c.DNSNames = []string{"evil.test"} }},
	"a certificate for one name":    {certificate: func(c *x509.Certificate, _ *any) { c.DNSNames = c.DNSNames[:1] }},
	"a certificate of yesterday":    {certificate: func(c *x509.Certificate, _ *any) { c.NotAfter = time.Now().Add(-time.Hour) }},
	"a certificate of tomorrow":     {certificate: func(c *x509.Certificate, _ *any) { c.NotBefore = time.Now().Add(time.Hour) }},
}

func otherKey() any {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key.Public()
}

var wanted = acme.Wanted{Names: []string{"mx.test", "mail.test"}}

// renewing is a manager whose certificate is due.
func renewing(t *testing.T, log *slog.Logger) (m *acme.Manager, c *ca) {
	t.Helper()
	c = newCA(t, "https://ca.test")
	m = &acme.Manager{Directory: c.url + "/dir", Folder: t.TempDir(), Transport: c, Log: log}
	if changed, _, err := m.Ensure(t.Context(), wanted); err != nil || !changed {
		t.Fatal(changed, err)
	}
	time.Sleep(80 * 24 * time.Hour)
	return m, c
}

// run has it work for a while.
func run(t *testing.T, m *acme.Manager, d time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	m.Run(ctx, []acme.Task{{Wanted: wanted}})
}

func file(t *testing.T, m *acme.Manager) []byte {
	t.Helper()
	text, err := os.ReadFile(m.File(wanted))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestAnACMEServerThatLies costs neither the certificate that there is nor time or memory without a bound;
// it is told in few words, and asked again until it has come to its senses.
func TestAnACMEServerThatLies(t *testing.T) {
	for name, told := range lies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				m, c := renewing(t, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError})))
				before := file(t, m)
				c.lie, c.asked = told, 0
				run(t, m, 20*time.Minute)
				if !bytes.Equal(before, file(t, m)) {
					t.Error("it is believed")
				}
				if n := strings.Count(log.String(), "certificate not obtained"); n < 1 || n > 6 {
					t.Errorf("told %d times", n)
				}
				if c.asked > 12_000 || log.Len() > 16<<10 {
					t.Errorf("%d questions, %d bytes of log", c.asked, log.Len())
				}
				c.lie = lie{}
				run(t, m, time.Hour)
				if bytes.Equal(before, file(t, m)) {
					t.Error("no certificate in the end")
				}
			})
		})
	}
}

// TestAnACMEServerThatWantsARenewalAtOnce, always: it is not asked for more than one in an hour.
func TestAnACMEServerThatWantsARenewalAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, c := renewing(t, nil)
		c.certified = 0
		c.lie = answers("/ari", func(c *ca, r *http.Response) { words(window(time.Now().AddDate(-1, 0, 0)))(c, r) })
		run(t, m, 24*time.Hour)
		if c.certified < 20 || c.certified > 25 {
			t.Errorf("%d certificates in a day", c.certified)
		}
	})
}

// TestAGatewayToWhomTheCALies goes on with the certificate that there is, and so do its clients.
func TestAGatewayToWhomTheCALies(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	newBackend(t, dir+"/back")
	c := newCA(t, "")
	c.lie = lies["a certificate for another key"]
	server := httptest.NewTLSServer(c)
	t.Cleanup(server.Close)
	c.url = server.URL
	write(t, dir+"/ca.pem", pemOf(server.Certificate().Raw))
	p := startGateway(t, dir, fmt.Sprintf("[acme]\ndirectory = \"%s/dir\"\nca = \"DIR/ca.pem\"\nhttp = \"127.0.0.1:0\"\n", c.url)+
		"[[acme.certificate]]\nnames = [\"localhost\"]\n"+route("a", "back"))
	placeholder := shown(t, p.path("a"))
	all := beginOthers(t, 3, p.path("a"))
	p.logged("level=ERROR", "certificate not obtained", "name=localhost", "what the CA gave")
	all.undisturbed(t)
	if got := shown(t, p.path("a")); !bytes.Equal(got, placeholder) {
		t.Errorf("clients are shown\n%s", got)
	}
	before := p.rests() // with what the CA is asked by
	more := beginOthers(t, 3, p.path("a"))
	more.undisturbed(t)
	more.end(t)
	p.clean(before)
	all.end(t)
}
