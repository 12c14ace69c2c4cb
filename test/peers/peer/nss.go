package peer

import (
	"os/exec"
	"path/filepath"
)

// NSS returns a folder that trusts the authority, for the programs that keep
// certificates in the way of Mozilla's library (upsmon).
func (p *PKI) NSS(t T) string {
	t.Helper()
	db := tempDir(t, "nss")
	nss(t, "certutil", "-N", "-d", db, "--empty-password")
	nss(t, "certutil", "-A", "-d", db, "-n", "authority", "-t", "C,,", "-i", p.CAFile)
	return db
}

// nss returns such a folder with the pair in it, under the name peer.
func (p Pair) nss(t T) string {
	t.Helper()
	Need(t, "openssl")
	db := tempDir(t, "nss")
	bundle := filepath.Join(db, "peer.p12")
	nss(t, "certutil", "-N", "-d", db, "--empty-password")
	nss(t, "openssl", "pkcs12", "-export", "-name", "peer", "-passout", "pass:",
		"-in", p.CertFile, "-inkey", p.KeyFile, "-out", bundle)
	nss(t, "pk12util", "-d", db, "-i", bundle, "-W", "")
	return db
}

// nss runs one of the programs that make such a folder.
func nss(t T, program string, args ...string) {
	t.Helper()
	Need(t, program)
	cmd := exec.Command(find(program), args...)
	cmd.Env = environ()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
}
