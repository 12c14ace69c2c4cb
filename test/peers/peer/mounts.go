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

// resolvingBy prepares a program that asks a resolver of its own, at port 53 of an address, and takes its
// word for what is secure. Without an address it is the machine's.
func (in *instance) resolvingBy(resolver, program string, args ...string) *exec.Cmd {
	in.t.Helper()
	if resolver == "" {
		return in.command(program, args...)
	}
	needMounts(in.t, in.name)
	conf := in.write("resolv.conf", "nameserver "+resolver, "options trust-ad edns0")
	const script = `mount --bind "$0" /etc/resolv.conf && exec "$@"`
	return in.command("unshare", append([]string{"-m", "sh", "-c", script, conf, find(program)}, args...)...)
}
