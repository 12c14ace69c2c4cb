package peer

import (
	"os"
	"strings"
	"syscall"
	"time"
)

// XrdpOptions are the choices for StartXrdp; the zero value is fine.
type XrdpOptions struct {
	Mode  Mode     // ModeTLS takes both; ModePlain has RDP's own encryption alone, ModeRequired TLS alone
	Cert  Pair     // if zero, the PKI's server certificate with RSA
	Extra []string // further lines of the section Globals
}

// Xrdp is a running RDP server, as far as its login window: there are no
// sessions behind it.
type Xrdp struct {
	Addr string
	Log  string
}

// StartXrdp starts an RDP server. Needs root.
func StartXrdp(t T, o XrdpOptions) *Xrdp {
	t.Helper()
	in := begin(t, "xrdp", "xrdp", "unshare")
	needMounts(t, "xrdp")
	x := &Xrdp{Addr: in.addrs(1)[0], Log: in.path("xrdp.log")}
	in.logs = []string{x.Log}
	conf := in.write("xrdp.ini", xrdpConf(in, x, o)...)
	// Its folder is compiled in, and says that the one xrdp of the machine
	// runs: each gets its own in that place.
	const script = `mount -t tmpfs none /run && mkdir -p /run/xrdp/sockdir && exec "$0" "$@"`
	cmd := in.command("unshare", "-m", "sh", "-c", script, find("xrdp"), "--nodaemon", "--config", conf)
	in.start(cmd, syscall.SIGTERM, x.Addr)
	return x
}

func xrdpConf(in *instance, x *Xrdp, o XrdpOptions) []string {
	in.t.Helper()
	conf := []string{
		"[Globals]",
		"ini_version=1",
		"fork=true",
		"port=tcp://127.0.0.1:" + port(x.Addr),
		"tcp_nodelay=true",
		"security_layer=" + [...]string{ModeTLS: "negotiate", ModePlain: "rdp", ModeRequired: "tls"}[o.Mode],
		"crypt_level=high",
		"ssl_protocols=TLSv1.2, TLSv1.3",
		"max_bpp=24",
		"allow_channels=true", // without, it gets out of step with rdesktop
	}
	cert := o.Cert
	if cert.CertFile == "" {
		cert = NewPKI(in.t).ServerRSA
	}
	conf = append(conf, "certificate="+cert.CertFile, "key_file="+cert.KeyFile)
	conf = append(conf, o.Extra...)
	return append(conf,
		"[Logging]",
		"LogFile="+x.Log,
		"LogLevel=DEBUG",
		"EnableSyslog=false",
		"[LoggingPerLogger]",
		"[Channels]", "rdpdr=true", "rdpsnd=true", "drdynvc=false", "cliprdr=true",
		"[Xvnc]",
		"name=Xvnc",
		"lib=libvnc.so",
		"username=ask",
		"password=ask",
		"ip=127.0.0.1",
		"port=-1")
}

// Welcomed tells whether a client has come as far as the login window.
func (x *Xrdp) Welcomed() bool {
	text, _ := os.ReadFile(x.Log)
	return strings.Contains(string(text), "draw login window")
}

// Rdesktop runs the client rdesktop on an X display (StartVNC has one) against
// the server at addr (a port of localhost), as RunUntil does. It prints
// "Connection established using SSL.", or "… plain RDP.", which it takes as
// well. It is told to take any certificate.
func Rdesktop(t T, limit time.Duration, display, addr string, until func(output string) bool) (output string, held bool) {
	t.Helper()
	Need(t, "rdesktop")
	env := []string{"DISPLAY=" + display, "HOME=" + tempDir(t, "rdesktop")}
	return RunUntil(t, limit, env, until, "sh", "-c", `echo yes | rdesktop "$1"`, "rdesktop", "localhost:"+port(addr))
}
