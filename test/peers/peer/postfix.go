package peer

import (
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// PostfixOptions are the choices for StartPostfix; the zero value is fine.
type PostfixOptions struct {
	Cert     Pair     // if zero, the PKI's server certificate
	CAFile   string   // whom Postfix trusts as a client; if empty, the test authority
	Hostname string   // if empty, mx.example.test; two Postfix that talk must differ
	Domain   string   // delivered here, any recipient; if empty, example.test; "-" for none
	Resolver string   // address of the resolver that it asks, at port 53, and trusts; if empty, the machine's
	Main     []string // further lines of main.cf, the last word: "relayhost = [127.0.0.1]:2525"
}

// Postfix is a running mail server. Mail for its domain ends in the Maildir;
// all other mail, which it takes from loopback alone, goes out by SMTP.
type Postfix struct {
	Plain      string // no TLS known
	StartTLS   string // STARTTLS offered
	Submission string // STARTTLS required
	SMTPS      string // TLS from the first byte
	Proxy      string // no TLS, the PROXY protocol before SMTP
	Log        string
	Config     string // folder for postqueue -c, postconf -c
	Maildir           // of every recipient
}

// StartPostfix starts a mail server of its own configuration, queue and
// storage. Needs root.
func StartPostfix(t T, o PostfixOptions) *Postfix {
	t.Helper()
	in := begin(t, "postfix", "master", "postconf")
	needRoot(t, "postfix")
	a := in.addrs(5)
	p := &Postfix{
		Plain: a[0], StartTLS: a[1], Submission: a[2], SMTPS: a[3], Proxy: a[4],
		Log:     in.path("maillog"),
		Config:  in.mkdir("etc", 0o755, account{}),
		Maildir: Maildir(in.path("mail", "inbox")),
	}
	in.logs = []string{p.Log}
	postfixFolders(in)
	main := in.write("etc/main.cf", withSettings(postfixMain(in, o), o.Main)...)
	in.write("etc/master.cf", append(postfixListeners(p), postfixServices...)...)
	// Every program of Postfix waits for two seconds while main.cf is new, in
	// case it is still being written.
	past := time.Now().Add(-time.Minute)
	in.fatal(os.Chtimes(main, past, past))

	// master(8) itself, not "postfix start-fg": that is a shell script, which
	// does not pass a signal on.
	cmd := in.resolvingBy(o.Resolver, "master", "-s")
	cmd.Env = environ("MAIL_CONFIG="+p.Config, "MAIL_LOGTAG=postfix")
	in.start(cmd, syscall.SIGTERM, a...)
	return p
}

// postfixFolders makes the queue as "postfix check" would.
func postfixFolders(in *instance) {
	in.t.Helper()
	postfix := in.account("postfix")
	group, err := user.LookupGroup("postdrop")
	in.fatal(err)
	drop := postfix
	drop.gid, _ = strconv.Atoi(group.Gid)

	in.mkdir("data", 0o700, postfix)
	in.mkdir("mail", 0o755, in.account("nobody"))
	in.mkdir("queue", 0o755, account{})
	in.mkdir("queue/pid", 0o755, account{})
	in.mkdir("queue/maildrop", 0o730, drop)
	in.mkdir("queue/public", 0o710, drop)
	for _, name := range strings.Fields("active bounce corrupt defer deferred flush hold incoming private saved trace") {
		in.mkdir("queue/"+name, 0o700, account{postfix.uid, 0})
	}
}

// postfixMain is main.cf. There are no alias and no hash files: tables are
// static, so nothing has to be compiled.
func postfixMain(in *instance, o PostfixOptions) []string {
	in.t.Helper()
	cert := o.Cert.or(in.t)
	if o.CAFile == "" {
		o.CAFile = NewPKI(in.t).CAFile
	}
	if o.Hostname == "" {
		o.Hostname = "mx.example.test"
	}
	switch o.Domain {
	case "":
		o.Domain = "example.test"
	case "-":
		o.Domain = ""
	}
	nobody := in.account("nobody")
	return []string{
		"compatibility_level = 3.6",
		"queue_directory = " + in.path("queue"),
		"data_directory = " + in.path("data"),
		"maillog_file = " + in.path("maillog"),
		"maillog_file_prefixes = " + in.dir,
		"myhostname = " + o.Hostname,
		"mydestination =",
		"mynetworks = 127.0.0.0/8",
		"inet_interfaces = 127.0.0.1",
		"inet_protocols = ipv4",
		"alias_maps =",
		"alias_database =",
		"local_recipient_maps =",
		"virtual_mailbox_domains = " + o.Domain,
		"virtual_mailbox_base = " + in.path("mail"),
		"virtual_mailbox_maps = static:inbox/",
		fmt.Sprintf("virtual_uid_maps = static:%d", nobody.uid),
		fmt.Sprintf("virtual_gid_maps = static:%d", nobody.gid),
		"smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination",
		"smtpd_authorized_xclient_hosts = 127.0.0.0/8",
		// A resolver that does not answer would hold up every greeting.
		"smtpd_peername_lookup = no",
		"smtpd_tls_chain_files = " + cert.KeyFile + ", " + cert.CertFile,
		"smtpd_tls_received_header = yes",
		"smtpd_tls_loglevel = 1",
		"smtp_tls_loglevel = 1",
		"smtp_tls_CAfile = " + o.CAFile,
		"tls_append_default_CA = no",
		"minimal_backoff_time = 5s",
		"queue_run_delay = 5s",
	}
}

// withSettings adds lines to main.cf, in the place of those for the same parameters. Were both there, each
// program would log a warning as it starts, postlogd too, which then waits for itself.
func withSettings(lines, more []string) []string {
	name := func(line string) string {
		word, _, _ := strings.Cut(line, "=")
		return strings.TrimSpace(word)
	}
	lines = slices.DeleteFunc(lines, func(line string) bool {
		return slices.ContainsFunc(more, func(other string) bool { return name(other) == name(line) })
	})
	return append(lines, more...)
}

// postfixListeners are the lines of master.cf for the five addresses.
func postfixListeners(p *Postfix) []string {
	listen := func(addr string, options ...string) string {
		return addr + " inet n - n - - smtpd -o " + strings.Join(options, " -o ")
	}
	return []string{
		listen(p.Plain, "smtpd_tls_security_level=none"),
		listen(p.StartTLS, "smtpd_tls_security_level=may"),
		listen(p.Submission, "smtpd_tls_security_level=encrypt"),
		listen(p.SMTPS, "smtpd_tls_wrappermode=yes", "smtpd_tls_security_level=encrypt"),
		listen(p.Proxy, "smtpd_tls_security_level=none", "smtpd_upstream_proxy_protocol=haproxy"),
	}
}

// postfixServices are the other lines of master.cf: none in a chroot, which
// would want files of the system copied into the queue.
var postfixServices = []string{
	"postlog  unix-dgram n - n - 1 postlogd",
	"pickup   unix n - n 60 1 pickup",
	"cleanup  unix n - n - 0 cleanup",
	"qmgr     unix n - n 300 1 qmgr",
	"tlsmgr   unix - - n 1000? 1 tlsmgr",
	"rewrite  unix - - n - - trivial-rewrite",
	"bounce   unix - - n - 0 bounce",
	"defer    unix - - n - 0 bounce",
	"trace    unix - - n - 0 bounce",
	"verify   unix - - n - 1 verify",
	"flush    unix n - n 1000? 0 flush",
	"proxymap unix - - n - - proxymap",
	"smtp     unix - - n - - smtp",
	"relay    unix - - n - - smtp",
	"showq    unix n - n - - showq",
	"error    unix - - n - - error",
	"retry    unix - - n - - error",
	"discard  unix - - n - - discard",
	"virtual  unix - n n - - virtual",
	"lmtp     unix - - n - - lmtp",
	"anvil    unix - - n - 1 anvil",
	"scache   unix - - n - 1 scache",
}

// Queue returns what "postqueue -p" prints, for messages that did not arrive.
func (p *Postfix) Queue(t T) string {
	t.Helper()
	out, _ := Run(t, startLimit, nil, "postqueue", "-c", p.Config, "-p")
	return out
}

// Flush has Postfix try all that waits in its queue again, as it does by itself after a while.
func (p *Postfix) Flush(t T) {
	t.Helper()
	if out, code := Run(t, startLimit, nil, "postqueue", "-c", p.Config, "-f"); code != 0 {
		t.Fatalf("postqueue -f: %d: %s", code, out)
	}
}
