//go:build linux

package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"syscall"
	"time"

	"starttls/internal/cli"
)

// selfEnv, if set, makes this program be the gateway, or a bare server, and names the folder for its
// profiles. It is a process of its own then too, so that the profiles hold nothing of the clients.
const selfEnv = "STARTTLS_BENCH_SELF"

// snapshotSignal asks such a gateway for a heap profile.
const snapshotSignal = syscall.SIGUSR1

// asChild returns what this program is when it has started itself, nil if it has not.
func asChild() func(args []string) int {
	run := func(args []string) int { return cli.Main(args, os.Stdin, os.Stdout, os.Stderr) }
	protocol, dir := os.Getenv(bareEnv), os.Getenv(selfEnv)
	if protocol != "" {
		run = func(args []string) int { return runBare(protocol, args) }
	}
	switch {
	case dir != "":
		return func(args []string) int { return profiled(dir, args, run) }
	case protocol != "":
		return run
	}
	return nil
}

// profiled runs with profiles: cpu-PID.pprof of its whole life; heap-PID-N.pprof,
// goroutines-PID-N.txt and memstats-PID-N.txt for each snapshot, the last at the end.
func profiled(dir string, args []string, run func([]string) int) int {
	runtime.MemProfileRate = 64 << 10
	name := func(kind string, n int) string {
		return filepath.Join(dir, fmt.Sprintf("%s-%d-%d", kind, os.Getpid(), n))
	}
	cpu, err := os.Create(name("cpu", 0) + ".pprof")
	if err == nil {
		err = pprof.StartCPUProfile(cpu)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, snapshotSignal)
	n := 0
	go func() {
		for range asked {
			snapshot(name, n)
			n++
		}
	}()
	status := run(args)
	pprof.StopCPUProfile()
	cpu.Close()
	snapshot(name, n)
	return status
}

// snapshot writes what is known of the memory, first as it is and then of what is alive.
func snapshot(name func(string, int) string, n int) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	text := memstats("as it is", &m)
	runtime.GC()
	runtime.ReadMemStats(&m)
	text += memstats("collected", &m)
	os.WriteFile(name("memstats", n)+".txt", []byte(text), 0o644)
	profile("heap", name("heap", n)+".pprof", 0)
	profile("goroutine", name("goroutines", n)+".txt", 1)
}

func memstats(when string, m *runtime.MemStats) string {
	return fmt.Sprintf("%s: mallocs %d total %d | heap alloc %d inuse %d idle %d released %d objects %d | stack %d | gcsys %d other %d mspan %d | sys %d | goroutines %d | gc %d\n",
		when, m.Mallocs, m.TotalAlloc, m.HeapAlloc, m.HeapInuse, m.HeapIdle, m.HeapReleased, m.HeapObjects,
		m.StackInuse, m.GCSys, m.OtherSys, m.MSpanInuse, m.Sys, runtime.NumGoroutine(), m.NumGC)
}

func profile(kind, path string, debug int) {
	f, err := os.Create(path)
	if err != nil {
		return
	}
	defer f.Close()
	pprof.Lookup(kind).WriteTo(f, debug)
}

// snapshot asks the gateway for one, with -self.
func (b *bench) snapshot(p *proxy, at place) {
	if b.self == "" || p.name != ours {
		return
	}
	syscall.Kill(p.groups[at], snapshotSignal)
	time.Sleep(300 * time.Millisecond)
}

// profiles returns the environment of a child that puts profiles into a folder, with -self.
func (b *bench) profiles(folder string) []string {
	if b.self == "" {
		return nil
	}
	dir := filepath.Join(b.self, folder)
	b.check(os.MkdirAll(dir, 0o755))
	return []string{selfEnv + "=" + dir}
}
