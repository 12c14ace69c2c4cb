package starttls_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"starttls"
	"starttls/dialect"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// certificate is self-signed, for localhost and 127.0.0.1, and trusted by those who are given the pool.
var certificate = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
})

func serverConfig() *starttls.Config {
	cert, _ := certificate()
	return &starttls.Config{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}, Name: "mx.test", Timeout: patience}
}

func clientConfig() *starttls.Config {
	_, pool := certificate()
	return &starttls.Config{TLS: &tls.Config{RootCAs: pool, ServerName: "localhost"}, Name: "me.test", Timeout: patience}
}

// pair returns the two ends of a connection.
func pair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if client, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	client.SetDeadline(time.Now().Add(patience))
	server.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// A result is what Client or Server returned.
type result struct {
	conn *starttls.Conn
	err  error
}

// runServer runs Server on a connection.
func runServer(t testing.TB, conn net.Conn, d *dialect.Dialect, config *starttls.Config) <-chan result {
	done := make(chan result, 1)
	go func() {
		secured, err := starttls.Server(t.Context(), conn, d, config)
		done <- result{secured, err}
	}()
	return done
}

// act plays a peer: it says the lines, one after each line that it hears; the first at once if it is
// the server. A line that is empty is not said. Then it listens on to the end, and returns all it heard.
func act(conn net.Conn, serverFirst bool, lines ...string) <-chan string {
	heard := make(chan string, 1)
	go func() {
		var all strings.Builder
		buf := make([]byte, 4096)
		for i, line := range lines {
			if i > 0 || !serverFirst {
				n, err := conn.Read(buf)
				all.Write(buf[:n])
				if err != nil {
					break
				}
			}
			io.WriteString(conn, line)
		}
		io.Copy(&all, conn)
		heard <- all.String()
	}()
	return heard
}

// closed checks that the other end of a connection was closed.
func closed(t testing.TB, conn net.Conn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, conn)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Error("the connection is left open")
	}
}
