// Package systemd speaks with the service manager that started the program: sockets that it has opened
// (sd_listen_fds(3)), and the state that it is told (sd_notify(3)). Without such a manager every call
// does nothing and succeeds.
package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// firstFD is the first descriptor that is handed over (SD_LISTEN_FDS_START).
const firstFD = 3

// A Socket is a listener that was handed over, with the name that it has there (FileDescriptorName=).
type Socket struct {
	Name string
	net.Listener
	// Ours says that an instance of the program itself has opened it, by a configuration that may have been another.
	Ours bool
}

// parent names, for a program that an instance of itself has started, that instance: nobody knows the
// process id that LISTEN_PID must have before the program runs.
const parent = "STARTTLS_PARENT"

// Listeners takes the stream sockets that were handed over, by the manager in the order of the unit, or by
// [HandOver]. It takes them once: the environment is cleared, so that programs that this one starts do not
// think them theirs.
func Listeners() ([]Socket, error) {
	count, names := os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	ours := os.Getenv(parent) == strconv.Itoa(os.Getppid())
	if !ours && os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	for _, key := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", parent} {
		os.Unsetenv(key)
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 {
		return nil, fmt.Errorf("LISTEN_FDS=%q is no number of sockets", count)
	}
	return sockets(n, strings.Split(names, ":"), ours)
}

func sockets(n int, names []string, ours bool) (all []Socket, err error) {
	for i := range n {
		f := os.NewFile(uintptr(firstFD+i), "LISTEN_FD_"+strconv.Itoa(firstFD+i))
		ln, lerr := net.FileListener(f) // a copy of the descriptor, closed on exec
		f.Close()
		if lerr != nil {
			err = errors.Join(err, fmt.Errorf("socket %d of the service manager: %w", i, lerr))
			continue
		}
		s := Socket{Listener: ln, Ours: ours}
		if i < len(names) {
			s.Name = names[i]
		}
		all = append(all, s)
	}
	if err != nil {
		for _, s := range all {
			s.Close()
		}
		return nil, err
	}
	return all, nil
}

// HandOver makes cmd, which must not have been started, a program that takes these sockets by [Listeners].
// The caller closes files when cmd has been started.
func HandOver(cmd *exec.Cmd, files []*os.File) {
	cmd.ExtraFiles = append(slices.Clone(files), cmd.ExtraFiles...)
	cmd.Env = append(cmd.Environ(), "LISTEN_PID=", "LISTEN_FDNAMES=",
		"LISTEN_FDS="+strconv.Itoa(len(files)), parent+"="+strconv.Itoa(os.Getpid()))
}

// States for Notify.
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
	Watchdog = "WATCHDOG=1"
)

// MainPID returns the state that says which process the service is from now on.
func MainPID(pid int) string { return "MAINPID=" + strconv.Itoa(pid) }

// Notify tells the manager of states. It does nothing if there is no manager that wants to know.
func Notify(states ...string) error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	if name[0] == '@' { // an abstract address
		name = "\x00" + name[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("service manager: %w", err)
	}
	defer conn.Close()
	if _, err = conn.Write([]byte(strings.Join(states, "\n"))); err != nil {
		return fmt.Errorf("service manager: %w", err)
	}
	return nil
}

// WatchdogEvery returns how often the manager wants to hear Watchdog: half the time after which it gives
// the program up. It is zero if it does not want to.
func WatchdogEvery() time.Duration {
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || usec <= 0 {
		return 0
	}
	return time.Duration(usec) * time.Microsecond / 2
}
