package peers

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"starttls/internal/check"
	"starttls/internal/finding"
	"starttls/test/peers/peer"
)

var update = flag.Bool("update", false, "write the golden files anew")

// A checked is a real server in a configuration that is good or bad, and what the checker must find in the
// bad one. All that it finds is in testdata/check.
type checked struct {
	name  string
	start func(t *testing.T, pki *peer.PKI) (url string)
	bad   []string // insufficient; nil for the good ones
	dial  func(context.Context, string, string) (net.Conn, error)
}

// strictExim takes nothing before TLS. Both leave out what RFC 9325 gives up, and Debian has still on.
var strictExim = []string{
	patientExim,
	`auth_advertise_hosts = ${if eq{$tls_in_cipher}{}{}{*}}`,
	`acl_smtp_mail = ${if eq{$tls_in_cipher}{}{deny}{accept}}`,
	`tls_require_ciphers = NORMAL:-VERS-TLS1.0:-VERS-TLS1.1:-SIGN-ECDSA-SHA1:-SIGN-RSA-SHA1:-DHE-RSA:-RSA`,
}

var strictSlapd = map[peer.Mode][]string{peer.ModeRequired: {
	"TLSCipherSuite NORMAL:-VERS-TLS1.0:-VERS-TLS1.1:-SIGN-ECDSA-SHA1:-SIGN-RSA-SHA1:-DHE-RSA:-RSA",
}}

// patientExim counts no clients: those that have just left are in the count for a while.
const patientExim = "smtp_accept_max = 0"

var strictSendmail = []string{
	"LOCAL_CONFIG", "O CipherList=ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2",
	"O ServerSSLOptions=+SSL_OP_NO_TLSv1 +SSL_OP_NO_TLSv1_1 +SSL_OP_CIPHER_SERVER_PREFERENCE",
}

var strictPostfix = []string{
	"smtpd_tls_mandatory_protocols = >=TLSv1.2", "smtpd_tls_mandatory_ciphers = high",
	"tls_high_cipherlist = ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2", "tls_preempt_cipherlist = yes",
}

// clearLogins are taken by a Dovecot that has TLS, and clearLogin is what must be found then.
var (
	clearLogins = []string{"disable_plaintext_auth = no"}
	clearLogin  = []string{"clear.mechanisms-before-tls", "clear.login-before-tls"}
)

