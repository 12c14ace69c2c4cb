package gateway

import (
	"bytes"
	"crypto/tls"
)

// Channel binding proves that client and server are at the two ends of one TLS connection. A gateway has
// two connections, so that such mechanisms are taken out of lists; but where the proof is of the server's
// certificate alone, it holds if we show the client the one that the server shows us.

type leafKey struct{}

// leaf is the certificate that a client was shown. It is set in the handshake and read after it.
type leaf struct{ raw []byte }

// noting returns config with a GetCertificate that notes in the session what was shown.
func noting(config *tls.Config) *tls.Config {
	if config == nil || config.GetCertificate == nil {
		return config
	}
	get := config.GetCertificate
	config = config.Clone()
	config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		cert, err := get(hello)
		if l, ok := hello.Context().Value(leafKey{}).(*leaf); ok && cert != nil {
			l.raw = cert.Certificate[0]
		}
		return cert, err
	}
	return config
}

// bindable reports whether channel binding holds through this session. It is called with mu held.
func (s *session) bindable() bool {
	if !s.route.Dialect.EndPoint || s.secured == nil || s.back.secured == nil || s.leaf.raw == nil {
		return false
	}
	return bytes.Equal(s.leaf.raw, s.back.secured.ConnectionState().PeerCertificates[0].Raw)
}
