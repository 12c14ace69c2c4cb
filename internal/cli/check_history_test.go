package cli

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"starttls/dane/danetest"
)

// A fickle is a mail server that has TLS, or has not, from one run to the next.
type fickle struct {
	leaf  atomic.Pointer[danetest.Cert]
	clear atomic.Bool
	busy  atomic.Bool // puts everybody off
}

func (f *fickle) start(t *testing.T) string { return f.listen(t, "tcp", "127.0.0.1:0") }

func (f *fickle) listen(t *testing.T, network, address string) string {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go f.serve(conn)
		}
	}()
	return ln.Addr().String()
}

func (f *fickle) serve(conn net.Conn) {
	defer func() { conn.Close() }()
	if f.busy.Load() {
		fmt.Fprint(conn, "421 later\r\n")
		return
	}
	offers := !f.clear.Load()
	fmt.Fprint(conn, "220 mx.example.org ESMTP\r\n")
	for in := bufio.NewScanner(conn); in.Scan(); {
		switch verb, _, _ := strings.Cut(in.Text(), " "); {
		case verb == "EHLO" && offers:
			fmt.Fprint(conn, "250-mx.example.org\r\n250 STARTTLS\r\n")
		case verb == "EHLO":
			fmt.Fprint(conn, "250 mx.example.org\r\n")
		case verb == "STARTTLS" && offers:
			fmt.Fprint(conn, "220 go\r\n")
			offers = false // inside
			leaf := f.leaf.Load()
			secured := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Certificate.Raw}, PrivateKey: leaf.Key}}})
			conn, in = secured, bufio.NewScanner(secured)
		case verb == "QUIT":
			fmt.Fprint(conn, "221 bye\r\n")
			return
		default:
			fmt.Fprint(conn, "502 no\r\n")
		}
	}
}

// checkQuickly is a run with a history in a folder.
func checkQuickly(dir, roots string, args ...string) (string, int) {
	var out, err bytes.Buffer
	args = append([]string{"check", "--quick", "--timeout", "30s", "--patience=-1s", "--ca", roots, "--store", "sqlite:" + filepath.Join(dir, "checks.db")}, args...)
	status := Main(args, strings.NewReader(""), &out, &err)
	return out.String(), status
}

// TestNoAttackPushesOutWhatWasThere: not even one that is another in each of more runs than are kept, nor if nobody is
// let through now and then.
func TestNoAttackPushesOutWhatWasThere(t *testing.T) {
	current := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(80*24*time.Hour)
	}
	issue := func(by *danetest.Cert) *danetest.Cert {
		return danetest.Issue(t, by, "", []string{"mx.example.org"}, current)
	}
	ca := danetest.Issue(t, nil, "CA", nil, danetest.CA, current)
	dir := t.TempDir()
	roots := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(roots, danetest.PEM(t, ca), 0o600); err != nil {
		t.Fatal(err)
	}
	var server fickle
	server.leaf.Store(issue(ca))
	socket := filepath.Join(dir, "s")
	target := "smtp+unix:" + server.listen(t, "unix", socket) + "?match=mx.example.org"
	if out, status := checkQuickly(dir, roots, target); status != 0 {
		t.Fatal(status, out)
	}
	for i := range 12 {
		server.leaf.Store(issue(danetest.Issue(t, nil, fmt.Sprint("villain ", i), nil, danetest.CA, current)))
		if out, _ := checkQuickly(dir, roots, target); !strings.Contains(out, "strip.tls-intercepted") || !strings.Contains(out, "  changed       certificate: ") {
			t.Fatalf("run %d tells nothing:\n%s", i, out)
		}
		os.Rename(socket, socket+".away")
		if out, status := checkQuickly(dir, roots, target); status != 2 || !strings.Contains(out, "  changed       reach: ") {
			t.Fatalf("run %d, let through by nobody: %d\n%s", i, status, out)
		}
		os.Rename(socket+".away", socket)
	}
	server.leaf.Store(issue(ca))
	if out, status := checkQuickly(dir, roots, target); status != 0 || !strings.Contains(out, "  changed       certificate: ") {
		t.Errorf("when it is over: %d\n%s", status, out)
	}
}

