package peers

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"starttls/test/peers/peer"
)

// A mailLine is an SMTP session in the clear.
type mailLine struct {
	net.Conn
	r *bufio.Reader
}

func smtpGreeted(network, addr string) (*mailLine, error) {
	conn, err := net.Dial(network, addr)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(limit))
	l := &mailLine{conn, bufio.NewReader(conn)}
	_, err = l.r.ReadString('\n')
	return l, err
}

func (l *mailLine) noop() error {
	l.Write([]byte("NOOP\r\n"))
	_, err := l.r.ReadString('\n')
	return err
}

// instances are a program and those that it hands over to. What they say goes to files, which no
// instance that hangs can keep open for the test.
type instances struct {
	t   *testing.T
	pid int // of the one that serves
	dir string
}

func beginInstances(t *testing.T, dir string, args ...string) *instances {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(program, append([]string{"gateway"}, args...)...)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	all := &instances{t, cmd.Process.Pid, dir}
	gone := make(chan struct{})
	go func() { cmd.Wait(); close(gone) }()
	t.Cleanup(func() {
		syscall.Kill(all.pid, syscall.SIGKILL)
		cmd.Process.Kill()
		<-gone
	})
	return all
}

func (all *instances) log() string {
	text, _ := os.ReadFile(filepath.Join(all.dir, "log"))
	return string(text)
}

// next has the one that serves hand over.
func (all *instances) next() {
	all.t.Helper()
	before := all.pid
	syscall.Kill(before, syscall.SIGUSR2)
	until(all.t, "next instance", func() bool {
		found := regexp.MustCompile(`handed over.* to_pid=(\d+)\n`).FindAllStringSubmatch(all.log(), -1)
		if len(found) > 0 {
			all.pid, _ = strconv.Atoi(found[len(found)-1][1])
		}
		return all.pid != before
	})
}

// TestHandOverLosesNoConnection: a new instance takes the sockets over while clients come all the time, and
// the sessions of the one before go on.
func TestHandOverLosesNoConnection(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	all := beginInstances(t, dir, "smtp+unix:"+path, "--state", dir, "--grace", "1m")
	until(t, "listener", func() bool { _, err := os.Stat(path); return err == nil })
	before, err := smtpGreeted("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan int)
	go func() { stopped <- visits(t, path, stop) }()
	for range 3 {
		all.next()
	}
	close(stop)
	if n := <-stopped; n == 0 {
		t.Error("no client came")
	}
	if err := before.noop(); err != nil {
		t.Errorf("a session of the first instance: %v", err)
	}
	if strings.Contains(all.log(), "level=ERROR") {
		t.Errorf("the log:\n%s", all.log())
	}
}

// visits opens sessions one after the other until stop, and returns how many.
func visits(t *testing.T, path string, stop <-chan struct{}) (n int) {
	for {
		select {
		case <-stop:
			return n
		default:
		}
		l, err := smtpGreeted("unix", path)
		if err != nil {
			t.Errorf("after %d sessions: %v", n, err)
			return n
		}
		l.Close()
		n++
	}
}

// TestHandOverEndsTheBoard: while sessions of the one before go on, what is shown is of the one that serves.
func TestHandOverEndsTheBoard(t *testing.T) {
	t.Parallel()
	dir, board := t.TempDir(), "127.0.0.1:"+freePort(t)
	path := filepath.Join(dir, "s")
	all := beginInstances(t, dir, "smtp+unix:"+path, "--state", dir, "--grace", "1m", "--metrics", board)
	until(t, "listener", func() bool { _, err := os.Stat(path); return err == nil })
	before, err := smtpGreeted("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	all.next()
	live := regexp.MustCompile(`(?m)^starttls_sessions_live.* (\d+)$`)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: limit}
	for i := range 20 {
		resp, err := client.Get("http://" + board + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if n := live.FindSubmatch(text); n == nil || string(n[1]) != "0" {
			t.Fatalf("answer %d is of the instance before: %q", i, n)
		}
	}
	if err := before.noop(); err != nil {
		t.Error(err)
	}
}

// TestHandOverFollowsTheFile: a route that is gone, and a board that has moved, keep nobody from taking over.
func TestHandOverFollowsTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kept, gone, config := filepath.Join(dir, "kept"), "127.0.0.1:"+freePort(t), filepath.Join(dir, "starttls.toml")
	write := func(board, more string) {
		text := "state = \"" + dir + "\"\n[metrics]\nlisten = \"" + board + "\"\n[[route]]\nlisten = \"smtp+unix:" + kept + "\"\n"
		if err := os.WriteFile(config, []byte(text+more), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before, after := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	write(before, "[[route]]\nlisten = \"smtp://"+gone+"\"\n")
	all := beginInstances(t, dir, "--config", config)
	var l *mailLine
	until(t, "listener", func() (ok bool) {
		var err error
		l, err = smtpGreeted("tcp", gone)
		return err == nil
	})
	l.Close()
	write(after, "")
	all.next()
	if l, err := smtpGreeted("unix", kept); err != nil || l.noop() != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", after); err != nil {
		t.Error(err)
	} else {
		conn.Close()
	}
	until(t, "ends of what is gone", func() bool {
		for _, at := range []string{gone, before} {
			if conn, err := net.Dial("tcp", at); err == nil {
				conn.Close()
				return false
			}
		}
		return true
	})
}

// TestHandOverThatFailsChangesNothing: here the new instance finds a mistake in its configuration.
func TestHandOverThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, config := filepath.Join(dir, "s"), filepath.Join(dir, "starttls.toml")
	write := func(text string) {
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("state = \"" + dir + "\"\n[[route]]\nlisten = \"smtp+unix:" + path + "\"\n")
	all := beginInstances(t, dir, "--config", config)
	until(t, "listener", func() bool { _, err := os.Stat(path); return err == nil })
	write("colour = \"red\"")
	syscall.Kill(all.pid, syscall.SIGUSR2)
	until(t, "word of it", func() bool { return strings.Contains(all.log(), "this one goes on") })
	if l, err := smtpGreeted("unix", path); err != nil || l.noop() != nil {
		t.Errorf("got %v", err)
	}
}

// TestSocketActivation: the program serves the socket that the service manager gives it.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	peer.Need(t, "systemd-socket-activate")
	port := freePort(t)
	cmd := exec.Command("systemd-socket-activate", "-l", "127.0.0.1:"+port, program, "gateway", "smtp://127.0.0.1:"+port, "--state", t.TempDir())
	var log safeBuffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Signal(syscall.SIGTERM); cmd.Wait() })
	var l *mailLine
	until(t, "listener", func() (ok bool) {
		var err error
		l, err = smtpGreeted("tcp", "127.0.0.1:"+port)
		return err == nil
	})
	if t.Failed() {
		t.Fatal(log.String())
	}
	if err := l.noop(); err != nil {
		t.Errorf("%v: %s", err, log.String())
	}
	l.Close()
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}
