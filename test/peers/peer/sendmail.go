package peer

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// SendmailOptions are the choices for StartSendmail.
type SendmailOptions struct {
	Cert     Pair     // if zero, the PKI's server certificate
	Hostname string   // if empty, mx.example.test
	CAFile   string   // whom it trusts as a client; if empty, the test authority
	Resolver string   // address of the resolver that it asks, at port 53
	Config   []string // further lines of sendmail.mc
}

// Sendmail is a running mail server that sends on all that it gets.
type Sendmail struct {
	Plain    string // no TLS known
	StartTLS string // STARTTLS offered

	queue string
}

// Waits returns the reason why a message for an address waits, and "" if there is none that does. It is in
// the file of the queue: the program that shows the queue waits for a minute if the machine's name does not
// please it.
func (s *Sendmail) Waits(to string) string {
	files, _ := filepath.Glob(filepath.Join(s.queue, "qf*"))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		if !strings.Contains(string(text), "<"+to+">") {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if reason, ok := strings.CutPrefix(line, "M"); ok {
				return strings.TrimSpace(reason)
			}
		}
	}
	return ""
}

// StartSendmail starts the Sendmail that install.sh unpacked. Needs root, and the right to mount: it reads
// its own name and address from where the system keeps them, and waits for a minute if they do not please.
func StartSendmail(t T, o SendmailOptions) *Sendmail {
	t.Helper()
	program := needUnpacked(t, "sendmail-mta", "sendmail/usr/libexec/sendmail/sendmail")
	in := begin(t, "sendmail", program, "m4", "unshare")
	needMounts(t, "sendmail")
	a := in.addrs(2)
	if o.Hostname == "" {
		o.Hostname = "mx.example.test"
	}
	if o.CAFile == "" {
		o.CAFile = NewPKI(t).CAFile
	}
	in.mkdir("queue", 0o700, account{})
	in.write("status")
	cf := strings.TrimSuffix(program, "usr/libexec/sendmail/sendmail") + "usr/share/sendmail/cf/"
	mc := in.write("sendmail.mc", append(sendmailConf(in, o, cf, a), o.Config...)...)
	m4 := in.command("m4", "-D_CF_DIR_="+cf, mc)
	text, err := m4.Output()
	in.fatal(err)
	conf := in.write("sendmail.cf", string(text))
	hosts := in.write("hosts", "127.0.0.1 "+o.Hostname+" localhost")
	resolv := in.write("resolv.conf", "nameserver "+o.Resolver, "options edns0")

	const script = `hostname "$0" && mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && shift 2 && exec "$@"`
	in.start(in.command("unshare", "-m", "-u", "sh", "-c", script, o.Hostname, hosts, resolv,
		program, "-C", conf, "-L", "sm-private", "-bD", "-q1h"), syscall.SIGTERM, a...)
	return &Sendmail{a[0], a[1], in.path("queue")}
}

func sendmailConf(in *instance, o SendmailOptions, cf string, a []string) []string {
	in.t.Helper()
	cert := o.Cert.or(in.t)
	key, err := os.ReadFile(cert.KeyFile)
	in.fatal(err)
	in.fatal(os.WriteFile(in.path("key.pem"), key, 0o600)) // it reads none that others may read
	define := func(name, value string) string { return "define(`" + name + "',`" + value + "')dnl" }
	return []string{
		"divert(0)dnl",
		"include(`" + cf + "m4/cf.m4')dnl",
		"OSTYPE(`linux')dnl",
		define("confDOMAIN_NAME", o.Hostname),
		define("QUEUE_DIR", in.path("queue")),
		define("STATUS_FILE", in.path("status")),
		define("confPID_FILE", in.path("pid")),
		define("ALIAS_FILE", ""),
		define("confCW_FILE", "-o "+in.path("none")),
		define("confDEF_USER_ID", "nobody:nogroup"),
		define("confDONT_BLAME_SENDMAIL", "GroupWritableDirPathSafe,TrustStickyBit"),
		define("confDONT_PROBE_INTERFACES", "true"), // or all of 127.0.0.0/8 is this machine
		define("confTO_IDENT", "0"),
		define("confLOG_LEVEL", "14"),
		define("confBIND_OPTS", ""),
		define("confQUEUE_LA", "9999"), // mail goes at once however busy the machine is
		define("confREFUSE_LA", "9999"),
		define("confCACERT", o.CAFile),
		define("confCACERT_PATH", in.dir),
		define("confSERVER_CERT", cert.CertFile),
		define("confSERVER_KEY", in.path("key.pem")),
		"FEATURE(`nocanonify')dnl",
		"FEATURE(`accept_unresolvable_domains')dnl",
		"FEATURE(`accept_unqualified_senders')dnl",
		"FEATURE(`promiscuous_relay')dnl",
		"FEATURE(`no_default_msa')dnl",
		"DAEMON_OPTIONS(`Family=inet, Addr=127.0.0.1, Port=" + port(a[0]) + ", Name=MTA, M=S')dnl",
		"DAEMON_OPTIONS(`Family=inet, Addr=127.0.0.1, Port=" + port(a[1]) + ", Name=TLS')dnl",
		"MAILER(`smtp')dnl",
		"MAILER(`local')dnl",
	}
}
