package mtasts

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"starttls/resolver/dnstest"
	"starttls/tlsrpt"
)

const domain = "example.com"

// typeOf returns how reports count an error.
func typeOf(err error) tlsrpt.ResultType {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Type
	}
	return ""
}

// policyHost starts a real HTTPS server on loopback and returns a client for which it is every policy host.
func policyHost(t *testing.T, cert tls.Certificate, h http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of clients that refuse its certificate
	server.StartTLS()
	t.Cleanup(server.Close)
	return clientOf(server.Listener.Addr().String())
}

func clientOf(addr string) *Client {
	return &Client{
		Resolver: dnstest.New("mta-sts.example.com A 192.0.2.1"),
		Roots:    roots(),
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}
}

func goodCert() tls.Certificate {
	ca := authority()
	return certify(&ca, []string{"mta-sts.example.com"})
}

// answer is a handler that gives a policy with headers, "Name: value", of its own.
func answer(status int, headers ...string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header()["Content-Type"] = nil
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			rw.Header().Set(name, value)
		}
		rw.WriteHeader(status)
		if status != http.StatusNoContent {
			io.WriteString(rw, with("", ""))
		}
	}
}

func TestFetchAnswers(t *testing.T) {
	cert := goodCert()
	bomb := func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/plain")
		rw.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(rw)
		defer z.Close()
		for range 1 << 10 {
			z.Write([]byte(note(MaxBody)))
		}
	}
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   tlsrpt.ResultType // "" if the policy must be had
	}{
		{"S31 text/plain with charset", answer(200, "Content-Type: text/plain; charset=utf-8"), ""},
		{"S31 text/plain with what is no parameter", answer(200, "Content-Type: text/plain; charset"), ""},
		{"S31 Text/Plain", answer(200, "Content-Type: Text/Plain"), ""},
		{"S32 text/html", answer(200, "Content-Type: text/html"), tlsrpt.STSPolicyInvalid},
		{"S33 no Content-Type", answer(200), tlsrpt.STSPolicyInvalid},
		{"S34 201", answer(201, "Content-Type: text/plain"), tlsrpt.STSPolicyFetchError},
		{"S34 203", answer(203, "Content-Type: text/plain"), tlsrpt.STSPolicyFetchError},
		{"S34 204", answer(204, "Content-Type: text/plain"), tlsrpt.STSPolicyFetchError},
		{"S34 206", answer(206, "Content-Type: text/plain"), tlsrpt.STSPolicyFetchError},
		{"S36 404", answer(404, "Content-Type: text/plain"), tlsrpt.STSPolicyFetchError},
		{"S36 410", answer(410, "Content-Type: text/plain"), tlsrpt.STSPolicyFetchError},
		{"S36 500", answer(500, "Content-Type: text/plain"), tlsrpt.STSPolicyFetchError},
		{"S36 503", answer(503, "Content-Type: text/plain"), tlsrpt.STSPolicyFetchError},
		{"S39 gzip, not asked for", bomb, tlsrpt.STSPolicyInvalid},
		{"S46 may be cached", answer(200, "Content-Type: text/plain", "Cache-Control: max-age=86400", "Age: 3600"), ""},
		{"S67 HTML as text/plain", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "text/plain")
			io.WriteString(rw, "<html></html>")
		}, tlsrpt.STSPolicyInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := policyHost(t, cert, c.answer).Fetch(t.Context(), domain)
			if typeOf(err) != c.want || (err == nil) != (p != nil) {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
}

// TestFetchRequest: what a policy host sees of us.
func TestFetchRequest(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1") // nobody is there
	var seen atomic.Pointer[http.Request]
	c := policyHost(t, goodCert(), func(rw http.ResponseWriter, r *http.Request) {
		seen.Store(r)
		answer(200, "Content-Type: text/plain")(rw, r)
	})
	for _, row := range []string{"S45 no proxy of the environment", "S46 the second request is like the first"} {
		seen.Store(nil)
		if _, err := c.Fetch(t.Context(), domain); err != nil {
			t.Fatal(err)
		}
		r := seen.Load()
		if r == nil || r.Method != "GET" || r.Host != "mta-sts.example.com" || r.URL.Path != "/.well-known/mta-sts.txt" ||
			r.TLS.ServerName != "mta-sts.example.com" || r.ProtoMajor != 2 || r.Header.Get("If-None-Match") != "" {
			t.Errorf("%s: %+v", row, r)
		}
	}
}

