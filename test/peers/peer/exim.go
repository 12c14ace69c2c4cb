package peer

import (
	"net"
	"strings"
	"syscall"
)

// EximOptions are the choices for StartExim; the zero value is fine.
type EximOptions struct {
	Cert      Pair     // if zero, the PKI's server certificate
	Hostname  string   // if empty, mx.example.test
	Domain    string   // delivered here; if empty, example.test; "-" for none
	Relay     string   // host:port for all other mail; if empty, delivered here too
	MX        bool     // all other mail goes to its domain's servers, under DANE
	Resolver  string   // address of the resolver that it asks, at port 53, and trusts; if empty, the machine's
	Transport []string // further options of the SMTP transport: "hosts_require_tls = *"
	Routers   []string // further routers, before that for all other mail
	Main      []string // further lines of the main section
	Retry     string   // when what failed is tried again; if empty, every 5 seconds for 10 minutes
}

// Exim is a running mail server, with GnuTLS. It takes mail from anybody, and
// knows AUTH PLAIN and LOGIN (User, Password) without asking for it.
type Exim struct {
	Plain    string // no TLS known
	StartTLS string // STARTTLS offered
	SMTPS    string // TLS from the first byte
	Log      string
	Maildir  // of every recipient
}

// StartExim starts the Exim that install.sh unpacked, or an installed one.
// Needs root.
func StartExim(t T, o EximOptions) *Exim {
	t.Helper()
	program := needUnpacked(t, "exim4", "exim4/usr/sbin/exim4")
	in := begin(t, "exim", program)
	needRoot(t, "exim4")
	who := in.account("Debian-exim") // compiled into the program
	a := in.addrs(3)
	e := &Exim{
		Plain: a[0], StartTLS: a[1], SMTPS: a[2],
		Log:     in.path("logs", "main"),
		Maildir: Maildir(in.path("mail", "inbox")),
	}
	for _, name := range []string{"spool", "mail", "logs"} {
		in.mkdir(name, 0o755, who)
	}
	in.logs = []string{e.Log, in.path("logs", "panic")}
	conf := eximMain(in, e, o, program)
	conf = append(conf, eximRest(e, o)...)
	file := in.write("exim.conf", conf...)
	in.start(in.resolvingBy(o.Resolver, program, "-C", file, "-bdf", "-q5s"), syscall.SIGTERM, a...)
	return e
}

func eximMain(in *instance, e *Exim, o EximOptions, program string) []string {
	in.t.Helper()
	cert := o.Cert.or(in.t)
	if o.Hostname == "" {
		o.Hostname = "mx.example.test"
	}
	switch o.Domain {
	case "":
		o.Domain = "example.test"
	case "-":
		o.Domain = ""
	}
	return append([]string{
		// Exim starts itself again for each delivery: the same file, and as
		// the user it already is, so it need not be setuid root.
		"exim_path = " + program,
		"deliver_drop_privilege",
		"primary_hostname = " + o.Hostname,
		"spool_directory = " + in.path("spool"),
		"log_file_path = " + in.path("logs", "%s"),
		"pid_file_path = " + in.path("pid"),
		"local_interfaces = 127.0.0.1",
		"daemon_smtp_ports = " + strings.Join([]string{port(e.Plain), port(e.StartTLS), port(e.SMTPS)}, " : "),
		"tls_on_connect_ports = " + port(e.SMTPS),
		"tls_advertise_hosts = ${if eq{$received_port}{" + port(e.Plain) + "}{}{*}}",
		"tls_certificate = " + cert.CertFile,
		"tls_privatekey = " + cert.KeyFile,
		// Nothing that waits for a resolver or for the client's machine.
		"host_lookup =",
		"rfc1413_query_timeout = 0s",
		"keep_environment =",
		"log_selector = +tls_cipher +tls_peerdn +tls_sni +tls_certificate_verified +received_recipients",
		"domainlist local_domains = " + o.Domain,
		"dns_dnssec_ok = 1",
		"acl_smtp_rcpt = accept",
		"acl_smtp_data = accept",
	}, o.Main...)
}

// eximRest is the configuration after the main section.
func eximRest(e *Exim, o EximOptions) []string {
	conf := []string{
		"begin authenticators",
		"plain:",
		"  driver = plaintext",
		"  public_name = PLAIN",
		"  server_condition = ${if and{{eq{$auth2}{" + User + "}}{eq{$auth3}{" + Password + "}}}}",
		"  server_set_id = $auth2",
		"login:",
		"  driver = plaintext",
		"  public_name = LOGIN",
		"  server_prompts = Username:: : Password::",
		"  server_condition = ${if and{{eq{$auth1}{" + User + "}}{eq{$auth2}{" + Password + "}}}}",
		"  server_set_id = $auth1",
		"begin routers",
		"here:",
		"  driver = accept",
		"  domains = +local_domains",
		"  transport = inbox",
	}
	conf = append(conf, o.Routers...)
	switch {
	case o.MX:
		conf = append(conf, "everywhere:", "  driver = dnslookup", "  dnssec_request_domains = *",
			"  self = send", // to Exim, all of 127.0.0.0/8 is this machine
			"  transport = out")
	case o.Relay == "":
		conf = append(conf, "everywhere:", "  driver = accept", "  transport = inbox")
	default:
		host, port, _ := net.SplitHostPort(o.Relay)
		conf = append(conf, "relay:", "  driver = manualroute",
			"  route_list = * "+host+"::"+port, // a colon separates, two are one
			"  self = send",                    // the relay is this machine too
			"  transport = out")
	}
	conf = append(conf,
		"begin transports",
		"inbox:",
		"  driver = appendfile",
		"  directory = "+string(e.Maildir),
		"  maildir_format",
		"out:",
		"  driver = smtp",
		"  allow_localhost",
	)
	if o.MX {
		conf = append(conf, "  hosts_try_dane = *", "  dnssec_request_domains = *")
	}
	for _, line := range o.Transport {
		conf = append(conf, "  "+line)
	}
	if o.Retry == "" {
		o.Retry = "F,10m,5s"
	}
	return append(conf, "begin retry", "* * "+o.Retry)
}
