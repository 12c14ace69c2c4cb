package peer_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starttls/test/peers/peer"
)

func TestPostfix(t *testing.T) {
	serve(t, "server", func(t *testing.T) (string, []string) {
		pki := peer.NewPKI(t)
		p := peer.StartPostfix(t, peer.PostfixOptions{})
		upgrade(t, pki, p.StartTLS, "smtp")
		upgrade(t, pki, p.SMTPS, "")
		swaks(t, p.Plain, "clear")
		swaks(t, p.StartTLS, "upgraded", "--tls", "--tls-verify", "--tls-ca-path", pki.CAFile)
		swaks(t, p.SMTPS, "implicit", "--tls-on-connect")
		swaks(t, p.Proxy, "proxied", "--proxy-version", "1", "--proxy-family", "TCP4",
			"--proxy-source", "192.0.2.1", "--proxy-source-port", "1000", "--proxy-dest", "127.0.0.1", "--proxy-dest-port", "25",
			"-t", "anybody@example.test")
		refused(t, nil, "swaks", "--server", p.Submission, "--helo", "client.test", "-f", "a@client.test", "-t", "b@example.test")
		refused(t, nil, "swaks", "--server", p.Plain, "--tls", "--quit-after", "TLS")
		arrived(t, p.Maildir, "clear", "upgraded", "implicit", "proxied")
		if q := p.Queue(t); !strings.Contains(q, "queue is empty") {
			t.Errorf("left in the queue: %s", q)
		}
		return p.Log, []string{p.Plain, p.StartTLS, p.Submission, p.SMTPS, p.Proxy}
	})
	serve(t, "client", func(t *testing.T) (string, []string) {
		e := peer.StartExim(t, peer.EximOptions{})
		p := peer.StartPostfix(t, peer.PostfixOptions{
			Hostname: "relay.example.test", Domain: "-",
			Main: []string{"relayhost = [localhost]:" + portOf(e.StartTLS), "smtp_tls_security_level = secure",
				"smtp_tls_secure_cert_match = hostname", "smtp_host_lookup = native"},
		})
		swaks(t, p.Plain, "relayed")
		arrived(t, e.Maildir, "relayed")
		logged(t, p.Log, "Verified TLS connection established")
		return p.Log, []string{p.Plain, e.Plain}
	})
}

func TestExim(t *testing.T) {
	serve(t, "server", func(t *testing.T) (string, []string) {
		pki := peer.NewPKI(t)
		e := peer.StartExim(t, peer.EximOptions{Cert: pki.ServerRSA})
		upgrade(t, pki, e.StartTLS, "smtp")
		upgrade(t, pki, e.SMTPS, "")
		swaks(t, e.Plain, "clear")
		swaks(t, e.StartTLS, "upgraded", "--tls", "--auth", "PLAIN", "--auth-user", peer.User, "--auth-password", peer.Password)
		swaks(t, e.SMTPS, "implicit", "--tls-on-connect", "--auth", "LOGIN", "--auth-user", peer.User, "--auth-password", peer.Password)
		refused(t, nil, "swaks", "--server", e.StartTLS, "--tls", "--quit-after", "AUTH",
			"--auth", "PLAIN", "--auth-user", peer.User, "--auth-password", "wrong")
		refused(t, nil, "swaks", "--server", e.Plain, "--tls", "--quit-after", "TLS")
		arrived(t, e.Maildir, "clear", "upgraded", "implicit")
		return e.Log, []string{e.Plain, e.StartTLS, e.SMTPS}
	})
	serve(t, "client", func(t *testing.T) (string, []string) {
		pki := peer.NewPKI(t)
		p := peer.StartPostfix(t, peer.PostfixOptions{})
		e := peer.StartExim(t, peer.EximOptions{
			Hostname: "relay.example.test", Domain: "-", Relay: p.Submission,
			Transport: []string{"hosts_require_tls = *", "tls_verify_certificates = " + pki.CAFile},
		})
		swaks(t, e.Plain, "relayed")
		arrived(t, p.Maildir, "relayed")
		logged(t, e.Log, "CV=yes")
		return e.Log, []string{e.Plain, p.Plain}
	})
}