func checkedServers() []checked {
	dovecot := func(mode peer.Mode, url func(*peer.Dovecot) string, extra ...string) func(*testing.T, *peer.PKI) string {
		return func(t *testing.T, _ *peer.PKI) string {
			return url(peer.StartDovecot(t, peer.DovecotOptions{Mode: mode, Extra: extra}))
		}
	}
	imap := func(d *peer.Dovecot) string { return "imap://" + d.IMAP }
	sieve := func(d *peer.Dovecot) string { return "sieve://" + d.Sieve }
	pop3 := func(d *peer.Dovecot) string { return "pop3://" + d.POP3 }
	slapd := func(mode peer.Mode) func(*testing.T, *peer.PKI) string {
		return func(t *testing.T, _ *peer.PKI) string {
			return "ldap://" + peer.StartSlapd(t, peer.SlapdOptions{Mode: mode, Extra: strictSlapd[mode]}).LDAP
		}
	}
	postgres := func(mode peer.Mode) func(*testing.T, *peer.PKI) string {
		return func(t *testing.T, _ *peer.PKI) string {
			return "postgres://" + peer.StartPostgres(t, peer.PostgresOptions{Mode: mode}).Addr
		}
	}
	mariadb := func(mode peer.Mode) func(*testing.T, *peer.PKI) string {
		return func(t *testing.T, _ *peer.PKI) string {
			return "mysql://" + peer.StartMariaDB(t, peer.MariaDBOptions{Mode: mode}).Addr
		}
	}
	prosody := func(mode peer.Mode) func(*testing.T, *peer.PKI) string {
		return func(t *testing.T, _ *peer.PKI) string {
			return "xmpp://" + peer.StartProsody(t, peer.ProsodyOptions{Mode: mode}).Client + "?match=" + peer.XMPPDomain
		}
	}
	inn := func(mode peer.Mode) func(*testing.T, *peer.PKI) string {
		return func(t *testing.T, _ *peer.PKI) string {
			return "nntp://" + peer.StartINN(t, peer.INNOptions{Mode: mode}).Addr
		}
	}
	proftpd := func(mode peer.Mode) func(*testing.T, *peer.PKI) string {
		return func(t *testing.T, _ *peer.PKI) string {
			return "ftp://" + peer.StartProFTPD(t, peer.ProFTPDOptions{Mode: mode}).Addr
		}
	}
	vsftpd := func(mode peer.Mode) func(*testing.T, *peer.PKI) string {
		return func(t *testing.T, _ *peer.PKI) string {
			return "ftp://" + peer.StartVsftpd(t, peer.VsftpdOptions{Mode: mode}).Addr
		}
	}
	sendmail := func(url func(*peer.Sendmail) string) func(*testing.T, *peer.PKI) string {
		return func(t *testing.T, _ *peer.PKI) string {
			return "smtp://" + url(peer.StartSendmail(t, peer.SendmailOptions{Resolver: "127.0.0.1", Config: strictSendmail}))
		}
	}
	return []checked{
		{"postfix-good", func(t *testing.T, _ *peer.PKI) string {
			return "submission://" + peer.StartPostfix(t, peer.PostfixOptions{Main: strictPostfix}).Submission
		}, nil, nil},
		{"postfix-bad", func(t *testing.T, pki *peer.PKI) string { // no TLS
			return "submission://" + peer.StartPostfix(t, peer.PostfixOptions{}).Plain
		}, []string{"clear.offer", "clear.login-before-tls"}, nil},
		{"exim-good", func(t *testing.T, _ *peer.PKI) string {
			return "submission://" + peer.StartExim(t, peer.EximOptions{Main: strictExim}).StartTLS
		}, nil, nil},
		{"exim-bad", func(t *testing.T, pki *peer.PKI) string { // logins in the clear, an expired certificate
			return "submission://" + peer.StartExim(t, peer.EximOptions{Cert: pki.Expired, Main: []string{patientExim}}).StartTLS
		}, []string{"clear.mechanisms-before-tls", "clear.login-before-tls", "cert.dates"}, nil},
		{"sendmail-good", sendmail(func(s *peer.Sendmail) string { return s.StartTLS }), nil, nil},
		{"sendmail-bad", sendmail(func(s *peer.Sendmail) string { return s.Plain }), []string{"clear.offer"}, nil},
		{"dovecot-imap-good", dovecot(peer.ModeRequired, imap), nil, fromElsewhere},
		{"dovecot-imap-bad", dovecot(peer.ModePlain, imap), []string{"clear.offer", "clear.login-before-tls"}, fromElsewhere},
		{"dovecot-pop3-good", dovecot(peer.ModeRequired, pop3), nil, fromElsewhere},
		{"dovecot-pop3-bad", dovecot(peer.ModePlain, pop3), []string{"clear.offer", "clear.login-before-tls"}, fromElsewhere},
		{"dovecot-imap-clear", dovecot(peer.ModeTLS, imap, clearLogins...), clearLogin, fromElsewhere},
		{"dovecot-sieve-clear", dovecot(peer.ModeTLS, sieve, clearLogins...), clearLogin, fromElsewhere},
		{"slapd-good", slapd(peer.ModeRequired), nil, nil},
		{"slapd-bad", slapd(peer.ModeTLS), []string{"clear.login-before-tls"}, nil},
		{"postgres-good", postgres(peer.ModeRequired), nil, nil},
		{"postgres-bad", postgres(peer.ModeTLS), []string{"clear.login-before-tls"}, nil},
		{"mariadb-good", mariadb(peer.ModeRequired), nil, nil},
		{"mariadb-bad", mariadb(peer.ModePlain), []string{"clear.offer"}, nil},
		{"prosody-good", prosody(peer.ModeRequired), nil, nil},
		{"prosody-bad", prosody(peer.ModeTLS), []string{"clear.mechanisms-before-tls"}, nil},
		{"inn-good", inn(peer.ModeRequired), nil, nil},
		{"inn-bad", inn(peer.ModePlain), []string{"clear.upgrade-works", "clear.login-before-tls"}, nil},
		{"proftpd-good", proftpd(peer.ModeRequired), nil, nil},
		{"proftpd-bad", proftpd(peer.ModePlain), []string{"clear.offer"}, nil},
		{"vsftpd-good", vsftpd(peer.ModeRequired), nil, nil},
		{"vsftpd-bad", vsftpd(peer.ModePlain), []string{"clear.offer"}, nil},
	}
}

