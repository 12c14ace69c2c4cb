package peers

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"starttls/test/peers/peer"
)

// limit is how long anything may take on a busy machine.
const limit = 20 * time.Second

// atOnce makes a program with the race detector end as fast as one without, not after a second.
const atOnce = "GORACE=atexit_sleep_ms=0"

// A gateway is a running program.
type gateway struct {
	Addr string // of a TCP listener
	Host string // the same, with a name that a certificate can have
	Port string

	t      *testing.T
	cmd    *exec.Cmd
	log    safeBuffer    // standard error
	out    safeBuffer    // standard output
	exited chan struct{} // closed when it has ended; err is set then
	err    error

	mayFail bool // errors in the log are part of the test
	killed  bool
}

// begin starts "starttls gateway" with the certificate of the tests where it needs one. When the test
// is over it is stopped by SIGTERM and must have ended well.
func begin(t *testing.T, pki *peer.PKI, args ...string) *gateway {
	t.Helper()
	args = append([]string{"gateway", "--state", t.TempDir(), "--name", "gateway.example.test", "--grace", "10s"}, args...)
	if !slices.Contains(args, "--cert") {
		args = append(args, "--cert", pki.Server.CertFile, "--key", pki.Server.KeyFile)
	}
	g := launch(t, args...)
	g.announced()
	return g
}

// launch starts the program, and stops it like begin.
func launch(t *testing.T, args ...string) *gateway {
	t.Helper()
	return launched(t, exec.Command(program, args...))
}

func launched(t *testing.T, cmd *exec.Cmd) *gateway {
	t.Helper()
	g := &gateway{t: t, cmd: cmd, exited: make(chan struct{})}
	out, err := g.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	g.cmd.Stderr = &g.log
	g.cmd.Env = append(append(os.Environ(), atOnce), g.cmd.Env...)
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() { defer close(read); g.readOut(bufio.NewScanner(out)) }()
	go func() { <-read; g.err = g.cmd.Wait(); close(g.exited) }()
	t.Cleanup(g.stop)
	return g
}

func (g *gateway) readOut(lines *bufio.Scanner) {
	for lines.Scan() {
		g.out.Write(append(lines.Bytes(), '\n'))
	}
}

// announced waits for the line that says where the program listens.
func (g *gateway) announced() {
	g.t.Helper()
	var url string
	g.wait("the announcement", func() bool {
		_, rest, _ := strings.Cut(g.out.String(), "listening  ")
		line, _, whole := strings.Cut(rest, "\n")
		url, _, _ = strings.Cut(line, " ")
		return whole
	})
	_, g.Addr, _ = strings.Cut(url, "://")
	g.Port = g.Addr[strings.LastIndex(g.Addr, ":")+1:]
	g.Host = "localhost:" + g.Port
}

// wait polls until the condition holds. It fails the test if that takes too long or the program ends.
func (g *gateway) wait(what string, holds func() bool) {
	g.t.Helper()
	for end := time.Now().Add(limit); !holds(); time.Sleep(5 * time.Millisecond) {
		select {
		case <-g.exited:
			if !holds() {
				g.t.Fatalf("the gateway ended (%v) before %s:\n%s", g.err, what, g.log.String())
			}
		default:
		}
		if time.Now().After(end) {
			g.t.Fatalf("no %s in %v:\n%s", what, limit, g.log.String())
		}
	}
}

// logged waits for a line of the log that has all the words.
func (g *gateway) logged(words ...string) {
	g.t.Helper()
	g.wait(strings.Join(words, " ")+" in the log", func() bool {
		return slices.ContainsFunc(strings.Split(g.log.String(), "\n"), func(line string) bool {
			return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) })
		})
	})
}

// quiet checks that the log has told of nothing wrong up to now.
func (g *gateway) quiet() {
	g.t.Helper()
	if log := g.log.String(); strings.Contains(log, "level=WARN") {
		g.t.Errorf("a warning in the log:\n%s", log)
	}
}

func (g *gateway) signal(sig syscall.Signal) {
	g.t.Helper()
	if err := g.cmd.Process.Signal(sig); err != nil {
		g.t.Fatalf("%v: %v", sig, err)
	}
}

// ended waits for the end of the program.
func (g *gateway) ended() {
	g.t.Helper()
	select {
	case <-g.exited:
	case <-time.After(limit):
		g.cmd.Process.Kill()
		<-g.exited
		g.t.Errorf("the gateway did not end in %v", limit)
	}
}

// stop ends the program and checks how it went.
func (g *gateway) stop() {
	g.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	g.ended()
	log := g.log.String()
	if g.err != nil && !g.killed {
		g.t.Errorf("the gateway ended with %v", g.err)
	}
	for _, bad := range []string{"panic", "DATA RACE", "level=ERROR"} {
		if strings.Contains(log, bad) && !(g.mayFail && bad == "level=ERROR") {
			g.t.Errorf("%s in the log", bad)
		}
	}
	if strings.Contains(log, peer.Password) {
		g.t.Errorf("the password is in the log")
	}
	if g.t.Failed() {
		g.t.Logf("%v\n%s%s", g.cmd.Args, g.out.String(), log)
	}
}

// safeBuffer is a buffer that is read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// replace puts a file in the place of another at once, as tools that renew certificates do.
func replace(t *testing.T, name, with string) {
	t.Helper()
	text, err := os.ReadFile(with)
	if err == nil {
		err = os.WriteFile(name+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	if err != nil {
		t.Fatal(err)
	}
}
