package peers

import (
	"os"
	"strings"
	"testing"

	"starttls/test/peers/peer"
)

// rdesktop comes as far as the server's login window, in the way that it says it has.
func rdesktop(t *testing.T, screen *peer.VNC, x *peer.Xrdp, g *gateway, how string) {
	t.Helper()
	before := welcomes(x)
	welcomed := func(out string) bool { return welcomes(x) > before && strings.Contains(out, how) }
	run := func() (string, bool) { return peer.Rdesktop(t, limit, screen.Display, g.Addr, welcomed) }
	if how == byRDP { // -e: without RDP's own encryption, which the server has not on its leg inside TLS
		env := []string{"DISPLAY=" + screen.Display, "HOME=" + t.TempDir()}
		run = func() (string, bool) {
			return peer.RunUntil(t, limit, env, welcomed, "sh", "-c", `echo yes | rdesktop -e "$1"`, "rdesktop", g.Host)
		}
	}
	out, ok := run()
	if !ok {
		t.Errorf("not welcomed, or not %q:\n%s", how, out)
	}
}

// welcomes counts the login windows that the server has drawn.
func welcomes(x *peer.Xrdp) int {
	text, _ := os.ReadFile(x.Log)
	return strings.Count(string(text), "draw login window")
}

const bySSL, byRDP = "Connection established using SSL", "Retrying with plain RDP"

// beginRDP begins a gateway with a certificate that rdesktop can use.
func beginRDP(t *testing.T, pki *peer.PKI, args ...string) *gateway {
	t.Helper()
	return begin(t, pki, append(args, "--cert", pki.ServerRSA.CertFile, "--key", pki.ServerRSA.KeyFile)...)
}

// A server's own encryption would go on inside TLS, which RDP does not know: it is turned off.
var unencrypted = []string{"crypt_level=none"}

func TestRDPGetsTLSInFront(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	screen := peer.StartVNC(t, peer.VNCOptions{Mode: peer.ModePlain})
	x := peer.StartXrdp(t, peer.XrdpOptions{Mode: peer.ModePlain, Extra: unencrypted})
	for _, options := range []string{"", "?tls=encrypt"} {
		t.Run("offered"+options, func(t *testing.T) {
			g := beginRDP(t, pki, "rdp://127.0.0.1:0"+options, "rdp://"+x.Addr)
			rdesktop(t, screen, x, g, bySSL)
			g.logged("outcome=tls", "dialect=rdp")
			g.quiet()
		})
	}
	t.Run("from a server that encrypts by itself", func(t *testing.T) {
		own := peer.StartXrdp(t, peer.XrdpOptions{Mode: peer.ModePlain})
		g := beginRDP(t, pki, "rdp://127.0.0.1:0", "rdp://"+own.Addr)
		peer.Rdesktop(t, limit, screen.Display, g.Addr, func(string) bool {
			return strings.Contains(g.log.String(), "outcome=backend-failed")
		})
		g.logged("outcome=backend-failed", "the server encrypts by itself", "tls=\"TLS 1.")
		if welcomes(own) > 0 {
			t.Error("welcomed")
		}
	})
	t.Run("demanded", func(t *testing.T) {
		g := beginRDP(t, pki, "rdp://127.0.0.1:0?tls=encrypt", "rdp://"+x.Addr)
		// A connection request for Standard RDP Security; SSL_REQUIRED_BY_SERVER (MS-RDPBCGR §2.2.1.2.2).
		says(t, g.Addr, "\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x00\x00\x00\x00",
			"\x03\x00\x08\x00\x01\x00\x00\x00")
		g.logged("outcome=refused", "refused=tls-required")
	})
}

func TestClearRDPClientsReachServersThroughTLS(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	screen := peer.StartVNC(t, peer.VNCOptions{Mode: peer.ModePlain})
	for _, mode := range []peer.Mode{peer.ModeTLS, peer.ModeRequired} {
		t.Run(mode.String(), func(t *testing.T) {
			x := peer.StartXrdp(t, peer.XrdpOptions{Mode: mode})
			g := beginRDP(t, pki, "rdp://127.0.0.1:0?tls=none", "rdp://"+x.Addr+"?tls=secure", "--ca", pki.CAFile)
			rdesktop(t, screen, x, g, byRDP)
			g.logged("outcome=clear", "back_tls=\"TLS 1.3\"", "dialect=rdp")
			both := beginRDP(t, pki, "rdp://127.0.0.1:0?tls=encrypt", "rdp://"+x.Addr+"?tls=secure", "--ca", pki.CAFile)
			rdesktop(t, screen, x, both, bySSL)
			both.logged("outcome=tls", "back_tls=\"TLS 1.3\"")
			both.quiet()
			turned := beginRDP(t, pki, "rdp://127.0.0.1:0?tls=none", "rdp://"+x.Addr+"?tls=secure&match=other.test", "--ca", pki.CAFile)
			before := welcomes(x)
			peer.Rdesktop(t, limit, screen.Display, turned.Addr, func(string) bool {
				return strings.Contains(turned.log.String(), "outcome=backend-failed")
			})
			turned.logged("outcome=backend-failed", "not other.test")
			if welcomes(x) > before {
				t.Error("welcomed by a server of another name")
			}
		})
	}
}
