//go:build linux

// Command scan has "starttls check --quick" scan a crowd of mail servers, kills it in the middle with
// SIGKILL, lets it go on, and looks whether each target is in the output exactly once. It tells how fast
// that was and what memory it took.
//
//	go run ./test/scan [-targets N] [-time DURATION] [-jobs N] [-limit DURATION]
//
// With -time it is as many of the targets as fit: the scanner is killed when half of the time is gone, and has
// half of the targets then.
//
// The servers are those of the lab, in a process of their own on the same machine: every address of
// 127.64.0.0/10 is like one of them. What is told for a core is what the scanner alone has used.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"starttls/internal/cli"
)

// childEnv, if set, makes this program be starttls.
const childEnv = "STARTTLS_SCAN_CHILD"

func main() {
	if os.Getenv(childEnv) != "" {
		os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	s := scan{program: os.Args[0], out: os.Stdout}
	flag.IntVar(&s.targets, "targets", 20000, "scan `N` addresses, at most four million")
	flag.IntVar(&s.jobs, "jobs", 256, "`N` at the same time")
	flag.DurationVar(&s.time, "time", 0, "as many of the targets as fit into so long; 0 is all of them")
	flag.DurationVar(&s.limit, "limit", 10*time.Minute, "give up after so long, whatever is done")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := s.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "scan:", err)
		os.Exit(1)
	}
}
