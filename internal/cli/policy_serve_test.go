package cli

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"starttls/internal/policy"
	"starttls/internal/zone"
)

// zones serves a small signed tree, and returns the flags that make it the DNS.
func zones(t *testing.T, configs ...zone.Config) (tree *zone.Tree, flags []string) {
	t.Helper()
	tree = &zone.Tree{}
	if err := tree.Set(configs...); err != nil {
		t.Fatal(err)
	}
	s, err := zone.Listen("127.0.0.1:0", tree.Recursor())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	anchor := filepath.Join(t.TempDir(), "anchor")
	if err := os.WriteFile(anchor, []byte(tree.Anchor()), 0o644); err != nil {
		t.Fatal(err)
	}
	return tree, []string{"--dns-server", s.Addr.String(), "--dns-anchors", anchor}
}

// A policyService is "policy serve" as a test runs it.
type policyService struct {
	t        *testing.T
	out, err *lockedBuffer
	stop     func()
	ended    chan error
}

func startPolicy(t *testing.T, args ...string) *policyService {
	t.Helper()
	p := &policyService{t: t, out: &lockedBuffer{}, err: &lockedBuffer{}, ended: make(chan error, 1)}
	cmd := newPolicyServe(streams{nil, p.out, p.err})
	cmd.SetArgs(append([]string{"--state", t.TempDir()}, args...))
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	ctx, cancel := context.WithCancel(t.Context())
	p.stop = cancel
	go func() {
		defer close(p.ended)
		p.ended <- cmd.ExecuteContext(ctx)
	}()
	t.Cleanup(p.end)
	p.said(p.out, "dns  ")
	return p
}

// end stops it.
func (p *policyService) end() {
	p.stop()
	if err := <-p.ended; err != nil {
		p.t.Errorf("%v\n%s", err, p.err)
	}
}

// said waits for a text.
func (p *policyService) said(where *lockedBuffer, text string) string {
	p.t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(where.String(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("no %q in:\n%s%s", text, p.out, p.err)
		}
	}
	return where.String()
}

var placeLine = regexp.MustCompile(`(?m)^listening  (inet|unix):(\S+) \((\w+)\)$`)

