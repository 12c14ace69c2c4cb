package peer

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// SendmailClient is a sendmail that hands all mail to a smart host. It has no daemon: each message is a run
// of the program that ends when the first try at a delivery is over; what it could not deliver is in Queue.
type SendmailClient struct {
	Queue string // folder

	program       string
	config, hosts string
}

// NewSendmailClient configures the sendmail that install.sh unpacked, with its own m4 files, for a relay at
// host:port. Needs root.
func NewSendmailClient(t T, relay string) *SendmailClient {
	t.Helper()
	program := needUnpacked(t, "sendmail-mta", "sendmail/usr/libexec/sendmail/sendmail")
	in := begin(t, "sendmail", "m4", "unshare")
	needMounts(t, "sendmail")
	root := strings.TrimSuffix(program, "/usr/libexec/sendmail/sendmail")
	host, port, _ := net.SplitHostPort(relay)
	name, err := os.Hostname()
	in.fatal(err)
	mc := in.write("sendmail.mc",
		"divert(0)dnl",
		"OSTYPE(`linux')dnl",
		"FEATURE(`nocanonify')dnl",
		"define(`confDOMAIN_NAME', `sender.test')dnl",
		"define(`QUEUE_DIR', `"+in.mkdir("queue", 0o700, account{})+"')dnl",
		"define(`confDONT_BLAME_SENDMAIL', `GroupWritableDirPathSafe')dnl",
		"define(`confQUEUE_LA', `9999')dnl", // mail goes at once however busy the machine is
		"define(`SMART_HOST', `relay:["+host+"]')dnl",
		"define(`RELAY_MAILER_ARGS', `TCP $h "+port+"')dnl",
		"MAILER(`local')dnl",
		"MAILER(`smtp')dnl")
	cf := filepath.Join(root, "usr/share/sendmail/cf")
	out, status := Run(t, startLimit, nil, "m4", "-D_CF_DIR_="+cf+"/", filepath.Join(cf, "m4/cf.m4"), mc)
	if status != 0 {
		t.Fatalf("sendmail: m4: %s", out)
	}
	return &SendmailClient{
		Queue: in.path("queue"), program: program,
		config: in.write("sendmail.cf", strings.TrimLeft(out, "\n")),
		// It asks for its own name before all else, and waits long when there is none.
		hosts: in.write("hosts", "127.0.0.1 localhost sender.test "+name),
	}
}

// Send hands a message in, and returns what sendmail says of the delivery: the conversation, and for each
// recipient a line "to... Sent (…", "to... Deferred: …" or why it bounces.
func (s *SendmailClient) Send(t T, limit time.Duration, from, to, message string) string {
	t.Helper()
	const script = `mount --bind "$0" /etc/hosts && exec "$@"`
	out, _ := RunInput(t, limit, nil, message,
		"unshare", "-m", "sh", "-c", script, s.hosts, s.program, "-C", s.config, "-odi", "-v", "-f", from, to)
	return out
}
