package check

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"

	"starttls/internal/finding"
)

// tlsFeature is the extension by which a certificate demands extensions of TLS (RFC 7633 §4).
var tlsFeature = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}

// statusRequest is the extension of TLS that has the server staple (RFC 6066 §8).
const statusRequest = 5

// maxStatus bounds the answer of a responder, in bytes. Real ones have about 2,000.
const maxStatus = 64 << 10

// A status is the answer of a responder, stapled or asked for, or why there is none.
type status struct {
	*ocsp.Response
	err error
}

// judgeRevocation judges what is told of the leaf's revocation with the handshake; where nothing is, and
// everything is asked, the responder is asked. trusted are the leaf's chains to an authority.
func (v *visit) judgeRevocation(ctx context.Context, leaf *x509.Certificate, trusted [][]*x509.Certificate) {
	issuer, staple := v.issuer(leaf, trusted), v.honest.state.OCSPResponse
	var said status
	if len(staple) > 0 && issuer != nil {
		said = v.readStatus(staple, leaf, issuer)
	}
	v.judgeStaple(leaf, said)
	switch {
	case said.Response != nil && said.Status != ocsp.Unknown:
		v.judgeStatus(said)
	case len(leaf.OCSPServer) == 0:
		v.say("cert.revoked", finding.NotApplicable, "the certificate names no OCSP responder")
	case issuer == nil:
		v.say("cert.revoked", finding.NotApplicable, "the chain does not lead to an authority that is trusted, so there is nobody to be asked")
	case v.config.Depth == Full:
		v.judgeStatus(v.askResponder(ctx, leaf, issuer))
	}
	v.settle("cert.revocation", "cert.must-staple", "cert.revoked")
}

// issuer returns who has issued the leaf, nil if that is nobody that is trusted, or the leaf has expired.
func (v *visit) issuer(leaf *x509.Certificate, trusted [][]*x509.Certificate) *x509.Certificate {
	if len(trusted) == 0 || len(trusted[0]) < 2 || v.now().After(leaf.NotAfter) {
		return nil
	}
	return trusted[0][1]
}

// judgeStaple judges what comes with the handshake.
func (v *visit) judgeStaple(leaf *x509.Certificate, said status) {
	const id, must = "cert.revocation", "cert.must-staple"
	stapled := len(v.honest.state.OCSPResponse) > 0
	switch {
	case !demandsStaple(leaf):
		v.say(must, finding.NotApplicable, "the certificate does not demand it")
	case stapled:
		v.say(must, finding.Good, "it is demanded, and there is one")
	default:
		v.say(must, finding.Insufficient, "the certificate demands it, and no answer is stapled")
	}
	switch {
	case stapled && said.err != nil:
		v.say(id, finding.PhaseOut, "what is stapled cannot be used: %v", said.err)
	case stapled && said.Response == nil:
		v.say(id, finding.Sufficient, "an answer of a responder is stapled; nobody can verify it, for the chain does not lead to an authority that is trusted")
	case stapled && said.Status == ocsp.Unknown:
		v.say(id, finding.PhaseOut, "it is stapled that the responder does not know the certificate")
	case stapled:
		v.say(id, finding.Good, "an answer of the responder is stapled, of %s", said.ThisUpdate.Format(time.DateOnly))
	case len(leaf.OCSPServer) == 0:
		v.say(id, finding.NotApplicable, "the certificate names no OCSP responder")
	default:
		v.say(id, finding.Sufficient, "the certificate names %s, and no answer is stapled", strings.Join(leaf.OCSPServer, ", "))
	}
}

// demandsStaple reports whether a client must expect a staple (RFC 7633 §4.2.3.1).
func demandsStaple(leaf *x509.Certificate) bool {
	for _, e := range leaf.Extensions {
		if e.Id.Equal(tlsFeature) {
			var features []int
			_, err := asn1.Unmarshal(e.Value, &features)
			return err == nil && slices.Contains(features, statusRequest)
		}
	}
	return false
}

// judgeStatus judges an answer, or that there is none.
func (v *visit) judgeStatus(said status) {
	const id = "cert.revoked"
	switch {
	case said.err != nil:
		v.say(id, finding.NotTestable, "%v", said.err)
	case said.Status == ocsp.Revoked:
		v.say(id, finding.Insufficient, "revoked on %s: %s", said.RevokedAt.Format(time.DateOnly), cmp.Or(reasons[said.RevocationReason], "no reason is told"))
	case said.Status == ocsp.Unknown:
		v.say(id, finding.NotTestable, "the responder does not know the certificate")
	default:
		v.say(id, finding.Good, "the responder said on %s that it is not", said.ThisUpdate.Format(time.DateOnly))
	}
}

