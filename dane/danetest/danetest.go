// Package danetest makes certificates in memory, and TLSA records for them, for tests.
package danetest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"sync/atomic"
	"testing"
	"time"

	"starttls/resolver"
)

// Now is when certificates are valid, unless they are shaped otherwise.
var Now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// A Cert is a certificate with its key.
type Cert struct {
	*x509.Certificate
	Key crypto.Signer
}

// A Shape changes the template of a certificate.
type Shape func(*x509.Certificate)

var serial atomic.Int64

// Issue makes a certificate for names with a key of its own; by is its issuer, nil for itself.
func Issue(t testing.TB, by *Cert, cn string, names []string, shapes ...Shape) *Cert {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return IssueFor(t, by, key, cn, names, shapes...)
}

// IssueFor is Issue for a key that there is.
func IssueFor(t testing.TB, by *Cert, key crypto.Signer, cn string, names []string, shapes ...Shape) *Cert {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial.Add(1)),
		Subject:      pkix.Name{CommonName: cn},
		NotBefore:    Now.Add(-time.Hour), NotAfter: Now.Add(time.Hour),
		DNSNames: names, BasicConstraintsValid: true,
	}
	if cn == "" {
		template.Subject = pkix.Name{}
	}
	for _, s := range shapes {
		s(template)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.Certificate, by.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &Cert{c, key}
}

// CA lets a certificate issue others.
func CA(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign }

// Expired ended an hour ago.
func Expired(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = Now.Add(-48*time.Hour), Now.Add(-time.Hour)
}

// TLSA makes the record of a certificate.
func TLSA(usage, selector, matching uint8, c *Cert) resolver.TLSARecord {
	data := c.Raw
	if selector == 1 {
		data = c.RawSubjectPublicKeyInfo
	}
	switch matching {
	case 1:
		sum := sha256.Sum256(data)
		data = sum[:]
	case 2:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return resolver.TLSARecord{Usage: usage, Selector: selector, Matching: matching, Data: data}
}

// Chain returns certificates as a client sees them.
func Chain(all ...*Cert) (certs []*x509.Certificate) {
	for _, c := range all {
		certs = append(certs, c.Certificate)
	}
	return certs
}

// Server returns what a server has that sends the chain; the key is that of the first.
func Server(chain ...*Cert) tls.Certificate {
	c := tls.Certificate{PrivateKey: chain[0].Key}
	for _, m := range chain {
		c.Certificate = append(c.Certificate, m.Raw)
	}
	return c
}

// PEM returns the same as a file.
func PEM(t testing.TB, chain ...*Cert) (text []byte) {
	t.Helper()
	for _, c := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	key, err := x509.MarshalPKCS8PrivateKey(chain[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	return append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
}
