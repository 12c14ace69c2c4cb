package check

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"

	"starttls/internal/finding"
	"starttls/internal/revocation"
)

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
		v.say("cert.revoked", finding.NotApplicable, "it is not valid now, or nobody that is trusted has issued it: there is nobody to be asked")
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
	case !revocation.MustStaple(leaf):
		v.say(must, finding.NotApplicable, "the certificate does not demand it")
	case stapled && said.err != nil:
		v.say(must, finding.Insufficient, "the certificate demands it, and what is stapled cannot be used: %v", said.err)
	case stapled && said.Response == nil:
		v.say(must, finding.NotTestable, "it is demanded, and there is one that nobody can verify")
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

func (v *visit) readStatus(text []byte, leaf, issuer *x509.Certificate) status {
	r, err := revocation.Read(text, leaf, issuer, v.now())
	return status{r, err}
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
	client := http.Client{
		Transport:     &http.Transport{DialContext: v.dialHost, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := revocation.Ask(ctx, &client, leaf.OCSPServer[at], question)
	if err != nil {
		return status{err: fmt.Errorf("the responder has no answer: %w", err)}
	}
	return v.readStatus(answer, leaf, issuer)
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
