package peers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starttls/test/peers/peer"
)

// The clients that people have, with a certificate they check, in front of servers without TLS.

// private writes a file that only its owner may read, as the clients want their configuration.
func private(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sends runs a client with text on standard input.
func sends(t *testing.T, text string, c client) {
	t.Helper()
	if out, status := peer.RunInput(t, limit, c.env, text, c.args[0], c.args[1:]...); status != 0 {
		t.Errorf("%q: status %d:\n%s", c.args, status, out)
	}
}

func msmtp(pki *peer.PKI, port string, more ...string) client {
	return cmd("msmtp", "--host=localhost", "--port="+port, "--tls-trust-file="+pki.CAFile, "--from=a@client.test").
		with(more...).with("b@example.test")
}

func snail(pki *peer.PKI, port, subject string) client {
	return cmd("s-nail", "-:/", "-S", "v15-compat", "-S", "smtp-use-starttls", "-S", "smtp-auth=none", "-S", "tls-ca-file="+pki.CAFile,
		"-S", "tls-ca-no-defaults", "-S", "tls-verify=strict", "-S", "hostname=client.test", "-S", "from=a@client.test",
		"-S", "mta=smtp://localhost:"+port, "-S", "sendwait", "-s", subject, "b@example.test")
}

func TestClientsSendMailThroughTLS(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	p := peer.StartPostfix(t, peer.PostfixOptions{})
	for _, level := range []string{"may", "encrypt"} {
		g := begin(t, pki, "submission://127.0.0.1:0?tls="+level, "smtp://"+p.Plain)
		sends(t, "Subject: msmtp "+level+"\n\nhello\n", msmtp(pki, g.Port, "--tls=on", "--tls-starttls=on"))
		sends(t, "hello\n", snail(pki, g.Port, "s-nail "+level))
		g.logged("outcome=tls", "dialect=smtp")
		g.quiet()
		if level == "encrypt" {
			msmtp(pki, g.Port, "--tls=off").fails(t, "530 5.7.0 Must issue a STARTTLS command first")
		}
	}
	arrived(t, p.Maildir, "msmtp may", "s-nail may", "msmtp encrypt", "s-nail encrypt")
}

// mbsync fetches the mail into a new inbox. SSLType is STARTTLS, or None.
func mbsync(t *testing.T, pki *peer.PKI, port, sslType string) (inbox peer.Maildir, c client) {
	t.Helper()
	dir := t.TempDir()
	inbox = peer.Maildir(filepath.Join(dir, "inbox"))
	rc := strings.Join([]string{
		"IMAPStore far", "Host localhost", "Port " + port, "User " + peer.User, "Pass " + peer.Password,
		"SSLType " + sslType, "SystemCertificates no", "CertificateFile " + pki.CAFile, "",
		"MaildirStore near", "Path " + dir + "/", "Inbox " + string(inbox), "",
		"Channel all", "Far :far:", "Near :near:", "Patterns INBOX", "Create Near", "SyncState *", "",
	}, "\n")
	return inbox, cmd("mbsync", "-c", private(t, dir, "mbsyncrc", rc), "all")
}

// fetchmail prints the mail, which stays where it is.
func fetchmail(t *testing.T, pki *peer.PKI, protocol, port, tls string) client {
	t.Helper()
	dir := t.TempDir()
	rc := "poll localhost service " + port + " protocol " + protocol + " user " + peer.User + " password " + peer.Password +
		" " + tls + " sslcertck sslcertfile " + pki.CAFile + " keep fetchall mda \"/bin/cat\"\n"
	c := cmd("fetchmail", "--nodetach", "-f", private(t, dir, "rc", rc))
	c.env = []string{"FETCHMAILHOME=" + dir, "HOME=" + dir}
	return c
}

func TestClientsFetchMailThroughTLS(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	d := peer.StartDovecot(t, peer.DovecotOptions{Mode: peer.ModePlain})
	swaks(d.LMTP, "stored", "--protocol", "LMTP").works(t, "Saved")
	arrived(t, d.Mail(peer.User), "stored")
	for _, level := range []string{"may", "encrypt"} {
		t.Run(level, func(t *testing.T) {
			imap := begin(t, pki, "imap://127.0.0.1:0?tls="+level, "imap://"+d.IMAP)
			pop3 := begin(t, pki, "pop3://127.0.0.1:0?tls="+level, "pop3://"+d.POP3)
			inbox, c := mbsync(t, pki, imap.Port, "STARTTLS")
			c.works(t, "")
			arrived(t, inbox, "stored")
			fetchmail(t, pki, "imap", imap.Port, "sslproto tls1.2+").works(t, "Subject: stored")
			fetchmail(t, pki, "pop3", pop3.Port, "sslproto tls1.2+").works(t, "Subject: stored")
			for _, g := range []*gateway{imap, pop3} {
				g.logged("outcome=tls")
				g.quiet()
			}
			if level == "may" {
				return
			}
			inbox, c = mbsync(t, pki, imap.Port, "None")
			c.fails(t)
			if got := inbox.Mailbox(); len(got) > 0 {
				t.Errorf("%q came in the clear", got)
			}
			lacks(t, fetchmail(t, pki, "imap", imap.Port, `sslproto ""`).fails(t), "Subject: stored")
			lacks(t, fetchmail(t, pki, "pop3", pop3.Port, `sslproto ""`).fails(t), "Subject: stored")
		})
	}
}
