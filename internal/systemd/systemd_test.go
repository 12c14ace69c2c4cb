package systemd

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test be started by itself, as a manager would start the program.
func TestMain(m *testing.M) {
	if os.Getenv("STARTTLS_TEST_CHILD") != "" {
		os.Setenv("LISTEN_PID", os.Getenv("STARTTLS_TEST_PID"))
		if os.Getenv("STARTTLS_TEST_PID") == "self" {
			os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
		}
		child()
		return
	}
	os.Exit(m.Run())
}

// child accepts one connection on each socket and says the socket's name there.
func child() {
	all, err := Listeners()
	if err != nil {
		os.Stdout.WriteString("error: " + err.Error())
		return
	}
	os.Stdout.WriteString(strconv.Itoa(len(all)) + " sockets")
	for _, s := range all {
		if conn, err := s.Accept(); err == nil {
			conn.Write([]byte(s.Name))
			conn.Close()
		}
	}
}

func start(t *testing.T, pid, count, names string, files ...*os.File) (*exec.Cmd, *strings.Builder) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd := exec.Command(exe)
	cmd.Stdout = &out
	cmd.ExtraFiles = files
	cmd.Env = append(os.Environ(), "STARTTLS_TEST_CHILD=1", "STARTTLS_TEST_PID="+pid, "LISTEN_FDS="+count, "LISTEN_FDNAMES="+names)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, &out
}

func TestSocketsAreTakenWithTheirNames(t *testing.T) {
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	cmd, out := start(t, "self", "1", "policy", f)
	f.Close()
	conn, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16)
	n, _ := conn.Read(buf)
	if cmd.Wait(); string(buf[:n]) != "policy" || out.String() != "1 sockets" {
		t.Errorf("got %q, %q", buf[:n], out)
	}
}

func TestSocketsOfAnotherProcessAreLeftAlone(t *testing.T) {
	cmd, out := start(t, "1", "1", "")
	if cmd.Wait(); out.String() != "0 sockets" {
		t.Errorf("got %q", out)
	}
}

func TestWhatIsNoSocketIsToldAndNothingTaken(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd, out := start(t, "self", "1", "", f)
	if cmd.Wait(); !strings.HasPrefix(out.String(), "error: socket 0") {
		t.Errorf("got %q", out)
	}
}

func TestNotify(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", name)
	if err := Notify(Ready, MainPID(7)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 128)
	n, err := conn.Read(buf)
	if want := "READY=1\nMAINPID=7"; err != nil || string(buf[:n]) != want {
		t.Errorf("got %q, %v", buf[:n], err)
	}
	t.Setenv("NOTIFY_SOCKET", name+"-gone")
	if Notify(Ready) == nil {
		t.Error("a manager that is gone is no error")
	}
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Notify(Ready); err != nil {
		t.Errorf("without a manager: %v", err)
	}
}

func TestWatchdogEvery(t *testing.T) {
	for _, row := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"", "", 0},
		{"20000000", "", 10 * time.Second},
		{"20000000", "1", 0}, // meant for another process
		{"-5", "", 0},
		{"soon", "", 0},
	} {
		t.Setenv("WATCHDOG_USEC", row.usec)
		t.Setenv("WATCHDOG_PID", row.pid)
		if got := WatchdogEvery(); got != row.want {
			t.Errorf("WATCHDOG_USEC=%q WATCHDOG_PID=%q: got %v, want %v", row.usec, row.pid, got, row.want)
		}
	}
}
