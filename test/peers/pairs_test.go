package peers

import (
	"testing"

	"starttls/test/peers/peer"
)

// How TLS can begin on a leg, each in front and each behind.

// A way is one of clear, in-band and implicit, with what an endpoint says to have it.
type way struct{ name, suffix, options string }

var (
	waysInFront = []way{{"clear", "", "?tls=none"}, {"in-band", "", "?tls=encrypt"}, {"implicit", "s", ""}}
	waysBehind  = []way{{"clear", "", "?tls=none"}, {"in-band", "", "?tls=secure"}, {"implicit", "s", "?tls=secure"}}
)

// pairings runs body with a gateway for each pairing. back has the server's addresses in the order of
// waysBehind.
func pairings(t *testing.T, pki *peer.PKI, scheme string, back [3]string, body func(*testing.T, *gateway, way)) {
	for _, front := range waysInFront {
		for i, behind := range waysBehind {
			t.Run(front.name+" to "+behind.name, func(t *testing.T) {
				g := begin(t, pki, scheme+front.suffix+"://127.0.0.1:0"+front.options,
					scheme+behind.suffix+"://"+back[i]+behind.options, "--ca", pki.CAFile)
				body(t, g, front)
				words := []string{"outcome=clear"}
				if front.name != "clear" {
					words = []string{"outcome=tls", `tls="TLS 1.3"`}
				}
				if behind.name != "clear" {
					words = append(words, `back_tls="TLS 1.3"`)
				}
				g.logged(words...)
				g.quiet()
			})
		}
	}
}

func TestEveryPairingOfIMAPWorks(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	d := peer.StartDovecot(t, peer.DovecotOptions{})
	pairings(t, pki, "imap", [3]string{d.IMAP, d.IMAP, d.IMAPS}, func(t *testing.T, g *gateway, front way) {
		more := map[string][]string{"in-band": {"--ssl-reqd"}}[front.name]
		curl(pki, "imap"+front.suffix+"://"+g.Host+"/", more...).works(t, `LIST (\HasNoChildren) "." INBOX`)
	})
}

func TestEveryPairingOfPOP3Works(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	d := peer.StartDovecot(t, peer.DovecotOptions{})
	pairings(t, pki, "pop3", [3]string{d.POP3, d.POP3, d.POP3S}, func(t *testing.T, g *gateway, front way) {
		more := map[string][]string{"in-band": {"--ssl-reqd"}}[front.name]
		curl(pki, "pop3"+front.suffix+"://"+g.Host+"/", more...).works(t, "+OK Logged in")
	})
}

func TestEveryPairingOfSMTPWorks(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	p := peer.StartPostfix(t, peer.PostfixOptions{})
	var sent []string
	pairings(t, pki, "smtp", [3]string{p.Plain, p.StartTLS, p.SMTPS}, func(t *testing.T, g *gateway, front way) {
		more := map[string][]string{
			"in-band":  verified(pki),
			"implicit": {"--tls-on-connect", "--tls-verify", "--tls-ca-path", pki.CAFile},
		}[front.name]
		sent = append(sent, t.Name())
		swaks(g.Addr, t.Name(), more...).works(t, "250 2.0.0 Ok: queued")
	})
	arrived(t, p.Maildir, sent...)
}

func TestEveryPairingOfLDAPWorks(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	s := peer.StartSlapd(t, peer.SlapdOptions{})
	pairings(t, pki, "ldap", [3]string{s.LDAP, s.LDAP, s.LDAPS}, func(t *testing.T, g *gateway, front way) {
		more := map[string][]string{"in-band": {"-ZZ"}}[front.name]
		whoami(pki, "ldap"+front.suffix+"://"+g.Addr, more...).works(t, iAm)
	})
}

