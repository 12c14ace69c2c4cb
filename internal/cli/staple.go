package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"time"
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

// Bounds of a question to a responder: an answer has a signature and a certificate or two.
const (
	responderTime = 10 * time.Second
	maxResponse   = 64 << 10
)

// askResponder asks by HTTP (RFC 6960 appendix A).
func askResponder(ctx context.Context, url string, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, responderTime)
	defer cancel()
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(request))
	if err != nil {
		return nil, err
	}
	post.Header.Set("Content-Type", "application/ocsp-request")
	resp, err := http.DefaultClient.Do(post)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: HTTP status %d", url, resp.StatusCode)
	case len(answer) > maxResponse:
		return nil, fmt.Errorf("%s: more than %d bytes", url, maxResponse)
	}
	return answer, nil
}
