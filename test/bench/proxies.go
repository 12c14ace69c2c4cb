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
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"starttls/test/peers/peer"
)

// The proxies, in the order of the table.
const (
	ours      = "gateway"
	demanding = "gateway, encrypt" // with tls=encrypt in front: the backend is dialled inside TLS
	bareTLS   = "bare TLS"
	bareProxy = "bare proxy"
	stunnel   = "stunnel"
	nginx     = "nginx"
	also      = "also" // with -also
)

var proxyNames = []string{ours, demanding, bareTLS, bareProxy, stunnel, nginx}

// once are those to measure where it makes no difference for the gateway when it dials.
func once() []string {
	return slices.DeleteFunc(slices.Clone(proxyNames), func(name string) bool { return name == demanding })
}

// A place is where a proxy serves one protocol, with one of two certificates.
type place struct {
	protocol string
	rsa      bool
}

var (
	smtpPlace    = place{"smtp", false}
	imapPlace    = place{"imap", false}
	smtpRSAPlace = place{"smtp", true}
)

// cert is the certificate of a place.
func (b *bench) cert(at place) peer.Pair {
	if at.rsa {
		return b.pki.ServerRSA
	}
	return b.pki.Server
}

// A proxy is one of them, running, in front of the backend.
type proxy struct {
	name   string
	addrs  map[place]string
	groups map[place]int // process groups
}

// mostClients is how many clients from one address the gateway is told to take.
const mostClients = 12_000

// startAll starts those proxies of names that are on the machine.
func (b *bench) startAll(s *scope, names []string, at ...place) (all []*proxy) {
	for _, name := range names {
		p, err := b.start(s, name, at)
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

func (b *bench) start(s *scope, name string, places []place) (p *proxy, err error) {
	defer caught(&err)
	p = &proxy{name, map[place]string{}, map[place]int{}}
	for _, at := range places {
		switch name {
		case ours:
			b.startGateway(s, p, at, b.build, "may")
		case demanding:
			b.startGateway(s, p, at, b.build, "encrypt")
		case also:
			b.startGateway(s, p, at, b.also, "may")
		case bareTLS:
			b.startBare(s, p, at, "")
		case bareProxy:
			b.startBare(s, p, at, b.backendOf(at))
		case stunnel:
			b.startStunnel(s, p, at)
		case nginx:
			b.startNginx(s, p, at)
		}
	}
	return p, nil
}

func (b *bench) startNginx(s *scope, p *proxy, at place) {
	n := peer.StartNginx(s, peer.NginxOptions{
		Cert: b.cert(at), IMAP: b.back.imap, SMTP: b.back.smtp,
		Workers: runtime.NumCPU(), Connections: int(descriptors()),
	})
	p.addrs[at], p.groups[at] = map[string]string{"smtp": n.SMTP, "imap": n.IMAP}[at.protocol], n.PID
}

// startStunnel starts stunnel with its default log; nginx and the gateway write one or two lines for each
// session.
func (b *bench) startStunnel(s *scope, p *proxy, at place) {
	st := peer.StartStunnel(s, peer.StunnelOptions{
		Protocol: at.protocol, Backend: b.backendOf(at), Cert: b.cert(at), Debug: "notice",
	})
	p.addrs[at], p.groups[at] = st.Addr, st.PID
}

func (b *bench) startGateway(s *scope, p *proxy, at place, program, level string) {
	var env []string
	if program == b.build {
		env = b.profiles(at.protocol)
	}
	cert, most := b.cert(at), strconv.Itoa(mostClients)
	// The gateway chooses the port: one that we had found free could be another's by now.
	b.startChild(s, p, at, program, env,
		"gateway", at.protocol+"://127.0.0.1:0?tls="+level, at.protocol+"://"+b.backendOf(at)+"?tls=none",
		"--cert", cert.CertFile, "--key", cert.KeyFile, "--max-connections", most, "--max-per-address", most)
}

// startChild starts a program that tells where it listens.
func (b *bench) startChild(s *scope, p *proxy, at place, program string, env []string, args ...string) {
	log, err := os.CreateTemp(b.pki.Dir, "child-*.log")
	s.check(err)
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Stderr = log
	// A group of its own: an interrupt at the terminal is ours to handle. If we are killed, so is it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Env = append(os.Environ(), env...)
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
		s.Fatalf("%s does not start: %w\n%s", p.name, err, said)
	}
	p.addrs[at], p.groups[at] = addr, cmd.Process.Pid
}

// listening returns the address that a child tells on its first line, "listening  smtp://ADDRESS (…".
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
	case ours, demanding, also, bareTLS, bareProxy:
		return "built by " + runtime.Version()
	case stunnel:
		return firstLines(exec.Command("stunnel4", "-version"), 3)
	}
	return firstLines(exec.Command("/usr/sbin/nginx", "-V"), 3)
}
