//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"starttls/test/peers/peer"
)

// The proxies, in the order of the table.
const (
	ours    = "gateway"
	stunnel = "stunnel"
	nginx   = "nginx"
	also    = "also" // with -also
)

var proxyNames = []string{ours, stunnel, nginx}

// A proxy is one of them, running, in front of the backend.
type proxy struct {
	name   string
	addrs  map[string]string // by protocol
	groups map[string]int    // process groups, by protocol
}

// idleLimit is how many clients from one address the gateway is told to take.
const idleLimit = 8000

// startAll starts all proxies that are on the machine.
func (b *bench) startAll(s *scope) (all []*proxy) {
	for _, name := range proxyNames {
		p, err := b.start(s, name)
		switch {
		case missing(err):
			if !b.said[name] {
				s.Logf("%s is left out: %v", name, err)
			}
			b.said[name] = true
			continue
		case err != nil:
			panic(err)
		}
		all = append(all, p)
	}
	return all
}

func (b *bench) start(s *scope, name string) (p *proxy, err error) {
	defer caught(&err)
	p = &proxy{name, map[string]string{}, map[string]int{}}
	switch name {
	case ours:
		b.startGateway(s, p, b.build, "smtp", b.back.smtp)
		b.startGateway(s, p, b.build, "imap", b.back.imap)
	case also:
		b.startGateway(s, p, b.also, "smtp", b.back.smtp)
		b.startGateway(s, p, b.also, "imap", b.back.imap)
	case stunnel:
		b.startStunnel(s, p, "smtp", b.back.smtp)
		b.startStunnel(s, p, "imap", b.back.imap)
	case nginx:
		n := peer.StartNginx(s, peer.NginxOptions{
			Cert: b.pki.Server, IMAP: b.back.imap, SMTP: b.back.smtp,
			Workers: runtime.NumCPU(), Connections: descriptors,
		})
		p.addrs["smtp"], p.addrs["imap"] = n.SMTP, n.IMAP
		p.groups["smtp"], p.groups["imap"] = n.PID, n.PID
	}
	return p, nil
}

// startStunnel starts stunnel with its default log; nginx and the gateway write one or two lines for each
// session.
func (b *bench) startStunnel(s *scope, p *proxy, protocol, back string) {
	st := peer.StartStunnel(s, peer.StunnelOptions{
		Protocol: protocol, Backend: back, Cert: b.pki.Server, Debug: "notice",
	})
	p.addrs[protocol], p.groups[protocol] = st.Addr, st.PID
}

func (b *bench) startGateway(s *scope, p *proxy, program, protocol, back string) {
	// The gateway chooses the port: one that we had found free could be another's by now.
	args := []string{
		"gateway", protocol + "://127.0.0.1:0", protocol + "://" + back + "?tls=none",
		"--cert", b.pki.Server.CertFile, "--key", b.pki.Server.KeyFile,
		"--max-connections", strconv.Itoa(idleLimit), "--max-per-address", strconv.Itoa(idleLimit),
	}
	log, err := os.CreateTemp(b.pki.Dir, "gateway-*.log")
	s.check(err)
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Stderr = log
	// A group of its own: an interrupt at the terminal is ours to handle. If we are killed, so is it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if b.self != "" && program == b.build {
		cmd.Env = append(os.Environ(), selfEnv+"="+filepath.Join(b.self, protocol))
	}
	out, err := cmd.StdoutPipe()
	s.check(err)
	s.check(startLocked(cmd))
	s.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) // sessions may end: none is left by now
		kill := time.AfterFunc(5*time.Second, func() { cmd.Process.Kill() })
		cmd.Wait()
		kill.Stop()
	})
	addr, err := listening(out)
	if err != nil {
		said, _ := os.ReadFile(log.Name())
		s.Fatalf("the gateway does not start: %w\n%s", err, said)
	}
	p.addrs[protocol], p.groups[protocol] = addr, cmd.Process.Pid
}

// listening returns the address that the gateway tells on its first line, "listening  smtp://ADDRESS (…".
func listening(out io.Reader) (string, error) {
	r := bufio.NewReader(out)
	line, err := r.ReadString('\n')
	go io.Copy(io.Discard, r)
	_, addr, _ := strings.Cut(line, "://")
	addr, _, _ = strings.Cut(addr, " ")
	if err == nil && addr == "" {
		err = fmt.Errorf("it says %q", line)
	}
	return addr, err
}

// starter is the thread that starts gateways. The kernel sends Pdeathsig when the thread that started a
// child ends, not the process, so it must be one that stays.
var starter = func() chan func() {
	jobs := make(chan func())
	go func() {
		runtime.LockOSThread()
		for job := range jobs {
			job()
		}
	}()
	return jobs
}()

func startLocked(cmd *exec.Cmd) error {
	done := make(chan error)
	starter <- func() { done <- cmd.Start() }
	return <-done
}

// buildGateway returns the gateway's program, built from this source; with -self, that is this program.
func buildGateway(ctx context.Context, b *bench) string {
	if b.self != "" {
		self, err := os.Executable()
		b.check(err)
		for _, protocol := range []string{"smtp", "imap"} {
			b.check(os.MkdirAll(filepath.Join(b.self, protocol), 0o755))
		}
		return self
	}
	program := filepath.Join(b.pki.Dir, "starttls")
	out, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program, "starttls/cmd/starttls").CombinedOutput()
	if err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// version returns what a proxy calls itself.
func version(name string) string {
	switch name {
	case ours, also:
		return "built by " + runtime.Version()
	case stunnel:
		return firstLines(exec.Command("stunnel4", "-version"), 3)
	}
	return firstLines(exec.Command("/usr/sbin/nginx", "-V"), 3)
}
