package dane

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"fmt"

	"starttls/resolver"
)

// The values of RFC 6698 §7 that SMTP uses.
const (
	usageTA   = 2 // DANE-TA
	usageEE   = 3 // DANE-EE
	fullCert  = 0 // selector: the whole certificate
	publicKey = 1 // selector: its SubjectPublicKeyInfo
	exact     = 0 // matching: as it is
	sha256sum = 1 // matching: SHA-256
	sha512sum = 2 // matching: SHA-512, the strongest
)

// Select returns the records of a set that count, in order, and the others with the reason. Records that
// are not usable are left out first; of the rest, for each usage and selector, those with a digest that is
// not the strongest there (RFC 7671 §9). SHA-512 is stronger than SHA-256; full data always counts.
//
// All records of a set are looked at: an answer of the DNS holds 64 KiB at most.
func Select(all []resolver.TLSARecord) (counts []resolver.TLSARecord, dropped []Dropped) {
	var usable []resolver.TLSARecord
	strongest := make(map[[2]uint8]uint8)
	for _, r := range all {
		if err := unusable(r); err != nil {
			dropped = append(dropped, Dropped{r, err.Error()})
			continue
		}
		usable = append(usable, r)
		kind := [2]uint8{r.Usage, r.Selector}
		strongest[kind] = max(strongest[kind], r.Matching)
	}
	for _, r := range usable {
		if best := strongest[[2]uint8{r.Usage, r.Selector}]; r.Matching != exact && r.Matching != best {
			dropped = append(dropped, Dropped{r, "there is a stronger digest"})
			continue
		}
		counts = append(counts, r)
	}
	return counts, dropped
}

// unusable returns why a record cannot be used for SMTP, or nil. Usages 0 and 1 cannot: no list of
// authorities is agreed upon by all mail servers (RFC 7672 §3.1.3).
func unusable(r resolver.TLSARecord) error {
	switch {
	case r.Usage < usageTA:
		return fmt.Errorf("usage %d is not for mail", r.Usage)
	case r.Usage > usageEE:
		return fmt.Errorf("unknown usage %d", r.Usage)
	case r.Selector > publicKey:
		return fmt.Errorf("unknown selector %d", r.Selector)
	}
	switch r.Matching {
	case exact:
		_, err := parse(r)
		return err
	case sha256sum:
		return length(r.Data, sha256.Size)
	case sha512sum:
		return length(r.Data, sha512.Size)
	}
	return fmt.Errorf("unknown matching type %d", r.Matching)
}

func length(digest []byte, want int) error {
	if len(digest) != want {
		return fmt.Errorf("a digest of %d bytes where %d must be", len(digest), want)
	}
	return nil
}

// parse reads the data of a record with full data: a certificate, or a certificate that has nothing but
// the key.
func parse(r resolver.TLSARecord) (*x509.Certificate, error) {
	if r.Selector == fullCert {
		c, err := x509.ParseCertificate(r.Data)
		if err != nil {
			return nil, errors.New("its data is no certificate")
		}
		return c, nil
	}
	c := &x509.Certificate{Raw: r.Data, RawSubjectPublicKeyInfo: r.Data}
	key, err := x509.ParsePKIXPublicKey(r.Data)
	if err != nil {
		return nil, errors.New("its data is no public key")
	}
	switch c.PublicKey = key; key.(type) {
	case *rsa.PublicKey:
		c.PublicKeyAlgorithm = x509.RSA
	case *ecdsa.PublicKey:
		c.PublicKeyAlgorithm = x509.ECDSA
	case ed25519.PublicKey:
		c.PublicKeyAlgorithm = x509.Ed25519
	default:
		return nil, fmt.Errorf("keys of type %T sign no certificates", key)
	}
	return c, nil
}

// matches reports whether a certificate is what a record says. Usages are another question.
func matches(r resolver.TLSARecord, c *x509.Certificate) bool {
	data := c.Raw
	if r.Selector == publicKey {
		data = c.RawSubjectPublicKeyInfo
	}
	switch r.Matching {
	case sha256sum:
		sum := sha256.Sum256(data)
		data = sum[:]
	case sha512sum:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return bytes.Equal(r.Data, data)
}