// Nothing that a server says of its own TLS may reach a client that has TLS with the gateway, or is
// to have none.
func TestServersOwnOfferIsNotShown(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	p := peer.StartPostfix(t, peer.PostfixOptions{})
	d := peer.StartDovecot(t, peer.DovecotOptions{})
	s := peer.StartSlapd(t, peer.SlapdOptions{})
	none := begin(t, pki, "smtp://127.0.0.1:0?tls=none", "smtp://"+p.StartTLS)
	lacks(t, swaks(none.Addr, "clear").works(t, "250 2.0.0 Ok: queued"), "STARTTLS")
	inside := begin(t, pki, "smtp://127.0.0.1:0", "smtp://"+p.StartTLS)
	lacks(t, afterTLS(t, swaks(inside.Addr, "inside", "--tls").works(t, "250 2.0.0 Ok: queued")), "STARTTLS")
	inside = begin(t, pki, "imaps://127.0.0.1:0", "imap://"+d.IMAP)
	lacks(t, curl(pki, "imaps://"+inside.Host+"/").works(t, "CAPABILITY"), "STARTTLS")
	inside = begin(t, pki, "pop3s://127.0.0.1:0", "pop3://"+d.POP3)
	lacks(t, curl(pki, "pop3s://"+inside.Host+"/").works(t, "SASL"), "STLS")
	inside = begin(t, pki, "ldaps://127.0.0.1:0", "ldap://"+s.LDAP)
	extensions := cmd("ldapsearch", "-x", "-LLL", "-H", "ldaps://"+inside.Addr, "-b", "", "-s", "base", "supportedExtension")
	extensions.env = []string{"LDAPTLS_CACERT=" + pki.CAFile}
	lacks(t, extensions.works(t, "supportedExtension"), "1.3.6.1.4.1.1466.20037")
}

func TestPostgresWithTLSOnBothSides(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	scram := peer.StartPostgres(t, peer.PostgresOptions{})
	password := peer.StartPostgres(t, peer.PostgresOptions{Auth: "password", Mode: peer.ModeRequired})
	for _, front := range []string{"?tls=may", "?tls=encrypt"} {
		// The certificate is the server's own, and so is what channel binding binds to.
		g := begin(t, pki, "postgres://127.0.0.1:0"+front, "postgres://"+scram.Addr+"?tls=secure", "--ca", pki.CAFile)
		for _, binding := range []string{"disable", "prefer", "require"} {
			psql(pki, g.Host, "sslmode=verify-full channel_binding="+binding).works(t, "42")
		}
		g.logged("outcome=tls", "back_tls=")
		g.quiet()
		// With another one it cannot be had, and the log says so.
		g = begin(t, pki, "postgres://127.0.0.1:0"+front, "postgres://"+scram.Addr+"?tls=secure", "--ca", pki.CAFile,
			"--cert", pki.ServerRSA.CertFile, "--key", pki.ServerRSA.KeyFile)
		psql(pki, g.Host, "sslmode=verify-full channel_binding=disable").works(t, "42")
		psql(pki, g.Host, "sslmode=verify-full").fails(t, "FATAL:", "channel binding")
		g.logged("channel_binding=removed")
		g = begin(t, pki, "postgres://127.0.0.1:0"+front, "postgres://"+password.Addr+"?tls=secure", "--ca", pki.CAFile)
		psql(pki, g.Host, "sslmode=verify-full").works(t, "42")
		g.logged("outcome=tls", "back_tls=")
	}
	direct := begin(t, pki, "postgress://127.0.0.1:0", "postgres://"+scram.Addr+"?tls=secure", "--ca", pki.CAFile)
	openssl(pki, direct.Addr, "").with("-alpn", "postgresql").works(t, "ALPN protocol: postgresql")
	openssl(pki, direct.Addr, "postgres").fails(t)
}

func TestMariaDBWithTLSOnBothSides(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	m := peer.StartMariaDB(t, peer.MariaDBOptions{Mode: peer.ModeRequired})
	for _, front := range []string{"?tls=may", "?tls=encrypt"} {
		g := begin(t, pki, "mysql://127.0.0.1:0"+front, "mysql://"+m.Addr+"?tls=secure", "--ca", pki.CAFile)
		mariadb(pki, g.Host, "--ssl-verify-server-cert").works(t, "six by seven is 42")
		g.logged("outcome=tls", "back_tls=")
	}
}

// A client set to the wrong kind of TLS is served if the listener waits for it.
func TestDetectServesTLSAtOnceOnAnInBandPort(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	p := peer.StartPostfix(t, peer.PostfixOptions{})
	g := begin(t, pki, "smtp://127.0.0.1:0?detect=200ms&tls=encrypt", "smtp://"+p.Plain)
	swaks(g.Addr, "at once", "--tls-on-connect").works(t, "250 2.0.0 Ok: queued")
	swaks(g.Addr, "in-band", verified(pki)...).works(t, "250 2.0.0 Ok: queued")
	swaks(g.Addr, "clear").fails(t, "530 5.7.0")
	arrived(t, p.Maildir, "at once", "in-band")
}
