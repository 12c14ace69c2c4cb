package peer_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starttls/test/peers/peer"
)

// vncviewer looks at the server until it has the first picture. The types of
// security are those that it may choose from.
func vncviewer(t *testing.T, patience time.Duration, display, types, addr string) (says string, looked bool) {
	t.Helper()
	home := t.TempDir()
	passwd := filepath.Join(home, "passwd")
	if err := os.WriteFile(passwd, peer.VNCPassword, 0o600); err != nil {
		t.Fatal(err)
	}
	hasPicture := func(says string) bool { return strings.Contains(says, "Enabling continuous updates") }
	return peer.RunUntil(t, patience, []string{"DISPLAY=" + display, "HOME=" + home}, hasPicture, "xtigervncviewer",
		"-SecurityTypes", types, "-X509CA", peer.NewPKI(t).CAFile, "-PasswordFile", passwd,
		"-AlertOnFatalError=0", "-ReconnectOnError=0", "localhost::"+portOf(addr))
}

func TestVNC(t *testing.T) {
	screen := peer.StartVNC(t, peer.VNCOptions{Mode: peer.ModePlain})
	for _, mode := range []peer.Mode{peer.ModeTLS, peer.ModePlain, peer.ModeRequired} {
		for _, password := range []bool{false, true} {
			name, clear, upgraded := mode.String(), "None", "X509None"
			if password {
				name, clear, upgraded = name+" with password", "VncAuth", "X509Vnc"
			}
			serve(t, name, func(t *testing.T) (string, []string) {
				v := peer.StartVNC(t, peer.VNCOptions{Mode: mode, Password: password})
				says, ok := vncviewer(t, limit, screen.Display, upgraded, v.Addr)
				if want := mode != peer.ModePlain; ok != want {
					t.Errorf("%s: looked %v, want %v:\n%s", upgraded, ok, want, says)
				}
				says, ok = vncviewer(t, limit, screen.Display, clear, v.Addr)
				if want := mode != peer.ModeRequired; ok != want {
					t.Errorf("%s: looked %v, want %v:\n%s", clear, ok, want, says)
				}
				return v.Log, []string{v.Addr}
			})
		}
	}
	serve(t, "other name", func(t *testing.T) (string, []string) {
		v := peer.StartVNC(t, peer.VNCOptions{Cert: peer.NewPKI(t).Other})
		if says, ok := vncviewer(t, time.Second, screen.Display, "X509None", v.Addr); ok {
			t.Errorf("took the certificate of another name:\n%s", says)
		}
		return v.Log, []string{v.Addr}
	})
}

func TestXrdp(t *testing.T) {
	screen := peer.StartVNC(t, peer.VNCOptions{Mode: peer.ModePlain})
	for _, mode := range []peer.Mode{peer.ModeTLS, peer.ModePlain, peer.ModeRequired} {
		serve(t, mode.String(), func(t *testing.T) (string, []string) {
			x := peer.StartXrdp(t, peer.XrdpOptions{Mode: mode})
			how := [...]string{peer.ModeTLS: "SSL", peer.ModePlain: "plain RDP", peer.ModeRequired: "SSL"}[mode]
			says, ok := peer.Rdesktop(t, limit, screen.Display, x.Addr, func(string) bool { return x.Welcomed() })
			if !ok || !strings.Contains(says, "Connection established using "+how) {
				t.Errorf("welcomed %v, not by %s:\n%s", ok, how, says)
			}
			return x.Log, []string{x.Addr}
		})
	}
}
