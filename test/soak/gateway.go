//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A gateway is "starttls gateway --config" as a process, and those that it hands over to.
type gateway struct {
	name  string
	dir   string
	board string // HOST:PORT of its metrics

	order   sync.Mutex // one order is given at a time
	journal *journal
	first   *exec.Cmd
	ended   chan struct{} // the first instance has
	pid     int           // of the one that serves
	before  []int         // of those before it
}

func (g *gateway) file() string { return filepath.Join(g.dir, g.name+".toml") }

func (g *gateway) write(config string) error {
	return os.WriteFile(g.file(), []byte(config), 0o600)
}

// start starts it with the file as it is, and waits until its board is there.
func (g *gateway) start(ctx context.Context) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close()
	if g.journal, err = follow(r, filepath.Join(g.dir, g.name+".log")); err != nil {
		return err
	}
	g.first = child("starttls", "gateway", "--config", g.file())
	g.first.Stderr = w
	if err := g.first.Start(); err != nil {
		return err
	}
	g.pid, g.ended = g.first.Process.Pid, make(chan struct{})
	go func() { g.first.Wait(); close(g.ended) }()
	return until(ctx, g.name+" serves", func() bool {
		_, err := g.scrape(ctx)
		return err == nil
	})
}

// noInstance is said when a hand-over fails.
const noInstance = "no new instance, this one goes on"

// reload has the file read again. said is the beginning of what the log must say of it.
func (g *gateway) reload(ctx context.Context, said string) error {
	return g.signal(ctx, syscall.SIGHUP, said)
}

// errStarved is a new instance that had no time to begin: the one before it goes on, as it must.
var errStarved = errors.New("the machine is too busy for a new instance to begin in time")

// handOver has a new instance take over.
func (g *gateway) handOver(ctx context.Context) error {
	starved := g.journal.count(noInstance)
	err := g.signal(ctx, syscall.SIGUSR2, "handed over", noInstance)
	switch {
	case err != nil:
		return err
	case g.journal.count(noInstance) > starved:
		if why := g.journal.last(noInstance); !strings.Contains(why, "signal: killed") { // for it took too long
			return errors.New(why)
		}
		return errStarved
	}
	_, pid, _ := strings.Cut(g.journal.last("handed over"), "to_pid=")
	next, err := strconv.Atoi(strings.TrimSpace(pid))
	if err != nil {
		return err
	}
	g.before, g.pid = append(g.before, g.pid), next
	return nil
}

// signal gives an order and waits until the log says one of those things of it.
func (g *gateway) signal(ctx context.Context, sig syscall.Signal, said ...string) error {
	n := g.journal.count(said...)
	if err := syscall.Kill(g.pid, sig); err != nil {
		return fmt.Errorf("%s: %w", g.name, err)
	}
	return until(ctx, fmt.Sprintf("%s says %q", g.name, said), func() bool { return g.journal.count(said...) > n })
}

// instances returns how many of its processes there are.
func (g *gateway) instances() int {
	g.order.Lock()
	defer g.order.Unlock()
	var left []int
	for _, pid := range g.before {
		if alive(pid) {
			left = append(left, pid)
		}
	}
	g.before = left
	return 1 + len(left)
}

// alive reports whether a process is there and has not ended.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(state, "Z")
}

// stop has it end by itself, and reports whether it did. The status of an instance that another has started
// is not ours to know.
func (g *gateway) stop(ctx context.Context) error {
	g.order.Lock()
	defer g.order.Unlock()
	syscall.Kill(g.pid, syscall.SIGTERM)
	if err := until(ctx, g.name+" has ended", func() bool { return !alive(g.pid) }); err != nil {
		return err
	}
	if g.pid != g.first.Process.Pid {
		return nil
	}
	<-g.ended
	if state := g.first.ProcessState; !state.Success() {
		return fmt.Errorf("%s has ended with %s", g.name, state)
	}
	return nil
}

// kill ends all that is left of it.
func (g *gateway) kill() {
	if g.first == nil || g.first.Process == nil {
		return
	}
	for _, pid := range append(g.before, g.pid) {
		if alive(pid) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	<-g.ended
}

// scrape returns its metrics, those of one name added up.
func (g *gateway) scrape(ctx context.Context) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+g.board+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	req.Close = true // the next is answered by whichever instance serves then
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	found := make(map[string]float64)
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if i := strings.LastIndexByte(lines.Text(), ' '); i > 0 {
			value = lines.Text()[i+1:]
		}
		name, _, _ = strings.Cut(name, "{")
		n, err := strconv.ParseFloat(value, 64)
		if err == nil {
			found[name] += n
		}
	}
	return found, lines.Err()
}

// until waits for a condition, for as long as patience.
func until(ctx context.Context, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("it did not come to pass"))
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// A journal is the log of a gateway, as it is written.
type journal struct {
	mu    sync.Mutex
	said  map[string]int    // how often, by message
	lasts map[string]string // the last line of each
	wrong []string          // lines that no soak may bring forth
}

// maxWrong is how many of those are kept.
const maxWrong = 20

// follow reads a log until all who write it have ended, and copies it to a file.
func follow(r io.ReadCloser, name string) (*journal, error) {
	file, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	j := &journal{said: make(map[string]int), lasts: make(map[string]string)}
	go func() {
		defer r.Close()
		defer file.Close()
		lines := bufio.NewScanner(io.TeeReader(r, file))
		for lines.Scan() {
			j.add(lines.Text())
		}
	}()
	return j, nil
}

// expected are errors that the soak brings about and looks at itself.
var expected = []string{"configuration not reloaded", "certificate not reloaded", noInstance}

func (j *journal) add(line string) {
	_, said, ok := strings.Cut(line, " msg=")
	if word, quoted := strings.CutPrefix(said, `"`); quoted {
		said, _, _ = strings.Cut(word, `"`)
	} else {
		said, _, _ = strings.Cut(said, " ")
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.said[said]++
	j.lasts[said] = line
	bad := !ok || strings.Contains(line, " level=ERROR ") // what is no line of the log is a panic, or a race
	if slices.ContainsFunc(expected, func(begin string) bool { return strings.HasPrefix(said, begin) }) {
		bad = false
	}
	if bad && len(j.wrong) < maxWrong {
		j.wrong = append(j.wrong, line)
	}
}

// count returns how often any of these was said, each the beginning of a message.
func (j *journal) count(what ...string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for said, times := range j.said {
		if slices.ContainsFunc(what, func(begin string) bool { return strings.HasPrefix(said, begin) }) {
			n += times
		}
	}
	return n
}

// last returns the last line of a message.
func (j *journal) last(said string) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lasts[said]
}

// complaints returns the lines that should not be there.
func (j *journal) complaints() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.wrong)
}
