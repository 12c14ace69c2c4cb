package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// HTTP01 proves names by HTTP on port 80 (RFC 8555 §8.3). It is the handler for that port.
type HTTP01 struct {
	mu     sync.Mutex
	proofs map[string]string // by path
}

// Present begins to answer for a challenge.
func (s *HTTP01) Present(_ context.Context, c acme.Challenge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proofs == nil {
		s.proofs = make(map[string]string)
	}
	s.proofs[c.HTTP01ResourcePath()] = c.KeyAuthorization
	return nil
}

// CleanUp ends it.
func (s *HTTP01) CleanUp(_ context.Context, c acme.Challenge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.proofs, c.HTTP01ResourcePath())
	return nil
}

// ServeHTTP answers for challenges; all else is not found.
func (s *HTTP01) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	proof, ok := s.proofs[r.URL.Path]
	s.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Write([]byte(proof))
}

// TLSALPN01 proves names by a handshake on port 443 (RFC 8737).
type TLSALPN01 struct {
	mu    sync.Mutex
	certs map[string]*tls.Certificate // by name
}

// Present begins to answer for a challenge.
func (s *TLSALPN01) Present(_ context.Context, c acme.Challenge) error {
	cert, err := acmez.TLSALPN01ChallengeCert(c)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.certs == nil {
		s.certs = make(map[string]*tls.Certificate)
	}
	s.certs[c.Identifier.Value] = cert
	return nil
}

// CleanUp ends it.
func (s *TLSALPN01) CleanUp(_ context.Context, c acme.Challenge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.certs, c.Identifier.Value)
	return nil
}

// Config is for the listener on port 443: it shakes hands for challenges and for nothing else.
func (s *TLSALPN01) Config() *tls.Config {
	return &tls.Config{
		NextProtos: []string{acmez.ACMETLS1Protocol},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if cert := s.certs[strings.ToLower(hello.ServerName)]; cert != nil {
				return cert, nil
			}
			return nil, errors.New("no challenge for that name")
		},
	}
}

// DNS01 proves names by TXT records (RFC 8555 §8.4).
type DNS01 struct {
	DNS Publisher
	// Settle is how long to wait for the zone's other servers after a record was published. If zero,
	// five seconds.
	Settle time.Duration
}

// Present publishes the record of a challenge.
func (s *DNS01) Present(ctx context.Context, c acme.Challenge) error {
	return s.DNS.Add(ctx, proofRecord(c))
}

// Wait gives the zone's other servers time.
func (s *DNS01) Wait(ctx context.Context, _ acme.Challenge) error {
	settle := s.Settle
	if settle == 0 {
		settle = 5 * time.Second
	}
	select {
	case <-time.After(settle):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// CleanUp takes it away, also when the time for the order is over.
func (s *DNS01) CleanUp(ctx context.Context, c acme.Challenge) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return s.DNS.Remove(ctx, proofRecord(c))
}

func proofRecord(c acme.Challenge) Record {
	return Record{Name: c.DNS01TXTRecordName(), Type: "TXT", Data: c.DNS01KeyAuthorization(), TTL: time.Minute}
}
