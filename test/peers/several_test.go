package peers

import (
	"crypto/tls"
	"testing"

	"starttls/test/peers/peer"
)

// TestPsqlChoosesByDatabase: nobody is where all others go.
func TestPsqlChoosesByDatabase(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	p := peer.StartPostgres(t, peer.PostgresOptions{Mode: peer.ModePlain})
	g := begin(t, pki, "postgres://127.0.0.1:0", "postgres://127.0.0.1:1", "--backend", "database:postgres=postgres://"+p.Addr)
	psql(pki, g.Host, "sslmode=verify-full").works(t, "42")
	psql(pki, g.Host, "sslmode=disable").works(t, "42")
	psql(pki, g.Host, "sslmode=verify-full dbname=template1").fails(t, "the server cannot be reached")
}

// TestDovecotThatDiesIsPassedOver: clients are served by the other one, behind TLS that is verified, and a
// session with that one is not touched.
func TestDovecotThatDiesIsPassedOver(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	stays := peer.StartDovecot(t, peer.DovecotOptions{})
	config := &tls.Config{ServerName: "localhost", RootCAs: pki.Pool}
	behind := func(d *peer.Dovecot) string { return "imap://" + d.IMAP + "?tls=secure&match=localhost" }
	var g *gateway
	var first, second *imapSession
	t.Run("both live", func(inner *testing.T) {
		dies := peer.StartDovecot(inner, peer.DovecotOptions{})
		g = begin(t, pki, "imap://127.0.0.1:0?tls=encrypt", behind(dies), behind(stays), "--ca", pki.CAFile, "--balance", "round-robin")
		first, second = dialIMAP(t, g, config), dialIMAP(t, g, config)
		first.says("b NOOP", "b OK")
		second.says("b NOOP", "b OK")
		g.quiet()
	})
	first.Close()
	second.says("c NOOP", "c OK")
	for range 6 { // of three of them the turn is the dead one's
		session := dialIMAP(t, g, config)
		session.says("b LOGOUT", "b OK")
		session.Close()
	}
	g.logged("outcome=tls", "backend=imap://"+stays.IMAP, "back_tls=")
	g.logged("backend is down", "refused")
	second.says("d LOGOUT", "d OK")
	second.Close()
	lacks(t, g.log.String(), "backend-failed")
}
