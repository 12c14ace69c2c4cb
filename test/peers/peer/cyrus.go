package peer

import (
	"strings"
	"syscall"
)

// CyrusOptions are the choices for StartCyrus; the zero value is fine.
type CyrusOptions struct {
	Mode  Mode     // ModeTLS is as ModeRequired: nobody may log in before TLS
	Cert  Pair     // if zero, the PKI's server certificate
	Extra []string // further lines of imapd.conf
}

// Cyrus is a running mail store. Unlike Dovecot it shows LOGINDISABLED and
// refuses a clear password before TLS, on loopback as well.
type Cyrus struct {
	IMAP  string
	POP3  string
	Sieve string // greets with a bare OK, at which gnutls-cli gives up
	NNTP  string
	LMTP  string // for User, logged in
	Log   string
}

// StartCyrus starts the Cyrus IMAP that install.sh unpacked. Its folders are
// compiled in, so it sees them laid over those of the machine, in a mount
// namespace. Needs root.
func StartCyrus(t T, o CyrusOptions) *Cyrus {
	t.Helper()
	Need(t) // a machine that can
	root := unpacked("cyrus/usr/lib/cyrus/bin/master")
	if root == "" {
		missing(t, "cyrus")
	}
	in := begin(t, "cyrus", "unshare")
	needMounts(t, "cyrus")
	usr := strings.TrimSuffix(root, "/lib/cyrus/bin/master")
	a := in.addrs(5)
	c := &Cyrus{IMAP: a[0], POP3: a[1], Sieve: a[2], NNTP: a[3], LMTP: a[4], Log: in.log}
	who := in.account("cyrus")
	for _, dir := range strings.Fields("config config/db config/socket config/log config/msg config/user config/quota " +
		"config/backup config/proc config/lock spool sieve run sasl") {
		in.mkdir(dir, 0o755, who)
	}
	password := in.command(usr+"/sbin/saslpasswd2", "-p", "-c", "-f", in.path("sasl", "db"), "-u", cyrusHost, User)
	password.Stdin = strings.NewReader(Password)
	in.run(password)
	in.chown(in.path("sasl", "db"), who)
	conf := in.write("imapd.conf", cyrusConf(in, o, who)...)
	services := in.write("cyrus.conf", cyrusServices(c, conf)...)
	const script = `mount -t overlay overlay -o "lowerdir=$0:/usr" /usr && exec /usr/lib/cyrus/bin/master "$@"`
	// QUIT is the stop in order; at a TERM it sometimes waits for itself.
	in.start(in.command("unshare", "-m", "sh", "-c", script, usr,
		"-C", conf, "-M", services, "-p", in.path("run", "pid")), syscall.SIGQUIT, a...)
	in.awaitGreeting(c.IMAP)
	return c
}

// cyrusHost is the realm of its accounts.
const cyrusHost = "mx.example.test"

func cyrusConf(in *instance, o CyrusOptions, who account) []string {
	in.t.Helper()
	conf := []string{
		"configdirectory: " + in.path("config"),
		"proc_path: " + in.path("config", "proc"),
		"mboxname_lockpath: " + in.path("config", "lock"),
		"partition-default: " + in.path("spool"),
		"defaultpartition: default",
		"sievedir: " + in.path("sieve"),
		"lmtpsocket: " + in.path("run", "lmtp"),
		"idlesocket: " + in.path("run", "idle"),
		"notifysocket: " + in.path("run", "notify"),
		"servername: " + cyrusHost,
		"lmtp_admins: " + User,
		"allowplaintext: " + map[bool]string{true: "yes", false: "no"}[o.Mode == ModePlain],
		"autocreate_quota: 0",
		"autocreate_post: yes",
		"sasl_pwcheck_method: auxprop",
		"sasl_auxprop_plugin: sasldb",
		"sasl_sasldb_path: " + in.path("sasl", "db"),
		"sasl_mech_list: PLAIN LOGIN",
		"newsprefix: news",
		"unixhierarchysep: yes",
		"virtdomains: off",
	}
	if o.Mode != ModePlain {
		cert := o.Cert.or(in.t)
		conf = append(conf, "tls_server_cert: "+cert.CertFile, "tls_server_key: "+in.privateKey(cert, who), "tls_session_timeout: 0")
	}
	return append(conf, o.Extra...)
}

func cyrusServices(c *Cyrus, conf string) []string {
	const bin = "/usr/lib/cyrus/bin/"
	service := func(name, program, addr string) string {
		return name + ` cmd="` + bin + program + ` -C ` + conf + `" listen="` + addr + `" prefork=0`
	}
	return []string{
		"START {", `recover cmd="` + bin + "ctl_cyrusdb -C " + conf + ` -r"`, "}",
		"SERVICES {",
		service("imap", "imapd", c.IMAP),
		service("pop3", "pop3d", c.POP3),
		service("sieve", "timsieved", c.Sieve),
		service("nntp", "nntpd", c.NNTP),
		service("lmtp", "lmtpd", c.LMTP),
		"}",
		"EVENTS {", "}",
	}
}
