package cli

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"starttls"
	"starttls/dane/danetest"
	"starttls/internal/config"
)

// TestGatewayStaples: a client of STARTTLS sees what the responder of the certificate says; when the file says
// staple = "no", nobody is asked; and an answer out of all proportion is none.
func TestGatewayStaples(t *testing.T) {
	var answer func(http.ResponseWriter)
	asked := 0
	responder := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		body, _ := io.ReadAll(r.Body)
		if _, err := ocsp.ParseRequest(body); err != nil || r.Header.Get("Content-Type") != "application/ocsp-request" {
			t.Errorf("asked %q, %v", body, err)
		}
		answer(w)
	}))
	defer responder.Close()
	now := time.Now()
	current := func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(-time.Hour), now.Add(time.Hour) }
	ca := danetest.Issue(t, nil, "CA", nil, danetest.CA, current)
	leaf := danetest.Issue(t, ca, "", []string{"mail.example.org"}, current, func(c *x509.Certificate) { c.OCSPServer = []string{responder.URL} })
	good, err := ocsp.CreateResponse(ca.Certificate, ca.Certificate, ocsp.Response{SerialNumber: leaf.SerialNumber, ThisUpdate: now, NextUpdate: now.Add(time.Hour)}, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "mail.pem")
	if err := os.WriteFile(file, danetest.PEM(t, leaf, ca), 0o600); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate)
	for _, row := range []struct {
		name, line string
		answer     func(http.ResponseWriter)
		stapled    bool
		said       string
	}{
		{"good", "", func(w http.ResponseWriter) { w.Write(good) }, true, ""},
		{"an error", "", func(w http.ResponseWriter) { w.WriteHeader(500); w.Write(good) }, false, "HTTP status 500"},
		{"too large", "", func(w http.ResponseWriter) { w.Write(append(bytes.Clone(good), make([]byte, 64<<10)...)) }, false, "more than 65536 bytes"},
		{"not wanted", `staple = "no"`, func(w http.ResponseWriter) { w.Write(good) }, false, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			answer, asked = row.answer, 0
			said := &lockedBuffer{}
			config := fmt.Sprintf("state = %q\n[tls]\n%s\n[[tls.certificate]]\ncert = %q\n[[route]]\nlisten = \"smtp://127.0.0.1:0\"\n", dir, row.line, file)
			s := &service{std: streams{nil, io.Discard, said}, read: readText(config)}
			startService(t, s)
			s.refreshStaples(t.Context())
			url := "smtp://" + inOrder(s.routes)[0].ln.Addr().String()
			conn, err := starttls.Dial(t.Context(), url, &starttls.Config{TLS: &tls.Config{ServerName: "mail.example.org", RootCAs: roots}})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if stapled := bytes.Equal(conn.OCSPResponse(), good); stapled != row.stapled {
				t.Errorf("stapled %v, asked %d times, said %s", stapled, asked, said)
			}
			if !strings.Contains(said.String(), row.said) || (asked == 0) != (row.line != "") {
				t.Errorf("asked %d times, said %s", asked, said)
			}
		})
	}
}

// readText reads a configuration from a text.
func readText(text string) func() (*config.File, error) {
	return func() (*config.File, error) { return config.Read("f.toml", []byte(text)) }
}
