package peers

import (
	"testing"

	"starttls/test/peers/peer"
)

// TestOpenSSLShowsItsCertificate, when it is asked for one, and is served for it.
func TestOpenSSLShowsItsCertificate(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	shows := func(c client, p peer.Pair) client { return c.with("-cert", p.CertFile, "-key", p.KeyFile, "-quiet") }
	says := func(c client) string {
		out, _ := peer.RunInput(t, limit, nil, "EHLO client.test\r\nQUIT\r\n", c.args[0], append(c.args[1:], "-ign_eof")...)
		return out
	}
	for _, kind := range []string{"ask", "demand"} {
		g := begin(t, pki, "smtp://127.0.0.1:0?tls=encrypt&client-cert="+kind, "--client-ca", pki.CAFile)
		contains(t, says(shows(openssl(pki, g.Addr, "smtp"), pki.Client)), "221")
		g.logged("outcome=tls", "client_cert=client")
		for why, bad := range map[string]peer.Pair{"unknown authority": pki.SelfSigned, "key usage": pki.Server, "expired": pki.Expired} {
			says(shows(openssl(pki, g.Addr, "smtp"), bad))
			g.logged("outcome=tls-failed", why)
		}
	}
	g := begin(t, pki, "smtp://127.0.0.1:0?tls=encrypt&client-cert=demand", "--client-ca", pki.CAFile)
	says(openssl(pki, g.Addr, "smtp").with("-quiet"))
	g.logged("outcome=tls-failed", "didn't provide a certificate")
	g = begin(t, pki, "smtp://127.0.0.1:0?client-cert=ask", "--client-ca", pki.CAFile)
	upgrades(t, pki, g, "smtp", "smtp")
	g.quiet()
}
