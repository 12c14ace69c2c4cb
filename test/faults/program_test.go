//go:build linux

package faults

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
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

	"starttls/internal/cli"
)

// patience is how long the tests wait for what must come. It is not how long they take.
const patience = 30 * time.Second

// What the test's binary is when it is started again, by the environment.
const (
	asProgram   = "STARTTLS_FAULTS"             // "program", or the name of a villain
	descriptors = "STARTTLS_FAULTS_DESCRIPTORS" // how many it may have, if not as many as others
)

func TestMain(m *testing.M) {
	if n, err := strconv.ParseUint(os.Getenv(descriptors), 10, 64); err == nil {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
			panic(err)
		}
	}
	switch role := os.Getenv(asProgram); role {
	case "":
		flag.Set("test.parallel", "8") // most of them wait
		os.Exit(m.Run())
	case "program":
		os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	default:
		villains[role](os.Args[1])
	}
}

// A program is one that runs until the test ends, in a folder of its own.
type program struct {
	t    *testing.T
	dir  string
	cmd  *exec.Cmd
	gone chan struct{} // closed when it has ended
}

// again runs a test in a process of its own, with more in its environment, and reports whether it ran.
func again(t *testing.T, env string, attr *syscall.SysProcAttr) (ran bool, err error) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.count=1")
	cmd.Env, cmd.SysProcAttr = append(os.Environ(), env), attr
	out, err := cmd.CombinedOutput()
	if _, ran = errors.AsType[*exec.ExitError](err); ran {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return ran || err == nil, err
}

// folder is a short one: paths of sockets are short.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "faults-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// prepare returns the program with its arguments. What it says goes to files, "out" and "err".
func prepare(t *testing.T, dir string, args ...string) *program {
	t.Helper()
	p := &program{t: t, dir: dir, cmd: exec.Command("/proc/self/exe", args...), gone: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), asProgram+"=program", "GORACE=atexit_sleep_ms=0")
	p.cmd.Stdout, p.cmd.Stderr = p.create("out"), p.create("err")
	return p
}

func (p *program) create(name string) *os.File {
	f, err := os.Create(filepath.Join(p.dir, name))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { f.Close() })
	return f
}

func (p *program) start() *program {
	p.t.Helper()
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() { p.cmd.Wait(); close(p.gone) }()
	p.t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.gone
		if p.t.Failed() {
			p.t.Logf("the program said:\n%s%s", p.text("out"), p.text("err"))
		}
		if text := p.text("err"); strings.Contains(text, "DATA RACE") || strings.Contains(text, "panic:") {
			p.t.Errorf("the program:\n%s", text)
		}
	})
	return p
}

// startGateway runs "starttls gateway" with a file of routes, in a folder.
func startGateway(t *testing.T, dir, routes string, edits ...func(*program)) *program {
	t.Helper()
	p := prepare(t, dir, "gateway", "--config", filepath.Join(dir, "f.toml"))
	p.configure(routes)
	for _, edit := range edits {
		edit(p)
	}
	p.start()
	p.until("the program to serve", func() bool { return strings.Contains(p.text("out"), "status  ") })
	return p
}

// configure writes the file. DIR in it is the program's folder.
func (p *program) configure(routes string) {
	p.t.Helper()
	const all = "state = \"DIR/state\"\nmetrics.listen = \"127.0.0.1:0\"\n"
	text := strings.ReplaceAll(all+routes, "DIR", p.dir)
	if err := os.WriteFile(filepath.Join(p.dir, "f.toml"), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *program) path(name string) string { return filepath.Join(p.dir, name) }

// text returns what it has written to a file.
func (p *program) text(name string) string {
	text, _ := os.ReadFile(p.path(name))
	return string(text)
}

func (p *program) signal(sig syscall.Signal) { p.cmd.Process.Signal(sig) }

// until waits for a condition that nobody signals.
func (p *program) until(what string, ok func() bool) {
	p.t.Helper()
	if err := await(ok); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

func await(ok func() bool) error { return awaitFor(patience, ok) }

func awaitFor(limit time.Duration, ok func() bool) error {
	for end := time.Now().Add(limit); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("waited %v in vain", limit)
		}
	}
	return nil
}

// logged waits for a line in the log that has all these words, and returns how many there are.
func (p *program) logged(words ...string) (n int) {
	p.t.Helper()
	p.until(fmt.Sprintf("%q in the log", words), func() bool { n = p.lines(words...); return n > 0 })
	return n
}

// lines counts the lines of the log that have all these words.
func (p *program) lines(words ...string) (n int) {
	for line := range strings.Lines(p.text("err")) {
		all := strings.HasSuffix(line, "\n")
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			n++
		}
	}
	return n
}

var statusLine = regexp.MustCompile(`(?m)^(?:status|metrics) +(http://[^/\s]+)`)

// page gets a page of its status.
func (p *program) page(path string) string {
	url := statusLine.FindStringSubmatch(p.text("out"))
	if url == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", url[1]+path, nil)
	if err != nil {
		return ""
	}
	req.Close = true // the program is counted: what we hold is held there as well
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return string(text)
}

// metric returns a number of its metrics, by the line's beginning; -1 if there is none.
func (p *program) metric(name string) float64 {
	for line := range strings.Lines(p.page("/metrics")) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err == nil {
				return n
			}
		}
	}
	return -1
}

// A held is what a program holds.
type held struct{ goroutines, descriptors int }

func (h held) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors", h.goroutines, h.descriptors)
}

// now is what it holds at this moment, the one who asks included.
func (p *program) now() held {
	files, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	return held{int(p.metric("go_goroutines")), len(files)}
}

// rests is what it holds when nobody comes: the same for a while.
func (p *program) rests() (h held) {
	p.t.Helper()
	same := 0
	p.until("the program to rest", func() bool {
		before := h
		if h = p.now(); h != before || h.goroutines < 0 {
			same = 0
		}
		same++
		return same >= 10
	})
	return h
}

// leaked reports whether the program does not come back to what it held before, within a limit.
func (p *program) leaked(before held, limit time.Duration) error {
	var h held
	err := awaitFor(limit, func() bool {
		h = p.now()
		return h.goroutines >= 0 && h.goroutines <= before.goroutines && h.descriptors <= before.descriptors
	})
	if err != nil {
		return fmt.Errorf("it holds %v, and before it was %v", h, before)
	}
	return nil
}

// clean fails the test if the program has leaked anything.
func (p *program) clean(before held) {
	p.t.Helper()
	if err := p.leaked(before, patience); err != nil {
		p.t.Error(err)
	}
}

// memory is what it has in memory, in bytes.
func (p *program) memory() int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kilobytes, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := strconv.ParseInt(kilobytes, 10, 64)
	return n << 10
}

// route is one of the file: at DIR/name, to DIR/back, with TLS demanded in front. More lines may follow.
func route(name, back string, lines ...string) string {
	return fmt.Sprintf("[[route]]\nname = %q\nlisten = \"smtp+unix:DIR/%[1]s?tls=encrypt\"\nbackend = \"smtp+unix:DIR/%s\"\n%s\n",
		name, back, strings.Join(lines, "\n"))
}
