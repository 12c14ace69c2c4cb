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
}

// strict has Exim and Postfix take nothing before TLS, as a server for users must.
var strictExim = []string{
	`auth_advertise_hosts = ${if eq{$tls_in_cipher}{}{}{*}}`,
	`acl_smtp_mail = ${if eq{$tls_in_cipher}{}{deny}{accept}}`,
}

func checkedServers() []checked {
	dovecot := func(mode peer.Mode, url func(*peer.Dovecot) string) func(*testing.T, *peer.PKI) string {
		return func(t *testing.T, _ *peer.PKI) string { return url(peer.StartDovecot(t, peer.DovecotOptions{Mode: mode})) }
	}
	imap := func(d *peer.Dovecot) string { return "imap://" + d.IMAP }
	pop3 := func(d *peer.Dovecot) string { return "pop3://" + d.POP3 }
	slapd := func(mode peer.Mode) func(*testing.T, *peer.PKI) string {
		return func(t *testing.T, _ *peer.PKI) string {
			return "ldap://" + peer.StartSlapd(t, peer.SlapdOptions{Mode: mode}).LDAP
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
		return func(t *testing.T, _ *peer.PKI) string { return "nntp://" + peer.StartINN(t, peer.INNOptions{Mode: mode}).Addr }
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
	return []checked{
		{"postfix-good", func(t *testing.T, _ *peer.PKI) string {
			return "submission://" + peer.StartPostfix(t, peer.PostfixOptions{}).Submission
		}, nil},
		{"postfix-bad", func(t *testing.T, pki *peer.PKI) string { // no TLS
			return "submission://" + peer.StartPostfix(t, peer.PostfixOptions{}).Plain
		}, []string{"clear.offer", "clear.login-before-tls"}},
		{"exim-good", func(t *testing.T, _ *peer.PKI) string {
			return "submission://" + peer.StartExim(t, peer.EximOptions{Main: strictExim}).StartTLS
		}, nil},
		{"exim-bad", func(t *testing.T, pki *peer.PKI) string { // logins in the clear, an expired certificate
			return "submission://" + peer.StartExim(t, peer.EximOptions{Cert: pki.Expired}).StartTLS
		}, []string{"clear.mechanisms-before-tls", "clear.login-before-tls", "cert.dates"}},
		{"dovecot-imap-good", dovecot(peer.ModeRequired, imap), nil},
		{"dovecot-imap-bad", dovecot(peer.ModePlain, imap), []string{"clear.offer", "clear.login-before-tls"}},
		{"dovecot-pop3-good", dovecot(peer.ModeRequired, pop3), nil},
		{"dovecot-pop3-bad", dovecot(peer.ModePlain, pop3), []string{"clear.offer", "clear.login-before-tls"}},
		{"slapd-good", slapd(peer.ModeRequired), nil},
		{"slapd-bad", slapd(peer.ModeTLS), []string{"clear.login-before-tls"}},
		{"postgres-good", postgres(peer.ModeRequired), nil},
		{"postgres-bad", postgres(peer.ModeTLS), []string{"clear.login-before-tls"}},
		{"mariadb-good", mariadb(peer.ModeRequired), nil},
		{"mariadb-bad", mariadb(peer.ModePlain), []string{"clear.offer"}},
		{"prosody-good", prosody(peer.ModeRequired), nil},
		{"prosody-bad", prosody(peer.ModeTLS), []string{"clear.mechanisms-before-tls"}},
		{"inn-good", inn(peer.ModeRequired), nil},
		{"inn-bad", inn(peer.ModePlain), []string{"clear.offer"}},
		{"proftpd-good", proftpd(peer.ModeRequired), nil},
		{"proftpd-bad", proftpd(peer.ModePlain), []string{"clear.offer"}},
		{"vsftpd-good", vsftpd(peer.ModeRequired), nil},
		{"vsftpd-bad", vsftpd(peer.ModeTLS), []string{"clear.login-before-tls"}},
	}
}

// fromElsewhere dials as another machine of the loopback network: some servers take their own address for
// secured.
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

func (row checked) check(t *testing.T, pki *peer.PKI, url string) {
	t.Helper()
	target, err := check.ParseTarget(url)
	if err != nil {
		t.Fatal(err)
	}
	c := check.New(check.Config{Name: "client.test", Roots: pki.Pool, Dial: fromElsewhere, Timeout: 20 * time.Second, Patience: 100 * time.Millisecond})
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
	if n := r.Services[0].Connections; n > 20 {
		t.Errorf("%d connections", n)
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
}

// golden compares all findings with those that were seen before.
func (row checked) golden(t *testing.T, r *finding.Result) {
	t.Helper()
	var b strings.Builder
	s := r.Services[0]
	fmt.Fprintf(&b, "%s %s, %d connections\n", s.Protocol, s.Outcome, s.Connections)
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