func TestDovecot(t *testing.T) {
	login := "joe@example.test:" + peer.Password
	serve(t, "tls", func(t *testing.T) (string, []string) {
		pki := peer.NewPKI(t)
		d := peer.StartDovecot(t, peer.DovecotOptions{})
		for protocol, addr := range map[string]string{"imap": d.IMAP, "pop3": d.POP3, "sieve": d.Sieve, "lmtp": d.LMTP} {
			upgrade(t, pki, addr, protocol)
		}
		swaks(t, d.LMTP, "stored", "--protocol", "LMTP", "--tls", "-t", "joe@example.test")
		arrived(t, d.Mail("joe"), "stored")
		client(t, "Subject: stored", nil, "curl", "-sS", "--ssl-reqd", "--cacert", pki.CAFile, "-u", login,
			"imap://localhost:"+portOf(d.IMAP)+"/INBOX/;MAILINDEX=1")
		client(t, "Subject: stored", nil, "curl", "-sS", "--cacert", pki.CAFile, "-u", login, "pop3s://localhost:"+portOf(d.POP3S)+"/1")
		refused(t, nil, "curl", "-sS", "--cacert", pki.CAFile, "-u", "joe:wrong", "imaps://localhost:"+portOf(d.IMAPS)+"/")
		return d.Log, []string{d.IMAP, d.POP3, d.Sieve, d.LMTP, d.IMAPProxy, d.IMAPS, d.POP3S}
	})
	serve(t, "plain", func(t *testing.T) (string, []string) {
		d := peer.StartDovecot(t, peer.DovecotOptions{Mode: peer.ModePlain})
		client(t, "INBOX", nil, "curl", "-sS", "-u", login, "imap://"+d.IMAP+"/")
		refused(t, nil, "curl", "-sS", "--ssl-reqd", "-k", "-u", login, "imap://"+d.IMAP+"/")
		client(t, "INBOX", nil, "curl", "-sS", "--haproxy-protocol", "-u", login, "imap://"+d.IMAPProxy+"/")
		return d.Log, []string{d.IMAP, d.POP3, d.Sieve, d.LMTP, d.IMAPProxy}
	})
	serve(t, "required", func(t *testing.T) (string, []string) {
		pki := peer.NewPKI(t)
		d := peer.StartDovecot(t, peer.DovecotOptions{Mode: peer.ModeRequired})
		upgrade(t, pki, d.IMAP, "imap")
		return d.Log, []string{d.IMAP}
	})
}

func TestNginx(t *testing.T) {
	pki := peer.NewPKI(t)
	d := peer.StartDovecot(t, peer.DovecotOptions{Mode: peer.ModePlain})
	p := peer.StartPostfix(t, peer.PostfixOptions{})
	for _, mode := range []peer.Mode{peer.ModeTLS, peer.ModePlain, peer.ModeRequired} {
		serve(t, mode.String(), func(t *testing.T) (string, []string) {
			n := peer.StartNginx(t, peer.NginxOptions{Mode: mode, IMAP: d.IMAP, POP3: d.POP3, SMTP: p.Plain})
			clear := []string{"-sS", "-u", "joe:" + peer.Password, "imap://localhost:" + portOf(n.IMAP) + "/"}
			upgraded := append([]string{"--ssl-reqd", "--cacert", pki.CAFile}, clear...)
			if mode == peer.ModePlain {
				refused(t, nil, "curl", upgraded...)
			} else {
				client(t, "INBOX", nil, "curl", upgraded...)
				upgrade(t, pki, n.POP3, "pop3")
				upgrade(t, pki, n.SMTP, "smtp")
				swaks(t, n.SMTP, "through nginx "+mode.String(), "--tls")
			}
			if mode == peer.ModeRequired {
				refused(t, nil, "curl", clear...)
			} else {
				client(t, "INBOX", nil, "curl", clear...)
			}
			return n.Log, []string{n.IMAP, n.POP3, n.SMTP}
		})
	}
	if !t.Failed() {
		arrived(t, p.Maildir, "through nginx tls", "through nginx required")
	}
}

func portOf(addr string) string { return addr[strings.LastIndex(addr, ":")+1:] }

// logged checks that the server wrote the text.
func logged(t *testing.T, log, text string) {
	t.Helper()
	b, err := os.ReadFile(log)
	if err != nil || !strings.Contains(string(b), text) {
		t.Errorf("no %q in %s (%v):\n%s", text, filepath.Base(log), err, b)
	}
}
