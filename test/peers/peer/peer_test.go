package peer_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starttls/test/peers/peer"
)

const limit = 20 * time.Second // for one client, on a busy machine

// serve runs body as a subtest. body returns the server's log (in its private
// folder) and its addresses; when the subtest is over, the folder, the
// processes and the listeners must be gone.
func serve(t *testing.T, name string, body func(t *testing.T) (log string, addrs []string)) {
	t.Helper()
	var log string
	var addrs []string
	ran := t.Run(name, func(t *testing.T) { log, addrs = body(t) })
	if !ran || log == "" {
		return // failed or skipped, which has been said
	}
	dir := privateDir(t, log)
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s: %s is still there", name, dir)
	}
	for _, addr := range addrs {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			t.Errorf("%s: %s still accepts", name, addr)
		}
	}
	cwds, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range cwds {
		if cwd, _ := os.Readlink(link); strings.HasPrefix(cwd, dir) {
			t.Errorf("%s: %s still runs in %s", name, link, cwd)
		}
	}
}

// privateDir is the server's own folder, of which log is a file.
func privateDir(t *testing.T, log string) string {
	t.Helper()
	for dir := filepath.Dir(log); dir != "/"; dir = filepath.Dir(dir) {
		if strings.HasPrefix(filepath.Base(dir), "starttls-") {
			return dir
		}
	}
	t.Fatalf("log %s is in no private folder", log)
	return ""
}

// client runs a program that must succeed and print want.
func client(t *testing.T, want string, env []string, program string, args ...string) {
	t.Helper()
	out, status := peer.Run(t, limit, env, program, args...)
	if status != 0 || !strings.Contains(out, want) {
		t.Fatalf("%s %v: status %d, no %q in:\n%s", program, args, status, want, out)
	}
}

// refused runs a program that must fail.
func refused(t *testing.T, env []string, program string, args ...string) {
	t.Helper()
	out, status := peer.Run(t, limit, env, program, args...)
	if status <= 0 {
		t.Fatalf("%s %v: status %d, want a failure:\n%s", program, args, status, out)
	}
}

// upgrade has OpenSSL start TLS and check the certificate. Without a protocol
// it starts with TLS.
func upgrade(t *testing.T, pki *peer.PKI, addr, protocol string, more ...string) {
	t.Helper()
	args := []string{"s_client", "-connect", addr, "-CAfile", pki.CAFile,
		"-verify_return_error", "-verify_hostname", "localhost"}
	if protocol != "" {
		args = append(args, "-starttls", protocol)
	}
	client(t, "Verification: OK", nil, "openssl", append(args, more...)...)
}

// read returns what is in a file, "" if there is none.
func read(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}

// swaks sends one message with the subject to anybody@example.test.
func swaks(t *testing.T, addr, subject string, more ...string) {
	t.Helper()
	args := []string{"--server", addr, "--helo", "client.test", "-f", "a@client.test",
		"-t", "anybody@example.test", "--header", "Subject: " + subject}
	client(t, "250", nil, "swaks", append(args, more...)...)
}

// arrived waits for n messages and checks that each subject is in one.
func arrived(t *testing.T, box peer.Maildir, subjects ...string) {
	t.Helper()
	all := strings.Join(box.WaitMail(t, len(subjects), limit), "")
	for _, s := range subjects {
		if !strings.Contains(all, "Subject: "+s+"\n") {
			t.Errorf("no message %q in %s", s, all)
		}
	}
}

func TestPKI(t *testing.T) {
	pki := peer.NewPKI(t)
	for _, c := range []struct {
		pair peer.Pair
		name string // asked for
		want string // part of the error, "" for none
	}{
		{pki.Server, "localhost", ""},
		{pki.Server, "mx.example.test", ""},
		{pki.Server, "127.0.0.1", ""},
		{pki.Server, "::1", ""},
		{pki.ServerRSA, "example.test", ""},
		{pki.Other, "localhost", "not localhost"},
		{pki.Other, "other.test", ""},
		{pki.Expired, "localhost", "expired"},
		{pki.SelfSigned, "localhost", "unknown authority"},
		{pki.Client, "client.test", "incompatible key usage"},
	} {
		onDisk, err := tls.LoadX509KeyPair(c.pair.CertFile, c.pair.KeyFile)
		if err != nil {
			t.Fatal(err)
		}
		if !onDisk.Leaf.Equal(c.pair.TLS.Leaf) {
			t.Errorf("%s is not the certificate in memory", c.pair.CertFile)
		}
		_, err = onDisk.Leaf.Verify(x509.VerifyOptions{Roots: pki.Pool, DNSName: c.name})
		if got := fmt.Sprint(err); (c.want == "") != (err == nil) || !strings.Contains(got, c.want) {
			t.Errorf("%s for %s: %v, want %q", c.pair.CertFile, c.name, err, c.want)
		}
	}
	if again := peer.NewPKI(t); !again.CA.Equal(pki.CA) || again.CAFile == pki.CAFile {
		t.Error("a second PKI must have the same authority in other files")
	}
}

func TestRun(t *testing.T) {
	out, status := peer.RunInput(t, limit, []string{"WORD=three"}, "one\n", "sh", "-c", "cat; echo two >&2; echo $WORD; exit 4")
	if out != "one\ntwo\nthree\n" || status != 4 {
		t.Errorf("got %q, status %d", out, status)
	}
	began := time.Now()
	out, status = peer.Run(t, 100*time.Millisecond, nil, "sh", "-c", "echo begun; sleep 60 & wait")
	if status != -1 || !strings.Contains(out, "begun\n") || !strings.Contains(out, "killed after 100ms") {
		t.Errorf("got %q, status %d", out, status)
	}
	if took := time.Since(began); took > limit {
		t.Errorf("the kill took %v", took)
	}
}

// stand is a T that keeps its end instead of ending the test.
type stand struct {
	testing.TB
	fatal, skip string
}

type ended struct{}

func (s *stand) Fatalf(f string, a ...any) { s.fatal = fmt.Sprintf(f, a...); panic(ended{}) }
func (s *stand) Skipf(f string, a ...any)  { s.skip = fmt.Sprintf(f, a...); panic(ended{}) }

// try runs body until it returns or ends its test.
func try(t *testing.T, body func(t peer.T)) (s *stand) {
	s = &stand{TB: t}
	defer func() {
		if r := recover(); r != nil && r != (ended{}) {
			panic(r)
		}
	}()
	body(s)
	return s
}

func TestMissingProgram(t *testing.T) {
	const want = "peer missing: no-such-program"
	for _, c := range []struct{ ci, required, fatal, skip string }{
		{"", "", "", want},
		{"true", "", want, ""},
		{"", "1", want, ""},
	} {
		t.Setenv("CI", c.ci)
		t.Setenv("STARTTLS_PEERS_REQUIRED", c.required)
		s := try(t, func(t peer.T) { peer.Need(t, "sh", "no-such-program") })
		if s.fatal != c.fatal || s.skip != c.skip {
			t.Errorf("CI=%q STARTTLS_PEERS_REQUIRED=%q: fatal %q, skip %q", c.ci, c.required, s.fatal, s.skip)
		}
	}
}

// A server that does not start says why: the end of its log is in the failure.
func TestFailedStartShowsLog(t *testing.T) {
	s := try(t, func(t peer.T) {
		peer.StartPostgres(t, peer.PostgresOptions{Settings: []string{"no_such_setting=on"}})
	})
	if s.skip != "" {
		t.Skip(s.skip)
	}
	if !strings.Contains(s.fatal, "unrecognized configuration parameter") {
		t.Errorf("failure says %q", s.fatal)
	}
}
