package peers

import (
	"fmt"
	"math/rand/v2"
	"net/smtp"
	"regexp"
	"strings"
	"testing"
	"time"

	"starttls/test/peers/peer"
)

// Mail servers other than Postfix, asking as docs/policy-serve.md has them ask: what the table "sts" demands
// of domains of the lab, and why the mail waits, as Exim and as Sendmail say it; "" if it does not wait.
var othersObey = []struct{ domain, exim, sendmail string }{
	{"sts-enforce.test", "", ""},
	{"sts-wildcard.test", "", ""},
	{"sts-testing.test", "", ""},
	{"sts-testing-name.test", "", ""},
	{"sts-none.test", "", ""},
	{"sts-404.test", "", ""},
	{"tls.test", "", ""},
	{"clear.test", "", ""},
	{"sts-name.test", "certificate verification failed", "mx.sts-name.test not listed in SANs"},
	{"sts-name-pattern.test", "certificate verification failed", "mx.sts-name-pattern.test not listed in SANs"},
	{"sts-untrusted.test", "certificate verification failed.*: certificate invalid", "403 4.7.0 authentication failed"},
	{"sts-expired.test", "certificate verification failed.*: certificate invalid", "403 4.7.0 authentication failed"},
	{"sts-no-tls.test", "a TLS session is required, but the server did not offer TLS", "403 4.7.0 other side does not support STARTTLS"},
	{"sts-mismatch.test", "what TLS it demands is not known", "sts map: lookup .*: deferred"},
	{"mx-forged-sts.test", "what TLS it demands is not known", "sts map: lookup .*: deferred"},
}

// submit gives a message for somebody at a domain to a mail server.
func submit(t *testing.T, addr, domain string) (to string) {
	t.Helper()
	to = fmt.Sprintf("u%d@%s", rand.Uint32(), domain)
	if err := smtp.SendMail(addr, nil, "a@sender.test", []string{to}, []byte("Subject: "+domain+"\r\n\r\nhello\r\n")); err != nil {
		t.Fatal(err)
	}
	return to
}

// came reports whether a message for an address has reached the lab.
func (w *world) came(to string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.taken[to] != nil
}

// Exim asks by readsocket, and does DANE on its own.
func TestEximByPolicyServe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	place, _ := w.policyServe(t)
	place = strings.TrimSuffix(strings.TrimPrefix(place, "socketmap:"), ":postfix")
	exim := peer.StartExim(t, peer.EximOptions{
		Hostname: "sender.example.test", Domain: "-", MX: true, Resolver: w.resolver,
		Main: []string{
			`POLICY = ${readsocket{` + place + `}{${strlen:sts $domain}:sts $domain,}{30s}{}{0:TEMP}}`,
			`DEMANDED = ${if match{POLICY}{^\\d+:OK secure }{*}}`,
		},
		Routers: []string{
			"unknown:", "  driver = redirect", "  allow_defer", "  data = :defer: what TLS it demands is not known",
			`  condition = ${if match{POLICY}{^\\d+:(OK|NOTFOUND) }{no}{yes}}`,
		},
		Transport: []string{
			"hosts_require_tls = DEMANDED", "tls_verify_hosts = DEMANDED", "tls_verify_cert_hostnames = DEMANDED", "tls_sni = $host",
			"tls_verify_certificates = " + w.ca(),
		},
	})
	for _, row := range othersObey {
		t.Run(row.domain, func(t *testing.T) {
			to := submit(t, exim.Plain, row.domain)
			tried := eximTried(t, exim, to)
			if waits := tried.status == "deferred"; waits != (row.exim != "") || waits == w.came(to) || !regexp.MustCompile(row.exim).MatchString(tried.log) {
				t.Errorf("came %t, Exim says\n%s", w.came(to), tried.log)
			}
		})
	}
}

// Sendmail has a map for it.
func TestSendmailByPolicyServe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	place, _ := w.policyServe(t)
	_, port, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(place, "socketmap:inet:"), ":postfix"), ":")
	sendmail := peer.StartSendmail(t, peer.SendmailOptions{
		Hostname: "sender.example.test", CAFile: w.ca(), Resolver: w.resolver,
		Config: []string{"FEATURE(`sts', `socket -T<TMPF> inet:" + port + "@127.0.0.1')dnl"},
	})
	for _, row := range othersObey {
		t.Run(row.domain, func(t *testing.T) {
			to := submit(t, sendmail.Plain, row.domain)
			var waits string
			for end := time.Now().Add(limit); !w.came(to) && waits == "" && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
				waits = sendmail.Waits(to)
			}
			if (waits != "") != (row.sendmail != "") || !regexp.MustCompile(row.sendmail).MatchString(waits) {
				t.Errorf("came %t, Sendmail says %q", w.came(to), waits)
			}
		})
	}
}
