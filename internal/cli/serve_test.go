package cli

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"starttls/internal/config"
)

// A reloading service is one whose configuration the test writes.
type reloading struct {
	*service
	t    *testing.T
	dir  string
	said *lockedBuffer
	text string
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startReloading serves one try-out server for each name, at a unix socket of that name.
func startReloading(t *testing.T, names ...string) *reloading {
	t.Helper()
	r := &reloading{t: t, dir: t.TempDir(), said: &lockedBuffer{}}
	r.service = &service{
		std:  streams{nil, r.said, r.said},
		read: func() (*config.File, error) { return config.Read("f.toml", []byte(r.text)) },
	}
	r.configure(names...)
	startService(t, r.service)
	return r
}

// startService begins to serve, to the end of the test.
func startService(t *testing.T, s *service) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		signals := make(chan os.Signal)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s.grace = 0
		s.end(ctx, signals)
	})
}

// configure writes a configuration of the named routes; a word after a colon is one more line of it.
func (r *reloading) configure(names ...string) {
	r.text = fmt.Sprintf("state = %q\ngrace = \"1h\"\n", r.dir)
	for _, name := range names {
		name, line, _ := strings.Cut(name, ":")
		r.text += fmt.Sprintf("[[route]]\nname = %q\nlisten = \"smtp+unix:%s\"\n%s\n", name, filepath.Join(r.dir, name), line)
	}
}

// A mailSession is one with a try-out server, that has begun.
type mailSession struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func (r *reloading) dial(name string) *mailSession {
	r.t.Helper()
	conn, err := net.Dial("unix", filepath.Join(r.dir, name))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	s := &mailSession{r.t, conn, bufio.NewReader(conn)}
	s.expect("220 ")
	return s
}

func (s *mailSession) expect(code string) {
	s.t.Helper()
	s.conn.SetDeadline(time.Now().Add(patience))
	if line, err := s.r.ReadString('\n'); err != nil || !strings.HasPrefix(line, code) {
		s.t.Fatalf("got %q, %v; want %s", line, err, code)
	}
}

func (s *mailSession) lives() {
	s.t.Helper()
	s.conn.Write([]byte("NOOP\r\n"))
	s.expect("250 ")
}

func TestReloadDisturbsNobody(t *testing.T) {
	r := startReloading(t, "same", "changed", "gone")
	same, changed, gone := r.dial("same"), r.dial("changed"), r.dial("gone")
	r.configure("same", "changed:max-connections = 5", "new")
	r.reload()
	for _, s := range []*mailSession{same, changed, gone} {
		s.lives()
	}
	for _, name := range []string{"same", "changed", "new"} {
		r.dial(name).lives()
	}
	if conn, err := net.Dial("unix", filepath.Join(r.dir, "gone")); err == nil {
		conn.Close()
		t.Error("a route that is gone takes connections")
	}
	if !strings.Contains(r.said.String(), "routes=3 as_before=1") {
		t.Errorf("said %s", r.said)
	}
}

// TestReloadWithAMistakeChangesNothing: it is told with its place, loudly.
func TestReloadWithAMistakeChangesNothing(t *testing.T) {
	for name, spoil := range map[string]func(r *reloading) (want string){
		"not TOML":    func(r *reloading) string { r.text += "listen"; return "f.toml:" },
		"unknown key": func(r *reloading) string { r.text += "colour = \"red\""; return "unknown key" },
		"wrong level": func(r *reloading) string { r.configure("a", "b:max-connections = -1"); return "below zero" },
		"no routes":   func(r *reloading) string { r.configure(); return "nothing to serve" },
		"two at one place": func(r *reloading) string {
			r.configure("a", "b", "b")
			return "is another route's already"
		},
		"a listener that cannot be opened": func(r *reloading) string {
			r.configure("a:max-connections = 7", "no/such/folder/b")
			return "no such file"
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := startReloading(t, "a", "b")
			before := r.dial("a")
			want := spoil(r)
			r.reload()
			before.lives()
			r.dial("a").lives()
			r.dial("b").lives()
			if said := r.said.String(); !strings.Contains(said, "the one before stays in force") || !strings.Contains(said, want) {
				t.Errorf("said %s; want %s", said, want)
			}
			r.configure("a", "b", "c")
			r.reload()
			r.dial("c").lives()
		})
	}
}

