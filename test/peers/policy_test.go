package peers

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"starttls"
	"starttls/internal/lab"
	"starttls/test/peers/peer"
	"starttls/tlsrpt"
)

// A world is the lab at the ports of the world, with Unbound as the resolver of programs that believe theirs.
type world struct {
	*lab.Lab
	dir      string // of its files
	resolver string // Unbound's address, at port 53
	mu       sync.Mutex
	taken    map[string]*lab.Message // by recipient
}

func newWorld(t *testing.T) *world {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("ports 25, 53 and 443 need root")
	}
	w := &world{taken: map[string]*lab.Message{}}
	w.Lab, w.dir, w.resolver = labAt(t, lab.Config{Ports: lab.RealPorts, Keep: -1, Delivered: func(m lab.Message) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.taken[m.To[0]] = &m
	}})
	return w
}

// ca returns the file of whom everybody trusts.
func (w *world) ca() string { return filepath.Join(w.dir, "ca.pem") }

// sender starts a Postfix that asks a policy map.
func (w *world) sender(t *testing.T, policy string) *peer.Postfix {
	t.Helper()
	return peer.StartPostfix(t, peer.PostfixOptions{
		Domain: "-", Hostname: "sender.example.test", CAFile: w.ca(), Resolver: w.resolver,
		Main: []string{
			"smtp_dns_support_level = dnssec", "smtp_tls_security_level = dane", "smtp_tls_policy_maps = " + policy,
			"smtp_connect_timeout = 5s", "smtp_helo_timeout = 10s", "smtp_mail_timeout = 10s", "smtp_starttls_timeout = 10s",
			"default_process_limit = 20", "queue_run_delay = 1h", "minimal_backoff_time = 1h",
		},
	})
}

// policyServe starts our policy server, and returns what Postfix calls it.
func (w *world) policyServe(t *testing.T, more ...string) (string, *gateway) {
	t.Helper()
	g := launch(t, append([]string{"policy", "serve", "--state", t.TempDir(), "--listen", "inet:127.0.0.1:0", "--dns-server", w.Resolver().String(), "--dns-anchors", filepath.Join(w.dir, "anchor"),
		"--dns-probe", "test", "--ca", w.ca(), "--private-policy-hosts", "--postfix", "3.7"}, more...)...)
	var place string
	g.wait("a line about DNS", func() bool {
		_, rest, _ := strings.Cut(g.out.String(), "listening  ")
		place, _, _ = strings.Cut(rest, " ")
		return strings.Contains(rest, "DNSSEC works\n")
	})
	return "socketmap:" + place + ":postfix", g
}

// A delivery is what became of a message.
type delivery struct {
	status string // sent, deferred, bounced
	dsn    string // "4.7.5"
	verify string // Verified, Trusted, Untrusted: of the last TLS session
	taken  *lab.Message
	log    string
}

