package cli

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"starttls"
	"starttls/internal/systemd"
)

// adopt gives the sockets that were handed over, by the service manager or by an instance before this one,
// to the routes that listen there, or that have their name, and to the board.
func adopt(routes map[string]*served, b *board) error {
	sockets, err := systemd.Listeners()
	if err != nil {
		return err
	}
	for _, socket := range sockets {
		i := slices.IndexFunc(inOrder(routes), func(r *served) bool {
			return r.ln == nil && (socket.Name == r.Name || listensAt(r.listen, socket.Addr()))
		})
		switch {
		case i >= 0:
			inOrder(routes)[i].ln = socket.Listener
		case b.ln == nil && b.address != "" && listensAt(starttls.Endpoint{Network: "tcp", Host: hostOf(b.address), Address: b.address}, socket.Addr()):
			b.ln = socket.Listener
		default:
			err = fmt.Errorf("the socket %s %s, which was handed over, is no route's", socket.Name, socket.Addr())
		}
	}
	if err != nil {
		for _, socket := range sockets {
			socket.Close()
		}
	}
	return err
}

func hostOf(address string) string {
	host, _, _ := net.SplitHostPort(address)
	return host
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
	socket, ok := ln.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, fmt.Errorf("%s cannot be handed over", ln.Addr())
	}
	f, err := socket.File()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // its path goes on as well
	}
	return net.FileListener(f)
}

// readyFD names the descriptor at which an instance tells the one before it that it serves.
const readyFD = "STARTTLS_READY_FD"

// maxStart is how long a new instance may take to serve.
const maxStart = time.Minute

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
	return all
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
		f, err := ln.(interface{ File() (*os.File, error) }).File()
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
