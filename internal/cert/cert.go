// Package cert keeps the certificates of listeners: PEM files, chosen by the name that the client asks
// for, read again when they change, and a self-signed one where there is none.
//
// It does not get certificates from anywhere.
package cert

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"starttls"
)

// A Pair names the PEM files of one certificate chain and its key. Both may be the same file.
type Pair struct{ Cert, Key string }

// A Store holds certificates. Its methods may be called at the same time.
type Store struct {
	// Log is told of reloads and of files that cannot be read anymore. If nil, nobody is.
	Log *slog.Logger
	// Strict says that a client that asks for a name for which there is no certificate is refused with
	// unrecognized_name (RFC 6066 §3), so that a session meant for another host cannot be brought here.
	// Otherwise it gets the first certificate.
	Strict bool
	// Staples has the CA's word on the certificates. If nil, there is none in handshakes.
	Staples *Stapler

	mu      sync.Mutex
	pairs   []*loaded
	checked time.Time
}

type loaded struct {
	Pair
	cert  *tls.Certificate
	stamp string // of both files when they were read, to see that they changed
	told  string // what was wrong with them when that was told last
}

// checkEvery is how often files are looked at, at most. It is done when a client comes.
const checkEvery = time.Second

// Load reads the pairs. The first is the one for clients that ask for no name.
func Load(pairs ...Pair) (*Store, error) {
	s := &Store{}
	for _, p := range pairs {
		l := &loaded{Pair: p}
		if err := l.read(); err != nil {
			return nil, err
		}
		s.pairs = append(s.pairs, l)
	}
	if len(s.pairs) == 0 {
		return nil, errors.New("no certificate")
	}
	return s, nil
}

// read reads the files. When it fails, the certificate that was read before stays.
func (l *loaded) read() error {
	stamp := stampOf(l.Cert) + stampOf(l.Key)
	cert, err := l.Pair.load()
	switch {
	case err != nil && strings.Contains(err.Error(), "does not match"):
		return fmt.Errorf("the key in %s does not fit the certificate in %s", l.Key, l.Cert)
	case err != nil:
		return fmt.Errorf("certificate %s, key %s: %w", l.Cert, l.Key, err)
	}
	l.cert, l.stamp = &cert, stamp
	return nil
}

// load reads a pair of files that are whole.
func (p Pair) load() (cert tls.Certificate, err error) {
	chain, err := os.ReadFile(p.Cert)
	if err != nil {
		return cert, err
	}
	key, err := os.ReadFile(p.Key)
	if err != nil {
		return cert, err
	}
	if cutOff(chain) {
		return cert, errors.New("the chain is cut off")
	}
	return tls.X509KeyPair(chain, key)
}

// cutOff reports whether a block of a PEM file has no end. Package tls passes over such a block: a chain
// that is being written would be served without its authorities.
func cutOff(text []byte) bool {
	for block := new(pem.Block); block != nil; {
		block, text = pem.Decode(text)
	}
	return bytes.Contains(text, []byte("-----BEGIN "))
}

// stampOf tells one state of a file from another.
func stampOf(name string) string {
	info, err := os.Stat(name)
	if err != nil {
		return "none;"
	}
	return fmt.Sprintf("%d:%d;", info.ModTime().UnixNano(), info.Size())
}

// Reload reads files that have changed; all says to read every file. Sessions that have begun are not
// touched. A file that cannot be read is told, and its certificate stays in use.
func (s *Store) Reload(all bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reload(all)
}

func (s *Store) reload(all bool) error {
	s.checked = time.Now()
	var failed error
	for _, l := range s.pairs {
		stamp := stampOf(l.Cert) + stampOf(l.Key)
		if !all && stamp == l.stamp {
			continue
		}
		err := l.read() // again and again while it fails: what was wrong may be ours, and pass
		failed = errors.Join(failed, err)
		wrong := ""
		if err != nil {
			wrong = stamp + err.Error()
		}
		if all || wrong == "" || wrong != l.told {
			s.tell(l, err)
		}
		l.told = wrong
	}
	return failed
}

func (s *Store) tell(l *loaded, err error) {
	switch {
	case s.Log == nil:
	case err != nil:
		s.Log.Error("certificate not reloaded, the one before stays in use", "err", err)
	default:
		s.Log.Info("certificate reloaded", "file", l.Cert, "expires", l.cert.Leaf.NotAfter.Format(time.DateOnly))
	}
}

// GetCertificate chooses by the name that the client asks for; it is for a tls.Config.
func (s *Store) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	cert, err := s.choose(hello)
	if cert != nil && s.Staples != nil {
		cert = s.Staples.put(cert)
	}
	return cert, err
}

func (s *Store) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.checked) > checkEvery {
		s.reload(false)
	}
	name := hello.ServerName
	if name == "" {
		name = starttls.AskedFor(hello.Context())
	}
	// Some clients send an address as the name, which RFC 6066 §3 forbids: it names nothing.
	if name == "" || net.ParseIP(name) != nil {
		return s.best(hello, func(*loaded) bool { return true }), nil
	}
	named := s.best(hello, func(l *loaded) bool { return l.cert.Leaf.VerifyHostname(name) == nil })
	if named == nil && !s.Strict {
		named = s.best(hello, func(*loaded) bool { return true })
	}
	if named == nil && s.Log != nil {
		s.Log.Info("no certificate is for the name that a client asks for", "name", name)
	}
	return named, nil // nil makes crypto/tls send unrecognized_name, and speak of no certificates
}

// best returns the first certificate that fits and that the client can use, or the first that fits.
func (s *Store) best(hello *tls.ClientHelloInfo, fits func(*loaded) bool) *tls.Certificate {
	var first *tls.Certificate
	for _, l := range s.pairs {
		if !fits(l) {
			continue
		}
		if supports(hello, l.cert) {
			return l.cert
		}
		if first == nil {
			first = l.cert
		}
	}
	return first
}

// supports reports whether the client can verify the certificate's kind of key.
func supports(hello *tls.ClientHelloInfo, cert *tls.Certificate) bool {
	unnamed := *hello
	unnamed.ServerName = "" // the name was looked at already
	return unnamed.SupportsCertificate(cert) == nil
}

// Certificates returns all of them, as they are now.
func (s *Store) Certificates() (all []*tls.Certificate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.pairs {
		all = append(all, l.cert)
	}
	return all
}

// Leaves returns the leaves of all certificates.
func (s *Store) Leaves() (all []*x509.Certificate) {
	for _, c := range s.Certificates() {
		all = append(all, c.Leaf)
	}
	return all
}

// Fingerprint returns the SHA-256 of a certificate in hexadecimal.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// TLSA returns the data of the DANE record "3 1 1" that pins a certificate's key (RFC 6698 §2.1,
// RFC 7672 §3.1.1).
func TLSA(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return "3 1 1 " + hex.EncodeToString(sum[:])
}
