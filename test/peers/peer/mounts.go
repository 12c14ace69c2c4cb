package peer

import (
	"os"
	"os/exec"
	"sync"
)

// canMount tells whether this program may have mounts that nobody else sees:
// root may, except in most containers.
var canMount = sync.OnceValue(func() bool {
	cmd := exec.Command("unshare", "-m", "mount", "-t", "tmpfs", "none", "/run")
	cmd.Env = environ()
	return os.Geteuid() == 0 && cmd.Run() == nil
})

// needMounts is for servers that have folders compiled in, and see others in
// their place.
func needMounts(t T, name string) {
	t.Helper()
	needRoot(t, name)
	if !canMount() {
		missing(t, name+" (needs the right to mount)")
	}
}
