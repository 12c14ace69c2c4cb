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
	out, ok := peer.Rdesktop(t, limit, screen.Display, g.Addr, func(string) bool { return welcomes(x) > before })
	if !ok || !strings.Contains(out, "Connection established using "+how) {
		t.Errorf("welcomed: %v, and not by %s:\n%s", ok, how, out)
	}
}

// welcomes counts the login windows that the server has drawn.
func welcomes(x *peer.Xrdp) int {
	text, _ := os.ReadFile(x.Log)
	return strings.Count(string(text), "draw login window")
}

const bySSL, byRDP = "SSL", "plain RDP"

func TestRDPGetsTLSInFront(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	screen := peer.StartVNC(t, peer.VNCOptions{Mode: peer.ModePlain})
	for _, level := range []string{"none", "low"} {
		x := peer.StartXrdp(t, peer.XrdpOptions{Mode: peer.ModePlain, Extra: []string{"crypt_level=" + level}})
		for _, options := range []string{"", "?tls=encrypt"} {
			t.Run("crypt_level "+level+options, func(t *testing.T) {
				g := begin(t, pki, "rdp://127.0.0.1:0"+options, "rdp://"+x.Addr, "--cert", pki.ServerRSA.CertFile, "--key", pki.ServerRSA.KeyFile)
				rdesktop(t, screen, x, g, bySSL)
				g.logged("outcome=tls", "dialect=rdp")
				g.quiet()
			})
		}
	}
}
