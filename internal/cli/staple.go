package cli

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"starttls/internal/revocation"
)

// stapleEvery is how often it is looked whether a certificate is new, or its staple due.
const stapleEvery = time.Minute

// keepStapled keeps the OCSP staples of all routes fresh, until ctx ends.
func (s *service) keepStapled(ctx context.Context) {
	ticker := time.NewTicker(stapleEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		s.refreshStaples(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

func (s *service) refreshStaples(ctx context.Context) {
	var certs []*tls.Certificate
	for _, r := range *s.board.routes.Load() {
		if r.certs != nil && r.certs.Staples != nil {
			certs = append(certs, r.certs.Certificates()...)
		}
	}
	s.stapler.Refresh(ctx, certs)
}

// responderTime is how long a responder may take.
const responderTime = 10 * time.Second

// askResponder asks by HTTP, as everything here goes out.
func askResponder(ctx context.Context, url string, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, responderTime)
	defer cancel()
	answer, err := revocation.Ask(ctx, http.DefaultClient, url, request)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	return answer, nil
}