// TestFetchRedirects: S35.
func TestFetchRedirects(t *testing.T) {
	cert := goodCert()
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprintf("S35 %d", status), func(t *testing.T) {
			var requests atomic.Int32
			c := policyHost(t, cert, func(rw http.ResponseWriter, r *http.Request) {
				if requests.Add(1) == 1 {
					http.Redirect(rw, r, "https://mta-sts.example.com/elsewhere", status)
					return
				}
				answer(200, "Content-Type: text/plain")(rw, r)
			})
			p, err := c.Fetch(t.Context(), domain)
			if p != nil || typeOf(err) != tlsrpt.STSPolicyFetchError || requests.Load() != 1 {
				t.Errorf("%+v, %v after %d requests", p, err, requests.Load())
			}
		})
	}
}

// TestFetchBounds: S37. The host goes on for as long as we listen.
func TestFetchBounds(t *testing.T) {
	var written atomic.Int64
	ended := make(chan struct{})
	c := policyHost(t, goodCert(), func(rw http.ResponseWriter, r *http.Request) {
		defer close(ended)
		rw.Header().Set("Content-Type", "text/plain")
		for r.Context().Err() == nil {
			n, err := io.WriteString(rw, note(1024)+"\n")
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	p, err := c.Fetch(t.Context(), domain)
	if p != nil || typeOf(err) != tlsrpt.STSPolicyInvalid {
		t.Errorf("%+v, %v", p, err)
	}
	<-ended
	if n := written.Load(); n > 16<<20 { // what buffers and windows hold
		t.Errorf("the host could write %d bytes", n)
	}
}

// TestFetchSlow: S38. A policy that comes one byte a minute, and one that comes within the minute.
func TestFetchSlow(t *testing.T) {
	for _, c := range []struct {
		name  string
		pause time.Duration // between two bytes
		ok    bool
	}{{"S38 a byte a minute", time.Minute, false}, {"S38 59 s", 59 * time.Second / time.Duration(len(with("", ""))), true}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.handle(func(rw http.ResponseWriter, r *http.Request) {
					rw.Header().Set("Content-Type", "text/plain")
					for _, b := range []byte(with("", "")) {
						pause(r, c.pause)
						if _, err := rw.Write([]byte{b}); err != nil || http.NewResponseController(rw).Flush() != nil {
							return
						}
					}
				})
				start := time.Now()
				p, err := w.Fetch(t.Context(), domain)
				if (err == nil) != c.ok || (p != nil) != c.ok || time.Since(start) > fetchTimeout {
					t.Errorf("%+v, %v after %v", p, err, time.Since(start))
				}
				if !c.ok && (typeOf(err) != tlsrpt.STSPolicyFetchError || !errors.Is(err, context.DeadlineExceeded)) {
					t.Error(err)
				}
			})
		})
	}
}

// TestFetchOldHTTP: S40, servers that are not Go's.
func TestFetchOldHTTP(t *testing.T) {
	body := with("", "")
	for _, c := range []struct {
		name, response string
		ok             bool
	}{
		{"S40 HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + body, true},
		{"S40 HTTP/1.1 without length", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" + body, true},
		{"S40 HTTP/1.1 chunked", fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body), true},
		{"S37 shorter than it says", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n" + body, false},
		{"headers without end", "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 100), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{goodCert()}})
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			go func() {
				if conn, err := ln.Accept(); err == nil {
					defer conn.Close()
					http.ReadRequest(bufio.NewReader(conn))
					io.WriteString(conn, c.response)
				}
			}()
			p, err := clientOf(ln.Addr().String()).Fetch(t.Context(), domain)
			if (err == nil) != c.ok || !c.ok && typeOf(err) != tlsrpt.STSPolicyFetchError {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
}

// TestFetchCertificates: S41 to S43.
func TestFetchCertificates(t *testing.T) {
	ca := authority()
	names := func(names ...string) tls.Certificate { return certify(&ca, names) }
	other := certify(nil, nil, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true })
	for _, c := range []struct {
		name string
		cert tls.Certificate
		ok   bool
	}{
		{"S41 expired", certify(&ca, []string{"mta-sts.example.com"}, func(c *x509.Certificate) { c.NotAfter = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC) }), false},
		{"S41 self-signed", certify(nil, []string{"mta-sts.example.com"}), false},
		{"S41 another authority", certify(&other, []string{"mta-sts.example.com"}), false},
		{"S41 another name", names("www.example.com"), false},
		{"S41 the domain alone", names("example.com"), false},
		{"S41 CN alone", certify(&ca, nil, func(c *x509.Certificate) { c.Subject.CommonName = "mta-sts.example.com" }), false},
		{"S42 wildcard", names("*.example.com"), true},
		{"S42 part of a label", names("mta-*.example.com"), false},
		{"S42 wildcard above", names("*.com"), false},
		{"S43 the provider's name", names("sts.provider.example"), false},
		{"S43 the customer's name among others", names("sts.provider.example", "mta-sts.example.com"), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := policyHost(t, c.cert, answer(200, "Content-Type: text/plain"))
			client.Resolver = dnstest.New("mta-sts.example.com CNAME sts.provider.example\nsts.provider.example A 192.0.2.1")
			_, err := client.Fetch(t.Context(), domain)
			if (err == nil) != c.ok || !c.ok && typeOf(err) != tlsrpt.STSWebPKIInvalid {
				t.Error(err)
			}
		})
	}
}

// TestFetchTLS: a handshake that fails for another reason has nothing to do with PKIX.
func TestFetchTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(answer(200, "Content-Type: text/plain"))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{goodCert()}, MaxVersion: tls.VersionTLS11}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	if _, err := clientOf(server.Listener.Addr().String()).Fetch(t.Context(), domain); typeOf(err) != tlsrpt.STSPolicyFetchError {
		t.Error(err)
	}
}

