package peer

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
)

// DovecotOptions are the choices for StartDovecot; the zero value is fine.
type DovecotOptions struct {
	Mode  Mode
	Cert  Pair     // if zero, the PKI's server certificate
	Extra []string // further lines of dovecot.conf
}

// Dovecot is a running mail store. Any user name goes with Password.
//
// It takes a client on loopback for a secured one: neither LOGINDISABLED nor
// the refusal of a clear password is seen there, in no mode, but through
// IMAPProxy with the address of another machine.
type Dovecot struct {
	IMAP      string
	POP3      string
	Sieve     string
	LMTP      string
	IMAPS     string // "" in ModePlain
	POP3S     string // "" in ModePlain
	IMAPProxy string // IMAP after the PROXY protocol
	Log       string
	mail      string
}

// Mail returns what LMTP has delivered to the user, named without the domain.
func (d *Dovecot) Mail(user string) Maildir {
	return Maildir(filepath.Join(d.mail, user, "Maildir"))
}

// StartDovecot starts IMAP, POP3, ManageSieve and LMTP. Needs root.
func StartDovecot(t T, o DovecotOptions) *Dovecot {
	t.Helper()
	in := begin(t, "dovecot", "dovecot",
		"/usr/lib/dovecot/imap", "/usr/lib/dovecot/pop3", "/usr/lib/dovecot/lmtp", "/usr/lib/dovecot/managesieve")
	needRoot(t, "dovecot")
	a := in.addrs(7)
	d := &Dovecot{
		IMAP: a[0], POP3: a[1], Sieve: a[2], LMTP: a[3], IMAPProxy: a[4], IMAPS: a[5], POP3S: a[6],
		Log:  in.path("dovecot.log"),
		mail: in.mkdir("mail", 0o755, in.account("nobody")),
	}
	if o.Mode == ModePlain {
		d.IMAPS, d.POP3S = "", ""
	}
	in.logs = []string{d.Log}
	conf := in.write("dovecot.conf", dovecotConf(in, d, o)...)
	in.start(in.command("dovecot", "-F", "-c", conf), syscall.SIGTERM)
	// It listens everywhere before it starts anything. One look is enough, and
	// more would each leave a half-started login process behind, for which a
	// stop waits.
	in.awaitGreeting(d.IMAP)
	return d
}

func dovecotConf(in *instance, d *Dovecot, o DovecotOptions) []string {
	in.t.Helper()
	cert, nobody := o.Cert.or(in.t), in.account("nobody")
	ssl := [...]string{ModeTLS: "yes", ModePlain: "no", ModeRequired: "required"}[o.Mode]
	clear := [...]string{ModeTLS: "yes", ModePlain: "no", ModeRequired: "yes"}[o.Mode]
	conf := []string{
		"base_dir = " + in.path("base"),
		"state_dir = " + in.path("state"),
		"log_path = " + d.Log,
		"listen = 127.0.0.1",
		"protocols = imap pop3 sieve lmtp",
		"hostname = mx.example.test",
		"ssl = " + ssl,
		"ssl_cert = <" + cert.CertFile,
		"ssl_key = <" + cert.KeyFile,
		"disable_plaintext_auth = " + clear,
		"auth_mechanisms = plain login",
		"auth_failure_delay = 0",
		"haproxy_trusted_networks = 127.0.0.0/8",
		"mail_location = maildir:~/Maildir",
		fmt.Sprintf("first_valid_uid = %d", nobody.uid),
		fmt.Sprintf("last_valid_uid = %d", nobody.uid),
		fmt.Sprintf("first_valid_gid = %d", nobody.gid),
		"auth_username_format = %Ln", // the same folder for joe and joe@example.test
		"passdb {", "  driver = static", "  args = password=" + Password, "}",
		"userdb {", "  driver = static",
		fmt.Sprintf("  args = uid=%d gid=%d home=%s/%%n allow_all_users=yes", nobody.uid, nobody.gid, d.mail), "}",
		// The mail processes run as nobody and report to this socket.
		"service stats {", "  unix_listener stats-writer {", "    mode = 0666", "  }", "}",
	}
	conf = append(conf, dovecotService("imap-login",
		"imap "+port(d.IMAP), "imaps "+port(d.IMAPS)+" ssl", "imap_haproxy "+port(d.IMAPProxy)+" haproxy")...)
	conf = append(conf, dovecotService("pop3-login", "pop3 "+port(d.POP3), "pop3s "+port(d.POP3S)+" ssl")...)
	conf = append(conf, dovecotService("managesieve-login", "sieve "+port(d.Sieve))...)
	conf = append(conf, dovecotService("lmtp", "lmtp "+port(d.LMTP))...)
	return append(conf, o.Extra...)
}

// dovecotService is a service with its listeners, each told as "name port" or
// "name port flag". A listener without a port is switched off (port 0).
func dovecotService(name string, listeners ...string) []string {
	conf := []string{"service " + name + " {"}
	for _, l := range listeners {
		words := strings.Split(l, " ")
		if words[1] == "" {
			words = []string{words[0], "0"}
		}
		conf = append(conf, "  inet_listener "+words[0]+" {", "    port = "+words[1])
		if len(words) == 3 {
			conf = append(conf, "    "+words[2]+" = yes")
		}
		conf = append(conf, "  }")
	}
	return append(conf, "}")
}
