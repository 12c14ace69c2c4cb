package gateway_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"sync"
	"time"
)

const serverName = "mx.test"

// An authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue returns a certificate for a name. A nil authority makes it self-signed.
func (a *authority) issue(name string, edits ...func(*x509.Certificate)) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		DNSNames:     []string{name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	for _, edit := range edits {
		edit(template)
	}
	parent, signer := template, key
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func newAuthority(name string) *authority {
	root := (*authority)(nil).issue(name, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
	return &authority{root.Leaf, root.PrivateKey.(*ecdsa.PrivateKey)}
}

// trusted is the authority that the tests' clients trust, and good the certificate of their servers.
var (
	trusted = sync.OnceValue(func() *authority { return newAuthority("trusted") })
	good    = sync.OnceValue(func() tls.Certificate { return trusted().issue(serverName) })
)

// serverTLS is the configuration of a server with a good certificate.
func serverTLS() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{good()}} }

// clientTLS is that of a client that verifies.
func clientTLS() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(trusted().cert)
	return &tls.Config{ServerName: serverName, RootCAs: pool}
}

// credulousTLS is that of a client that verifies nothing.
func credulousTLS() *tls.Config {
	return &tls.Config{ServerName: serverName, InsecureSkipVerify: true}
}

// badCertificates are T_1 to T_4 of the attack table.
var badCertificates = map[string]func() tls.Certificate{
	"T_1 self-signed":  func() tls.Certificate { return (*authority)(nil).issue(serverName) },
	"T_2 unknown root": func() tls.Certificate { return newAuthority("unknown").issue(serverName) },
	"T_3 wrong host":   func() tls.Certificate { return trusted().issue("other.test") },
	"T_4 expired": func() tls.Certificate {
		return trusted().issue(serverName, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	},
}