// TestFetchAddresses: S44, and which address is dialled.
func TestFetchAddresses(t *testing.T) {
	for _, c := range []struct {
		name, dns string
		dialled   string // "" if none may be
	}{
		{"S44 loopback", "mta-sts.example.com A 127.0.0.1", ""},
		{"S44 private", "mta-sts.example.com A 10.1.2.3", ""},
		{"S44 link-local, metadata", "mta-sts.example.com A 169.254.169.254", ""},
		{"S44 this host", "mta-sts.example.com A 0.0.0.0", ""},
		{"S44 carrier", "mta-sts.example.com A 100.64.0.1", ""},
		{"S44 broadcast", "mta-sts.example.com A 255.255.255.255", ""},
		{"S44 multicast", "mta-sts.example.com A 224.0.0.1", ""},
		{"S44 IPv6 loopback", "mta-sts.example.com AAAA ::1", ""},
		{"S44 unique local", "mta-sts.example.com AAAA fd00::1", ""},
		{"S44 IPv6 link-local", "mta-sts.example.com AAAA fe80::1", ""},
		{"S44 mapped", "mta-sts.example.com AAAA ::ffff:127.0.0.1", ""},
		{"S44 compatible", "mta-sts.example.com AAAA ::127.0.0.1", ""},
		{"S44 NAT64", "mta-sts.example.com AAAA 64:ff9b::7f00:1", ""},
		{"S44 6to4", "mta-sts.example.com AAAA 2002:7f00:1::", ""},
		{"S44 behind a CNAME", "mta-sts.example.com CNAME evil.example\nevil.example A 127.0.0.1", ""},
		{"no address", "example.com A 192.0.2.1", ""},
		{"bogus addresses", "mta-sts.example.com A bogus\nmta-sts.example.com AAAA servfail", ""},
		{"S44 one of each", "mta-sts.example.com A 127.0.0.1\nmta-sts.example.com A 192.0.2.1", "192.0.2.1:443"},
		{"IPv6 alone", "mta-sts.example.com AAAA 2001:db8::1", "[2001:db8::1]:443"},
		{"one family fails", "mta-sts.example.com A servfail\nmta-sts.example.com AAAA 2001:db8::1", "[2001:db8::1]:443"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := policyHost(t, goodCert(), answer(200, "Content-Type: text/plain"))
			client.Resolver = dnstest.New(c.dns)
			dialled, dial := "", client.Dial
			client.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				dialled += addr
				return dial(ctx, network, addr)
			}
			_, err := client.Fetch(t.Context(), domain)
			if dialled != c.dialled || (err == nil) != (c.dialled != "") || err != nil && typeOf(err) != tlsrpt.STSPolicyFetchError {
				t.Errorf("dialled %q, %v", dialled, err)
			}
		})
	}
	t.Run("S44 allowed", func(t *testing.T) {
		client := policyHost(t, goodCert(), answer(200, "Content-Type: text/plain"))
		client.Resolver = dnstest.New("mta-sts.example.com A 127.0.0.1")
		client.Allow = netip.Addr.IsLoopback
		if _, err := client.Fetch(t.Context(), domain); err != nil {
			t.Error(err)
		}
	})
}

// TestFetchNextAddress: an address that does not answer is passed over.
func TestFetchNextAddress(t *testing.T) {
	client := policyHost(t, goodCert(), answer(200, "Content-Type: text/plain"))
	client.Resolver = dnstest.New("mta-sts.example.com A 192.0.2.1\nmta-sts.example.com A 192.0.2.2")
	dial := client.Dial
	client.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == "192.0.2.1:443" {
			return nil, errors.New("refused")
		}
		return dial(ctx, network, addr)
	}
	if _, err := client.Fetch(t.Context(), domain); err != nil {
		t.Error(err)
	}
}
