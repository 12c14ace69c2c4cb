package peer

import (
	"bytes"
	"context"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// RunUntil runs a client that does not end by itself, until a condition on what
// it has printed so far holds or limit has passed, and ends it. It returns all
// that the client printed, and whether the condition held. A client that is
// missing skips the test. env and standard input are those of Run.
func RunUntil(t T, limit time.Duration, env []string, until func(output string) bool, program string, args ...string) (output string, held bool) {
	t.Helper()
	Need(t, program)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()

	out := new(lockedBuffer)
	cmd := exec.CommandContext(ctx, find(program), args...)
	cmd.Env = environ(env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = childAttr()
	cmd.Cancel = func() error { return signalGroup(cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // as in RunInput
	if err := cmd.Start(); err != nil {
		t.Fatalf("running %s: %v", program, err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // killed, or gone too early: seen by the condition
		close(ended)
	}()
	for !held {
		select {
		case <-ended:
			return out.String(), until(out.String())
		case <-time.After(pollEvery):
			held = until(out.String())
		}
	}
	cancel()
	<-ended
	return out.String(), held
}

// lockedBuffer is a buffer that may be read while it is written to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
