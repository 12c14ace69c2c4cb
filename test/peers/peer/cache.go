package peer

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// cacheDir is where install.sh unpacks programs and where root keeps folders
// that are slow to make.
func cacheDir() string {
	if dir := os.Getenv("STARTTLS_PEERS"); dir != "" {
		return dir
	}
	return "/var/tmp/starttls-peers"
}

// unpacked returns the path of a program that install.sh unpacked, or "". Root
// runs nothing from a folder that somebody else could have made.
func unpacked(program string) string {
	if info, err := os.Stat(cacheDir()); err != nil || !ownedBy(info, 0) {
		return ""
	}
	return find(filepath.Join(cacheDir(), "roots", program))
}

// needUnpacked returns the path of a program: the machine's own, or else the one
// that install.sh unpacked. Without either it skips the test, or fails it.
func needUnpacked(t T, program, inRoots string) string {
	t.Helper()
	Need(t) // a machine that can
	path := find(program)
	if path == "" {
		path = unpacked(inRoots)
	}
	if path == "" {
		missing(t, filepath.Base(program))
	}
	return path
}

// baseDir is where this user keeps folders that are slow to make.
func baseDir() (string, error) {
	dir := filepath.Join(cacheDir(), "base")
	if os.Geteuid() != 0 {
		home, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(home, "starttls-peers")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if info, err := os.Stat(filepath.Dir(dir)); err != nil || !ownedBy(info, os.Geteuid()) {
		return "", fmt.Errorf("%s is not ours", filepath.Dir(dir))
	}
	return dir, nil
}

// fromBase puts a copy of a prepared data folder at name in the private folder.
// The original is made once for a program's version and a command (what build
// returns for the folder to fill), and kept in the cache.
func (in *instance) fromBase(name string, owner account, version *exec.Cmd, build func(dir string) *exec.Cmd) string {
	in.t.Helper()
	original, err := in.base(owner, version, build)
	in.fatal(err)
	path := in.path(name)
	in.run(in.command("cp", "-a", original, path))
	return path
}

// base returns the original. Two processes may make it at the same time: the
// folder appears by rename, whole, and the one that comes second is thrown away.
func (in *instance) base(owner account, version *exec.Cmd, build func(dir string) *exec.Cmd) (string, error) {
	in.t.Helper()
	says, err := version.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", version, err)
	}
	parent, err := baseDir()
	if err != nil {
		return "", err
	}
	// Another version, or another way to make it, is another folder.
	recipe := sha256.Sum256(fmt.Appendf(says, "%q", build("").Args))
	dir := filepath.Join(parent, fmt.Sprintf("%s-%x", in.name, recipe[:6]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}

	fresh, err := os.MkdirTemp(parent, "."+in.name+"-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh)
	in.chown(fresh, owner)
	in.run(build(fresh))
	if err := os.Rename(fresh, dir); err != nil {
		if _, there := os.Stat(dir); there != nil {
			return "", err
		}
	}
	return dir, nil
}
