package peer

import "syscall"

// MTASTSOptions are the choices for StartMTASTS.
type MTASTSOptions struct {
	Resolver string // address of the resolver, at port 53; if empty, the machine's
	CAFile   string // who vouches for policy hosts; if empty, the test authority
}

// MTASTS is a running postfix-mta-sts-resolver, which answers Postfix by socketmap.
type MTASTS struct {
	Addr string
	PID  int
	Log  string
}

// StartMTASTS starts it, with its cache in memory, as its documentation has it for one machine.
func StartMTASTS(t T, o MTASTSOptions) *MTASTS {
	t.Helper()
	in := begin(t, "mta-sts", "mta-sts-daemon")
	addr := in.addrs(1)[0]
	if o.CAFile == "" {
		o.CAFile = NewPKI(t).CAFile
	}
	conf := in.write("conf.yml",
		"host: 127.0.0.1", "port: "+port(addr), "reuse_port: true", "shutdown_timeout: 2",
		"cache:", "  type: internal", "  options:", "    cache_size: 10000",
		"proactive_policy_fetching:", "  enabled: false",
		"default_zone:", "  strict_testing: false", "  timeout: 4")
	// The package is for Debian's own Python, whatever stands first in PATH.
	cmd := in.resolvingBy(o.Resolver, "/usr/bin/python3", find("mta-sts-daemon"), "-c", conf)
	cmd.Env = environ("SSL_CERT_FILE="+o.CAFile, "SSL_CERT_DIR=/nonexistent")
	in.start(cmd, syscall.SIGTERM, addr)
	return &MTASTS{Addr: addr, PID: in.pid, Log: in.log}
}
