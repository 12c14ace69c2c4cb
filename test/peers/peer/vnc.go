package peer

import (
	"encoding/hex"
	"os"
	"strings"
	"syscall"
)

// VNCOptions are the choices for StartVNC; the zero value is fine.
type VNCOptions struct {
	Mode     Mode     // ModeTLS offers VeNCrypt with certificates beside the clear
	Cert     Pair     // if zero, the PKI's server certificate
	Password bool     // asks for Password, in VNC's own way
	Extra    []string // further arguments
}

// VNC is a running VNC server (TigerVNC) with an empty screen. It is an X
// server too, which makes it the display for clients that want one.
type VNC struct {
	Addr    string
	Display string // for DISPLAY: ":1"
	Log     string
}

// VNCPassword is Password as VNC's password files hold it: encrypted with a
// key that the whole world knows.
var VNCPassword, _ = hex.DecodeString("2e2dbf576eb06c9e")

// StartVNC starts a VNC server.
func StartVNC(t T, o VNCOptions) *VNC {
	t.Helper()
	in := begin(t, "vnc", "Xtigervnc")
	v := &VNC{Addr: in.addrs(1)[0], Log: in.log}
	kind := "None"
	if o.Password {
		kind = "VncAuth"
	}
	x509 := strings.Replace("X509"+kind, "VncAuth", "Vnc", 1)
	display := in.path("display")
	in.fatal(os.WriteFile(in.path("password"), VNCPassword, 0o600))
	args := []string{
		"-displayfd", "3", "-rfbport", port(v.Addr), "-interface", "127.0.0.1", "-geometry", "640x480",
		"-ac", "-nolisten", "tcp", "-PasswordFile", in.path("password"),
		"-SecurityTypes", [...]string{ModeTLS: x509 + "," + kind, ModePlain: kind, ModeRequired: x509}[o.Mode],
	}
	if o.Mode != ModePlain {
		cert := o.Cert.or(t)
		args = append(args, "-X509Cert", cert.CertFile, "-X509Key", cert.KeyFile)
	}
	cmd := in.command("Xtigervnc", append(args, o.Extra...)...)
	number, err := os.Create(display)
	in.fatal(err)
	defer number.Close()
	cmd.ExtraFiles = []*os.File{number}
	in.start(cmd, syscall.SIGTERM, v.Addr)
	in.await("the display's number", func() bool {
		text, _ := os.ReadFile(display)
		v.Display = ":" + strings.TrimSpace(string(text))
		return strings.HasSuffix(string(text), "\n")
	})
	return v
}
