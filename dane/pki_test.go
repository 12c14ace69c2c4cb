package dane

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"sync/atomic"
	"testing"
	"time"

	"starttls/resolver"
)

// now is when the certificates of these tests are valid.
var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// A made is a certificate with its key.
type made struct {
	*x509.Certificate
	key crypto.Signer
}

var serial atomic.Int64

// newKey returns a key.
func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A shape changes the template of a certificate.
type shape func(*x509.Certificate)

// issue makes a certificate with names; by is its issuer, nil for itself.
func issue(t testing.TB, by *made, cn string, names []string, shapes ...shape) *made {
	t.Helper()
	return issueFor(t, by, newKey(t), cn, names, shapes...)
}

func issueFor(t testing.TB, by *made, key crypto.Signer, cn string, names []string, shapes ...shape) *made {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial.Add(1)),
		Subject:      pkix.Name{CommonName: cn},
		NotBefore:    now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
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
		parent, signer = by.Certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &made{c, key}
}

// ca makes a certificate that may issue others.
func ca(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign }

func expired(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = now.Add(-48*time.Hour), now.Add(-time.Hour)
}

func never(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(time.Hour), now.Add(-time.Hour) }

func pathLen0(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true }

// tlsa makes the record of a certificate.
func tlsa(usage, selector, matching uint8, c *made) resolver.TLSARecord {
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

// chain is what a server sends.
func chain(all ...*made) (certs []*x509.Certificate) {
	for _, c := range all {
		certs = append(certs, c.Certificate)
	}
	return certs
}
