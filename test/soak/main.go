//go:build linux

// Command soak runs gateways for a long time with everything that befalls them in production, and fails
// if a session breaks that nothing was done to.
//
//	go run ./test/soak [-for 30m] [-idle 10000] [-half 2000]
//
// Two gateways serve every protocol that has a built-in try-out server. Clients, by package starttls, hold
// short sessions and long ones, and every byte that they hear is compared. Meanwhile routes are changed,
// removed and brought back, certificates renewed, backends killed and restarted, files with mistakes
// reloaded; the one gateway is handed over to new instances again and again, the other never, so that its
// memory can be watched; and there are clients that send noise, stop in the middle, or say nothing. A
// session must end right, unless something was done that may break it: then it is counted as aimed at.
//
// After that, one gateway holds idle sessions inside TLS, and connections that are half open, all at once.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"starttls/internal/cli"
)

// childEnv, if set, makes this program be starttls, or a backend.
const childEnv = "STARTTLS_SOAK_CHILD"

// child returns this program as one of them.
func child(what string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), childEnv+"="+what)
	return cmd
}

// beChild is what it does then.
func beChild(what string) int {
	if what == "backend" {
		return serveBackend(os.Args[1:])
	}
	return cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}

func main() {
	if what := os.Getenv(childEnv); what != "" {
		os.Exit(beChild(what))
	}
	length := flag.Duration("for", 30*time.Minute, "soak for so long; 0 leaves it out")
	idle := flag.Int("idle", 10000, "hold `N` idle sessions; 0 leaves it out")
	half := flag.Int("half", 2000, "and `N` connections that are half open")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *length, *idle, *half, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// run does both parts, in a folder that stays when one fails.
func run(ctx context.Context, length time.Duration, idle, half int, out io.Writer) error {
	dir, err := os.MkdirTemp("", "starttls-soak-")
	if err != nil {
		return err
	}
	if length > 0 {
		err = soak(ctx, dir, full(length), out)
	}
	if idle > 0 && err == nil {
		err = (&crowd{dir: dir, idle: idle, half: half, out: out}).run(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w; logs are in %s", err, dir)
	}
	return os.RemoveAll(dir)
}
