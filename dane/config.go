package dane

import (
	"crypto/tls"
	"time"

	"starttls/resolver"
)

// Config returns a configuration for a client that shakes hands with nobody who is not let in by one of
// records, those that count. names are as for [Verify]; the first, the TLSA base domain, is sent as SNI
// (RFC 7672 §8.1). base is what else the client wants, nil for nothing; its authorities and names are not
// used, its Time and VerifyConnection are.
//
// Every connection is verified, those that resume a session too: against records and names of this
// configuration, whichever the session began under. A failed handshake wraps an [*Error] in a
// [tls.CertificateVerificationError].
func Config(base *tls.Config, records []resolver.TLSARecord, names []string) *tls.Config {
	config := &tls.Config{}
	if base != nil {
		config = base.Clone()
	}
	if len(names) > 0 {
		config.ServerName = names[0]
	}
	config.InsecureSkipVerify = true // what is verified is below
	also, now := config.VerifyConnection, config.Time
	if now == nil {
		now = time.Now
	}
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if _, err := Verify(records, names, state.PeerCertificates, now()); err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
		}
		if also != nil {
			return also(state)
		}
		return nil
	}
	return config
}
