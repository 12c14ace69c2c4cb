package peer

import "syscall"

// NATSOptions are the choices for StartNATS; the zero value is fine.
type NATSOptions struct {
	Mode  Mode     // ModeTLS lets clients go on without TLS, ModeRequired does not
	Cert  Pair     // if zero, the PKI's server certificate
	Extra []string // further lines of the configuration
}

// NATS is a running NATS server. User with Password may do anything.
type NATS struct {
	Addr string
	Log  string
}

// StartNATS starts a NATS server. Debian has no client for it.
func StartNATS(t T, o NATSOptions) *NATS {
	t.Helper()
	in := begin(t, "nats", "nats-server")
	n := &NATS{Addr: in.addrs(1)[0], Log: in.log}
	conf := []string{
		`listen: "` + n.Addr + `"`,
		"debug: true",
		`authorization { user: "` + User + `", password: "` + Password + `" }`,
	}
	if o.Mode != ModePlain {
		cert := o.Cert.or(t)
		conf = append(conf,
			`tls { cert_file: "`+cert.CertFile+`", key_file: "`+cert.KeyFile+`" }`,
			"allow_non_tls: "+trueFalse(o.Mode == ModeTLS))
	}
	file := in.write("nats.conf", append(conf, o.Extra...)...)
	in.start(in.command("nats-server", "-c", file), syscall.SIGTERM, n.Addr)
	in.awaitGreeting(n.Addr)
	return n
}
