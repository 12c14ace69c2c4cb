// Package peer starts real servers on loopback and runs real clients, for
// tests and benchmarks.
//
// A constructor (StartPostfix, StartDovecot, …) starts one private instance:
// its own folder, its own configuration, free ports of 127.0.0.1, a child
// process in the foreground. It returns when the server answers, and stops the
// server in a cleanup of the test. Any number of instances can run at once.
// NewPKI makes the certificates, Run runs a client.
//
// The programs come from the machine; test/peers/install.sh puts them there.
// A program that is missing skips the test, so a person's machine needs none
// of them. In an environment with CI=true or STARTTLS_PEERS_REQUIRED=1 the
// same is a failure, so that nothing is skipped without anybody knowing.
//
// Further environment: STARTTLS_PEERS names the cache folder of install.sh
// (default /var/tmp/starttls-peers), which also keeps the first data of the
// databases; STARTTLS_PEERS_KEEP=1 leaves the folders of the instances, for
// reading what they wrote; TMPDIR is where these are (default: in memory if
// there is plenty, else /tmp).
package peer

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// T is what the package needs of a test: *testing.T, *testing.B, or a
// program's own type. Fatalf and Skipf must not return.
type T interface {
	Helper()
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	Cleanup(func())
}

// User and Password are the account that every server with accounts knows.
const (
	User     = "joe"
	Password = "secret"
)

// Mode is how much TLS a server wants.
type Mode int

const (
	ModeTLS      Mode = iota // offers the upgrade; the default
	ModePlain                // knows no TLS at all, as an old server does
	ModeRequired             // refuses to work before the upgrade
)

// String returns the mode as a word, for test names.
func (m Mode) String() string {
	return [...]string{"tls", "plain", "required"}[m]
}

// Need skips the test if one of the programs is not on the machine, or fails
// it where peers are required.
func Need(t T, programs ...string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		missing(t, "a Linux machine")
	}
	for _, name := range programs {
		if find(name) == "" {
			missing(t, name)
		}
	}
}

// missing skips the test, or fails it where that would hide something.
func missing(t T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" || os.Getenv("STARTTLS_PEERS_REQUIRED") == "1" {
		t.Fatalf("peer missing: %s", what)
	}
	t.Skipf("peer missing: %s", what)
}

// needRoot is for servers that start as root and give it up themselves.
func needRoot(t T, name string) {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, name+" (needs root)")
	}
}

// programDirs lists where programs are looked for: PATH, and where Debian puts
// daemons that are not in a user's PATH.
func programDirs() []string {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	dirs = append(dirs, "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/lib/postfix/sbin")
	versions, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.Reverse(versions) // the newest first
	return append(dirs, versions...)
}

// find returns the program's path, or "" if there is none.
func find(program string) string {
	if strings.Contains(program, "/") {
		path, _ := exec.LookPath(program)
		return path
	}
	for _, dir := range programDirs() {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path
		}
	}
	return ""
}

// environ is the environment of every child: nothing of the caller's, so that
// no CA file, no resource file of a person's home and no PGHOST changes a test.
func environ(extra ...string) []string {
	env := []string{
		"PATH=" + strings.Join(programDirs(), string(filepath.ListSeparator)),
		"LC_ALL=C",
		"HOME=/nonexistent",
		"TMPDIR=" + os.TempDir(),
	}
	return append(env, extra...)
}