func (w *world) send(t *testing.T, p *peer.Postfix, domain string) (d delivery) {
	t.Helper()
	to, log := deliver(t, p, domain)
	d.log = log
	last := log[strings.LastIndex(log, "\n")+1:]
	for word := range strings.FieldsSeq(last) {
		if v, ok := strings.CutPrefix(word, "status="); ok {
			d.status = v
		}
		if v, ok := strings.CutPrefix(word, "dsn="); ok {
			d.dsn = strings.TrimSuffix(v, ",")
		}
	}
	for line := range strings.SplitSeq(log, "\n") {
		if word, _, ok := strings.Cut(line, " TLS connection established"); ok {
			d.verify = word
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	d.taken = w.taken[to]
	return d
}

// differs says how a delivery is not what it must be, and why that is no good.
func (d delivery) differs(want lab.Outcome) string {
	switch {
	case want.Deferrable && d.status == "deferred":
		return ""
	case want.Reply == "" && d.taken == nil:
		return d.status + ", not delivered"
	case want.Reply != "" && d.taken != nil, want.Reply == "" && d.taken.Host != want.Host:
		return "delivered to " + d.taken.Host
	case want.Reply == "" && !want.Clear && d.taken.TLS == 0:
		return "delivered in the clear"
	case want.Reply == "" && want.Level >= starttls.Verify && d.verify != "Verified":
		return "delivered, logged as " + d.verify
	case want.Reply != "" && want.Reply[4] != d.dsn[0]: // further digits are each program's own
		return d.status + " " + d.dsn
	}
	if reason := reasons(want); !reason.MatchString(d.log) {
		return d.status + ", not because of " + reason.String()
	}
	return ""
}

// reasons is what Postfix, or we by way of its log, must give as the reason of a failure: also of a host that
// was passed over.
func reasons(want lab.Outcome) *regexp.Regexp {
	text := map[tlsrpt.ResultType]string{
		tlsrpt.StartTLSNotSupported:    `TLS is required, but (was not offered|host .* refused to start TLS)`,
		tlsrpt.CertificateHostMismatch: `hostname mismatch`,
		tlsrpt.CertificateExpired:      `certificate has expired`,
		tlsrpt.CertificateNotTrusted:   `untrusted issuer|self-signed certificate`,
		tlsrpt.DNSSECInvalid:           `TLSA lookup|Name service error`,
		tlsrpt.ValidationFailure:       `Cannot start TLS|lost connection|TLS handshake`,
	}[want.Result]
	switch {
	case want.Reply == "" && want.Level < starttls.Verify:
		text = "" // what nobody enforces Postfix does not look at
	case want.Reason == tlsrpt.ReasonDANENoMatch:
		text = `no matching DANE TLSA records`
	case want.Reason == tlsrpt.ReasonMXNotInPolicy: // as we say it; as Postfix finds it
		text = `MTA-STS mx: .* is not in the policy of|hostname mismatch`
	}
	return regexp.MustCompile(text)
}

// itsOwn is where Postfix has its own way whoever answers it, and what that is.
var itsOwn = map[string]string{
	"dane-insecure-mx.test":            "delivered, logged as Trusted", // matched all the same
	"banner-masked-asterisk-may.test":  "delivered in the clear",       // a banner without ESMTP is answered by HELO
	"banner-masked-asterisk-sts.test":  "deferred, not delivered",
	"banner-masked-asterisk-dane.test": "deferred, not delivered",
	"command-x-sts.test":               "bounced 5.5.1", // 5yz for STARTTLS is final
	"command-x-dane.test":              "bounced 5.5.1",
	"starttls-501-sts.test":            "bounced 5.5.4",
	"starttls-501-dane.test":           "bounced 5.5.4",
	"injected-response-sts.test":       "delivered to mx.injected-response-sts.test", // what was injected is thrown away
	"injected-response-dane.test":      "delivered to mx.injected-response-dane.test",
	// What Postfix's language cannot say: see docs/policy-serve.md.
	"sts-name-pattern.test": "delivered to mx.sts-name-pattern.test",
	"sts-dane-mixed.test":   "delivered to mx1.sts-dane-mixed.test",
}

// Postfix, with our policy map and Unbound, delivers to each of the lab's domains or not, as it must, and for
// the right reason.
func TestPostfixByPolicyServe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	policy, g := w.policyServe(t)
	p := w.sender(t, policy)
	for _, d := range w.Domains() {
		if d.Slow || d.Name == manyTLSA {
			continue
		}
		t.Run(d.Name, func(t *testing.T) {
			got := w.send(t, p, d.Name)
			if differs := got.differs(d.Outcome); differs != itsOwn[d.Name] {
				t.Errorf("it must be %s\nand is %s\n%s", d.Outcome, cmp.Or(differs, "that"), got.log)
			}
		})
	}
	g.quiet()
}

// Beside postfix-mta-sts-resolver, which knows no DANE and overrides what Postfix is configured to do. The
// table in the docs is what comes out here.
func TestPostfixBesideMTASTSResolver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	policy, _ := w.policyServe(t)
	other := peer.StartMTASTS(t, peer.MTASTSOptions{Resolver: w.resolver, CAFile: w.ca()})
	ours, theirs := w.sender(t, policy), w.sender(t, "socketmap:inet:"+other.Addr+":postfix")
	docs, err := os.ReadFile("../../docs/policy-serve.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, d := range w.Domains() {
		if d.Slow || d.Name == manyTLSA {
			continue
		}
		a, b := w.send(t, ours, d.Name), w.send(t, theirs, d.Name)
		one, two := a.differs(d.Outcome), b.differs(d.Outcome)
		if one == two {
			continue
		}
		rows++
		row := fmt.Sprintf("| `%s` | %s | %s | %s |", d.Name, d.Outcome, cmp.Or(one, "so"), cmp.Or(two, "so"))
		if !strings.Contains(string(docs), row+"\n") {
			t.Errorf("docs/policy-serve.md lacks\n%s\n%s", row, b.log)
		}
	}
	if told := strings.Count(string(docs), ".test` | "); told != rows {
		t.Errorf("docs/policy-serve.md has %d rows, and %d domains differ", told, rows)
	}
}
