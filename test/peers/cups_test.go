package peers

import (
	"testing"

	"starttls/test/peers/peer"
)

// lpstat asks for the print server's printers, after TLS with -E. There are none, which is a failure to
// it. (With -r it would not ask anything: it takes a connection for a server that runs.)
func lpstat(t *testing.T, g *gateway, more ...string) {
	t.Helper()
	cmd("lpstat").with(more...).with("-h", g.Host, "-v").fails(t, "No destinations added")
}

func TestCUPSGetsTLSInFront(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	c := peer.StartCUPS(t, peer.CUPSOptions{Mode: peer.ModePlain})
	for _, scheme := range []string{"ipp", "http"} {
		t.Run(scheme+" offered", func(t *testing.T) {
			g := begin(t, pki, scheme+"://127.0.0.1:0", scheme+"://"+c.Addr)
			lpstat(t, g, "-E")
			g.logged("outcome=tls", "dialect=http")
			lpstat(t, g)
			g.logged("outcome=clear", "dialect=http")
			cmd("curl", "-sS", "--max-time", "20", "http://"+g.Host+"/").works(t, "CUPS")
			g.quiet()
		})
		t.Run(scheme+" demanded", func(t *testing.T) {
			g := begin(t, pki, scheme+"://127.0.0.1:0?tls=encrypt", scheme+"://"+c.Addr)
			lpstat(t, g, "-E")
			g.quiet()
			out := cmd("curl", "-sSi", "--max-time", "20", "http://"+g.Host+"/").works(t, "HTTP/1.1 426 Upgrade Required")
			contains(t, out, "Upgrade: TLS/1.", "Connection: ")
			g.logged("outcome=refused", "refused=tls-required")
		})
	}
	t.Run("from the first byte", func(t *testing.T) {
		g := begin(t, pki, "ipp://127.0.0.1:0?tls=encrypt", "ipp://"+c.Addr)
		cmd("curl", "-sS", "--max-time", "20", "--cacert", pki.CAFile, "https://"+g.Host+"/").works(t, "CUPS")
	})
}

// What lpstat is told to do at a 426, it does: it upgrades by itself.
func TestLpstatUpgradesWhenTLSIsDemanded(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	c := peer.StartCUPS(t, peer.CUPSOptions{Mode: peer.ModePlain})
	g := begin(t, pki, "ipp://127.0.0.1:0?tls=encrypt", "ipp://"+c.Addr)
	lpstat(t, g)
	g.logged("outcome=refused", "refused=tls-required")
	g.logged("outcome=tls", "dialect=http")
}

func TestClearCUPSClientsReachServersThroughTLS(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	c := peer.StartCUPS(t, peer.CUPSOptions{})
	g := begin(t, pki, "ipp://127.0.0.1:0?tls=none", "ipp://"+c.Addr+"?tls=secure", "--ca", pki.CAFile)
	lpstat(t, g)
	g.logged("outcome=clear", "back_tls=\"TLS 1.", "dialect=http")
	cmd("curl", "-sS", "--max-time", "20", "http://"+g.Host+"/").works(t, "CUPS")
	g.quiet()
	turned := begin(t, pki, "ipp://127.0.0.1:0?tls=none", "ipp://"+c.Addr+"?tls=secure&match=other.test", "--ca", pki.CAFile)
	cmd("curl", "-sSi", "--max-time", "20", "http://"+turned.Host+"/").works(t, "502 Bad Gateway")
	turned.logged("outcome=backend-failed", "not other.test")
	plain := peer.StartCUPS(t, peer.CUPSOptions{Mode: peer.ModePlain})
	without := begin(t, pki, "ipp://127.0.0.1:0?tls=none", "ipp://"+plain.Addr+"?tls=encrypt")
	cmd("curl", "-sSi", "--max-time", "20", "http://"+without.Host+"/").works(t, "502 Bad Gateway")
	without.logged("outcome=backend-failed")
}
