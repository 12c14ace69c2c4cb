package cert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// SelfSigned returns a store with the self-signed certificate that is kept in dir, made for host and
// for localhost when there is none yet. made reports that it was.
func SelfSigned(dir, host string) (s *Store, made bool, err error) {
	file := filepath.Join(dir, "self-signed.pem")
	if _, err := os.Stat(file); os.IsNotExist(err) {
		if err := makeSelfSigned(file, host); err != nil {
			return nil, false, fmt.Errorf("self-signed certificate: %w", err)
		}
		made = true
	}
	s, err = Load(Pair{Cert: file, Key: file})
	return s, made, err
}

// validity of a self-signed certificate: nobody verifies its dates, people pin it.
const validity = 10 * 365 * 24 * time.Hour

func makeSelfSigned(file, host string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: host},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(validity),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     slices.Compact([]string{host, "localhost"}),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return writeOnce(file, &pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}, &pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// writeOnce writes a file for its owner only, whole or not at all. When another process has made it in
// the meantime, that one stays: key and certificate are in one file so that they always fit.
func writeOnce(name string, blocks ...*pem.Block) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	for _, b := range blocks {
		err = errors.Join(err, pem.Encode(f, b))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Link(f.Name(), name); errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}
