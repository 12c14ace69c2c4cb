package peer

import (
	"path/filepath"
	"strings"
	"syscall"
)

// OpenSMTPD is a running mail server that takes mail from anybody and hands all of it to a relay.
type OpenSMTPD struct {
	Plain string // where it takes mail
	Log   string
}

// StartOpenSMTPD starts the OpenSMTPD that install.sh unpacked, for a relay at host:port. Needs root, and
// the right to mount: its folders and accounts are compiled in.
func StartOpenSMTPD(t T, relay string) *OpenSMTPD {
	t.Helper()
	program := needUnpacked(t, "opensmtpd", "opensmtpd/usr/sbin/smtpd")
	in := begin(t, "opensmtpd", "unshare")
	needMounts(t, "opensmtpd")
	at := in.addrs(1)[0]
	conf := in.write("smtpd.conf",
		"listen on 127.0.0.1 port "+port(at),
		`action "out" relay host smtp://`+relay,
		`match from any for any action "out"`)
	// Accounts and folders that only it sees.
	const script = `set -e
		mount -t tmpfs none /run; mount -t tmpfs none /var/spool; mount -t tmpfs none /var/lib
		mkdir -p /var/lib/opensmtpd/empty /var/spool/smtpd
		chmod 711 /var/spool/smtpd
		n=60990
		for who in opensmtpd opensmtpq; do
			echo "$who:x:$n:$n::/var/lib/opensmtpd/empty:/bin/false" >>"$0/passwd"
			echo "$who:x:$n:" >>"$0/group"
			n=$((n + 1))
		done
		cat /etc/passwd >>"$0/passwd"; cat /etc/group >>"$0/group"
		mount --bind "$0/passwd" /etc/passwd; mount --bind "$0/group" /etc/group
		exec "$@"`
	cmd := in.command("unshare", "-m", "sh", "-c", script, in.dir, program, "-d", "-f", conf)
	cmd.Env = environ("LD_LIBRARY_PATH=" + filepath.Join(strings.TrimSuffix(program, "/usr/sbin/smtpd"), "usr/lib/x86_64-linux-gnu"))
	in.start(cmd, syscall.SIGTERM, at)
	return &OpenSMTPD{Plain: at, Log: in.log}
}
