package dane

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"starttls/resolver"
	"starttls/tlsrpt"
)

// An Error says why no record matches a server.
type Error struct {
	// Type is how reports count it: [tlsrpt.CertificateExpired], [tlsrpt.CertificateHostMismatch],
	// [tlsrpt.CertificateNotTrusted] when a trust anchor is in the chain and there is no way to it, or
	// [tlsrpt.ValidationFailure], with [tlsrpt.ReasonDANENoMatch], when no record is of this chain.
	Type tlsrpt.ResultType
	// Tried are all records that count, each with its failure.
	Tried []Tried
}

// A Tried is a record that did not let the server in.
type Tried struct {
	Record resolver.TLSARecord
	Err    error
}

// shown is how many records an Error tells of.
const shown = 4

// Error tells of the first few records.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("no TLSA record matches: ")
	for i, t := range e.Tried {
		if i == shown {
			fmt.Fprintf(&b, "; and %d more", len(e.Tried)-i)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s %v", abbreviate(t.Record), t.Err)
	}
	return b.String()
}

// abbreviate returns a record with no more than the start of its data.
func abbreviate(r resolver.TLSARecord) string {
	const most = 8
	if len(r.Data) > most {
		r.Data = r.Data[:most]
		return r.String() + "…"
	}
	return r.String()
}

// Verify reports which record of those that count, see [Select], lets a server with this chain in. chain
// begins with the server's own certificate, as it was sent. names are the reference identifiers for
// records of usage 2, A-labels in lower case, the TLSA base domain first (RFC 7672 §3.2.2). It fails with
// an [*Error].
func Verify(records []resolver.TLSARecord, names []string, chain []*x509.Certificate, now time.Time) (resolver.TLSARecord, error) {
	if len(chain) == 0 {
		return resolver.TLSARecord{}, errors.New("the server sent no certificate")
	}
	failed := &Error{Type: tlsrpt.ValidationFailure}
	var anchors []anchor
	for _, r := range records {
		if r.Usage == usageEE {
			// Names and dates are not looked at (RFC 7672 §3.1.1).
			if matches(r, chain[0]) {
				return r, nil
			}
			failed.add(r, errNotLeaf)
			continue
		}
		found, err := anchorsOf(r, chain)
		if err != nil {
			failed.add(r, err)
		}
		anchors = append(anchors, found...)
	}
	if len(anchors) == 0 {
		return resolver.TLSARecord{}, failed
	}
	top, err := path(anchors, chain, now)
	switch {
	case err != nil:
		err = cmp.Or(outdated(anchors, chain, now), err)
	case !named(chain[0], names):
		err = nameError{presents(chain[0]), names}
	default:
		return top.record, nil
	}
	failed.Type = typeOf(err)
	for i, a := range anchors {
		if i == 0 || !equal(a.record, anchors[i-1].record) {
			failed.add(a.record, err)
		}
	}
	return resolver.TLSARecord{}, failed
}

func (e *Error) add(r resolver.TLSARecord, err error) { e.Tried = append(e.Tried, Tried{r, err}) }

func equal(a, b resolver.TLSARecord) bool {
	return a.Usage == b.Usage && a.Selector == b.Selector && a.Matching == b.Matching && bytes.Equal(a.Data, b.Data)
}

// The ways in which a record is not of a chain.
var (
	errNotLeaf  = errors.New("is not of the server's certificate")
	errNotThere = errors.New("is of no certificate that the server sent")
	errIsLeaf   = errors.New("is of the server's own certificate, which is no trust anchor")
	errNoCA     = errors.New("is of a certificate that may not issue others")
)

// An anchor is a trust anchor, and the record that made it one.
type anchor struct {
	record resolver.TLSARecord
	cert   *x509.Certificate
}

// anchorsOf returns the trust anchors that a record of usage 2 makes: issuers in the chain that match, or,
// with full data, what is in the record. It fails when there are none.
func anchorsOf(r resolver.TLSARecord, chain []*x509.Certificate) (all []anchor, err error) {
	err = errNotThere
	for _, c := range chain {
		switch {
		case !matches(r, c):
		case c.Equal(chain[0]):
			err = errIsLeaf // the server has pinned itself, which is for usage 3 to say
		case !mayIssue(c):
			err = errNoCA
		default:
			all = append(all, anchor{r, c})
		}
	}
	if len(all) > 0 {
		return all, nil
	}
	if err != errNotThere || r.Matching != exact {
		return nil, err
	}
	c, perr := parse(r)
	switch {
	case perr != nil:
		return nil, perr
	case r.Selector == publicKey:
		return bareAnchors(r, c, chain), nil
	case !mayIssue(c):
		return nil, errNoCA
	}
	return []anchor{{r, c}}, nil // (RFC 7671 §5.2.2)
}

// mayIssue reports whether a certificate is one of an authority (RFC 5280 §4.2.1.9).
func mayIssue(c *x509.Certificate) bool { return c.BasicConstraintsValid && c.IsCA }

// bareAnchors turns a key into trust anchors. A trust anchor is a name and a key (RFC 5280 §6.1.1); the
// record has the key, and the name is whatever issuer the chain names (RFC 7671 §5.2.3).
func bareAnchors(r resolver.TLSARecord, key *x509.Certificate, chain []*x509.Certificate) (all []anchor) {
	issuers := make(map[string]bool)
	for _, c := range chain {
		if issuers[string(c.RawIssuer)] {
			continue
		}
		issuers[string(c.RawIssuer)] = true
		a := *key
		a.Raw = append(bytes.Clone(c.RawIssuer), key.Raw...) // what a pool knows certificates by
		a.RawSubject = c.RawIssuer
		a.Version, a.BasicConstraintsValid, a.IsCA, a.MaxPathLen = 3, true, true, -1
		a.NotAfter = time.Unix(1<<40, 0) // a key has no dates
		all = append(all, anchor{r, &a})
	}
	return all
}

// path finds a way from the server's certificate to an anchor: signatures, dates, basic constraints,
// lengths and constraints on names, as crypto/x509 has them, and returns the anchor. The dates of a
// certificate that is an anchor count as well; what is above it does not.
func path(anchors []anchor, chain []*x509.Certificate, now time.Time) (anchor, error) {
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	for _, a := range anchors {
		roots.AddCert(a.cert)
	}
	for _, c := range chain[1:] {
		others.AddCert(c)
	}
	ways, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: others, CurrentTime: now})
	if err != nil {
		return anchor{}, err
	}
	top := ways[0][len(ways[0])-1]
	for _, a := range anchors {
		if bytes.Equal(a.cert.Raw, top.Raw) {
			return a, nil
		}
	}
	panic("dane: a path to nowhere")
}
