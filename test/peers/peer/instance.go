package peer

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startLimit = 30 * time.Second // for a server to answer, on a busy machine
	stopLimit  = 5 * time.Second  // between TERM and KILL
	pollEvery  = 10 * time.Millisecond
)

// instance is one private server: its folder, its process, its logs.
type instance struct {
	t    T
	name string
	dir  string   // private, removed after the test; others may enter it
	log  string   // what the process prints
	logs []string // further files worth showing when the start fails

	limit time.Duration // for it to answer

	pid  int
	done chan struct{} // closed when the process has ended; err is set then
	err  error
}

// account is a system user that a server runs as or hands a file to.
type account struct{ uid, gid int }

// begin checks that the programs are there and makes the private folder.
func begin(t T, name string, programs ...string) *instance {
	t.Helper()
	Need(t, programs...)
	in := &instance{t: t, name: name, dir: tempDir(t, name), limit: startLimit}
	in.log = in.path("log")
	return in
}

// tempBase is where the folders are made: TMPDIR if it is set, else memory if
// there is plenty (a database is a thousand small files), else the system's.
func tempBase() string {
	const plenty = 1 << 30 // bytes; a container's usual 64 MiB is not
	if os.Getenv("TMPDIR") == "" && freeBytes("/dev/shm") >= plenty {
		return "/dev/shm"
	}
	return os.TempDir()
}

// tempDir makes a folder that goes with the test. Daemons give up root and
// must still get in, so it is open to all.
func tempDir(t T, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp(tempBase(), "starttls-"+name+"-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	t.Cleanup(func() {
		if os.Getenv("STARTTLS_PEERS_KEEP") == "1" {
			t.Logf("%s: kept %s", name, dir)
			return
		}
		os.RemoveAll(dir)
	})
	return dir
}

func (in *instance) path(elem ...string) string {
	return filepath.Join(append([]string{in.dir}, elem...)...)
}

func (in *instance) fatal(err error) {
	in.t.Helper()
	if err != nil {
		in.t.Fatalf("%s: %v", in.name, err)
	}
}

// write makes a file of the lines in the private folder and returns its path.
func (in *instance) write(name string, lines ...string) string {
	in.t.Helper()
	path := in.path(name)
	in.fatal(os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644))
	return path
}

// mkdir makes a folder in the private folder and returns its path. Only root
// can give it to another user; for anybody else it stays their own.
func (in *instance) mkdir(name string, perm os.FileMode, owner account) string {
	in.t.Helper()
	path := in.path(name)
	in.fatal(os.MkdirAll(path, 0o755))
	in.fatal(os.Chmod(path, perm)) // whatever the umask is
	in.chown(path, owner)
	return path
}

func (in *instance) chown(path string, owner account) {
	in.t.Helper()
	if os.Geteuid() == 0 {
		in.fatal(os.Chown(path, owner.uid, owner.gid))
	}
}

// account looks a system user up. A person who is not root runs everything as
// themselves, so needs no such user.
func (in *instance) account(name string) account {
	in.t.Helper()
	if os.Geteuid() != 0 {
		return account{os.Geteuid(), os.Getegid()}
	}
	u, err := user.Lookup(name)
	if err != nil {
		missing(in.t, "the user "+name)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return account{uid, gid}
}

// Ports are taken from below those that the kernel hands out: until the server has bound its own,
// nobody gets it by asking for any.
const (
	firstPort = 10_000
	lastPort  = 32_767
)

// given are the addresses that this process has taken.
var given sync.Map

// addrs finds n free addresses of 127.0.0.1.
func (in *instance) addrs(n int) []string {
	in.t.Helper()
	addrs := make([]string, 0, n)
	for tries := 0; len(addrs) < n; tries++ {
		addr := fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(lastPort+1-firstPort))
		if _, taken := given.LoadOrStore(addr, true); taken {
			continue
		}
		l, err := net.Listen("tcp4", addr)
		if err == nil {
			l.Close()
			addrs = append(addrs, addr)
		} else if tries > 1000 {
			in.fatal(err)
		}
	}
	return addrs
}

// port returns the port of an address that addrs or a caller gave.
func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}

// command prepares a program of the server, run in the private folder.
func (in *instance) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(find(program), args...)
	cmd.Dir = in.dir
	cmd.Env = environ()
	cmd.SysProcAttr = childAttr()
	return cmd
}

// as makes the command run as another user, if we may.
func as(cmd *exec.Cmd, who account) *exec.Cmd {
	if os.Geteuid() == 0 {
		runAs(cmd.SysProcAttr, who)
	}
	return cmd
}

