//go:build linux

package faults

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// A ca is an ACME server that proves nothing, and certifies whatever it is asked for. It tells a lie where
// the test wants one.
type ca struct {
	url  string
	key  *ecdsa.PrivateKey
	root *x509.Certificate
	lie  lie

	turn             sync.Mutex // of questions by a network
	asked, certified int
	chain            []byte    // the last
	until            time.Time // it is good
}

// A lie changes what is certified, or what is answered at a path.
type lie struct {
	certificate func(template *x509.Certificate, key *any)
	answer      func(c *ca, path string, r *http.Response)
}

func newCA(t *testing.T, url string) *ca {
	t.Helper()
	c := &ca{url: url}
	var err error
	if c.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), SubjectKeyId: []byte("root"), IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now(), NotAfter: time.Now().AddDate(10, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, c.key.Public(), c.key)
	if err != nil {
		t.Fatal(err)
	}
	if c.root, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c
}

// A said is what a client says in a signed request: parts of its kinds, as they are needed here.
type said struct {
	Identifiers json.RawMessage `json:"identifiers"`
	CSR         string          `json:"csr"`
}

// RoundTrip answers without a network.
func (c *ca) RoundTrip(r *http.Request) (*http.Response, error) {
	c.asked++
	var s said
	if r.Body != nil {
		var signed struct{ Payload string }
		json.NewDecoder(r.Body).Decode(&signed)
		text, _ := base64.RawURLEncoding.DecodeString(signed.Payload)
		json.Unmarshal(text, &s)
	}
	kind, body := "application/json", ""
	status := http.StatusOK
	path := "/" + strings.Split(r.URL.Path, "/")[1]
	switch path {
	case "/dir":
		body = strings.ReplaceAll(`{"newNonce":"URL/nonce","newAccount":"URL/account","newOrder":"URL/order","renewalInfo":"URL/ari"}`, "URL", c.url)
	case "/account":
		status, body = http.StatusCreated, `{"status":"valid"}`
	case "/order":
		status = http.StatusCreated
		body = fmt.Sprintf(`{"status":"ready","identifiers":%s,"finalize":"%s/finalize"}`, s.Identifiers, c.url)
	case "/finalize":
		if s.CSR != "" {
			c.certify(s.CSR)
		}
		body = fmt.Sprintf(`{"status":"valid","certificate":"%s/cert"}`, c.url)
	case "/cert":
		kind, body = "application/pem-certificate-chain", string(c.chain)
	case "/ari":
		body = window(c.until.AddDate(0, 0, -30))
	}
	resp := &http.Response{StatusCode: status, Request: r, Header: http.Header{
		"Replay-Nonce": {fmt.Sprint("nonce", c.asked)}, "Content-Type": {kind}, "Location": {c.url + path},
	}, Body: io.NopCloser(strings.NewReader(body))}
	if c.lie.answer != nil {
		c.lie.answer(c, path, resp)
	}
	return resp, nil
}

// ServeHTTP answers by one.
func (c *ca) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.turn.Lock()
	resp, _ := c.RoundTrip(r)
	c.turn.Unlock()
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	io.Copy(w, resp.Body)
}

// certify signs what is asked for.
func (c *ca) certify(csr string) {
	c.certified++
	der, _ := base64.RawURLEncoding.DecodeString(csr)
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(1 + c.certified)), DNSNames: request.DNSNames,
		NotBefore: time.Now(), NotAfter: time.Now().AddDate(0, 0, 90),
	}
	key := request.PublicKey
	if c.lie.certificate != nil {
		c.lie.certificate(template, &key)
	}
	if der, err = x509.CreateCertificate(rand.Reader, template, c.root, key, c.key); err != nil {
		panic(err)
	}
	c.until = template.NotAfter
	c.chain = pemOf(der, c.root.Raw)
}

// window is renewal information: within the day from then on.
func window(from time.Time) string {
	return fmt.Sprintf(`{"suggestedWindow":{"start":%q,"end":%q}}`, from.UTC().Format(time.RFC3339), from.Add(24*time.Hour).UTC().Format(time.RFC3339))
}

func pemOf(ders ...[]byte) []byte {
	var b bytes.Buffer
	for _, der := range ders {
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	return b.Bytes()
}

// Lies.

// answers makes one about an answer at a path.
func answers(at string, change func(c *ca, r *http.Response)) lie {
	return lie{answer: func(c *ca, path string, r *http.Response) {
		if path == at {
			change(c, r)
		}
	}}
}

// words are the answer in place of the right one.
func words(text string) func(*ca, *http.Response) {
	return func(_ *ca, r *http.Response) { r.Body = io.NopCloser(strings.NewReader(text)) }
}

// endless never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func withoutEnd(_ *ca, r *http.Response) { r.Body = io.NopCloser(endless{}) }

// refusing refuses with a text.
func refusing(kind, text string) func(*ca, *http.Response) {
	return func(c *ca, r *http.Response) {
		r.StatusCode = http.StatusBadRequest
		r.Header.Set("Content-Type", kind)
		words(text)(c, r)
	}
}

// processing says that the certificate will come, after so many seconds.
func processing(seconds string) lie {
	return lie{answer: func(c *ca, path string, r *http.Response) {
		if path == "/finalize" {
			words(`{"status":"processing"}`)(c, r)
			r.Header["Location"] = []string{c.url + "/finalize"}
			r.Header.Set("Retry-After", seconds)
		}
	}}
}
