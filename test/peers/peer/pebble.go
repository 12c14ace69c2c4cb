package peer

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Pebble is a running ACME server, that of Let's Encrypt for tests, with a DNS of its own in which every
// name is 127.0.0.1.
type Pebble struct {
	Directory string         // URL
	CAFile    string         // of the server's own HTTPS
	Roots     *x509.CertPool // the same
	// HTTPPort and TLSPort are where it looks for proofs.
	HTTPPort, TLSPort string
	DNS               string // the address at which TXT records are set by HTTP: /set-txt, /clear-txt
	Log               string
}

// StartPebble builds and starts it; its code is named in tools.mod.
func StartPebble(t T) *Pebble {
	t.Helper()
	in := begin(t, "pebble")
	a := in.addrs(6)
	pki := NewPKI(t)
	p := &Pebble{
		Directory: "https://" + a[0] + "/dir", CAFile: pki.CAFile, Roots: pki.Pool, Log: in.log,
		DNS: a[2], HTTPPort: port(a[4]), TLSPort: port(a[5]),
	}
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": a[0], "managementListenAddress": a[1],
		"certificate": pki.Server.CertFile, "privateKey": pki.Server.KeyFile,
		"httpPort": json.Number(p.HTTPPort), "tlsPort": json.Number(p.TLSPort),
		"retryAfter": map[string]int{"authz": 1, "order": 1},
	}})
	in.fatal(err)
	file := in.write("pebble.json", string(config))
	// The server and its DNS are one instance: the shell's group is stopped with it.
	const script = `"$1" -dnsserver "$3" -management "$4" -http01 "" -https01 "" -tlsalpn01 "" -doh "" -defaultIPv6 "" &
exec "$2" -config "$5" -dnsserver "$3" -strict`
	cmd := in.command("sh", "-c", script, "pebble", goTool(t, "pebble-challtestsrv"), goTool(t, "pebble"), a[3], p.DNS, file)
	cmd.Env = environ("PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=5")
	in.start(cmd, syscall.SIGTERM, a[0], p.DNS)
	return p
}

// goTool builds a program that tools.mod names and returns its path.
func goTool(t T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "tool", "-modfile="+filepath.Join(moduleDir(t), "tools.mod"), "-n", name).Output()
	if err != nil {
		missing(t, fmt.Sprintf("%s: %v", name, err))
	}
	return strings.TrimSpace(string(out))
}
