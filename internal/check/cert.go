package check

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"

	"golang.org/x/crypto/ocsp"

	"starttls/internal/finding"
)

// soon is how long before its end a certificate ought to be renewed.
const soon = 14 * 24 * time.Hour

// judgeChain judges the chain of the honest session. Its facts go to p.
func (v *visit) judgeChain(ctx context.Context, p *probing) {
	chain := v.honest.state.PeerCertificates
	if len(chain) == 0 {
		return
	}
	for _, c := range chain {
		v.service.Chain = append(v.service.Chain, described(c))
	}
	leaf := chain[0]
	trusted := v.judgeTrust(chain)
	v.judgeName(leaf)
	v.judgeDates(chain)
	v.judgeOrder(chain, trusted)
	v.judgeTransparency(leaf)
	for _, c := range chain {
		keyFacts(p, c)
		if !signedByItself(c) { // a root's own signature says nothing
			p.fact("certificate-signature", c.SignatureAlgorithm.String())
		}
	}
	p.fact("certificate-days", strconv.Itoa(int(leaf.NotAfter.Sub(leaf.NotBefore).Round(24*time.Hour).Hours()/24)))
	v.settle("cert.trusted", "cert.name", "cert.dates", "cert.chain", "cert.transparency")
	v.judgeRevocation(ctx, leaf, trusted)
}

// signedByItself looks at the names first: to verify a signature is the dearest of what is done here.
func signedByItself(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignatureFrom(c) == nil
}

// described returns what is told of a certificate.
func described(c *x509.Certificate) finding.Certificate {
	sum, spki := sha256.Sum256(c.Raw), sha256.Sum256(c.RawSubjectPublicKeyInfo)
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return finding.Certificate{
		Subject: c.Subject.String(), Issuer: c.Issuer.String(), Names: names, NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(),
		Key: keyName(c), Signature: c.SignatureAlgorithm.String(), SHA256: hex.EncodeToString(sum[:]), SPKI: hex.EncodeToString(spki[:]),
	}
}

func keyName(c *x509.Certificate) string {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return key.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return c.PublicKeyAlgorithm.String()
}

func keyFacts(p *probing, c *x509.Certificate) {
	if key, ok := c.PublicKey.(*rsa.PublicKey); ok {
		p.fact("rsa-bits", strconv.Itoa(key.N.BitLen()))
		return
	}
	p.fact("curve", keyName(c))
}

// judgeTrust asks whether clients of users would trust the chain, and returns what chains to an authority
// there are. Servers among themselves do not ask.
func (v *visit) judgeTrust(chain []*x509.Certificate) (trusted [][]*x509.Certificate) {
	options := x509.VerifyOptions{Roots: v.config.Roots, Intermediates: x509.NewCertPool(), CurrentTime: v.now()}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	switch leaf := chain[0]; { // the dates are another finding
	case options.CurrentTime.After(leaf.NotAfter):
		options.CurrentTime = leaf.NotAfter
	case options.CurrentTime.Before(leaf.NotBefore):
		options.CurrentTime = leaf.NotBefore
	}
	trusted, err := chain[0].Verify(options)
	switch {
	case err == nil:
		v.say("cert.trusted", finding.Good, "issued by %s", chain[0].Issuer)
	case v.open():
		v.say("cert.trusted", finding.Sufficient, "%v; servers among themselves do not ask, unless there is a policy", err)
	default:
		v.say("cert.trusted", finding.Insufficient, "%v", err)
	}
	return trusted
}

func (v *visit) judgeName(leaf *x509.Certificate) {
	name := v.match
	err := leaf.VerifyHostname(name)
	switch {
	case name == "":
		v.say("cert.name", finding.NotApplicable, "no name is asked for")
	case err == nil:
		v.say("cert.name", finding.Good, "%s", name)
	case v.open():
		v.say("cert.name", finding.Sufficient, "%v; servers among themselves do not ask, unless there is a policy", err)
	default:
		v.say("cert.name", finding.Insufficient, "%v", err)
	}
}