// fromElsewhere dials as another machine of the loopback network: Dovecot takes its own address for secured.
func fromElsewhere(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	return d.DialContext(ctx, network, address)
}

func TestCheckOfRealServers(t *testing.T) {
	for _, row := range checkedServers() {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			pki := peer.NewPKI(t)
			row.check(t, pki, row.start(t, pki))
		})
	}
}

// TestCheckLeavesNoFailedLogin: that logins are taken in the clear is found without one that fails, for which a
// server would be slow with the next ones from here.
func TestCheckLeavesNoFailedLogin(t *testing.T) {
	pki := peer.NewPKI(t)
	d := peer.StartDovecot(t, peer.DovecotOptions{Extra: clearLogins})
	for service, url := range map[string]string{"imap-login": "imap://" + d.IMAP, "managesieve-login": "sieve://" + d.Sieve} {
		target, err := check.ParseTarget(url)
		if err != nil {
			t.Fatal(err)
		}
		r, err := check.New(check.Config{Roots: pki.Pool, Dial: fromElsewhere, Timeout: limit}).Check(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		ends := service + ": Info: Disconnected" // a line for each session
		for end := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
			log, err := os.ReadFile(d.Log)
			if err != nil || time.Now().After(end) {
				t.Fatalf("the log is not complete: %v\n%s", err, log)
			}
			if strings.Contains(string(log), "auth failed") {
				t.Fatalf("%s: a login has failed\n%s", url, log)
			}
			if strings.Count(string(log), ends) >= r.Services[0].Connections {
				break
			}
		}
	}
}

func (row checked) check(t *testing.T, pki *peer.PKI, url string) {
	t.Helper()
	target, err := check.ParseTarget(url)
	if err != nil {
		t.Fatal(err)
	}
	// The budget is large enough for all that there is to ask, so that where it ends says nothing here.
	c := check.New(check.Config{Name: "client.test", Roots: pki.Pool, Dial: row.dial, Budget: 40, Timeout: 20 * time.Second, Patience: 100 * time.Millisecond})
	r, err := c.Check(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.All {
		if bad := f.Verdict == finding.Insufficient; bad && row.bad == nil {
			t.Errorf("a good server: %s is %s: %s", f.ID, f.Verdict, f.Evidence)
		}
	}
	for _, id := range row.bad {
		if !slices.ContainsFunc(r.Services[0].Findings, func(f finding.Finding) bool { return f.ID == id && f.Verdict == finding.Insufficient }) {
			t.Errorf("%s is not found", id)
		}
	}
	row.golden(t, r)
}

// passing is what differs from one run to the next.
var passing = []struct {
	is *regexp.Regexp
	as string
}{
	{regexp.MustCompile(`127\.0\.0\.\d:\d+`), "ADDRESS"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d`), "DATE"},
	{regexp.MustCompile(`\[\d+\]`), "[PID]"},
	{regexp.MustCompile(`id='[^']*'`), "id='ID'"},
	{regexp.MustCompile(`\\r\\n500 OOPS: [a-z_]*`), ""},                                                                     // vsftpd's child, if it has the time
	{regexp.MustCompile(`(does not go ahead: the upgrade is refused): .*`), "$1"},                                           // slapd's threads answer in any order
	{regexp.MustCompile(`(good|sufficient) +(tls.resumption): (by ticket|the session is not resumed)`), "RESUMED?      $2"}, // sendmail does now and then
	{regexp.MustCompile(`(tls.suites: \S+: [^,;\n]*)[,;][^\n]*`), "$1 …"},                                                   // as many as there are connections left for
	{regexp.MustCompile(`(the server lists) [A-Z0-9-]+(, [A-Z0-9-]+)*`), "$1 MECHANISMS"},
}

// golden compares all findings with those that were seen before.
func (row checked) golden(t *testing.T, r *finding.Result) {
	t.Helper()
	var b strings.Builder
	s := r.Services[0]
	fmt.Fprintf(&b, "%s %s\n", s.Protocol, s.Outcome)
	for _, f := range s.Findings {
		fmt.Fprintf(&b, "%-14s %s: %s\n", f.Verdict, f.ID, f.Evidence)
	}
	got := b.String()
	for _, p := range passing {
		got = p.is.ReplaceAllString(got, p.as)
	}
	file := filepath.Join("testdata", "check", row.name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what is found now:\n%s\nwant:\n%s", file, got, want)
	}
}
