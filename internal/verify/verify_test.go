package verify

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"starttls"
)

// attack runs all rows against a listener and returns the results by id.
func attack(t *testing.T, url string, demands bool) map[string]Result {
	t.Helper()
	e, err := starttls.ParseEndpoint(url)
	if err != nil {
		t.Fatal(err)
	}
	results := map[string]Result{}
	target := Target{Endpoint: e, Demands: demands, TLS: &tls.Config{InsecureSkipVerify: true}, Timeout: 3 * time.Second}
	if _, err := Run(context.Background(), target, func(r Result) { results[r.ID] = r }); err != nil {
		t.Fatal(err)
	}
	if len(results) != len(rows) {
		t.Fatalf("%d results of %d rows", len(results), len(rows))
	}
	return results
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// sound is a server of the library that answers everything inside TLS with a refusal.
func sound(t *testing.T, url string) string {
	t.Helper()
	ln, err := starttls.Listen(url, &starttls.Config{TLS: &tls.Config{Certificates: []tls.Certificate{certificate(t)}}, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in := bufio.NewScanner(conn)
				for in.Scan() {
					fmt.Fprintf(conn, "502 no\r\n")
				}
			}()
		}
	}()
	return ln.Addr().String()
}

func TestASoundServerHolds(t *testing.T) {
	for id, r := range attack(t, "smtp://"+sound(t, "smtp://127.0.0.1:0"), true) {
		if r.Verdict == Broken {
			t.Errorf("%s %s: %s", id, r.Claim, r.Detail)
		}
	}
}

// flawed serves SMTP with every flaw that the rows look for: it keeps its buffer over the upgrade,
// offers TLS inside TLS and goes ahead there, works in the clear, and puts up with anything.
func flawed(t *testing.T, conn net.Conn, cert tls.Certificate) {
	defer conn.Close()
	wire, in := conn, bufio.NewReader(conn)
	fmt.Fprint(wire, "220 flawed\r\n")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(strings.Fields(line + " x")[0]); verb {
		case "EHLO":
			fmt.Fprint(wire, "250-flawed\r\n250 STARTTLS\r\n")
		case "STARTTLS":
			fmt.Fprint(wire, "220 go\r\n")
			if wire != conn {
				continue
			}
			kept := slices.Clone(peek(in))
			wire = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}})
			in = bufio.NewReader(&prefixed{wire, kept})
		default:
			fmt.Fprint(wire, "250 ok\r\n")
		}
	}
}

func peek(in *bufio.Reader) []byte {
	kept, _ := in.Peek(in.Buffered())
	return kept
}

type prefixed struct {
	net.Conn
	kept []byte
}

func (c *prefixed) Read(p []byte) (int, error) {
	if len(c.kept) > 0 {
		n := copy(p, c.kept)
		c.kept = c.kept[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

func TestFlawsAreFound(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cert := certificate(t)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go flawed(t, conn, cert)
		}
	}()
	results := attack(t, "smtp://"+ln.Addr().String(), true)
	for _, id := range []string{"CI-1", "CI-8", "CI-13", "CI-13b", "G-2"} {
		if r := results[id]; r.Verdict != Broken {
			t.Errorf("%s is not found: %s", id, r.Detail)
		}
	}
}