// run runs a program that prepares the server and ends by itself.
func (in *instance) run(cmd *exec.Cmd) {
	in.t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		in.t.Fatalf("%s: %s: %v\n%s", in.name, filepath.Base(cmd.Path), err, out)
	}
}

// start runs the server until the test ends, then stops it with sig. It
// returns when every address accepts.
func (in *instance) start(cmd *exec.Cmd, sig syscall.Signal, addrs ...string) {
	in.t.Helper()
	log, err := os.OpenFile(in.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	in.fatal(err)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	in.fatal(cmd.Start())
	in.pid, in.done = cmd.Process.Pid, make(chan struct{})
	go func() {
		in.err = cmd.Wait()
		close(in.done)
	}()
	in.t.Cleanup(func() { in.stop(sig) })
	in.guard()
	for _, addr := range addrs {
		in.await(addr+" to accept", func() bool { return accepts(addr) })
	}
}

// guard starts a shell that ends the server and removes its folder if this
// program dies without running its cleanups (a test's time limit, a kill): it
// waits for the end of a pipe that nobody else holds open. A parent-death signal
// would not do, it is lost when a server changes its user.
func (in *instance) guard() {
	in.t.Helper()
	const script = `read -r _; kill -s TERM -- "-$1"; sleep 1; kill -s KILL -- "-$1"; rm -rf -- "$2"`
	cmd := exec.Command("/bin/sh", "-c", script, "guard", strconv.Itoa(in.pid), in.dir)
	cmd.SysProcAttr = childAttr()
	pipe, err := cmd.StdinPipe()
	in.fatal(err)
	in.fatal(cmd.Start())
	in.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = pipe.Close()
	})
}

// stop ends the server: asked first, then made to. The signals go to the group:
// a leader that waits for its children ends sooner, and one that does not leaves
// none behind.
func (in *instance) stop(sig syscall.Signal) {
	in.t.Helper()
	_ = signalGroup(in.pid, sig) // ended already: no such group
	select {
	case <-in.done:
	case <-time.After(stopLimit):
		in.t.Logf("%s: still running %v after %v, killed", in.name, stopLimit, sig)
	}
	_ = signalGroup(in.pid, syscall.SIGKILL)
	<-in.done
	// What the leader left behind is not our child, so cannot be waited for. Some
	// of it may have made a group of its own (vsftpd's sessions).
	for end := time.Now().Add(stopLimit); time.Now().Before(end); time.Sleep(pollEvery) {
		strays := runningIn(in.dir)
		for _, pid := range strays {
			if p, err := os.FindProcess(pid); err == nil {
				_ = p.Kill()
			}
		}
		if len(strays) == 0 && !groupRuns(in.pid) {
			return
		}
	}
}

// await polls until the condition holds. It fails the test, with the ends of
// the logs, when the server ends or its limit passes.
func (in *instance) await(what string, holds func() bool) {
	in.t.Helper()
	deadline := time.Now().Add(in.limit)
	for !holds() {
		select {
		case <-in.done:
			in.t.Fatalf("%s ended while waiting for %s: %v%s", in.name, what, in.err, in.tail())
		case <-time.After(pollEvery):
		}
		if time.Now().After(deadline) {
			in.t.Fatalf("%s: waited %v for %s%s", in.name, in.limit, what, in.tail())
		}
	}
}

// awaitGreeting waits until the server speaks first to who comes to addr. Some
// take connections before they can be stopped in order: they forget a TERM that
// comes between the two.
func (in *instance) awaitGreeting(addr string) {
	in.t.Helper()
	in.await(addr+" to greet", func() bool {
		c, err := net.DialTimeout("tcp4", addr, time.Second)
		if err != nil {
			return false
		}
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, _ := c.Read(make([]byte, 1))
		return n == 1
	})
}

// awaitLog waits until the server has printed the text.
func (in *instance) awaitLog(text string) {
	in.t.Helper()
	in.await(strconv.Quote(text)+" in the log", func() bool {
		b, _ := os.ReadFile(in.log)
		return strings.Contains(string(b), text)
	})
}

// tail returns the last lines of the logs.
func (in *instance) tail() string {
	const keep = 20
	var b strings.Builder
	for _, path := range append([]string{in.log}, in.logs...) {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		lines = lines[max(0, len(lines)-keep):]
		fmt.Fprintf(&b, "\n--- end of %s\n%s", path, strings.Join(lines, "\n"))
	}
	return b.String()
}

// accepts tells whether something listens at addr.
func accepts(addr string) bool {
	c, err := net.DialTimeout("tcp4", addr, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	// A socket can connect to itself when the kernel gives it the port that
	// it asks for: that is no server.
	return c.LocalAddr().String() != c.RemoteAddr().String()
}