// reasons are those of RFC 5280 §5.3.1.
var reasons = map[int]string{
	ocsp.KeyCompromise: "the key was compromised", ocsp.CACompromise: "the authority was compromised",
	ocsp.AffiliationChanged: "the owner has changed", ocsp.Superseded: "another was issued in its place",
	ocsp.CessationOfOperation: "it is no longer needed", ocsp.CertificateHold: "it is on hold",
	ocsp.PrivilegeWithdrawn: "the privilege was withdrawn", ocsp.AACompromise: "the authority was compromised",
}

// readStatus reads the answer of a responder, and believes it if the issuer does and it is of now.
func (v *visit) readStatus(text []byte, leaf, issuer *x509.Certificate) status {
	r, err := ocsp.ParseResponseForCert(text, leaf, nil) // who may sign is judged here: it would let any leaf
	now := v.now()
	switch {
	case err != nil:
		return status{err: err}
	// "SHOULD be considered unreliable" (RFC 6960 §4.2.2.1)
	case !r.NextUpdate.IsZero() && now.After(r.NextUpdate):
		err = fmt.Errorf("the answer was good until %s", r.NextUpdate.Format(time.DateTime))
	case r.ThisUpdate.After(now.Add(clockSkew)):
		err = fmt.Errorf("the answer is of %s, which is to come", r.ThisUpdate.Format(time.DateTime))
	default:
		err = authorized(r, issuer, now)
	}
	if err != nil {
		return status{err: err}
	}
	return status{Response: r}
}

// clockSkew is how far the clocks of others may be ahead.
const clockSkew = 5 * time.Minute

// authorized reports whether an answer is signed by the issuer, or by whom the issuer lets (RFC 6960 §4.2.2.2).
func authorized(r *ocsp.Response, issuer *x509.Certificate, now time.Time) error {
	by := r.Certificate // its signature below the answer is verified
	switch {
	case by == nil:
		return r.CheckSignatureFrom(issuer)
	case bytes.Equal(by.Raw, issuer.Raw):
		return nil
	case !slices.Contains(by.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return fmt.Errorf("it is signed by %s, who may not", by.Subject)
	case now.Before(by.NotBefore) || now.After(by.NotAfter):
		return fmt.Errorf("it is signed by %s, whose certificate has expired", by.Subject)
	}
	return by.CheckSignatureFrom(issuer)
}

// askResponder asks the first responder that the certificate names, once. Who that is, is said by an
// authority that is trusted.
func (v *visit) askResponder(ctx context.Context, leaf, issuer *x509.Certificate) status {
	at := slices.IndexFunc(leaf.OCSPServer, func(text string) bool {
		u, err := url.Parse(text)
		return err == nil && strings.HasPrefix(text, "http://") && u.Host != "" // with TLS it would need an answer for itself
	})
	if at < 0 {
		return status{err: fmt.Errorf("no responder speaks http: %s", strings.Join(leaf.OCSPServer, ", "))}
	}
	question, err := ocsp.CreateRequest(leaf, issuer, nil)
	if err != nil {
		return status{err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, v.config.Timeout)
	defer cancel()
	answer, err := v.post(ctx, leaf.OCSPServer[at], question)
	if err != nil {
		return status{err: fmt.Errorf("the responder has no answer: %w", err)}
	}
	return v.readStatus(answer, leaf, issuer)
}

// post puts a question to a responder (RFC 6960 §A.1).
func (v *visit) post(ctx context.Context, to string, question []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(question))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/ocsp-request")
	client := http.Client{
		Transport:     &http.Transport{DialContext: v.dialHost, DisableKeepAlives: true, MaxResponseHeaderBytes: maxStatus},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, errors.New(response.Status)
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxStatus+1))
	if err == nil && len(answer) > maxStatus {
		err = fmt.Errorf("it has more than %d bytes", maxStatus)
	}
	return answer, err
}

// dialHost connects to the first address of a host that answers.
func (v *visit) dialHost(ctx context.Context, network, address string) (conn net.Conn, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	ips := []string{host}
	if net.ParseIP(host) == nil {
		if ips, err = v.config.Addresses(ctx, host); err != nil {
			return nil, err
		}
	}
	err = fmt.Errorf("%s has no address", host)
	for _, ip := range ips {
		if conn, err = v.config.Dial(ctx, network, net.JoinHostPort(ip, port)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}
