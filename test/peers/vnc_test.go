package peers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starttls/test/peers/peer"
)

// vncviewer looks at what is behind the gateway until it has the first picture. The types of security are
// those that it may choose from.
func vncviewer(t *testing.T, pki *peer.PKI, screen *peer.VNC, types string, g *gateway, until func(says string) bool) (says string, held bool) {
	t.Helper()
	home := t.TempDir()
	passwd := filepath.Join(home, "passwd")
	if err := os.WriteFile(passwd, peer.VNCPassword, 0o600); err != nil {
		t.Fatal(err)
	}
	return peer.RunUntil(t, limit, []string{"DISPLAY=" + screen.Display, "HOME=" + home}, until, "xtigervncviewer",
		"-SecurityTypes", types, "-X509CA", pki.CAFile, "-PasswordFile", passwd,
		"-AlertOnFatalError=0", "-ReconnectOnError=0", "localhost::"+g.Port)
}

// A looker is a viewer that has the types of one kind of login.
type looker struct {
	name, clear, upgraded string
	password              bool
	away                  string // what the viewer says when the server cannot be reached
}

// There are no words for that where a challenge is due: who expects one would answer it.
var lookers = []looker{
	{"no password", "None", "X509None", false, "Authentication failure: The server cannot be reached"},
	{"password", "VncAuth", "X509Vnc", true, "The connection was dropped by the server"},
}

// vncLooks has the viewer come as far as the picture.
func vncLooks(t *testing.T, pki *peer.PKI, screen *peer.VNC, types string, g *gateway) {
	t.Helper()
	says, ok := vncviewer(t, pki, screen, types, g, func(says string) bool { return strings.Contains(says, "Enabling continuous updates") })
	if !ok {
		t.Errorf("%s: no picture:\n%s", types, says)
	}
}

// vncTurnedAway has the viewer say all the words and see nothing.
func vncTurnedAway(t *testing.T, pki *peer.PKI, screen *peer.VNC, types string, g *gateway, words ...string) {
	t.Helper()
	says, ok := vncviewer(t, pki, screen, types, g, func(says string) bool {
		for _, w := range words {
			if !strings.Contains(says, w) {
				return false
			}
		}
		return true
	})
	if !ok || strings.Contains(says, "Enabling continuous updates") {
		t.Errorf("%s: not told %q:\n%s", types, words, says)
	}
}

func TestVNCGetsTLSInFront(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	screen := peer.StartVNC(t, peer.VNCOptions{Mode: peer.ModePlain})
	for _, l := range lookers {
		v := peer.StartVNC(t, peer.VNCOptions{Mode: peer.ModePlain, Password: l.password})
		t.Run(l.name+" offered", func(t *testing.T) {
			g := begin(t, pki, "vnc://127.0.0.1:0", "vnc://"+v.Addr)
			vncLooks(t, pki, screen, l.upgraded, g)
			g.logged("outcome=tls", "dialect=vnc")
			vncLooks(t, pki, screen, l.clear, g)
			g.logged("outcome=clear", "dialect=vnc")
			vncLooks(t, pki, screen, l.upgraded+","+l.clear, g)
			g.quiet()
		})
		t.Run(l.name+" demanded", func(t *testing.T) {
			g := begin(t, pki, "vnc://127.0.0.1:0?tls=encrypt", "vnc://"+v.Addr)
			vncLooks(t, pki, screen, l.upgraded, g)
			g.quiet()
			vncTurnedAway(t, pki, screen, l.clear, g, "No matching security types")
			// RFC 6143 §7.1.2: VeNCrypt is the only type, and who takes another one all the same fails.
			out := says(t, g.Addr, "", "RFB 003.008\n", "RFB 003.008\n", "\x01\x13", "\x01", "\x00\x00\x00\x01")
			contains(t, out, "\x01\x13\x00\x00\x00\x01")
			// RFB 3.3 lets no client choose.
			says(t, g.Addr, "", "RFB 003.008\n", "RFB 003.003\n", "\x00\x00\x00\x00\x00\x00\x00%TLS is required (VeNCrypt with X.509)")
			g.logged("outcome=refused", "refused=tls-required")
		})
	}
}

func TestClearVNCClientsReachServersThroughTLS(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	screen := peer.StartVNC(t, peer.VNCOptions{Mode: peer.ModePlain})
	for _, l := range lookers {
		for _, mode := range []peer.Mode{peer.ModeTLS, peer.ModeRequired} {
			t.Run(l.name+" "+mode.String(), func(t *testing.T) {
				v := peer.StartVNC(t, peer.VNCOptions{Mode: mode, Password: l.password})
				g := begin(t, pki, "vnc://127.0.0.1:0?tls=none", "vnc://"+v.Addr+"?tls=secure", "--ca", pki.CAFile)
				vncLooks(t, pki, screen, l.clear, g)
				g.logged("outcome=clear", "back_tls=\"TLS 1.3\"", "dialect=vnc")
				g.quiet()
				turned := begin(t, pki, "vnc://127.0.0.1:0?tls=none", "vnc://"+v.Addr+"?tls=secure&match=other.test", "--ca", pki.CAFile)
				vncTurnedAway(t, pki, screen, l.clear, turned, l.away)
				turned.logged("outcome=backend-failed", "not other.test")
			})
		}
	}
}
