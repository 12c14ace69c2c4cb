package policy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"time"

	"starttls"
	"starttls/dane"
	"starttls/resolver"
	"starttls/tlsrpt"
)

// TLSConfig returns the configuration for a handshake with the host: it succeeds only with a server that is
// what the attempt demands, in sessions that are resumed as well. base is what else the client wants, nil
// for nothing; its RootCAs are the public authorities (nil: the system's), its Time the clock.
//
// At None there is no handshake to configure; below Verify any certificate does.
func (a *Attempt) TLSConfig(base *tls.Config) *tls.Config {
	if a.Level == starttls.Dane {
		return dane.Config(base, a.TLSA, a.Names)
	}
	config := &tls.Config{}
	if base != nil {
		config = base.Clone()
	}
	config.ServerName = a.SNI
	config.InsecureSkipVerify = true // what is verified is below
	if a.Level < starttls.Verify {
		if config.MinVersion == 0 && a.Level == starttls.May {
			config.MinVersion = tls.VersionTLS10 // old TLS is better than none (RFC 7435 §3)
		}
		return config
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12) // (RFC 8461 §7.2)
	also := config.VerifyConnection
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if err := verify(a.Level, a.Names, nil, state, base); err != nil {
			return err
		}
		if also != nil {
			return also(state)
		}
		return nil
	}
	return config
}

// verify holds a session against a demand. It fails with a [*tls.CertificateVerificationError].
func verify(level starttls.Level, names []string, tlsa []resolver.TLSARecord, state tls.ConnectionState, base *tls.Config) error {
	now, roots := time.Now, (*x509.CertPool)(nil)
	if base != nil {
		roots = base.RootCAs
		if base.Time != nil {
			now = base.Time
		}
	}
	var err error
	chain := state.PeerCertificates
	switch {
	case level < starttls.Verify:
	case level == starttls.Dane:
		_, err = dane.Verify(tlsa, names, chain, now())
	default:
		err = publicly(chain, names, x509.VerifyOptions{Roots: roots, CurrentTime: now()})
	}
	if err == nil {
		return nil
	}
	return &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
}

// publicly verifies a chain by authorities that are trusted, for one of names.
func publicly(chain []*x509.Certificate, names []string, options x509.VerifyOptions) error {
	if len(chain) == 0 {
		return errors.New("the server sent no certificate")
	}
	options.Intermediates = x509.NewCertPool()
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(options); err != nil {
		return err
	}
	err := errors.New("there is no name that it could be for")
	for _, name := range names {
		if err = named(chain[0], name); err == nil {
			return nil
		}
	}
	return err
}

// named reports whether a certificate is for a name, by its DNS names alone (RFC 8461 §4.2), or for a name
// below one with a dot in front.
func named(c *x509.Certificate, name string) error {
	above := strings.TrimPrefix(name, "*")
	if !strings.HasPrefix(above, ".") {
		return c.VerifyHostname(name)
	}
	for _, presented := range c.DNSNames {
		if len(presented) > len(above) && strings.EqualFold(presented[len(presented)-len(above):], above) {
			return nil
		}
	}
	return x509.HostnameError{Certificate: c, Host: "*" + above}
}

// failureOf is how reports count the failure of a handshake or of a verification (RFC 8460 §4.3).
func failureOf(err error) tlsrpt.Failure {
	f := tlsrpt.Failure{Type: tlsrpt.ValidationFailure, Info: Words(err)}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		f.Info = clip(e.Err.Error()) // that it befell in the handshake goes without saying
	}
	if e, ok := errors.AsType[*dane.Error](err); ok {
		if f.Type = e.Type; f.Type == tlsrpt.ValidationFailure {
			f.Reason = tlsrpt.ReasonDANENoMatch
		}
		return f
	}
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	_, isName := errors.AsType[x509.HostnameError](err)
	_, isUnknown := errors.AsType[x509.UnknownAuthorityError](err)
	switch {
	case NoOffer(err):
		f.Type = tlsrpt.StartTLSNotSupported
	case isInvalid && invalid.Reason == x509.Expired:
		f.Type = tlsrpt.CertificateExpired
	case isName:
		f.Type = tlsrpt.CertificateHostMismatch
	case isUnknown, isInvalid:
		f.Type = tlsrpt.CertificateNotTrusted
	}
	return f
}

// clip bounds what comes from strangers.
func clip(s string) string {
	const most = 400
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
