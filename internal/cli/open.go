package cli

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// open opens a listener. A unix socket that a dead process left is taken over.
func open(network, address string) (net.Listener, error) {
	ln, err := net.Listen(network, address)
	if err == nil || network != "unix" {
		return ln, err
	}
	conn, derr := net.Dial("unix", address)
	if derr == nil {
		conn.Close()
	}
	if !errors.Is(derr, syscall.ECONNREFUSED) { // anything else may be somebody who is busy
		return nil, err
	}
	if info, serr := os.Lstat(address); serr != nil || info.Mode()&os.ModeSocket == 0 {
		return nil, err
	}
	if rerr := os.Remove(address); rerr != nil {
		return nil, errors.Join(err, rerr)
	}
	return net.Listen(network, address)
}
