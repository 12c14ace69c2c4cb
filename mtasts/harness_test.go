package mtasts

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"starttls/resolver/dnstest"
)

// certify returns a certificate for names, by an authority or by itself. It is good in this century and at
// the time at which testing/synctest begins.
func certify(by *tls.Certificate, names []string, edits ...func(*x509.Certificate)) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "policy host"}, DNSNames: names,
		NotBefore: time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	for _, edit := range edits {
		edit(leaf)
	}
	issuer, signer := leaf, any(key)
	if by != nil {
		issuer, signer = by.Leaf, by.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, issuer, key.Public(), signer)
	if err == nil {
		leaf, err = x509.ParseCertificate(der)
	}
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

var authority = sync.OnceValue(func() tls.Certificate {
	return certify(nil, nil, func(c *x509.Certificate) {
		c.Subject.CommonName, c.IsCA, c.BasicConstraintsValid, c.KeyUsage = "authority", true, true, x509.KeyUsageCertSign
	})
})

func roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(authority().Leaf)
	return pool
}

// A world is a DNS, a policy host for every name, and a client of both. The host is reached through pipes, so
// that it works on the clock of testing/synctest.
type world struct {
	*Client
	dns   *dnstest.Resolver
	dials atomic.Int32 // connections to the policy host

	mu     sync.Mutex
	answer http.HandlerFunc
}

// newWorld returns a world in which example.com announces id 1 of the policy that with("", "") is.
func newWorld(t *testing.T) *world {
	w := &world{dns: dnstest.New(`
		_mta-sts.example.com TXT "v=STSv1; id=1;"
		mta-sts.example.com  A   192.0.2.1`)}
	w.serve(with("", ""))
	connections := make(pipes)
	w.Client = &Client{Resolver: w.dns, Roots: roots(), Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		w.dials.Add(1)
		return connections.dial(ctx)
	}}
	server := &http.Server{
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			w.mu.Lock()
			answer := w.answer
			w.mu.Unlock()
			answer(rw, r)
		}),
		TLSConfig: &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			ca := authority()
			cert := certify(&ca, []string{hello.ServerName})
			return &cert, nil
		}},
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.ServeTLS(connections, "", "")
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return w
}

// serve makes the policy host answer with a policy.
func (w *world) serve(policy string) {
	w.handle(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/plain")
		rw.Write([]byte(policy))
	})
}

// away makes the policy host fail.
func (w *world) away() {
	w.handle(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusServiceUnavailable) })
}

// pause waits before an answer, or until nobody waits for it.
func pause(r *http.Request, d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.Context().Done():
	}
}

// hang makes the policy host take requests and not answer.
func (w *world) hang() {
	w.handle(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
}

func (w *world) handle(answer http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = answer
}

// announce makes the record of example.com what is given, a line of dnstest without its name and type.
func (w *world) announce(record string) {
	w.dns.Remove("_mta-sts.example.com", 16)
	w.dns.Add("_mta-sts.example.com TXT " + record)
}

// pipes is a listener for connections in memory.
type pipes chan net.Conn

func (p pipes) dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p pipes) Accept() (net.Conn, error) {
	if conn, ok := <-p; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error {
	close(p)
	return nil
}

func (p pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443} }
