package peers

import (
	"testing"

	"starttls/test/peers/peer"
)

// lpstat asks whether the print server runs. With -E it does TLS first; it takes every failure for a
// server that does not run.
func lpstat(g *gateway, more ...string) client {
	return cmd("lpstat").with(more...).with("-h", g.Host, "-r")
}

const (
	running    = "scheduler is running"
	notRunning = "scheduler is not running"
)

func TestCUPSGetsTLSInFront(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	c := peer.StartCUPS(t, peer.CUPSOptions{Mode: peer.ModePlain})
	for _, scheme := range []string{"ipp", "http"} {
		t.Run(scheme+" offered", func(t *testing.T) {
			g := begin(t, pki, scheme+"://127.0.0.1:0", scheme+"://"+c.Addr)
			lpstat(g, "-E").works(t, running)
			g.logged("outcome=tls", "dialect=http")
			lpstat(g).works(t, running)
			g.logged("outcome=clear", "dialect=http")
			cmd("curl", "-sS", "--max-time", "20", "http://"+g.Host+"/").works(t, "CUPS")
			g.quiet()
		})
		t.Run(scheme+" demanded", func(t *testing.T) {
			g := begin(t, pki, scheme+"://127.0.0.1:0?tls=encrypt", scheme+"://"+c.Addr)
			lpstat(g, "-E").works(t, running)
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
	lpstat(g).works(t, running)
	g.logged("outcome=tls", "refused=tls-required")
}

func TestClearCUPSClientsReachServersThroughTLS(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	c := peer.StartCUPS(t, peer.CUPSOptions{})
	g := begin(t, pki, "ipp://127.0.0.1:0?tls=none", "ipp://"+c.Addr+"?tls=secure", "--ca", pki.CAFile)
	lpstat(g).works(t, running)
	g.logged("outcome=clear", "back_tls=\"TLS 1.", "dialect=http")
	cmd("curl", "-sS", "--max-time", "20", "http://"+g.Host+"/").works(t, "CUPS")
	g.quiet()
	turned := begin(t, pki, "ipp://127.0.0.1:0?tls=none", "ipp://"+c.Addr+"?tls=secure&match=other.test", "--ca", pki.CAFile)
	lpstat(turned).works(t, notRunning)
	turned.logged("outcome=backend-failed", "not other.test")
	plain := peer.StartCUPS(t, peer.CUPSOptions{Mode: peer.ModePlain})
	without := begin(t, pki, "ipp://127.0.0.1:0?tls=none", "ipp://"+plain.Addr+"?tls=encrypt")
	lpstat(without).works(t, notRunning)
	without.logged("outcome=backend-failed")
}
