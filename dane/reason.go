package dane

import (
	"crypto/x509"
	"errors"
	"time"

	"starttls/tlsrpt"
)

// typeOf says how reports count the failure of a path.
func typeOf(err error) tlsrpt.ResultType {
	if _, ok := errors.AsType[nameError](err); ok {
		return tlsrpt.CertificateHostMismatch
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return tlsrpt.CertificateExpired
	}
	return tlsrpt.CertificateNotTrusted
}

// outdated returns an error when dates alone stand in the way: with dates that hold there is a path.
// crypto/x509 says so of the server's certificate, but not of those above it.
func outdated(anchors []anchor, chain []*x509.Certificate, now time.Time) error {
	var first *x509.Certificate
	fresh := func(c *x509.Certificate) *x509.Certificate {
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			if first == nil {
				first = c
			}
			copied := *c
			copied.NotBefore, copied.NotAfter = now, now
			return &copied
		}
		return c
	}
	renewed := make([]*x509.Certificate, len(chain))
	for i, c := range chain {
		renewed[i] = fresh(c)
	}
	tops := make([]anchor, len(anchors))
	for i, a := range anchors {
		tops[i] = anchor{a.record, fresh(a.cert)}
	}
	if first == nil {
		return nil
	}
	if _, err := path(tops, renewed, now); err != nil {
		return nil
	}
	detail := "expired on " + first.NotAfter.Format(time.DateOnly)
	if now.Before(first.NotBefore) {
		detail = "not valid before " + first.NotBefore.Format(time.DateOnly)
	}
	return x509.CertificateInvalidError{Cert: first, Reason: x509.Expired, Detail: first.Subject.String() + ", " + detail}
}
