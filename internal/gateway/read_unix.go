//go:build unix

package gateway

import (
	"io"
	"syscall"
)

// canReadNow says that readNow works here.
const canReadNow = true

// errNotNow is that there is nothing to read yet.
var errNotNow error = syscall.EAGAIN

// readNow reads from a socket without waiting. Its end is io.EOF.
func readNow(fd uintptr, p []byte) (int, error) {
	for {
		n, err := syscall.Read(int(fd), p)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}
