package peer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// PKI is a throw-away authority and the certificates it signed. The keys are
// made once per process, so every PKI of a process has the same certificates;
// the files belong to one test each.
type PKI struct {
	Dir    string // holds the files below
	CAFile string // the authority's certificate, PEM
	CA     *x509.Certificate
	Pool   *x509.CertPool // the authority alone

	Server     Pair // ECDSA P-256; localhost, example.test, *.example.test, xmpp.test, 127.0.0.1, ::1
	ServerRSA  Pair // RSA 2048, the same names
	Client     Pair // for client authentication, client.test
	Other      Pair // the right authority, the wrong name: other.test
	Expired    Pair // the right names, ended in February 2020
	SelfSigned Pair // the right names, no authority
}

// Pair is a certificate with its key, as files and in memory. Everybody on the
// machine may read the key: it is worth nothing.
type Pair struct {
	CertFile string // PEM, the certificate alone
	KeyFile  string // PEM, PKCS #8
	TLS      tls.Certificate
}

// isRSA tells the kind of the key, for servers that want to know.
func isRSA(p Pair) bool {
	_, rsa := p.TLS.PrivateKey.(*rsa.PrivateKey)
	return rsa
}

// or returns the pair, or the PKI's server certificate if the pair is not set.
func (p Pair) or(t T) Pair {
	if p.CertFile == "" {
		return NewPKI(t).Server
	}
	return p
}

// NewPKI writes the certificates to a folder that goes with the test.
func NewPKI(t T) *PKI {
	t.Helper()
	certs, err := makeCerts()
	if err != nil {
		t.Fatalf("pki: %v", err)
	}
	p := &PKI{Dir: tempDir(t, "pki"), CA: certs.ca, Pool: x509.NewCertPool()}
	p.Pool.AddCert(p.CA)
	p.CAFile = filepath.Join(p.Dir, "ca.crt")
	if err := os.WriteFile(p.CAFile, certPEM(p.CA.Raw), 0o644); err != nil {
		t.Fatalf("pki: %v", err)
	}
	for name, pair := range map[string]*Pair{
		"server": &p.Server, "server-rsa": &p.ServerRSA, "client": &p.Client,
		"other": &p.Other, "expired": &p.Expired, "self": &p.SelfSigned,
	} {
		*pair, err = certs.leaves[name].save(filepath.Join(p.Dir, name))
		if err != nil {
			t.Fatalf("pki: %v", err)
		}
	}
	return p
}

// leaf is a certificate and its key, both PEM.
type leaf struct{ cert, key []byte }

func (l leaf) save(base string) (Pair, error) {
	pair := Pair{CertFile: base + ".crt", KeyFile: base + ".key"}
	if err := os.WriteFile(pair.CertFile, l.cert, 0o644); err != nil {
		return Pair{}, err
	}
	if err := os.WriteFile(pair.KeyFile, l.key, 0o644); err != nil {
		return Pair{}, err
	}
	var err error
	pair.TLS, err = tls.X509KeyPair(l.cert, l.key)
	return pair, err
}

type certSet struct {
	ca     *x509.Certificate
	leaves map[string]leaf
}

// makeCerts signs everything, once per process.
var makeCerts = sync.OnceValues(func() (*certSet, error) {
	now := time.Now()
	ended := time.Date(2020, 2, 1, 0, 0, 0, 0, time.UTC)
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	// Valid since before the expired certificate began, so that the end of
	// that one is its only fault.
	ca := template("starttls test CA", ended.AddDate(-1, 0, 0), now.AddDate(1, 0, 0))
	ca.IsCA = true
	ca.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	ca.ExtKeyUsage = nil // of servers and of clients
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return nil, err
	}
	if ca, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}

	server := named(template("server", now.Add(-time.Hour), now.AddDate(1, 0, 0)))
	expired := named(template("expired", ended.AddDate(0, -1, 0), ended))
	self := named(template("localhost", now.Add(-time.Hour), now.AddDate(1, 0, 0)))
	other := template("other", server.NotBefore, server.NotAfter)
	other.DNSNames = []string{"other.test"}
	client := template("client", server.NotBefore, server.NotAfter)
	client.DNSNames = []string{"client.test"}
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}

	set := &certSet{ca: ca, leaves: map[string]leaf{}}
	for name, tmpl := range map[string]*x509.Certificate{
		"server": server, "server-rsa": server, "client": client,
		"other": other, "expired": expired, "self": self,
	} {
		key, err := makeKey(name)
		if err != nil {
			return nil, err
		}
		issuer, signer := ca, crypto.Signer(caKey)
		if name == "self" {
			issuer, signer = tmpl, key
		}
		if set.leaves[name], err = sign(tmpl, key, issuer, signer); err != nil {
			return nil, err
		}
	}
	return set, nil
})

func makeKey(name string) (crypto.Signer, error) {
	if name == "server-rsa" {
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// template is a certificate without names: a server's, until told otherwise.
func template(cn string, from, to time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: cn},
		NotBefore:             from,
		NotAfter:              to,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
}

// named adds the names that the test servers go by.
func named(c *x509.Certificate) *x509.Certificate {
	c.DNSNames = []string{"localhost", "example.test", "*.example.test", XMPPDomain}
	c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	return c
}

func sign(tmpl *x509.Certificate, key crypto.Signer, issuer *x509.Certificate, signer crypto.Signer) (leaf, error) {
	der, err := x509.CreateCertificate(rand.Reader, tmpl, issuer, key.Public(), signer)
	if err != nil {
		return leaf{}, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return leaf{}, err
	}
	return leaf{certPEM(der), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})}, nil
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
