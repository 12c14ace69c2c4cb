package peers

import (
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"starttls/test/peers/peer"
)

// nobody is a backend's URL where no backend is needed: the try-out servers are not what is tested
// here, and a client that only looks at certificates works without any where it speaks first.
const nobody = "ldap://127.0.0.1:9"

// own copies a certificate and its key to where a test may replace them.
func own(t *testing.T, pair peer.Pair) (certFile, keyFile string) {
	t.Helper()
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	replace(t, keyFile, pair.KeyFile)
	replace(t, certFile, pair.CertFile)
	return certFile, keyFile
}

// shown returns the subject of the certificate that OpenSSL is shown when it asks for a name, or "" if
// it is shown none.
func shown(t *testing.T, addr, protocol, name string) string {
	t.Helper()
	c := cmd("openssl", "s_client", "-connect", addr, "-starttls", protocol, "-servername", name)
	if name == "" {
		c = cmd("openssl", "s_client", "-connect", addr, "-starttls", protocol, "-noservername")
	}
	out, _ := peer.Run(t, limit, nil, c.args[0], c.args[1:]...)
	_, rest, _ := strings.Cut(out, "\nsubject=CN = ")
	subject, _, _ := strings.Cut(rest, "\n")
	return subject
}

func TestCertificatesAreChosenByName(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	d := peer.StartDovecot(t, peer.DovecotOptions{Mode: peer.ModePlain})
	flags := []string{"--cert", pki.Server.CertFile, "--key", pki.Server.KeyFile, "--cert", pki.Other.CertFile, "--key", pki.Other.KeyFile}
	imap := begin(t, pki, append([]string{"imap://127.0.0.1:0", "imap://" + d.IMAP}, flags...)...)
	ldap := begin(t, pki, append([]string{"ldap://127.0.0.1:0", nobody}, flags...)...)
	for _, c := range []struct{ name, imap, ldap string }{
		{"localhost", "server", "server"},
		{"other.test", "other", "other"},
		{"", "server", "server"},
		{"mail.example.test", "server", "server"}, // by its wildcard
		{"unknown.test", "", "server"},            // refused where there is an ALPN id to confuse
	} {
		if got := shown(t, imap.Addr, "imap", c.name); got != c.imap {
			t.Errorf("imap, asked for %q: certificate %q, want %q", c.name, got, c.imap)
		}
		if got := shown(t, ldap.Addr, "ldap", c.name); got != c.ldap {
			t.Errorf("ldap, asked for %q: certificate %q, want %q", c.name, got, c.ldap)
		}
	}
	imap.logged("outcome=tls-failed")
}

func TestCertificatesAreReadAgainWhileSessionsLive(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	d := peer.StartDovecot(t, peer.DovecotOptions{Mode: peer.ModePlain})
	certFile, keyFile := own(t, pki.Server)
	g := begin(t, pki, "imap://127.0.0.1:0", "imap://"+d.IMAP, "--cert", certFile, "--key", keyFile)
	session := dialIMAP(t, g, &tls.Config{ServerName: "localhost", RootCAs: pki.Pool})

	replace(t, keyFile, pki.Other.KeyFile)
	replace(t, certFile, pki.Other.CertFile)
	g.wait("the new certificate", func() bool { return shown(t, g.Addr, "imap", "") == "other" })
	g.logged(`msg="certificate reloaded"`, certFile)
	session.says("b NOOP", "b OK")

	replace(t, keyFile, pki.Server.KeyFile)
	replace(t, certFile, pki.Server.CertFile)
	g.signal(syscall.SIGHUP)
	g.wait("the second reload", func() bool { return strings.Count(g.log.String(), "certificate reloaded") >= 2 })
	if got := shown(t, g.Addr, "imap", ""); got != "server" {
		t.Errorf("after SIGHUP: %q", got)
	}
	session.says("c LOGOUT", "c OK")
}

// A file that is half written, or wrong, must not take the service down.
func TestBadFilesLeaveTheCertificateInUse(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	certFile, keyFile := own(t, pki.Server)
	g := begin(t, pki, "ldap://127.0.0.1:0", nobody, "--cert", certFile, "--key", keyFile)
	g.mayFail = true
	replace(t, certFile, pki.Other.CertFile) // the key is still the old one
	g.signal(syscall.SIGHUP)
	g.logged("level=ERROR", "not reloaded", "does not fit")
	if got := shown(t, g.Addr, "ldap", ""); got != "server" {
		t.Errorf("certificate %q", got)
	}
}

func TestOldTLSIsServedOnlyIfAskedFor(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	s := peer.StartSlapd(t, peer.SlapdOptions{Mode: peer.ModePlain})
	rsa := []string{"--cert", pki.ServerRSA.CertFile, "--key", pki.ServerRSA.KeyFile}
	old := begin(t, pki, append([]string{"ldap://127.0.0.1:0", "ldap://" + s.LDAP, "--min-version", "1.0"}, rsa...)...)
	old.logged("level=WARN", "no longer safe", "min_version=1.0")
	for _, version := range []string{"-tls1", "-tls1_1", "-tls1_2", "-tls1_3"} {
		openssl(pki, old.Addr, "ldap").with(version, "-cipher", "DEFAULT@SECLEVEL=0").works(t, "Verification: OK")
	}
	openssl(pki, old.Addr, "ldap").with("-tls1", "-cipher", "AES128-SHA@SECLEVEL=0").works(t, "Cipher is AES128-SHA")
	usual := begin(t, pki, append([]string{"ldap://127.0.0.1:0", "ldap://" + s.LDAP}, rsa...)...)
	for _, version := range []string{"-tls1", "-tls1_1"} {
		openssl(pki, usual.Addr, "ldap").with(version, "-cipher", "DEFAULT@SECLEVEL=0").fails(t, "alert protocol version")
	}
	usual.logged("outcome=tls-failed")
	strict := begin(t, pki, "ldap://127.0.0.1:0", "ldap://"+s.LDAP, "--min-version", "1.3")
	openssl(pki, strict.Addr, "ldap").with("-tls1_2").fails(t, "alert protocol version")
	openssl(pki, strict.Addr, "ldap").with("-tls1_3").works(t, "Verification: OK")
}

func TestKeyExchangeIsHybrid(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	d := peer.StartDovecot(t, peer.DovecotOptions{Mode: peer.ModePlain})
	g := begin(t, pki, "imap://127.0.0.1:0", "imap://"+d.IMAP)
	session := dialIMAP(t, g, &tls.Config{ServerName: "localhost", RootCAs: pki.Pool, CurvePreferences: []tls.CurveID{tls.X25519MLKEM768}})
	if got := session.ConnectionState().CurveID; got != tls.X25519MLKEM768 {
		t.Errorf("key exchange %v", got)
	}
	session.says("b LOGOUT", "b OK")
	session.Close()
	g.logged("outcome=tls", "tls_group=X25519MLKEM768")
}

// An imapSession is one inside TLS, logged in.
type imapSession struct {
	*tls.Conn
	t *testing.T
}

func dialIMAP(t *testing.T, g *gateway, config *tls.Config) *imapSession {
	t.Helper()
	conn, err := net.Dial("tcp", g.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	await(t, conn, "* OK")
	io.WriteString(conn, "s STARTTLS\r\n")
	await(t, conn, "s OK")
	s := &imapSession{tls.Client(conn, config), t}
	s.says("a LOGIN joe secret", "a OK")
	return s
}

// says says a line and waits for the answer.
func (s *imapSession) says(line, want string) {
	s.t.Helper()
	io.WriteString(s.Conn, line+"\r\n")
	await(s.t, s.Conn, want)
}
