// Package revocation has what OCSP says of certificates (RFC 6960): it asks responders and reads their answers,
// stapled or asked for, and believes those that count. Who asks when, and what follows, is for others to say.
package revocation

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"
)

// TLSFeature is the extension by which a certificate demands extensions of TLS (RFC 7633 §4).
var TLSFeature = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}

// StatusRequest is the extension of TLS that has a server staple (RFC 6066 §8).
const StatusRequest = 5

// MustStaple reports whether clients must refuse a certificate that comes without a staple (RFC 7633 §4.2.3.1).
func MustStaple(leaf *x509.Certificate) bool {
	for _, e := range leaf.Extensions {
		if e.Id.Equal(TLSFeature) {
			var features []int
			_, err := asn1.Unmarshal(e.Value, &features)
			return err == nil && slices.Contains(features, StatusRequest)
		}
	}
	return false
}

// skew is how far a responder's clock may be ahead of ours.
const skew = 5 * time.Minute

// maxAge is how long an answer counts that names no end. Whoever has an old one could show it for ever otherwise.
const maxAge = 24 * time.Hour

// Read reads what a responder says of a leaf: good, revoked or unknown. It fails if that is not for the issuer to
// believe, or not of now.
func Read(text []byte, leaf, issuer *x509.Certificate, now time.Time) (*ocsp.Response, error) {
	r, err := ocsp.ParseResponseForCert(text, leaf, nil) // who may sign is judged here: it would let any leaf
	switch {
	case err != nil:
		return nil, err
	// "SHOULD be considered unreliable" (RFC 6960 §4.2.2.1)
	case !r.NextUpdate.IsZero() && !now.Before(r.NextUpdate):
		return nil, fmt.Errorf("the answer has expired, on %s", r.NextUpdate.Format(time.DateTime))
	// Newer ones are "available all the time" (RFC 6960 §4.2.2.1), and this one must be "sufficiently recent" (§3.2).
	case r.NextUpdate.IsZero() && now.Sub(r.ThisUpdate) > maxAge:
		return nil, fmt.Errorf("the answer names no end, and is of %s", r.ThisUpdate.Format(time.DateTime))
	case r.ThisUpdate.After(now.Add(skew)):
		return nil, fmt.Errorf("the answer is not valid yet, but from %s on", r.ThisUpdate.Format(time.DateTime))
	}
	if err := authorized(r, issuer, now); err != nil {
		return nil, err
	}
	return r, nil
}

// authorized reports whether an answer is signed by the issuer, or by whom the issuer lets (RFC 6960 §4.2.2.2).
// Anybody with a certificate of the issuer's could speak for it otherwise.
func authorized(r *ocsp.Response, issuer *x509.Certificate, now time.Time) error {
	by := r.Certificate // its signature below the answer is verified
	var err error
	switch {
	case by == nil:
		err = r.CheckSignatureFrom(issuer)
	case bytes.Equal(by.Raw, issuer.Raw):
		return nil
	case !slices.Contains(by.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return fmt.Errorf("the answer is signed by %q, whose certificate is not for OCSP", by.Subject)
	case now.Before(by.NotBefore) || now.After(by.NotAfter):
		return fmt.Errorf("the answer is signed by %q, whose certificate has expired", by.Subject)
	default:
		err = by.CheckSignatureFrom(issuer)
	}
	if err != nil {
		return fmt.Errorf("the answer is not signed by the issuer: %w", err)
	}
	return nil
}

// maxAnswer bounds the answer of a responder, in bytes: it has a signature, and a certificate or two.
const maxAnswer = 64 << 10

// Ask puts a question to a responder by HTTP (RFC 6960 §A.1) and returns its answer, unread. The time that it may
// take is that of ctx.
func Ask(ctx context.Context, client *http.Client, url string, question []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(question))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/ocsp-request")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, errors.New("HTTP status " + response.Status)
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err == nil && len(answer) > maxAnswer {
		err = fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	return answer, err
}
