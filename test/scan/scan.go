//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

// A scan is one run of this program.
type scan struct {
	program       string // is starttls with childEnv
	targets, jobs int
	time, limit   time.Duration
	out           io.Writer

	dir    string
	port   string // of the crowd
	ca     string // file of the authorities
	list   string // file of targets
	output string // file of results
}

func (s *scan) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	var err error
	if s.dir, err = os.MkdirTemp("", "starttls-scan-"); err != nil {
		return err
	}
	defer os.RemoveAll(s.dir)
	stop, err := s.startLab()
	if err != nil {
		return err
	}
	defer stop()
	s.output = filepath.Join(s.dir, "result.jsonl")
	if s.list, err = s.writeTargets("targets", s.targets); err != nil {
		return err
	}
	killed, err := s.part(ctx, part{jobs: s.jobs, list: s.list, output: s.output, kill: s.targets / 2, after: s.time / 2})
	if err != nil {
		return err
	}
	if killed.targets == 0 || killed.targets >= s.targets {
		return fmt.Errorf("the scan was not killed in the middle: %d of %d results", killed.targets, s.targets)
	}
	if fit := max(2*killed.targets, killed.targets+s.jobs); s.time > 0 && fit < s.targets { // the time was up before
		s.targets = fit
		if s.list, err = s.writeTargets("targets", s.targets); err != nil {
			return err
		}
	}
	resumed, err := s.part(ctx, part{jobs: s.jobs, list: s.list, output: s.output})
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "killed with %d of %d targets done, resumed\n", killed.targets, s.targets)
	if err := s.exactlyOnce(); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "each of %d targets is in the output exactly once\n\n", s.targets)
	killed.tell(s.out, "up to the kill")
	resumed.tell(s.out, "after it")
	return s.inFlight(ctx)
}

// startLab starts the crowd and learns its port.
func (s *scan) startLab() (stop func(), err error) {
	s.ca = filepath.Join(s.dir, "ca.pem")
	cmd := s.child("lab", "--crowd", "127.64.0.0/10", "--net", "127.29.0.0/16", "--dir", s.dir, "tls.test", "clear.test", "self-signed.test", "old-tls.test")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := answersAt.FindSubmatch(lines.Bytes()); m != nil {
			s.port = string(m[1])
			go io.Copy(io.Discard, out)
			return stop, nil
		}
	}
	stop()
	return nil, fmt.Errorf("the lab did not start")
}

var answersAt = regexp.MustCompile(`answers at port (\d+)`)