// asks says something to a listener of a protocol, and returns what comes back.
func (p *policyService) asks(protocol, request string) string {
	p.t.Helper()
	for _, m := range placeLine.FindAllStringSubmatch(p.out.String(), -1) {
		if m[3] != protocol {
			continue
		}
		network := map[string]string{"inet": "tcp", "unix": "unix"}[m[1]]
		conn, err := net.Dial(network, m[2])
		if err != nil {
			p.t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		io.WriteString(conn, request)
		conn.(interface{ CloseWrite() error }).CloseWrite()
		answer, err := io.ReadAll(conn)
		if err != nil {
			p.t.Error(err)
		}
		return string(answer)
	}
	p.t.Fatalf("no listener for %s in\n%s", protocol, p.out)
	return ""
}

// query asks by socketmap.
func (p *policyService) query(key string) string {
	p.t.Helper()
	question := "postfix " + key
	_, answer, _ := strings.Cut(strings.TrimSuffix(p.asks("socketmap", fmt.Sprintf("%d:%s,", len(question), question)), ","), ":")
	return answer
}

const digest = "abababababababababababababababababababababababababababababababab"

func TestPolicyServe(t *testing.T) {
	tree, dns := zones(t,
		zone.Config{Origin: "example", Text: `
			good             MX   10 mx.good
			mx.good          A    192.0.2.1
			_25._tcp.mx.good TLSA 3 1 1 ` + digest + `
			plain            MX   10 mx.plain
			mx.plain         A    192.0.2.2
			nothing          MX   0  .`},
		zone.Config{Origin: "bogus.example", Spoiled: true, Text: "@ MX 10 mx\nmx A 192.0.2.3"},
	)
	socket := filepath.Join(t.TempDir(), "policy")
	p := startPolicy(t, append(dns, "--dns-probe", "example", "--listen", "unix:"+socket, "--tcp-table", "inet:127.0.0.1:0", "--metrics", "127.0.0.1:0", "--postfix", "3.10")...)
	p.said(p.out, "dns        DNSSEC works\n")
	p.said(p.out, "postfix    3.10 (as told)\n")
	for key, want := range map[string]string{
		"good.example": "OK dane-only", "[mx.good.example]": "OK dane-only", "[mx.good.example]:26": "NOTFOUND ",
		"plain.example": "NOTFOUND ", ".example": "NOTFOUND ", "nothing.example": "NOTFOUND ", "no.such.example": "NOTFOUND ",
		"bogus.example": "TEMP the MX records of bogus.example could not be looked up:", "a..b": "PERM ",
	} {
		if got := p.query(key); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
	if got := p.asks("tcp", "get good.example\nget plain.example\n"); got != "200 dane-only\n500 NOTFOUND\n" {
		t.Errorf("tcp_table: got %q", got)
	}
	p.counted(`starttls_policy_answers_total{answer="dane-only",kept="true"} `, "starttls_dns_fit 1", "starttls_policy_answer_seconds_bucket", "go_goroutines")
	if status, text := p.get("/healthz"); status != 200 || text != "ok\n" {
		t.Errorf("healthz: %d %q", status, text)
	}

	// A change is seen when SIGHUP has dropped what was kept.
	if err := tree.Set(zone.Config{Origin: "example", Text: "plain MX 10 mx.plain\nmx.plain A 192.0.2.2\n_25._tcp.mx.plain TLSA 3 1 1 " + digest}); err != nil {
		t.Fatal(err)
	}
	if got := p.query("plain.example"); got != "NOTFOUND " {
		t.Errorf("before SIGHUP: got %q", got)
	}
	syscall.Kill(os.Getpid(), syscall.SIGHUP)
	p.said(p.err, "files were read again")
	if got := p.query("plain.example"); got != "OK dane-only" {
		t.Errorf("after SIGHUP: got %q", got)
	}
	p.end()
	if _, err := net.Dial("unix", socket); err == nil {
		t.Error("somebody still listens")
	}
}

// counted expects words among the metrics.
func (p *policyService) counted(words ...string) {
	p.t.Helper()
	text := p.scrape()
	for _, word := range words {
		if !strings.Contains(text, word) {
			p.t.Errorf("no %q in\n%s", word, text)
		}
	}
}

// scrape returns the metrics.
func (p *policyService) scrape() string {
	p.t.Helper()
	_, text := p.get("/metrics")
	return text
}

// get gets a path from where the metrics are.
func (p *policyService) get(path string) (status int, text string) {
	p.t.Helper()
	_, rest, _ := strings.Cut(p.out.String(), "metrics    ")
	url, _, _ := strings.Cut(rest, "/metrics\n")
	r, err := http.Get(url + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(body)
}

// The lab is answered of without any Internet.
func TestPolicyServeLab(t *testing.T) {
	p := startPolicy(t, "--lab", "--listen", "inet:127.0.0.1:0", "--postfix", "3.9")
	p.said(p.out, "dns        DNSSEC works\n")
	for key, want := range map[string]string{
		"dane-ee.test":           "OK dane-only",
		"b\xc3\xbccher.test":     "OK dane-only",
		"dane-mixed.test":        "OK dane",
		"dane-unusable.test":     "OK dane",
		"dane-insecure-mx.test":  "OK dane",
		"dane-stripped-dns.test": "TEMP ",
		"sts-enforce.test":       "OK secure match=mx.sts-enforce.test servername=hostname",
		"sts-wildcard.test":      "OK secure match=.sts-wildcard.test servername=hostname",
		"sts-testing.test":       "NOTFOUND ",
		"sts-none.test":          "NOTFOUND ",
		"sts-mismatch.test":      "TEMP MTA-STS mx: mx.sts-mismatch.test is not in the policy of sts-mismatch.test",
		"sts-and-dane.test":      "OK dane-only",
		"sts-dane-mixed.test":    "OK secure match=.sts-dane-mixed.test servername=hostname",
		"sts-dane-unusable.test": "OK secure match=mx.sts-dane-unusable.test servername=hostname",
		"mx-forged-sts.test":     "TEMP MTA-STS mx: ",
		"bogus.test":             "TEMP the MX records of bogus.test could not be looked up: ",
		"null-mx.test":           "NOTFOUND ",
		"[mx.dane-ee.test]:25":   "OK dane-only",
		"[mx.sts-enforce.test]":  "NOTFOUND ",
	} {
		if got := p.query(key); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
}

// What strangers can send has its bounds, and none makes the answer milder than it must be.
func TestPolicyServeBadInput(t *testing.T) {
	p := startPolicy(t, "--lab", "--listen", "inet:127.0.0.1:0", "--postfix", "3.10")
	for key, want := range map[string]string{
		"sts-too-long.test":         "NOTFOUND ", // 64 KiB and a byte: there is no policy
		"sts-endless.test":          "NOTFOUND ",
		"sts-bad-mx.test":           "NOTFOUND ",
		"sts-long.test":             "OK secure match=mx.sts-long.test servername=hostname policy_type=sts ",
		"sts-long-record.test":      "OK secure match=mx.sts-long-record.test servername=hostname policy_type=sts ",
		"many-mx.test":              "OK dane", // 400, of which not all were looked at
		"dane-many.test":            "OK dane-only",
		"STS-Enforce.TEST.":         "OK secure match=mx.sts-enforce.test ",
		"mx-address.test":           "NOTFOUND ",
		"127.25.0.1":                "NOTFOUND ",
		"[ipv6:::1]:25":             "NOTFOUND ",
		"..":                        "NOTFOUND ", // begins as a parent does
		"a..test":                   `PERM "a..test" is no domain name`,
		"dane-ee.test\x00":          `PERM "dane-ee.test\x00" is no domain name`,
		"dane-ee.test sts-404.test": "PERM ",
		"\xff\xfe.test":             "PERM ",
		strings.Repeat("a", 9000):   "PERM ",
	} {
		if got := p.query(key); !strings.HasPrefix(got, want) {
			t.Errorf("%.40q: got %.200q, want %q", key, got, want)
		}
	}
	if got := p.asks("socketmap", "10001:postfix "+strings.Repeat("a", 9993)+","); got != "43:PERM the request is longer than 10000 bytes," {
		t.Errorf("got %q", got)
	}
}

// A DNS that is not fit is told plainly, and TEMP is answered, nothing milder.
func TestPolicyServeWithoutDNSSEC(t *testing.T) {
	p := startPolicy(t, "--dns-server", "127.0.0.1:1", "--listen", "inet:127.0.0.1:0", "--metrics", "127.0.0.1:0", "--postfix", "auto")
	p.said(p.out, "dns        DNSSEC does not work, so no delivery can be proved safe by DANE:\n")
	p.said(p.err, "level=ERROR")
	if status, text := p.get("/healthz"); status != 503 || !strings.Contains(text, "the DNS is not fit") {
		t.Errorf("healthz: %d %q", status, text)
	}
	if got := p.query("good.example"); !strings.HasPrefix(got, "TEMP the MX records of good.example could not be looked up: ") {
		t.Errorf("got %q", got)
	}
}

// A socket that a dead process left is taken over, one that is in use is not.
func TestPolicyServeTakesOverSockets(t *testing.T) {
	_, dns := zones(t, zone.Config{Origin: "org"})
	socket := filepath.Join(t.TempDir(), "policy")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
	p := startPolicy(t, append(dns, "--listen", "unix:"+socket)...)
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	if err := (&policyServeFlags{listen: []string{"unix:" + socket}}).run(t.Context(), streams{nil, io.Discard, io.Discard}); err == nil {
		t.Error("a socket in use was taken over")
	}
	p.end()
}

// What the operator has set is told in Postfix's words, and what others have seen of a host is remembered.
func TestPolicyServeOverridesAndMemory(t *testing.T) {
	dir := t.TempDir()
	overrides := filepath.Join(dir, "overrides")
	text := "sts-enforce.test encrypt\n.sts-wildcard.test none\ndane-ee.test secure match=mx.dane-ee.test:.example.net\n" +
		"dane-ta.test fingerprint match=" + strings.Repeat("AB:", 31) + "AB\nclear.test auto\n"
	if err := os.WriteFile(overrides, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	url := "sqlite:" + filepath.Join(dir, "store.db")
	s, err := openStore(url, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	s.Hosts.Remember(t.Context(), "mx.tls.test", policy.Seen{First: now, Last: now, Version: tls.VersionTLS13})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	p := startPolicy(t, "--lab", "--listen", "inet:127.0.0.1:0", "--postfix", "3.9", "--store", url, "--overrides", overrides)
	for key, want := range map[string]string{
		"sts-enforce.test":    "OK encrypt",
		"a.sts-wildcard.test": "OK none",
		"dane-ee.test":        "OK secure match=mx.dane-ee.test:.example.net servername=hostname",
		"dane-ta.test":        "OK fingerprint match=" + strings.Repeat("AB:", 31) + "AB",
		"clear.test":          "NOTFOUND ",
		"tls.test":            "OK encrypt",
	} {
		if got := p.query(key); got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
}
