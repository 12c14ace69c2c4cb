package gateway_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"

	"starttls/internal/gateway"
)

// asking makes the listener ask for certificates, which the trusted authority must have signed.
func asking(kind tls.ClientAuthType) func(*gateway.Route) {
	return func(r *gateway.Route) {
		r.Front.TLS = serverTLS()
		r.Front.TLS.ClientAuth, r.Front.TLS.ClientCAs = kind, clientTLS().RootCAs
	}
}

// forClients makes a certificate one of a client.
func forClients(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }

// shows begins TLS on conn with a certificate, if there is one, and says a hello inside.
func shows(t *testing.T, conn net.Conn, config *tls.Config, certs ...tls.Certificate) (answer string) {
	t.Helper()
	conn.Write([]byte("STARTTLS\r\n"))
	bufio.NewReader(conn).ReadString('\n')
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if len(certs) == 0 {
			return &tls.Certificate{}, nil
		}
		return &certs[0], nil // whatever authorities are asked for: a villain does not care
	}
	secured := tls.Client(conn, config)
	if secured.Handshake() != nil {
		return ""
	}
	secured.Write([]byte("EHLO client.test\r\n"))
	answer, _ = bufio.NewReader(secured).ReadString('\n')
	return answer
}

// TestClientCertificates: who is served, and what the log has of him.
func TestClientCertificates(t *testing.T) {
	ask, demand := tls.VerifyClientCertIfGiven, tls.RequireAndVerifyClientCert
	alice := trusted().issue("alice", forClients)
	for name, test := range map[string]struct {
		asks    tls.ClientAuthType
		certs   []tls.Certificate
		outcome string
		told    any
	}{
		"good, asked":         {ask, []tls.Certificate{alice}, "tls", "alice"},
		"good, demanded":      {demand, []tls.Certificate{alice}, "tls", "alice"},
		"none, asked":         {ask, nil, "tls", nil},
		"none, demanded":      {demand, nil, "tls-failed", nil},
		"good, nobody asks":   {tls.NoClientCert, []tls.Certificate{alice}, "tls", nil},
		"self-signed":         {ask, []tls.Certificate{(*authority)(nil).issue("alice", forClients)}, "tls-failed", nil},
		"another authority":   {ask, []tls.Certificate{newAuthority("villain").issue("alice", forClients)}, "tls-failed", nil},
		"expired":             {ask, []tls.Certificate{trusted().issue("alice", forClients, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })}, "tls-failed", nil},
		"one of a server":     {ask, []tls.Certificate{trusted().issue("alice", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })}, "tls-failed", nil},
		"a name that is long": {ask, []tls.Certificate{trusted().issue("alice", forClients, func(c *x509.Certificate) { c.Subject.CommonName = strings.Repeat("a", 1000) })}, "tls", strings.Repeat("a", 500)},
		"no common name":      {ask, []tls.Certificate{trusted().issue("alice", forClients, func(c *x509.Certificate) { c.Subject.CommonName = "" })}, "tls", "alice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t, only("smtp"), frontEncrypt, asking(test.asks))
			_, conn := come(t, g.addr, "")
			answer := shows(t, conn, clientTLS(), test.certs...)
			conn.Close()
			record, err := g.ended()
			must(t, err)
			if record["outcome"] != test.outcome || record["client_cert"] != test.told || (answer != "") != (test.outcome == "tls") {
				t.Errorf("answered %q, the log has %v", answer, record)
			}
			if test.outcome == "tls-failed" && g.backend.dialed != 0 {
				t.Error("the backend was dialled")
			}
		})
	}
}

// TestBackendIsToldTheClientCertificate, on the connection on which it was shown and on one that resumes
// its session.
func TestBackendIsToldTheClientCertificate(t *testing.T) {
	dial, headers := readsHeader(t)
	g := start(t, only("smtp"), frontEncrypt, asking(tls.VerifyClientCertIfGiven), sendProxy(2, dial))
	config := clientTLS()
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for _, resumed := range []bool{false, true} {
		_, conn := come(t, g.addr, "")
		if answer := shows(t, conn, config, trusted().issue("alice", forClients)); answer == "" {
			t.Fatal("not served")
		}
		h := <-headers
		if h.TLS == nil || !h.TLS.Cert || !h.TLS.Verified || h.TLS.CN != "alice" || h.TLS.Resumed != resumed {
			t.Errorf("resumed %v: told %+v", resumed, h.TLS)
		}
		conn.Close()
	}
}

// TestResumptionIsTold, in the log and to who counts.
func TestResumptionIsTold(t *testing.T) {
	ended := make(chan gateway.Ended, 2)
	g := start(t, only("smtp"), frontEncrypt, func(r *gateway.Route) { r.Ended = func(e gateway.Ended) { ended <- e } })
	config := clientTLS()
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for _, resumed := range []bool{false, true} {
		_, conn := come(t, g.addr, "")
		if answer := shows(t, conn, config); answer == "" {
			t.Fatal("not served")
		}
		conn.Close()
		record, err := g.ended()
		must(t, err)
		if _, told := record["tls_resumed"]; told != resumed || (<-ended).Resumed != resumed {
			t.Errorf("resumed %v: the log has %v", resumed, record)
		}
	}
}
