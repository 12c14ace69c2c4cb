//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// measureShare says what the CPU does in SMTP sessions, from CPU profiles: of the gateway, and of the bare
// servers, which are the same program.
func (b *bench) measureShare(ctx context.Context) {
	for _, name := range []string{ours, demanding, bareTLS, bareProxy} {
		if ctx.Err() != nil {
			return
		}
		if !slices.Contains(proxyNames, name) {
			continue
		}
		dir := filepath.Join(b.pki.Dir, "share-"+strings.ReplaceAll(name, " ", "-"))
		b.check(b.profile(ctx, name, dir))
		shares, err := sharesOf(ctx, dir)
		b.check(err)
		for _, kind := range kinds {
			b.table.add("CPU in "+string(kind), "%", less, name, 100*shares[kind])
		}
		b.table.add("CPU outside crypto/* in all", "%", less, name, 100*(1-shares[inCrypto]))
	}
}

// profile runs sessions against a child with profiles.
func (b *bench) profile(ctx context.Context, name, dir string) (err error) {
	defer caught(&err)
	s := &scope{}
	defer s.close() // the profile is written when the child ends
	child := *b
	child.self = dir
	child.build = buildGateway(ctx, &child)
	p, err := child.start(s, name, []place{smtpPlace})
	if err != nil {
		return err
	}
	child.size.sessions = 3 * b.size.sessions
	child.sessions(ctx, s, p, smtpPlace, 300, clientTLS(tls.X25519))
	return nil
}

// A kind is what the CPU can be in.
type kind string

const (
	inCrypto    kind = "crypto/* and what it calls, but for system calls"
	inSyscalls  kind = "system calls on sockets and files"
	inCollector kind = "the collector of garbage"
	inRuntime   kind = "the scheduler and the rest of the runtime"
	inProgram   kind = "all else"
)

var kinds = []kind{inCrypto, inSyscalls, inCollector, inRuntime, inProgram}

// sharesOf reads the profiles of a folder.
func sharesOf(ctx context.Context, dir string) (map[kind]float64, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "cpu-*.pprof"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no profile in %s: %w", dir, err)
	}
	args := append([]string{"tool", "pprof", "-unit=ns", "-traces"}, files...)
	out, err := exec.CommandContext(ctx, "go", args...).Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return shares(out)
}

// shares sums the traces that pprof prints: between lines of "-----------+", the value and the innermost
// function on the first line, a caller on each line that follows.
func shares(traces []byte) (map[kind]float64, error) {
	sums, all := map[kind]float64{}, 0.0
	var value time.Duration
	var stack []string
	count := func() {
		sums[kindOf(stack)] += value.Seconds()
		all += value.Seconds()
		value, stack = 0, nil
	}
	lines := bufio.NewScanner(bytes.NewReader(traces))
	for lines.Scan() {
		switch words := strings.Fields(lines.Text()); {
		case strings.HasPrefix(lines.Text(), "-----"):
			count()
		case len(words) == 0:
		case stack == nil && value == 0:
			d, err := time.ParseDuration(words[0])
			if err != nil || len(words) < 2 {
				continue // what stands above the first trace
			}
			value, stack = d, words[1:2]
		default:
			stack = append(stack, words[0])
		}
	}
	count()
	if all == 0 {
		return nil, fmt.Errorf("the profile is empty")
	}
	for k := range sums {
		sums[k] /= all
	}
	return sums, lines.Err()
}

// kindOf tells what a stack is in, by the function nearest to its top that says it: what bytes and hash do
// is their caller's work.
func kindOf(stack []string) kind {
	for _, f := range stack {
		switch {
		case strings.Contains(f, "Epoll"): // the scheduler waits for sockets
			return inRuntime
		case begins(f, "syscall.", "internal/runtime/syscall"):
			return inSyscalls
		case begins(f, "runtime.gcBgMarkWorker", "runtime.gcAssist", "runtime.bgsweep", "runtime.bgscavenge"):
			return inCollector
		case begins(f, "crypto/", "vendor/golang.org/x/crypto/"):
			return inCrypto
		case begins(f, "starttls/", "starttls.", "main.", "net.", "internal/poll."):
			return inProgram
		}
	}
	return inRuntime
}

func begins(f string, with ...string) bool {
	return slices.ContainsFunc(with, func(w string) bool { return strings.HasPrefix(f, w) })
}