// child is this program as starttls. It dies with us.
func (s *scan) child(args ...string) *exec.Cmd {
	cmd := exec.Command(s.program, args...)
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// target is the nth address of the crowd.
func (s *scan) target(n int) string {
	return fmt.Sprintf("smtp://127.%d.%d.%d:%s", 64+n>>16, n>>8&0xff, n&0xff, s.port)
}

func (s *scan) writeTargets(name string, n int) (path string, err error) {
	path = filepath.Join(s.dir, name)
	var list bytes.Buffer
	for i := range n {
		list.WriteString(s.target(i) + "\n")
	}
	return path, os.WriteFile(path, list.Bytes(), 0o644)
}

// A part is one run of the scanner.
type part struct {
	jobs         int
	list, output string
	kill         int           // when so many results are written, if not zero
	after        time.Duration // or after so long
}

// due reports whether the scanner is to be killed.
func (p part) due(results int, took time.Duration) bool {
	return p.kill > 0 && results >= p.kill || p.after > 0 && took >= p.after && results > 0
}

// A figure is what a part took.
type figure struct {
	targets    int
	took, core time.Duration // of the clock, and of cores
	looks      []look
}

// A look is what was seen of a scanner at work.
type look struct {
	results  int
	resident int64 // bytes
}

func (f figure) tell(w io.Writer, what string) {
	fmt.Fprintf(w, "%-15s %8d hosts in %6.1f s, %5.0f a second; %5.0f a second for each core of its own; RSS", what, f.targets, f.took.Seconds(),
		float64(f.targets)/f.took.Seconds(), float64(f.targets)/f.core.Seconds())
	for _, percent := range []int{10, 50, 100} {
		fmt.Fprintf(w, " %d MiB at %d %%,", f.at(percent)>>20, percent)
	}
	fmt.Fprintf(w, " %d MiB at most\n", f.most()>>20)
}

// most returns what was resident at most. The kernel's own figure (ru_maxrss) is no less than what this program
// itself had when it started the scanner.
func (f figure) most() (resident int64) {
	for _, l := range f.looks {
		resident = max(resident, l.resident)
	}
	return resident
}

// at returns what was resident when so much was done.
func (f figure) at(percent int) (resident int64) {
	if len(f.looks) == 0 {
		return 0
	}
	first := f.looks[0].results
	for _, l := range f.looks {
		if resident = l.resident; 100*(l.results-first) >= percent*f.targets {
			break
		}
	}
	return resident
}

// part has starttls scan a list.
func (s *scan) part(ctx context.Context, p part) (f figure, err error) {
	cmd := s.child("check", "--targets", p.list, "--quick", "--patience", "-1s", "--jobs", strconv.Itoa(p.jobs), "--ca", s.ca,
		"--format", "jsonl", "--output", p.output, "--resume")
	cmd.Stderr = nil // progress, and at the end that there are findings
	written := counter{path: p.output}
	before := written.lines()
	if err := cmd.Start(); err != nil {
		return f, err
	}
	defer context.AfterFunc(ctx, func() { cmd.Process.Signal(os.Interrupt) })()
	from, ended := time.Now(), make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			f.took, f.targets = time.Since(from), written.lines()-before
			f.core = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			if status := cmd.ProcessState.ExitCode(); !p.due(written.n, f.took) && status != 0 && status != 1 && ctx.Err() == nil {
				return f, fmt.Errorf("starttls check: %v", cmd.ProcessState)
			}
			return f, ctx.Err()
		case <-tick.C:
		}
		if at := resident(cmd.Process.Pid); at > 0 { // else it has ended just now
			f.looks = append(f.looks, look{written.lines(), at})
		}
		if p.due(written.n, time.Since(from)) {
			cmd.Process.Kill()
		}
	}
}

// resident returns the bytes of a process that are in memory.
func resident(pid int) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize())
}

// A counter counts the lines of a file that grows.
type counter struct {
	path string
	at   int64
	n    int
}

func (c *counter) lines() int {
	file, err := os.Open(c.path)
	if err != nil {
		return 0
	}
	defer file.Close()
	file.Seek(c.at, io.SeekStart)
	buf := make([]byte, 1<<20)
	for {
		n, err := file.Read(buf)
		c.at, c.n = c.at+int64(n), c.n+bytes.Count(buf[:n], []byte("\n"))
		if err != nil {
			return c.n
		}
	}
}

// exactlyOnce reads the output and looks for every target.
func (s *scan) exactlyOnce() error {
	file, err := os.Open(s.output)
	if err != nil {
		return err
	}
	defer file.Close()
	seen := map[string]int{}
	lines := bufio.NewReaderSize(file, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			break
		}
		var r struct{ Target string }
		if err := json.Unmarshal(line, &r); err != nil {
			return fmt.Errorf("a line that is no result: %w", err)
		}
		seen[r.Target]++
	}
	for n := range s.targets {
		if times := seen[s.target(n)]; times != 1 {
			return fmt.Errorf("%s is %d times in the output", s.target(n), times)
		}
	}
	if len(seen) != s.targets {
		return fmt.Errorf("%d targets are in the output, of %d", len(seen), s.targets)
	}
	return nil
}

// inFlight tells what one more target at the same time costs.
func (s *scan) inFlight(ctx context.Context) error {
	const few, many, size = 16, 1024, 4096
	list, err := s.writeTargets("few", min(size, s.targets))
	if err != nil {
		return err
	}
	var most [2]int64
	for i, jobs := range []int{few, many} {
		f, err := s.part(ctx, part{jobs: jobs, list: list, output: filepath.Join(s.dir, strconv.Itoa(jobs))})
		if err != nil {
			return err
		}
		most[i] = f.most()
	}
	fmt.Fprintf(s.out, "%-15s %d KiB for each target: RSS at most %d MiB with %d jobs, %d MiB with %d\n",
		"in flight", (most[1]-most[0])/(many-few)>>10, most[0]>>20, few, most[1]>>20, many)
	return nil
}
