//go:build linux

package faults

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"starttls/internal/cert"
)

// A pem pair is a certificate and its key, as they stand in files.
type pemPair struct{ cert, key []byte }

func newPair(t *testing.T, names ...string) pemPair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: names, IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pemPair{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})}
}

func write(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// shown returns the certificate that a client is shown, in PEM.
func shown(t *testing.T, path string) []byte {
	t.Helper()
	conn, err := dial("unix", path, "echo")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: conn.ConnectionState().PeerCertificates[0].Raw})
}

// TestACertificateHalfWritten is not used: the one before is, the log says so, and so does a reload. The
// whole one is used without a word from anybody.
func TestACertificateHalfWritten(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	newBackend(t, dir+"/back")
	old, next := newPair(t, "localhost"), newPair(t, "localhost")
	write(t, dir+"/a.pem", old.cert)
	write(t, dir+"/a.key", old.key)
	p := startGateway(t, dir, route("a", "back", "[[route.certificate]]", `cert = "DIR/a.pem"`, `key = "DIR/a.key"`))
	before := p.rests()
	all := beginOthers(t, 3, p.path("a"))
	for i, half := range []pemPair{
		{next.cert[:len(next.cert)/2], old.key},              // cut in the middle
		{nil, old.key},                                       // opened for writing
		{slices.Concat(next.cert, old.cert[:100]), next.key}, // the chain is still to come
		{next.cert, old.key},                                 // the key is still to come
		{next.cert, next.key[:len(next.key)-20]},
	} {
		write(t, dir+"/a.pem", half.cert)
		write(t, dir+"/a.key", half.key)
		p.until("word of it", func() bool {
			if got := shown(t, p.path("a")); !bytes.Equal(got, old.cert) {
				t.Errorf("%d: the certificate that is shown is\n%s", i, got)
			}
			return p.lines("level=ERROR", "certificate not reloaded, the one before stays in use") > i
		})
		all.undisturbed(t)
	}
	p.signal(syscall.SIGHUP)
	p.logged("level=ERROR", "configuration not reloaded, the one before stays in force", "a.key")
	if got := shown(t, p.path("a")); !bytes.Equal(got, old.cert) {
		t.Errorf("after a reload the certificate that is shown is\n%s", got)
	}

	write(t, dir+"/a.key", next.key)
	p.until("the next certificate", func() bool { return bytes.Equal(shown(t, p.path("a")), next.cert) })
	p.logged("level=INFO", "certificate reloaded")
	all.undisturbed(t)
	all.end(t)
	p.clean(before)
}

// TestACertificateThatCannotBeReadNow, for want of a descriptor, is read when there is one, though nobody
// has touched it since.
func TestACertificateThatCannotBeReadNow(t *testing.T) {
	t.Parallel()
	if os.Getenv(descriptors) == "" {
		if _, err := again(t, descriptors+"=64", nil); err != nil {
			t.Error(err)
		}
		return
	}
	dir := folder(t)
	files := cert.Pair{Cert: dir + "/a.pem", Key: dir + "/a.key"}
	put := func(p pemPair) {
		write(t, files.Cert, p.cert)
		write(t, files.Key, p.key)
	}
	put(newPair(t, "localhost"))
	s, err := cert.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	old := s.Leaves()[0]
	put(newPair(t, "localhost", "next"))
	var taken []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		taken = append(taken, f)
	}
	if err := s.Reload(false); !errors.Is(err, syscall.EMFILE) || !s.Leaves()[0].Equal(old) {
		t.Errorf("without a descriptor: %v", err)
	}
	for _, f := range taken {
		f.Close()
	}
	if err := s.Reload(false); err != nil || s.Leaves()[0].Equal(old) {
		t.Errorf("with descriptors: %v, and it is the old one: %t", err, s.Leaves()[0].Equal(old))
	}
}
