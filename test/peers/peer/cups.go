package peer

import (
	"os"
	"syscall"
)

// CUPSOptions are the choices for StartCUPS; the zero value is fine.
type CUPSOptions struct {
	Mode  Mode     // ModePlain has no certificate, but still agrees to the upgrade (101), then fails
	Cert  Pair     // if zero, the PKI's server certificate
	Extra []string // further lines of cupsd.conf
}

// CUPS is a running print server without printers: IPP, so HTTP, with the
// upgrade of RFC 2817. It never requires TLS of a client on loopback, whatever
// its configuration says: there is no ModeRequired.
type CUPS struct {
	Addr string
	Log  string
}

// StartCUPS starts a print server. Its clients (lpstat -E) take any certificate.
func StartCUPS(t T, o CUPSOptions) *CUPS {
	t.Helper()
	in := begin(t, "cups", "cupsd")
	c := &CUPS{Addr: in.addrs(1)[0], Log: in.path("error_log")}
	in.logs = []string{c.Log}
	me := account{os.Geteuid(), os.Getegid()}
	for _, dir := range []string{"root", "cache", "state", "spool", "spool/tmp", "tls"} {
		in.mkdir(dir, 0o755, me)
	}
	if o.Mode != ModePlain {
		cert := o.Cert.or(t)
		for _, name := range []string{"localhost", "127.0.0.1"} { // as the client calls it
			in.fatal(os.Symlink(cert.CertFile, in.path("tls", name+".crt")))
			in.fatal(os.Symlink(cert.KeyFile, in.path("tls", name+".key")))
		}
	}
	conf := in.write("cupsd.conf", append([]string{
		"Listen " + c.Addr,
		"ServerName localhost",
		"LogLevel debug",
		"Browsing No",
		"WebInterface No",
		"DefaultAuthType None",
		"HostNameLookups Off",
		"<Location />",
		"  Order allow,deny",
		"  Allow all",
		"</Location>",
	}, o.Extra...)...)
	files := in.write("cups-files.conf",
		"ServerRoot "+in.path("root"),
		"CacheDir "+in.path("cache"),
		"StateDir "+in.path("state"),
		"RequestRoot "+in.path("spool"),
		"TempDir "+in.path("spool", "tmp"),
		"ServerKeychain "+in.path("tls"),
		"CreateSelfSignedCerts No",
		"AccessLog "+in.path("access_log"),
		"ErrorLog "+c.Log,
		"PageLog "+in.path("page_log"),
		"SystemGroup root")
	in.start(in.command("cupsd", "-f", "-c", conf, "-s", files), syscall.SIGTERM, c.Addr)
	return c
}
