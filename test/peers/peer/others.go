package peer

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Peers made of other people's Go code are programs of a module of their own, test/peers/others, so that
// nobody who uses the library has them in a module graph. A machine that cannot get that code lacks them.

// buildOther builds one of them in a folder.
func buildOther(t T, name, dir string) (path string) {
	t.Helper()
	Need(t, "go")
	source := filepath.Join(moduleDir(t), "test", "peers", "others")
	path = filepath.Join(dir, name)
	if out, err := exec.Command("go", "build", "-C", source, "-o", path, "./"+name).CombinedOutput(); err != nil {
		missing(t, fmt.Sprintf("%s: %v\n%s", name, err, out))
	}
	return path
}

// moduleDir returns the folder of this module.
func moduleDir(t T) string {
	t.Helper()
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatalf("go env: %v", err)
	}
	return filepath.Dir(string(bytes.TrimSpace(mod)))
}

// StartMySQL starts a server, in the clear and in TLS, that has the caching_sha2_password of MySQL 8, and
// knows User: Debian has no MySQL. It returns its address.
func StartMySQL(t T) (addr string) {
	t.Helper()
	in := begin(t, "mysql")
	addr = in.addrs(1)[0]
	in.start(in.command(buildOther(t, "mysqld", in.dir), addr), syscall.SIGTERM, addr)
	return addr
}

// AMQPClient builds a client of AMQP 1.0 and returns its path. Its arguments are an address and, for TLS
// begun in-band, a file of authorities. It sends a message to a queue as User.
func AMQPClient(t T) string {
	t.Helper()
	return buildOther(t, "amqpclient", tempDir(t, "amqpclient"))
}
