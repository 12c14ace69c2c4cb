package cert

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"

	"starttls/internal/revocation"
)

// A Stapler has the CA's word that a certificate is not revoked (OCSP, RFC 6960), for handshakes (RFC 6066 §8). It
// gets one for each certificate that names a responder, and a new one when half the life of the last is over. A
// responder that is away, or lies, is told in the log; handshakes go on, with the last word while that is good, then
// without. Its methods may be called at the same time.
type Stapler struct {
	// Ask sends a request to a responder, at an URL, and returns its answer. It bounds size and time.
	Ask func(ctx context.Context, url string, request []byte) ([]byte, error)
	// Log is told of what could not be got. If nil, nobody is.
	Log *slog.Logger
	// Now is the clock. If nil, time.Now.
	Now func() time.Time

	mu      sync.Mutex
	staples map[[32]byte]*staple // by the certificate's SHA-256
}

// A staple is what there is for one certificate.
type staple struct {
	raw   []byte    // nil if there is none
	until time.Time // of raw
	due   time.Time // when to ask
	wait  time.Duration
}

// Times between questions that were in vain.
const (
	firstWait = time.Minute
	lastWait  = time.Hour
)

func (s *Stapler) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

// put returns the certificate with its staple, or as it is if there is none that is good.
func (s *Stapler) put(cert *tls.Certificate) *tls.Certificate {
	if len(cert.Leaf.OCSPServer) == 0 { // most: each handshake comes here
		return cert
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.staples[sha256.Sum256(cert.Leaf.Raw)]
	if have == nil || have.raw == nil || !s.now().Before(have.until) {
		return cert
	}
	with := *cert
	with.OCSPStaple = have.raw
	return &with
}

// Refresh asks for what is due of some certificates, one after the other. What there is of others is forgotten.
func (s *Stapler) Refresh(ctx context.Context, certs []*tls.Certificate) {
	present := make(map[[32]byte]bool)
	for _, cert := range certs {
		key := sha256.Sum256(cert.Leaf.Raw)
		if present[key] || len(cert.Leaf.OCSPServer) == 0 && !revocation.MustStaple(cert.Leaf) {
			continue
		}
		present[key] = true
		s.mu.Lock()
		have := s.staples[key]
		s.mu.Unlock()
		if have != nil && s.now().Before(have.due) {
			continue
		}
		have = s.renew(ctx, cert, have)
		s.mu.Lock()
		if s.staples == nil {
			s.staples = make(map[[32]byte]*staple)
		}
		s.staples[key] = have
		s.mu.Unlock()
	}
	s.mu.Lock()
	maps.DeleteFunc(s.staples, func(key [32]byte, _ *staple) bool { return !present[key] })
	s.mu.Unlock()
}

// renew asks for a certificate. When that is in vain, what there was stays.
func (s *Stapler) renew(ctx context.Context, cert *tls.Certificate, old *staple) *staple {
	answer, err := s.get(ctx, cert)
	now := s.now()
	if err == nil {
		half := answer.NextUpdate.Sub(now) / 2
		return &staple{raw: answer.Raw, until: answer.NextUpdate, due: now.Add(max(half, firstWait))}
	}
	next := staple{wait: firstWait}
	if old != nil {
		next = *old
		next.wait = min(max(2*next.wait, firstWait), lastWait)
	}
	if errors.Is(err, errRevoked) {
		next.raw = nil
	}
	next.due = now.Add(next.wait)
	if s.Log != nil && ctx.Err() == nil {
		level := slog.LevelWarn
		if errors.Is(err, errRevoked) || revocation.MustStaple(cert.Leaf) && !now.Before(next.until) {
			level = slog.LevelError
		}
		s.Log.Log(ctx, level, "no OCSP staple", "names", cert.Leaf.DNSNames, "retry_at", next.due.UTC().Format(time.RFC3339), "must_staple", revocation.MustStaple(cert.Leaf), "err", err)
	}
	return &next
}

// get asks one responder after the other, until one has an answer. That the certificate is revoked is one: another
// responder may have an older answer, by which it is good.
func (s *Stapler) get(ctx context.Context, cert *tls.Certificate) (*ocsp.Response, error) {
	switch {
	case len(cert.Leaf.OCSPServer) == 0:
		return nil, errors.New("the certificate names no responder")
	case len(cert.Certificate) < 2:
		return nil, errors.New("the file lacks the certificate of the CA that has signed this one")
	}
	issuer, err := x509.ParseCertificate(cert.Certificate[1])
	if err != nil {
		return nil, err
	}
	request, err := ocsp.CreateRequest(cert.Leaf, issuer, nil)
	if err != nil {
		return nil, err
	}
	var all error
	for _, responder := range cert.Leaf.OCSPServer {
		raw, err := s.Ask(ctx, responder, request)
		if err == nil {
			var answer *ocsp.Response
			if answer, err = judge(raw, cert.Leaf, issuer, s.now()); err == nil {
				return answer, nil
			}
			err = fmt.Errorf("%s: %w", responder, err)
		}
		all = errors.Join(all, err)
		if errors.Is(err, errRevoked) {
			break
		}
	}
	return nil, all
}

var errRevoked = errors.New("the certificate is revoked")

// judge takes an answer that says "good" of the certificate, now, by who may say so.
func judge(raw []byte, leaf, issuer *x509.Certificate, now time.Time) (*ocsp.Response, error) {
	r, err := revocation.Read(raw, leaf, issuer, now)
	switch {
	case err != nil:
		return nil, err
	case r.Status == ocsp.Revoked:
		return nil, fmt.Errorf("%w, since %s", errRevoked, r.RevokedAt.Format(time.DateOnly))
	case r.Status != ocsp.Good:
		return nil, errors.New("the responder does not know the certificate")
	case r.NextUpdate.IsZero(): // clients would not know that it is fresh
		return nil, errors.New("the answer has no end")
	}
	return r, nil
}