// TestReloadRefusesNoClient: the door of a route that changes is never closed.
func TestReloadRefusesNoClient(t *testing.T) {
	r := startReloading(t, "a")
	stop, stopped := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { stopped <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			conn, err := net.Dial("unix", filepath.Join(r.dir, "a"))
			if err != nil {
				t.Error(err)
				return
			}
			conn.SetDeadline(time.Now().Add(patience))
			if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, "220 ") {
				t.Errorf("after %d sessions got %q, %v", n, line, err)
			}
			conn.Close()
			n++
		}
	}()
	for i := range 20 {
		r.configure(fmt.Sprintf("a:max-connections = %d", 1000+i))
		r.reload()
	}
	close(stop)
	if n := <-stopped; n == 0 {
		t.Error("no client came")
	}
}

// TestReloadReadsAuthoritiesAgain: a route whose trusted authorities are new is no longer as before.
func TestReloadReadsAuthoritiesAgain(t *testing.T) {
	r := startReloading(t, "a")
	roots := filepath.Join(r.dir, "ca.pem")
	for _, text := range []string{"one", "two", "two"} {
		if err := os.WriteFile(roots, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r.configure(fmt.Sprintf("a:ca = %q", roots))
		r.reload()
	}
	if said := r.said.String(); strings.Count(said, "routes=1 as_before=0") != 2 || strings.Count(said, "routes=1 as_before=1") != 1 {
		t.Errorf("said %s", said)
	}
}

// TestReloadTellsWhatNeedsARestart: what is read at the start only is named, and no session suffers from it.
func TestReloadTellsWhatNeedsARestart(t *testing.T) {
	r := startReloading(t, "a")
	session := r.dial("a")
	for key, line := range map[string]string{
		"tls.tickets": "tls.tickets = \"shared\"", "metrics": "metrics.listen = \"127.0.0.1:1\"", "log": "log.format = \"json\"",
		"user": "user = \"nobody\"", "acme": "acme.http = \":80\"", "state": "",
	} {
		before := r.said.String()
		r.configure("a")
		if key == "state" {
			r.text = strings.Replace(r.text, r.dir, r.t.TempDir(), 1)
		}
		r.text = line + "\n" + r.text
		r.reload()
		said := strings.TrimPrefix(r.said.String(), before)
		if !strings.Contains(said, "level=WARN msg=\"not followed:") || !strings.Contains(said, "keys="+key+"\n") || !strings.Contains(said, "as_before=1") {
			t.Errorf("%s: said %s", key, said)
		}
	}
	session.lives()
	before := r.said.String()
	r.configure("a")
	if r.reload(); strings.Contains(strings.TrimPrefix(r.said.String(), before), "WARN") {
		t.Error("warned of a file that is as it was at the start")
	}
}

// TestAHandOverThatFailsLeavesListenersAsTheyWere: they still stop when they are told, without a client that
// comes. A program that is started with the descriptor of a listener must not make that one block.
func TestAHandOverThatFailsLeavesListenersAsTheyWere(t *testing.T) {
	r := startReloading(t, "a")
	args := os.Args
	defer func() { os.Args = args }()
	os.Args = []string{filepath.Join(r.dir, "program")}
	if err := os.WriteFile(os.Args[0], []byte("none"), 0o700); err != nil {
		t.Fatal(err)
	}
	if r.handOver() {
		t.Fatal("handed over to nobody")
	}
	r.dial("a").lives()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.configure("a:max-connections = 5")
		r.reload()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Error("the listener does not stop")
		r.dial("a") // wakes it
		<-done
	}
	r.dial("a").lives()
}

// TestReloadReadsWhatMailIsHeldTo: a route that passes mail on has changed when the operator's demands have,
// in the file that has them or by another file.
func TestReloadReadsWhatMailIsHeldTo(t *testing.T) {
	r := startReloading(t, "a")
	demands := func(name, text string) {
		t.Helper()
		file := filepath.Join(r.dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r.configure("a", "mx:backend = \"mx:\"")
		r.text = fmt.Sprintf("overrides = %q\ndns.servers = [\"127.0.0.1:1\"]\n", file) + r.text
		r.reload()
	}
	demands("1", "example.org may\n")
	for i, text := range []string{"example.org secure\n", "example.org secure\n", "example.org dane-only\n"} {
		before := r.said.String()
		demands([]string{"1", "1", "2"}[i], text)
		said, want := strings.TrimPrefix(r.said.String(), before), []string{"as_before=1", "as_before=2", "as_before=1"}[i]
		if !strings.Contains(said, want) {
			t.Errorf("%d: said %s, want %s", i, said, want)
		}
	}
}
