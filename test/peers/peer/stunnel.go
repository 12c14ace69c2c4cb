package peer

import (
	"cmp"
	"syscall"
)

// StunnelOptions are the choices for StartStunnel.
type StunnelOptions struct {
	// Protocol is stunnel's word: smtp, imap, pop3, pgsql; as a client also
	// nntp and ldap. Empty is TLS from the first byte.
	Protocol string
	Backend  string // address of the server behind
	Cert     Pair   // of the server role; if zero, the PKI's server certificate

	Client    bool     // true: takes clear clients, speaks TLS to Backend
	CAFile    string   // client role: if not empty, the chain must end there
	CheckHost string   // client role: with CAFile, the name that must be in the certificate
	Extra     []string // further lines of the service
	Debug     string   // how much is logged, in syslog's words; if empty, info (stunnel's own default is notice)
}

// Stunnel is a running stunnel.
type Stunnel struct {
	Addr string
	Log  string
	PID  int
}

// StartStunnel starts stunnel between clear and TLS, in one direction or the
// other.
func StartStunnel(t T, o StunnelOptions) *Stunnel {
	t.Helper()
	program := "stunnel4"
	if find(program) == "" {
		program = "stunnel" // its name elsewhere than in Debian
	}
	in := begin(t, "stunnel", program)
	s := &Stunnel{Addr: in.addrs(1)[0], Log: in.log}
	conf := []string{
		"foreground = yes",
		"syslog = no",
		"debug = " + cmp.Or(o.Debug, "info"),
		"pid =",
		"[peer]",
		"accept = " + s.Addr,
		"connect = " + o.Backend,
	}
	if o.Protocol != "" {
		conf = append(conf, "protocol = "+o.Protocol)
	}
	if o.Client {
		conf = append(conf, "client = yes")
	} else {
		cert := o.Cert.or(t)
		conf = append(conf, "cert = "+cert.CertFile, "key = "+cert.KeyFile)
	}
	if o.CAFile != "" {
		conf = append(conf, "verifyChain = yes", "CAfile = "+o.CAFile)
		if o.CheckHost != "" {
			conf = append(conf, "checkHost = "+o.CheckHost)
		}
	}
	file := in.write("stunnel.conf", append(conf, o.Extra...)...)
	in.start(in.command(program, file), syscall.SIGTERM, s.Addr)
	s.PID = in.pid
	return s
}