func (v *visit) judgeDates(chain []*x509.Certificate) {
	now := v.now()
	for i, c := range chain {
		which := "the certificate"
		if i > 0 {
			which = fmt.Sprintf("%s, which is part of the chain,", c.Subject)
		}
		switch {
		case now.After(c.NotAfter):
			v.say("cert.dates", finding.Insufficient, "%s has expired on %s", which, c.NotAfter.Format(time.DateOnly))
		case now.Before(c.NotBefore):
			v.say("cert.dates", finding.Insufficient, "%s begins on %s", which, c.NotBefore.Format(time.DateOnly))
		case now.Add(soon).After(c.NotAfter):
			v.say("cert.dates", finding.PhaseOut, "%s ends on %s", which, c.NotAfter.Format(time.DateOnly))
		default:
			v.say("cert.dates", finding.Good, "%s ends on %s", which, c.NotAfter.Format(time.DateOnly))
		}
	}
}

// judgeOrder looks whether each certificate certifies the one before it (RFC 5246 §7.4.2). What follows one
// another in a trusted chain was seen to.
func (v *visit) judgeOrder(chain []*x509.Certificate, trusted [][]*x509.Certificate) {
	for i, c := range chain[1:] {
		seen := slices.ContainsFunc(trusted, func(t []*x509.Certificate) bool { return len(t) > i+1 && t[i].Equal(chain[i]) && t[i+1].Equal(c) })
		if !seen && chain[i].CheckSignatureFrom(c) != nil {
			v.say("cert.chain", finding.PhaseOut, "%s does not certify %s, behind which it stands", c.Subject, chain[i].Subject)
		}
	}
	v.say("cert.chain", finding.Good, "%d certificates, each certified by the next", len(chain))
}

// sctList is the extension of RFC 6962 §3.3, and stapledList that of an answer of OCSP.
var (
	sctList     = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}
	stapledList = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 5}
)

// judgeTransparency looks for timestamps of logs in the three places that they may have.
func (v *visit) judgeTransparency(leaf *x509.Certificate) {
	has := func(all []pkix.Extension, id asn1.ObjectIdentifier) bool {
		return slices.ContainsFunc(all, func(e pkix.Extension) bool { return e.Id.Equal(id) })
	}
	logged := len(v.honest.state.SignedCertificateTimestamps) > 0 || has(leaf.Extensions, sctList)
	if staple, err := ocsp.ParseResponseForCert(v.honest.state.OCSPResponse, leaf, nil); err == nil {
		logged = logged || has(staple.Extensions, stapledList)
	}
	if logged {
		v.say("cert.transparency", finding.Good, "there are timestamps of logs")
	} else {
		v.say("cert.transparency", finding.Sufficient, "there is no timestamp of a log")
	}
}

// judgeBoth compares the leaf certificates of the two kinds of keys.
func (v *visit) judgeBoth(p *probing) {
	const id = "cert.both"
	leaf := v.honest.state.PeerCertificates[0]
	other := map[bool]string{true: "ECDSA", false: "RSA"}[leaf.PublicKeyAlgorithm == x509.RSA]
	v.other = p.chains[other]
	if len(v.other) == 0 {
		v.say(id, finding.NotApplicable, "one kind of certificate was seen")
		v.settle(id)
		return
	}
	c, err := x509.ParseCertificate(v.other[0])
	switch {
	case err != nil:
		v.say(id, finding.Insufficient, "the one for %s cannot be read: %v", other, err)
	case v.match != "" && c.VerifyHostname(v.match) != nil && leaf.VerifyHostname(v.match) == nil:
		v.say(id, finding.Insufficient, "the one for %s is not for %s: %v", other, v.match, c.VerifyHostname(v.match))
	case v.now().After(c.NotAfter) && !v.now().After(leaf.NotAfter):
		v.say(id, finding.Insufficient, "the one for %s has expired on %s", other, c.NotAfter.Format(time.DateOnly))
	default:
		keyFacts(p, c)
		p.fact("certificate-signature", c.SignatureAlgorithm.String())
		v.say(id, finding.Good, "%s as well as %s", keyName(c), keyName(leaf))
	}
	if c != nil {
		v.service.Others = append(v.service.Others, described(c))
	}
	v.settle(id)
}
