package cert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
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
	pair := Pair{Cert: filepath.Join(dir, "self-signed.crt"), Key: filepath.Join(dir, "self-signed.key")}
	if _, err := os.Stat(pair.Cert); os.IsNotExist(err) {
		if err := makeSelfSigned(pair, host); err != nil {
			return nil, false, fmt.Errorf("self-signed certificate: %w", err)
		}
		made = true
	}
	s, err = Load(pair)
	return s, made, err
}

// validity of a self-signed certificate: nobody verifies its dates, people pin it.
const validity = 10 * 365 * 24 * time.Hour

func makeSelfSigned(pair Pair, host string) error {
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
	if err := os.MkdirAll(filepath.Dir(pair.Cert), 0o700); err != nil {
		return err
	}
	if err := writePEM(pair.Key, "PRIVATE KEY", keyDER); err != nil {
		return err
	}
	return writePEM(pair.Cert, "CERTIFICATE", der)
}

// writePEM writes a file that is whole or not there, and for its owner only.
func writePEM(name, kind string, der []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = pem.Encode(f, &pem.Block{Type: kind, Bytes: der})
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
