package cli

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"

	"starttls"
	"starttls/internal/systemd"
)

// handed are sockets that were handed over, by the service manager or by an instance before this one, and
// that nobody has taken yet.
type handed []systemd.Socket

// adopt gives them to the routes that listen there, or that have their name.
func (h *handed) adopt(routes map[string]*served) {
	for _, r := range inOrder(routes) {
		r.ln = h.take(func(s systemd.Socket) bool {
			return s.Name == r.Label || s.Name == r.listen.Address || listensAt(r.listen, s.Addr())
		})
	}
}

// listen returns the one at an address, or opens it.
func (h *handed) listen(address string) (net.Listener, error) {
	if ln := h.take(func(s systemd.Socket) bool { return s.Name == address || listensAt(tcpAt(address), s.Addr()) }); ln != nil {
		return ln, nil
	}
	return net.Listen("tcp", address)
}

// take takes the first that is meant, or none.
func (h *handed) take(meant func(systemd.Socket) bool) net.Listener {
	i := slices.IndexFunc(*h, meant)
	if i < 0 {
		return nil
	}
	ln := (*h)[i].Listener
	*h = slices.Delete(*h, i, i+1)
	return ln
}

// done closes what nobody has taken of what we have opened ourselves, by a configuration that was another then. It
// tells of a socket of somebody else's: whoever gave it thinks that it is served.
func (h handed) done() error {
	for _, s := range h {
		if !s.Ours {
			return fmt.Errorf("the socket %s %s, which was handed over, is no route's", s.Name, s.Addr())
		}
		s.Close()
	}
	return nil
}

// listensAt reports whether an endpoint is an address.
func listensAt(e starttls.Endpoint, addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return e.Network == addr.Network() && e.Address == addr.String()
	}
	_, port, _ := net.SplitHostPort(e.Address)
	if e.Network != "tcp" || port != strconv.Itoa(tcp.Port) {
		return false
	}
	return e.Host == "" && tcp.IP.IsUnspecified() || net.ParseIP(e.Host).Equal(tcp.IP) || e.Host == "localhost" && tcp.IP.IsLoopback()
}

// again returns a listener on the same socket, which stays open when ln is closed.
func again(ln net.Listener) (net.Listener, error) {
	f, err := descriptor(ln)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // its path goes on as well
	}
	return net.FileListener(f)
}

// descriptor returns a copy of a listener's. The method File has one as well, but whoever uses the number of
// that makes the socket block, and with it the listener, which then stops only when a client comes.
func descriptor(ln net.Listener) (f *os.File, err error) {
	socket, ok := ln.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("%s cannot be handed over", ln.Addr())
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	cerr := raw.Control(func(fd uintptr) {
		syscall.ForkLock.RLock() // until it is marked, no program may be started
		defer syscall.ForkLock.RUnlock()
		var copied int
		if copied, err = syscall.Dup(int(fd)); err == nil {
			syscall.CloseOnExec(copied)
			f = os.NewFile(uintptr(copied), ln.Addr().String())
		}
	})
	return f, cmp.Or(err, cerr)
}

// readyFD names the descriptor at which an instance tells the one before it that it serves.
const readyFD = "STARTTLS_READY_FD"

// maxStart is how long a new instance may take to serve. The watchdog, which heard from this one up to half its
// time ago, hears nothing meanwhile: with WatchdogSec=60 there are 30 seconds left.
const maxStart = 20 * time.Second

// handOver starts a new instance of the program, as it is on disk now, on the same sockets, and reports
// whether it serves. If it does not, this one goes on.
func (s *service) handOver() bool {
	pid, err := s.startAgain()
	if err != nil {
		s.log.Error("no new instance, this one goes on", "err", err)
		return false
	}
	s.log.Info("handed over", "to_pid", pid)
	s.tell(systemd.MainPID(pid))
	for _, r := range s.routes {
		if u, ok := r.ln.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false) // its path is the new instance's
		}
	}
	return true
}

// listeners returns all that are open.
func (s *service) listeners() (all []net.Listener) {
	for _, r := range inOrder(s.routes) {
		all = append(all, r.ln)
	}
	if s.board.ln != nil {
		all = append(all, s.board.ln)
	}
	return append(all, s.acme.listeners...)
}

func (s *service) startAgain() (pid int, err error) {
	program, err := exec.LookPath(os.Args[0])
	if err != nil {
		return 0, err
	}
	var files []*os.File
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	for _, ln := range s.listeners() {
		f, err := descriptor(ln)
		if err != nil {
			return 0, err
		}
		files = append(files, f)
	}
	ready, tell, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer ready.Close()
	cmd := exec.Command(program, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{tell}
	cmd.Env = append(os.Environ(), readyFD+"="+strconv.Itoa(3+len(files)))
	systemd.HandOver(cmd, files)
	err = cmd.Start()
	tell.Close()
	if err != nil {
		return 0, err
	}
	ready.SetReadDeadline(time.Now().Add(maxStart))
	if n, err := ready.Read(make([]byte, 1)); n == 0 {
		cmd.Process.Kill()
		return 0, fmt.Errorf("it does not serve: %w", cmp.Or(cmd.Wait(), err))
	}
	pid = cmd.Process.Pid
	return pid, cmd.Process.Release()
}

// succeeded tells the instance before this one, if there is one, that this one serves.
func succeeded() {
	fd, err := strconv.Atoi(os.Getenv(readyFD))
	os.Unsetenv(readyFD)
	if err != nil {
		return
	}
	f := os.NewFile(uintptr(fd), "ready")
	f.Write([]byte{1})
	f.Close()
}