// TestCheckSaysWhatHasChanged: run after run, of one server and of many.
func TestCheckSaysWhatHasChanged(t *testing.T) {
	current := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(80*24*time.Hour)
	}
	ca := danetest.Issue(t, nil, "CA", nil, danetest.CA, current)
	issue := func() *danetest.Cert { return danetest.Issue(t, ca, "", []string{"mx.example.org"}, current) }
	dir := t.TempDir()
	roots, list := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "targets")
	var server, other fickle
	server.leaf.Store(issue())
	other.leaf.Store(issue())
	target := "smtp://" + server.start(t) + "?match=mx.example.org"
	targets := fmt.Sprintf("%s\nsmtp://%s?match=mx.example.org\n", target, other.start(t))
	for name, text := range map[string][]byte{roots: danetest.PEM(t, ca), list: []byte(targets)} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check := func(args ...string) (string, int) { return checkQuickly(dir, roots, args...) }
	for _, row := range []struct {
		name    string
		before  func()
		args    []string
		status  int
		want    []string
		without string
	}{
		{"first", nil, []string{target}, 0, []string{"tested"}, "since"},
		{"again", nil, []string{target}, 0, []string{"nothing has changed since 20"}, "changed   "},
		{"put off", func() { server.busy.Store(true) }, []string{target}, 2, []string{"not-testable", "nothing has changed since"}, "changed   "},
		{"and as before", func() { server.busy.Store(false) }, []string{target}, 0, []string{"nothing has changed since"}, "changed   "},
		{"never reached", nil, []string{"smtp://127.0.0.1:1"}, 2, nil, "since"},
		{"never reached, again", nil, []string{"smtp://127.0.0.1:1"}, 2, nil, "since"},
		{"from another place", nil, []string{target, "--here", "home"}, 0, nil, "since"},
		{"another key", func() { server.leaf.Store(issue()) }, []string{target}, 0, []string{"  changed       certificate: ", "; 1 change since"}, "strip."},
		{"stripped", func() { server.clear.Store(true) }, []string{target}, 1, []string{"  changed       tls: not offered; on 20", "BAD   strip.capability-removed", "(possible)", "it offered TLS on 20"}, "nothing has changed"},
		{"and still", nil, []string{target}, 1, []string{"BAD   strip.capability-removed", "nothing has changed since"}, "  changed  "},
		{"as JSON", nil, []string{target, "--format", "json"}, 1, []string{`"before": "20`, `"grade": "possible"`}, `"changes"`},
		{"from the other place", nil, []string{target, "--here", "home", "--format", "json"}, 1, []string{`"changes": [`, `"what": "tls"`, `"was": "offered"`}, ""},
		{"many", func() { server.clear.Store(false) }, []string{"--targets", list, "--format", "line"}, 0, []string{"; changed: tls, clear.offer"}, "strip."},
		{"many again", func() { other.clear.Store(true) }, []string{"--targets", list, "--format", "line"}, 1, []string{"strip.capability-removed; changed: tls"}, ""},
		{"for a monitor", nil, []string{target, "--format", "nagios"}, 0, []string{"changes=0;"}, ""},
	} {
		if row.before != nil {
			row.before()
		}
		out, status := check(row.args...)
		if status != row.status || row.without != "" && strings.Contains(out, row.without) {
			t.Errorf("%s: status %d, want %d\n%s", row.name, status, row.status, out)
		}
		for _, want := range row.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: it does not say %q\n%s", row.name, want, out)
			}
		}
	}
}

// TestCheckWithoutItsStore: who asks for a history gets no run without.
func TestCheckWithoutItsStore(t *testing.T) {
	for url, want := range map[string]int{"checks.db": statusUsage, "postgres://nobody@127.0.0.1:1/none?sslmode=disable": statusFailed} {
		var out, err bytes.Buffer
		if status := Main([]string{"check", "smtp://127.0.0.1:1", "--store", url}, strings.NewReader(""), &out, &err); status != want || !strings.Contains(err.String(), "--store: ") || out.Len() > 0 {
			t.Errorf("%s: %d %s%s", url, status, &err, &out)
		}
	}
}
