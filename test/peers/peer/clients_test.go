package peer_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starttls/test/peers/peer"
)

// file writes a file of lines that only its owner may read, as some clients
// want their configuration.
func file(t *testing.T, dir, name string, lines ...string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// clientInput is client with text on standard input.
func clientInput(t *testing.T, input string, env []string, program string, args ...string) {
	t.Helper()
	if out, status := peer.RunInput(t, limit, env, input, program, args...); status != 0 {
		t.Fatalf("%s %v: status %d:\n%s", program, args, status, out)
	}
}

// The clients that send mail.
func TestSenders(t *testing.T) {
	pki := peer.NewPKI(t)
	p := peer.StartPostfix(t, peer.PostfixOptions{})
	msmtp := func(addr string) []string {
		return []string{"--host=localhost", "--port=" + portOf(addr), "--tls=on", "--tls-starttls=on",
			"--tls-trust-file=" + pki.CAFile, "--from=a@client.test", "b@example.test"}
	}
	snail := func(addr, subject string) []string {
		return []string{"-:/", "-S", "v15-compat", "-S", "smtp-use-starttls", "-S", "smtp-auth=none", "-S", "tls-ca-file=" + pki.CAFile,
			"-S", "tls-ca-no-defaults", "-S", "tls-verify=strict", "-S", "hostname=client.test", "-S", "from=a@client.test",
			"-S", "mta=smtp://localhost:" + portOf(addr), "-S", "sendwait", "-s", subject, "b@example.test"}
	}
	clientInput(t, "Subject: by msmtp\n\nhello\n", nil, "msmtp", msmtp(p.StartTLS)...)
	clientInput(t, "hello\n", nil, "s-nail", snail(p.StartTLS, "by s-nail")...)
	arrived(t, p.Maildir, "by msmtp", "by s-nail")
	refused(t, nil, "msmtp", msmtp(p.Plain)...)
	refused(t, nil, "s-nail", snail(p.Plain, "in the clear")...)
}

// The clients that fetch mail.
func TestFetchers(t *testing.T) {
	pki := peer.NewPKI(t)
	d := peer.StartDovecot(t, peer.DovecotOptions{})
	plain := peer.StartDovecot(t, peer.DovecotOptions{Mode: peer.ModePlain})
	swaks(t, d.LMTP, "stored", "--protocol", "LMTP", "-t", peer.User+"@example.test")
	arrived(t, d.Mail(peer.User), "stored")

	mbsync := func(addr string) (inbox string, args []string) {
		dir := t.TempDir()
		inbox = filepath.Join(dir, "inbox")
		return inbox, []string{"-c", file(t, dir, "mbsyncrc",
			"IMAPStore far", "Host localhost", "Port "+portOf(addr), "User "+peer.User, "Pass "+peer.Password,
			"SSLType STARTTLS", "SystemCertificates no", "CertificateFile "+pki.CAFile, "",
			"MaildirStore near", "Path "+dir+"/", "Inbox "+inbox, "",
			"Channel all", "Far :far:", "Near :near:", "Patterns INBOX", "Create Near", "SyncState *"), "all"}
	}
	inbox, args := mbsync(d.IMAP)
	client(t, "", nil, "mbsync", args...)
	arrived(t, peer.Maildir(inbox), "stored")
	_, args = mbsync(plain.IMAP)
	refused(t, nil, "mbsync", args...)

	fetchmail := func(protocol, addr string) (env, args []string) {
		dir := t.TempDir()
		return []string{"FETCHMAILHOME=" + dir, "HOME=" + dir}, []string{"--nodetach", "--check", "-f", file(t, dir, "rc",
			"poll localhost service "+portOf(addr)+" protocol "+protocol+" user "+peer.User+" password "+peer.Password+
				" sslproto tls1.2+ sslcertck sslcertfile "+pki.CAFile)}
	}
	for protocol, addr := range map[string]string{"imap": d.IMAP, "pop3": d.POP3} {
		env, args := fetchmail(protocol, addr)
		client(t, "1 message", env, "fetchmail", args...)
	}
	env, args := fetchmail("imap", plain.IMAP)
	refused(t, env, "fetchmail", args...)
}

func TestSieveConnect(t *testing.T) {
	pki := peer.NewPKI(t)
	d := peer.StartDovecot(t, peer.DovecotOptions{})
	script := file(t, t.TempDir(), "peer.sieve", "keep;")
	connect := func(more ...string) (string, int) {
		return peer.RunInput(t, limit, nil, peer.Password+"\n", "sieve-connect", append([]string{"--nosrv", "--server", "localhost",
			"--port", portOf(d.Sieve), "--user", peer.User, "--passwordfd", "0"}, more...)...)
	}
	if out, status := connect("--tlscafile", pki.CAFile, "--upload", "--localsieve", script); status != 0 {
		t.Fatalf("upload: status %d:\n%s", status, out)
	}
	if out, status := connect("--tlscafile", pki.CAFile, "--list"); status != 0 || !strings.Contains(out, `"peer.sieve"`) {
		t.Fatalf("list: status %d:\n%s", status, out)
	}
	if out, status := connect("--list"); status == 0 {
		t.Fatalf("took a certificate of nobody it knows:\n%s", out)
	}
}

func TestCyrus(t *testing.T) {
	for _, mode := range []peer.Mode{peer.ModeTLS, peer.ModePlain} {
		serve(t, mode.String(), func(t *testing.T) (string, []string) {
			pki := peer.NewPKI(t)
			c := peer.StartCyrus(t, peer.CyrusOptions{Mode: mode})
			addrs := map[string]string{"imap": c.IMAP, "pop3": c.POP3, "sieve": c.Sieve, "nntp": c.NNTP, "lmtp": c.LMTP}
			login := []string{"-sS", "-u", peer.User + ":" + peer.Password, "imap://localhost:" + portOf(c.IMAP) + "/INBOX"}
			upgraded := append([]string{"--ssl-reqd", "--cacert", pki.CAFile}, login...)
			if mode == peer.ModePlain {
				client(t, "", nil, "curl", login...)
				refused(t, nil, "curl", upgraded...)
			} else {
				for protocol, addr := range addrs {
					upgrade(t, pki, addr, protocol)
				}
				client(t, "", nil, "curl", upgraded...)
				refused(t, nil, "curl", login...)
			}
			return c.Log, []string{c.IMAP, c.POP3, c.Sieve, c.NNTP, c.LMTP}
		})
	}
}
