package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Run runs a client to its end and returns all that it printed (standard
// output and error in the order written) and its exit status. A client that is
// missing skips the test. One that does not end within limit is killed: its
// status is -1 and the last line of the output says so. env adds KEY=VALUE
// pairs to an otherwise bare environment. Standard input is empty.
func Run(t T, limit time.Duration, env []string, program string, args ...string) (output string, status int) {
	t.Helper()
	return RunInput(t, limit, env, "", program, args...)
}

// RunInput is Run with text on the client's standard input, then its end.
func RunInput(t T, limit time.Duration, env []string, input, program string, args ...string) (output string, status int) {
	t.Helper()
	Need(t, program)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()

	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, find(program), args...)
	cmd.Env = environ(env...)
	cmd.Stdin = strings.NewReader(input)
	cmd.Stdout, cmd.Stderr = &out, &out // the same writer: exec makes one pipe, order is kept
	cmd.SysProcAttr = childAttr()
	cmd.Cancel = func() error { return signalGroup(cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // for grandchildren that keep the pipe open

	err := cmd.Run()
	if ctx.Err() != nil {
		fmt.Fprintf(&out, "\npeer: %s killed after %v\n", program, limit)
		return out.String(), -1
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("running %s: %v", program, err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}
