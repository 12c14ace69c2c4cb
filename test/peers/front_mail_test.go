package peers

import (
	"testing"

	"starttls/test/peers/peer"
)

// TLS in front of servers that have none: mail.

func TestPostfixGetsTLSInFront(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	p := peer.StartPostfix(t, peer.PostfixOptions{})
	t.Run("offered", func(t *testing.T) {
		g := begin(t, pki, "smtp://127.0.0.1:0", "smtp://"+p.Plain)
		upgrades(t, pki, g, "smtp", "smtp")
		swaks(g.Addr, "upgraded", verified(pki)...).works(t, "TLS started with cipher TLSv1.3")
		swaks(g.Addr, "clear").works(t, "250 2.0.0 Ok: queued")
		swaks(g.Addr, "pipelined", append(verified(pki), "--pipeline")...).works(t, "250 2.0.0 Ok: queued")
		curl(pki, "smtp://"+g.Host, "--ssl-reqd", "-X", "NOOP").works(t, "SSL certificate verify ok")
		g.logged("outcome=tls", "dialect=smtp")
		g.logged("outcome=clear", "dialect=smtp")
		g.quiet()
	})
	t.Run("demanded", func(t *testing.T) {
		g := begin(t, pki, "submission://127.0.0.1:0?tls=encrypt", "smtp://"+p.Plain)
		swaks(g.Addr, "demanded", verified(pki)...).works(t, "250 2.0.0 Ok: queued")
		swaks(g.Addr, "refused").fails(t, "530 5.7.0 Must issue a STARTTLS command first")
		g.logged("outcome=refused")
	})
	arrived(t, p.Maildir, "upgraded", "clear", "pipelined", "demanded")
}

func TestDovecotGetsTLSInFront(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	d := peer.StartDovecot(t, peer.DovecotOptions{Mode: peer.ModePlain})
	t.Run("lmtp", func(t *testing.T) { lmtpInFront(t, pki, d) })
	arrived(t, d.Mail("joe"), "upgraded", "clear", "demanded")
	t.Run("imap", func(t *testing.T) { imapInFront(t, pki, d) })
	t.Run("pop3", func(t *testing.T) { pop3InFront(t, pki, d) })
}

func lmtpInFront(t *testing.T, pki *peer.PKI, d *peer.Dovecot) {
	lmtp := []string{"--protocol", "LMTP"}
	g := begin(t, pki, "lmtp://127.0.0.1:0", "lmtp://"+d.LMTP)
	upgrades(t, pki, g, "lmtp", "lmtp")
	swaks(g.Addr, "upgraded", append(verified(pki), lmtp...)...).works(t, "TLS started with cipher TLSv1.3")
	swaks(g.Addr, "clear", lmtp...).works(t, "Saved")
	g.quiet()

	g = begin(t, pki, "lmtp://127.0.0.1:0?tls=encrypt", "lmtp://"+d.LMTP)
	swaks(g.Addr, "demanded", append(verified(pki), lmtp...)...).works(t, "Saved")
	swaks(g.Addr, "refused", lmtp...).fails(t, "530 5.7.0 Must issue a STARTTLS command first")
}

func imapInFront(t *testing.T, pki *peer.PKI, d *peer.Dovecot) {
	g := begin(t, pki, "imap://127.0.0.1:0", "imap://"+d.IMAP)
	upgrades(t, pki, g, "imap", "imap")
	message := "imap://" + g.Host + "/INBOX/;MAILINDEX=1"
	curl(pki, message, "--ssl-reqd").works(t, "SSL certificate verify ok")
	curl(pki, message, "--ssl-reqd").works(t, "Subject: ")
	curl(pki, message).works(t, "Subject: ")
	g.logged("outcome=clear", "dialect=imap")
	g.quiet()

	g = begin(t, pki, "imap://127.0.0.1:0?tls=encrypt", "imap://"+d.IMAP)
	curl(pki, "imap://"+g.Host+"/INBOX/;MAILINDEX=1", "--ssl-reqd").works(t, "Subject: ")
	curl(pki, "imap://"+g.Host+"/").fails(t, "LOGINDISABLED")
	curl(pki, "imap://"+g.Host+"/", "--login-options", "AUTH=PLAIN").fails(t, "LOGINDISABLED")
	out, _ := peer.RunInput(t, limit, nil, "a LOGIN joe secret\r\nb LOGOUT\r\n", "curl", "-sS", "--max-time", "20", "telnet://"+g.Addr)
	contains(t, out, "a NO [PRIVACYREQUIRED]", "LOGINDISABLED", "b OK")
	g.logged("outcome=refused")
}

func pop3InFront(t *testing.T, pki *peer.PKI, d *peer.Dovecot) {
	g := begin(t, pki, "pop3://127.0.0.1:0", "pop3://"+d.POP3)
	upgrades(t, pki, g, "pop3", "pop3")
	curl(pki, "pop3://"+g.Host+"/1", "--ssl-reqd").works(t, "SSL certificate verify ok")
	curl(pki, "pop3://"+g.Host+"/1", "--ssl-reqd").works(t, "Subject: ")
	curl(pki, "pop3://"+g.Host+"/1").works(t, "Subject: ")
	g.quiet()

	g = begin(t, pki, "pop3://127.0.0.1:0?tls=encrypt", "pop3://"+d.POP3)
	curl(pki, "pop3://"+g.Host+"/1", "--ssl-reqd").works(t, "Subject: ")
	curl(pki, "pop3://"+g.Host+"/1").fails(t, "curl: (67)")
	out, _ := peer.RunInput(t, limit, nil, "USER joe\r\nQUIT\r\n", "curl", "-sS", "--max-time", "20", "telnet://"+g.Addr)
	contains(t, out, "-ERR Must issue a STLS command first", "+OK")
}

// The stamp that a login by APOP needs is in the server's greeting, and so must reach a client of which
// TLS is demanded.
func TestAPOPWorksThroughTLS(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	d := peer.StartDovecot(t, peer.DovecotOptions{Mode: peer.ModePlain, Extra: []string{"auth_mechanisms = plain apop"}})
	for _, level := range []string{"may", "encrypt"} {
		g := begin(t, pki, "pop3://127.0.0.1:0?tls="+level, "pop3://"+d.POP3)
		curl(pki, "pop3://"+g.Host+"/", "--ssl-reqd", "--login-options", "AUTH=+APOP").works(t, "> APOP joe ")
	}
}
