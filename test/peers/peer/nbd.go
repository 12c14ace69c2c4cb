package peer

import (
	"os"
	"strings"
	"syscall"
)

// NBDOptions are the choices for StartNbdkit and StartQemuNBD; the zero value
// is fine.
type NBDOptions struct {
	Mode  Mode     // nbdkit alone knows ModeTLS; it is ModeRequired for qemu-nbd
	Cert  Pair     // if zero, the PKI's server certificate
	Extra []string // further arguments
}

// NBDSize is the size, in bytes, of the disk that the servers export. It begins
// with NBDText.
const (
	NBDSize = 1 << 20
	NBDText = "starttls disk\n"
)

// NBD is a running server of a network block device. The export has no name.
type NBD struct {
	Addr string
	Log  string
}

// StartNbdkit starts nbdkit, with a disk that several clients may write to.
func StartNbdkit(t T, o NBDOptions) *NBD {
	t.Helper()
	in := begin(t, "nbdkit", "nbdkit")
	n := &NBD{Addr: in.addrs(1)[0], Log: in.log}
	args := []string{"--foreground", "--verbose", "--ipaddr=127.0.0.1", "--port=" + port(n.Addr),
		"--tls=" + [...]string{ModeTLS: "on", ModePlain: "off", ModeRequired: "require"}[o.Mode]}
	if o.Mode != ModePlain {
		args = append(args, "--tls-certificates="+in.gnutlsDir(o.Cert))
	}
	args = append(args, o.Extra...)
	in.start(in.command("nbdkit", append(args, "file", nbdDisk(in))...), syscall.SIGTERM, n.Addr)
	return n
}

// StartQemuNBD starts qemu-nbd. With TLS it takes no client without.
func StartQemuNBD(t T, o NBDOptions) *NBD {
	t.Helper()
	in := begin(t, "qemu-nbd", "qemu-nbd")
	n := &NBD{Addr: in.addrs(1)[0], Log: in.log}
	args := []string{"--bind=127.0.0.1", "--port=" + port(n.Addr), "--persistent", "--shared=0", "--format=raw"}
	if o.Mode != ModePlain {
		args = append(args, "--tls-creds=peer",
			"--object=tls-creds-x509,id=peer,endpoint=server,verify-peer=off,dir="+in.gnutlsDir(o.Cert))
	}
	args = append(args, o.Extra...)
	in.start(in.command("qemu-nbd", append(args, nbdDisk(in))...), syscall.SIGTERM, n.Addr)
	return n
}

func nbdDisk(in *instance) string {
	in.t.Helper()
	disk := in.path("disk")
	in.fatal(os.WriteFile(disk, []byte(NBDText+strings.Repeat("\x00", NBDSize-len(NBDText))), 0o644))
	return disk
}

// gnutlsDir makes a folder with the file names that libvirt began with, and
// many followed.
func (in *instance) gnutlsDir(p Pair) string {
	in.t.Helper()
	cert := p.or(in.t)
	dir := in.mkdir("tls", 0o755, account{os.Geteuid(), os.Getegid()})
	in.fatal(os.Symlink(NewPKI(in.t).CAFile, in.path("tls", "ca-cert.pem")))
	in.fatal(os.Symlink(cert.CertFile, in.path("tls", "server-cert.pem")))
	in.fatal(os.Symlink(cert.KeyFile, in.path("tls", "server-key.pem")))
	return dir
}

// QemuCreds returns a folder that has the programs of QEMU and libnbd trust the
// authority: their option "dir" or "tls-certificates".
func (p *PKI) QemuCreds(t T) string {
	t.Helper()
	dir := tempDir(t, "creds")
	if err := os.Symlink(p.CAFile, dir+"/ca-cert.pem"); err != nil {
		t.Fatalf("pki: %v", err)
	}
	return dir
}
