//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"starttls/test/peers/peer"
)

// A victim is a server with flaws that are known.
type victim struct {
	name  string
	start func(*scope, *peer.PKI) string // its address
	url   string                         // scheme
	word  string                         // of testssl.sh's -t; nmap knows it by the probe
	flaws []flaw
}

// A flaw is known, and how each program says it.
type flaw struct {
	what                string
	ours, testssl, nmap string // in its output; empty: it has no such check
}

var (
	clearLogin = flaw{"login offered before TLS", "clear.mechanisms-before-tls", "", ""}
	old        = flaw{"TLS 1.0", "tls.versions", "TLS 1      offered", "TLSv1.0"}
	expired    = flaw{"certificate expired", "cert.dates", "expired", ""}
	noTLS      = flaw{"no TLS", "clear.offer", "", ""}
	anonymous  = flaw{"anonymous suites", "_anon_", "Anonymous NULL", "_anon_"}
)

var victims = []victim{
	{"exim", func(s *scope, pki *peer.PKI) string {
		return peer.StartExim(s, peer.EximOptions{Cert: pki.Expired}).StartTLS
	}, "submission", "smtp", []flaw{clearLogin, old, expired}},
	{"postfix", func(s *scope, _ *peer.PKI) string {
		return peer.StartPostfix(s, peer.PostfixOptions{}).StartTLS
	}, "smtp", "smtp", []flaw{old, anonymous}},
	{"dovecot", func(s *scope, _ *peer.PKI) string {
		return peer.StartDovecot(s, peer.DovecotOptions{}).IMAP
	}, "imap", "imap", []flaw{clearLogin}},
	{"postfix-clear", func(s *scope, _ *peer.PKI) string {
		return peer.StartPostfix(s, peer.PostfixOptions{}).Plain
	}, "submission", "smtp", []flaw{noTLS}},
}

// compareCheckers puts "starttls check" beside testssl.sh and nmap: the same servers, what each finds of the
// flaws that they are known to have, how long it took, how many connections and how many replies were waited for.
// Each server stands behind a meter that counts them.
func (b *bench) compareCheckers(ctx context.Context) {
	fmt.Printf("| server | program | found | not found | s | connections | replies |\n|-|-|-|-|-:|-:|-:|\n")
	for _, v := range victims {
		addr := v.start(b.scope, b.pki)
		for _, c := range b.checkers(v) {
			if b.quick && c.slow {
				continue
			}
			m, err := listen(addr, c.late)
			b.check(err)
			found, missed, took, err := c.look(ctx, m.addr, v.flaws)
			m.close()
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				b.Logf("%s at %s: %v", c.name, v.name, err)
				continue
			}
			fmt.Printf("| %s | %s | %s | %s | %.2f | %d | %d |\n",
				v.name, c.name, strings.Join(found, ", "), strings.Join(missed, ", "), took.Seconds(), m.count.Load(), m.replies.Load())
		}
	}
	fmt.Println()
}

// A checker looks at a server.
type checker struct {
	name string
	late time.Duration // how late each reply of the server is
	slow bool          // takes minutes
	args func(host, port string) []string
	says func(flaw) string
}

func (b *bench) checkers(v victim) []checker {
	ours := checker{
		name: "`starttls check`",
		args: func(host, port string) []string {
			return []string{b.build, "check", v.url + "://" + host + ":" + port, "--ca", b.pki.CAFile}
		},
		says: func(f flaw) string { return f.ours },
	}
	far := ours
	far.name, far.late = fmt.Sprintf("`starttls check`, replies %v late", farAway), farAway
	return []checker{ours, far, {
		name: "testssl.sh", slow: true,
		args: func(host, port string) []string {
			return []string{"testssl", "--warnings", "batch", "--color", "0", "--nodns", "min", "--add-ca", b.pki.CAFile, "-t", v.word, host + ":" + port}
		},
		says: func(f flaw) string { return f.testssl },
	}, {
		name: "nmap",
		args: func(host, port string) []string {
			return []string{"nmap", "-Pn", "-n", "-sV", "--script", "ssl-enum-ciphers,ssl-cert", "-p", port, host}
		},
		says: func(f flaw) string { return f.nmap },
	}}
}

// farAway is how late the replies of a server at some distance are.
const farAway = 50 * time.Millisecond

// checkerLimit bounds one look: testssl.sh takes minutes.
const checkerLimit = 10 * time.Minute

// look runs the checker on an address, and looks for the flaws in what it prints.
func (c checker) look(ctx context.Context, addr string, flaws []flaw) (found, missed []string, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, checkerLimit)
	defer cancel()
	host, port, _ := strings.Cut(addr, ":")
	args := c.args(host, port)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	from := time.Now()
	out, err := cmd.CombinedOutput()
	took = time.Since(from)
	if errors.Is(err, exec.ErrNotFound) {
		return nil, nil, 0, errors.New("not on this machine")
	}
	for _, f := range flaws {
		if words := c.says(f); words != "" && says(string(out), words) {
			found = append(found, f.what)
		} else {
			missed = append(missed, f.what)
		}
	}
	if ctx.Err() != nil {
		return nil, nil, 0, fmt.Errorf("not done in %v", checkerLimit)
	}
	return found, missed, took, nil
}

// says reports whether words stand in a line that says more than that all is well.
func says(out, words string) bool {
	for line := range strings.Lines(out) {
		if strings.Contains(line, words) && !strings.Contains(line, "not offered") {
			return true
		}
	}
	return false
}
