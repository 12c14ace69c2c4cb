package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// An issuer says who signs a certificate.
type issuer uint8

const (
	byPublic  issuer = iota // what everybody in the lab trusts
	byPrivate               // a hoster's own authority, in nobody's store
	bySelf
)

// A leaf is the certificate of a host.
type leaf struct {
	by      issuer
	name    string // what it is for; if empty, the host
	expired bool
	alone   bool // the issuer's certificate is not sent
}

// A pki is the lab's authorities.
type pki struct {
	now                   time.Time
	root, public, private *pair // public is signed by root
}

// A pair is a certificate with its key.
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newPKI(now time.Time) (*pki, error) {
	p := &pki{now: now}
	var err error
	if p.root, err = p.authority("Lab Root", nil); err != nil {
		return nil, err
	}
	if p.public, err = p.authority("Lab CA", p.root); err != nil {
		return nil, err
	}
	p.private, err = p.authority("Hoster's own CA", nil)
	return p, err
}

func (p *pki) authority(name string, by *pair) (*pair, error) {
	return issue(&x509.Certificate{
		Subject:   pkix.Name{Organization: []string{"starttls lab"}, CommonName: name},
		NotBefore: p.now.AddDate(-1, 0, 0), NotAfter: p.now.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, by)
}

// issue makes a certificate with a new key, signed by itself if by is nil.
func issue(template *x509.Certificate, by *pair) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	if by == nil {
		by = &pair{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &pair{cert, key}, err
}

// certificate makes what a host serves.
func (p *pki) certificate(host string, l leaf) (*tls.Certificate, error) {
	template := &x509.Certificate{
		NotBefore: p.now.AddDate(0, 0, -30), NotAfter: p.now.AddDate(0, 0, 60),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if l.name == "" {
		l.name = host
	}
	template.DNSNames = []string{l.name}
	template.Subject.CommonName = l.name
	if l.expired {
		template.NotAfter = p.now.AddDate(0, 0, -2)
	}
	by := map[issuer]*pair{byPublic: p.public, byPrivate: p.private}[l.by]
	made, err := issue(template, by)
	if err != nil {
		return nil, err
	}
	chain := &tls.Certificate{Certificate: [][]byte{made.cert.Raw}, PrivateKey: made.key, Leaf: made.cert}
	if by != nil && !l.alone {
		chain.Certificate = append(chain.Certificate, by.cert.Raw)
	}
	return chain, nil
}

// pem returns the root that everybody in the lab trusts.
func (p *pki) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.root.cert.Raw})
}

// tlsa makes the data of a TLSA record of a word such as "3 1 1 leaf". Instead of leaf: "ca", the
// hoster's own authority; "other", another host's; or hexadecimal digits.
func (p *pki) tlsa(word string, served *x509.Certificate) (string, error) {
	var usage, selector, matching uint8
	var what string
	if _, err := fmt.Sscan(word, &usage, &selector, &matching, &what); err != nil {
		return "", fmt.Errorf("TLSA %q: %w", word, err)
	}
	cert := map[string]*x509.Certificate{"leaf": served, "ca": p.private.cert, "other": p.public.cert}[what]
	if cert == nil {
		return fmt.Sprintf("%d %d %d %s", usage, selector, matching, what), nil
	}
	data := cert.Raw
	if selector == 1 {
		data = cert.RawSubjectPublicKeyInfo
	}
	switch matching {
	case 1:
		sum := sha256.Sum256(data)
		data = sum[:]
	case 2:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return fmt.Sprintf("%d %d %d %s", usage, selector, matching, strings.ToUpper(hex.EncodeToString(data))), nil
}
