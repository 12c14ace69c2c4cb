package peer

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// NUTOptions are the choices for StartNUT; the zero value is fine.
type NUTOptions struct {
	Mode  Mode     // ModePlain and ModeTLS; upsd cannot require TLS
	Cert  Pair     // if zero, the PKI's server certificate
	Extra []string // further lines of upsd.conf
}

// NUTDevice is the name of the one power supply that StartNUT serves.
const NUTDevice = "peer"

// NUT is a running upsd, the server of Network UPS Tools, with a power supply
// that is not there. User with Password may set what can be set, and watch.
type NUT struct {
	Addr string
	Log  string
}

// StartNUT starts upsd and the driver behind it.
func StartNUT(t T, o NUTOptions) *NUT {
	t.Helper()
	in := begin(t, "nut", "/lib/nut/upsd", "/lib/nut/dummy-ups")
	n := &NUT{Addr: in.addrs(1)[0], Log: in.log}
	in.write("ups.conf", "["+NUTDevice+"]", "driver = dummy-ups", "port = "+in.path("device.dev"))
	in.write("device.dev", "ups.status: OL", "ups.mfr: starttls", "battery.charge: 87")
	in.write("upsd.users", "["+User+"]", "password = "+Password, "actions = SET", "upsmon primary")
	conf := []string{"LISTEN 127.0.0.1 " + port(n.Addr)}
	if o.Mode != ModePlain {
		// Debian's is built with NSS, which takes no PEM files.
		conf = append(conf, "CERTPATH "+o.Cert.or(t).nss(t), `CERTIDENT peer ""`)
	}
	in.write("upsd.conf", append(conf, o.Extra...)...)

	// The driver first: upsd looks for it every two seconds. -D keeps them in
	// the foreground.
	const script = `/lib/nut/dummy-ups -a "$1" -D -u "$2" &
until [ -S "dummy-ups-$1" ]; do sleep 0.02; kill -0 $! || exit 1; done
exec /lib/nut/upsd -D -u "$2"`
	me, err := user.Current()
	in.fatal(err)
	cmd := in.command("sh", "-c", script, "nut", NUTDevice, me.Username)
	cmd.Env = environ("NUT_CONFPATH="+in.dir, "NUT_STATEPATH="+in.dir, "NUT_ALTPIDPATH="+in.dir)
	in.start(cmd, syscall.SIGTERM, n.Addr)
	in.await("the driver's data", n.hasData)
	return n
}

// hasData tells whether upsd has heard from the driver.
func (n *NUT) hasData() bool {
	c, err := net.DialTimeout("tcp4", n.Addr, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	fmt.Fprintf(c, "GET VAR %s battery.charge\nLOGOUT\n", NUTDevice)
	answer, _ := io.ReadAll(c)
	return bytes.HasPrefix(answer, []byte("VAR "))
}

// Upsmon runs the client upsmon against upsd at addr (a port of localhost) until
// it has logged in as User or limit has passed, and returns what it printed, and
// whether it logged in. It wants TLS, and a certificate that the PKI confirms.
func Upsmon(t T, limit time.Duration, pki *PKI, addr string) (output string, in bool) {
	t.Helper()
	dir := tempDir(t, "upsmon")
	conf := fmt.Sprintf("MONITOR %s@localhost:%s 1 %s %s primary\nCERTPATH %s\nCERTVERIFY 1\nFORCESSL 1\nSHUTDOWNCMD /bin/true\n",
		NUTDevice, port(addr), User, Password, pki.NSS(t))
	if err := os.WriteFile(filepath.Join(dir, "upsmon.conf"), []byte(conf), 0o600); err != nil {
		t.Fatalf("upsmon: %v", err)
	}
	command := []string{"/lib/nut/upsmon", "-D", "-p"}
	Need(t, command[0])
	if canMount() {
		// It insists on the machine's file for the number of the one upsmon:
		// each gets a folder of its own in that place. Others cannot write there.
		const hide = `mount -t tmpfs none /run/nut && exec "$@"`
		command = append([]string{"unshare", "-m", "sh", "-c", hide, "sh"}, command...)
	}
	loggedIn := func(says string) bool { return strings.Contains(says, "Logged into UPS") }
	return RunUntil(t, limit, []string{"NUT_CONFPATH=" + dir}, loggedIn, command[0], command[1:]...)
}
