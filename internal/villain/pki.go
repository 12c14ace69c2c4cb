package villain

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"slices"
	"time"
)

// A leafKind is what is wrong with a certificate.
type leafKind uint8

const (
	right leafKind = iota
	bySelf
	byStranger
	forAnother
	expired
)

// A pki has the authority that the client is to trust, and all leaves.
type pki struct {
	good   *pair
	leaves map[leafKind]*tls.Certificate
}

// A pair is a certificate with its key.
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// elsewhere is whom a certificate is for that is for another.
const elsewhere = "elsewhere.invalid"

func newPKI(names []string, now time.Time) (p *pki, err error) {
	p = &pki{leaves: map[leafKind]*tls.Certificate{}}
	if p.good, err = issue(authority("starttls check --client", now), nil); err != nil {
		return nil, err
	}
	stranger, err := issue(authority("a stranger", now), nil)
	if err != nil {
		return nil, err
	}
	day := 24 * time.Hour
	for _, l := range []struct {
		kind  leafKind
		names []string
		by    *pair
		ends  time.Time
	}{
		{right, names, p.good, now.Add(30 * day)},
		{bySelf, names, nil, now.Add(30 * day)},
		{byStranger, names, stranger, now.Add(30 * day)},
		{forAnother, []string{elsewhere}, p.good, now.Add(30 * day)},
		{expired, names, p.good, now.Add(-day)},
	} {
		made, err := issue(leaf(l.names, l.ends), l.by)
		if err != nil {
			return nil, err
		}
		p.leaves[l.kind] = &tls.Certificate{Certificate: [][]byte{made.cert.Raw}, PrivateKey: made.key}
	}
	return p, nil
}

func authority(name string, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
}

// leaf is the template of a server's certificate, that of this machine included: clients call it by
// whatever name or address they are told.
func leaf(names []string, ends time.Time) *x509.Certificate {
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: names[0]}, NotBefore: ends.AddDate(0, -2, 0), NotAfter: ends,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if names[0] != elsewhere {
		names = append(slices.Clone(names), "localhost", "127.0.0.1", "::1")
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
	return c
}

// issue makes a certificate with a new key, signed by itself if by is nil.
func issue(template *x509.Certificate, by *pair) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, err
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &pair{cert, key}, err
}

// config is what a villain shakes hands with.
func (p *pki) config(shows leafKind, old bool) *tls.Config {
	c := &tls.Config{Certificates: []tls.Certificate{*p.leaves[shows]}}
	if old {
		c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	}
	return c
}
