package cert

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"starttls/dane/danetest"
	"starttls/internal/revocation"
)

const host = "mail.example.org"

// A stapled world is a CA, a certificate of its that names a responder, and a store that has it.
type stapled struct {
	*testing.T
	ca, leaf *danetest.Cert
	store    *Store
	now      time.Time
	log      bytes.Buffer
	asked    int
	answer   func() ([]byte, error) // the responder's
}

func withResponder(c *x509.Certificate) { c.OCSPServer = []string{"http://ocsp.test"} }

// demanding is the TLS feature status_request (RFC 7633): a sequence with the number 5.
func demanding(c *x509.Certificate) {
	c.ExtraExtensions = []pkix.Extension{{Id: revocation.TLSFeature, Value: []byte{0x30, 0x03, 0x02, 0x01, 0x05}}}
}

func newStapled(t *testing.T, shapes ...danetest.Shape) *stapled {
	w := &stapled{T: t, now: danetest.Now}
	w.ca = danetest.Issue(t, nil, "CA", nil, danetest.CA)
	w.leaf = danetest.Issue(t, w.ca, host, []string{host}, shapes...)
	file := filepath.Join(t.TempDir(), "a.pem")
	err := os.WriteFile(file, danetest.PEM(t, w.leaf, w.ca), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if w.store, err = Load(Pair{Cert: file, Key: file}); err != nil {
		t.Fatal(err)
	}
	w.store.Staples = &Stapler{
		Ask: func(_ context.Context, _ string, request []byte) ([]byte, error) {
			w.asked++
			if r, err := ocsp.ParseRequest(request); err != nil || r.SerialNumber.Cmp(w.leaf.SerialNumber) != 0 {
				t.Errorf("asked for %v, %v", r, err)
			}
			return w.answer()
		},
		Log: slog.New(slog.NewTextHandler(&w.log, nil)),
		Now: func() time.Time { return w.now },
	}
	return w
}

// says makes an answer that is good for an hour, signed by the CA; edit changes it.
func (w *stapled) says(edit func(*ocsp.Response), by ...*danetest.Cert) ([]byte, error) {
	r := ocsp.Response{SerialNumber: w.leaf.SerialNumber, Status: ocsp.Good, ThisUpdate: w.now.Add(-time.Minute), NextUpdate: w.now.Add(time.Hour)}
	if edit != nil {
		edit(&r)
	}
	if len(by) == 0 {
		return ocsp.CreateResponse(w.ca.Certificate, w.ca.Certificate, r, w.ca.Key)
	}
	r.Certificate = by[0].Certificate
	return ocsp.CreateResponse(w.ca.Certificate, by[0].Certificate, r, by[0].Key)
}

func (w *stapled) good() ([]byte, error) { return w.says(nil) }

// refresh does it, some time later, and returns what a client sees then.
func (w *stapled) refresh(later time.Duration) []byte {
	w.now = w.now.Add(later)
	w.store.Staples.Refresh(w.Context(), w.store.Certificates())
	return w.visit()
}

// visit returns the staple that a client sees.
func (w *stapled) visit() []byte {
	w.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	server := tls.Server(theirs, &tls.Config{GetCertificate: w.store.GetCertificate})
	done := make(chan error, 1)
	go func() { done <- server.HandshakeContext(w.Context()) }()
	roots := x509.NewCertPool()
	roots.AddCert(w.ca.Certificate)
	client := tls.Client(ours, &tls.Config{ServerName: host, RootCAs: roots, Time: func() time.Time { return danetest.Now }})
	if err := client.HandshakeContext(w.Context()); err != nil {
		w.Fatal(err)
	}
	staple := client.OCSPResponse()
	ours.Close()
	<-done
	return staple
}

// TestStapleIsSeen, got anew at half its life, and not taken for another certificate's.
func TestStapleIsSeen(t *testing.T) {
	w := newStapled(t, withResponder)
	w.answer = w.good
	if w.visit() != nil {
		t.Error("a staple from nowhere")
	}
	staple := w.refresh(0)
	if r, err := ocsp.ParseResponseForCert(staple, w.leaf.Certificate, w.ca.Certificate); err != nil || r.Status != ocsp.Good {
		t.Fatal(r, err)
	}
	if again := w.refresh(29 * time.Minute); !bytes.Equal(again, staple) || w.asked != 1 {
		t.Errorf("asked %d times", w.asked)
	}
	if again := w.refresh(2 * time.Minute); bytes.Equal(again, staple) || again == nil || w.asked != 2 {
		t.Errorf("not got anew, asked %d times", w.asked)
	}
	w.store.Staples.Refresh(t.Context(), nil)
	if w.visit() != nil || len(w.store.Staples.staples) != 0 {
		t.Error("what is of no certificate is kept")
	}
	if w.log.Len() > 0 {
		t.Error(&w.log)
	}
}

// TestResponderThatErrs: nothing of it is stapled, the log says why, and handshakes go on.
func TestResponderThatErrs(t *testing.T) {
	w := newStapled(t, withResponder)
	other := danetest.Issue(t, nil, "CA", nil, danetest.CA)
	forOCSP := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning} }
	for name, row := range map[string]struct {
		answer func() ([]byte, error)
		why    string // empty: it is good
	}{
		"good":          {w.good, ""},
		"by a delegate": {func() ([]byte, error) { return w.says(nil, danetest.Issue(t, w.ca, "OCSP", nil, forOCSP)) }, ""},
		"away":          {func() ([]byte, error) { return nil, errors.New("connection refused") }, "connection refused"},
		"not OCSP":      {func() ([]byte, error) { return []byte("<html>"), nil }, "asn1"},
		"nothing":       {func() ([]byte, error) { return nil, nil }, "asn1"},
		"busy":          {func() ([]byte, error) { return ocsp.TryLaterErrorResponse, nil }, "try later"},
		"by another CA": {func() ([]byte, error) {
			return ocsp.CreateResponse(other.Certificate, other.Certificate, ocsp.Response{SerialNumber: w.leaf.SerialNumber, ThisUpdate: w.now, NextUpdate: w.now.Add(time.Hour)}, other.Key)
		}, "not signed by the issuer"},
		"by another customer": {func() ([]byte, error) {
			return w.says(nil, danetest.Issue(t, w.ca, "villain", []string{"villain.example"}))
		}, "not for OCSP"},
		"of another": {func() ([]byte, error) { return w.says(func(r *ocsp.Response) { r.SerialNumber = big.NewInt(1 << 40) }) }, "no response matching"},
		"revoked": {func() ([]byte, error) {
			return w.says(func(r *ocsp.Response) { r.Status, r.RevokedAt = ocsp.Revoked, w.now })
		}, "level=ERROR"},
		"unknown":             {func() ([]byte, error) { return w.says(func(r *ocsp.Response) { r.Status = ocsp.Unknown }) }, "does not know"},
		"old":                 {func() ([]byte, error) { return w.says(func(r *ocsp.Response) { r.NextUpdate = w.now }) }, "expired"},
		"without an end":      {func() ([]byte, error) { return w.says(func(r *ocsp.Response) { r.NextUpdate = time.Time{} }) }, "has no end"},
		"from the far future": {func() ([]byte, error) { return w.says(func(r *ocsp.Response) { r.ThisUpdate = w.now.Add(time.Hour) }) }, "not valid yet"},
		"a clock that is fast": {func() ([]byte, error) {
			return w.says(func(r *ocsp.Response) { r.ThisUpdate = w.now.Add(time.Minute) })
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w.T, w.answer = t, row.answer
			w.store.Staples.staples = nil
			w.log.Reset()
			staple := w.refresh(0)
			if (staple != nil) != (row.why == "") || !strings.Contains(w.log.String(), row.why) {
				t.Errorf("staple %v, the log has %q, want %q", staple != nil, &w.log, row.why)
			}
		})
	}
}

// TestStapleOutlivesItsResponder: to its end, and not longer; questions come ever more seldom, and one that is
// answered is the end of that.
func TestStapleOutlivesItsResponder(t *testing.T) {
	w := newStapled(t, withResponder)
	w.answer = w.good
	staple := w.refresh(0)
	w.answer = func() ([]byte, error) { return nil, errors.New("away") }
	if again := w.refresh(40 * time.Minute); !bytes.Equal(again, staple) {
		t.Error("a responder that is away takes the staple away")
	}
	if w.refresh(20*time.Minute) != nil {
		t.Error("a staple that has expired")
	}
	w.asked = 0
	for range 24 * 60 {
		w.store.Staples.Refresh(t.Context(), w.store.Certificates())
		w.now = w.now.Add(time.Minute)
	}
	if w.asked > 30 || w.asked < 24 {
		t.Errorf("asked %d times in a day", w.asked)
	}
	w.answer = w.good
	if w.refresh(time.Hour) == nil {
		t.Error("no staple when the responder is back")
	}
}

// TestRevokedIsNotStapled, also when it was good before.
func TestRevokedIsNotStapled(t *testing.T) {
	w := newStapled(t, withResponder)
	w.answer = w.good
	w.refresh(0)
	w.answer = func() ([]byte, error) {
		return w.says(func(r *ocsp.Response) { r.Status, r.RevokedAt = ocsp.Revoked, w.now })
	}
	if w.refresh(31*time.Minute) != nil || !strings.Contains(w.log.String(), "revoked") {
		t.Errorf("the log has %s", &w.log)
	}
}

// TestOneRevokedIsEnough: a second responder that has an older answer does not make the certificate good again.
func TestOneRevokedIsEnough(t *testing.T) {
	w := newStapled(t, func(c *x509.Certificate) {
		c.OCSPServer = []string{"http://away.test", "http://new.test", "http://old.test"}
	})
	answers := []func() ([]byte, error){
		func() ([]byte, error) { return nil, errors.New("away") },
		func() ([]byte, error) {
			return w.says(func(r *ocsp.Response) { r.Status, r.RevokedAt = ocsp.Revoked, w.now })
		},
		w.good,
	}
	w.answer = func() ([]byte, error) { return answers[w.asked-1]() }
	if w.refresh(0) != nil || w.asked != 2 || !strings.Contains(w.log.String(), "revoked") {
		t.Errorf("asked %d times; the log has %s", w.asked, &w.log)
	}
}

// TestMustStaple: what clients will refuse is told as an error, also where there is no responder to ask.
func TestMustStaple(t *testing.T) {
	w := newStapled(t, demanding)
	if w.refresh(0) != nil || !strings.Contains(w.log.String(), "level=ERROR") || !strings.Contains(w.log.String(), "names no responder") {
		t.Errorf("the log has %s", &w.log)
	}
	w = newStapled(t, demanding, withResponder)
	w.answer = func() ([]byte, error) { return nil, errors.New("away") }
	if w.refresh(0) != nil || !strings.Contains(w.log.String(), "level=ERROR") {
		t.Errorf("the log has %s", &w.log)
	}
	w.answer = w.good
	if w.refresh(time.Hour) == nil {
		t.Error("no staple")
	}
	w = newStapled(t)
	if w.refresh(0) != nil || w.log.Len() > 0 || w.asked > 0 {
		t.Errorf("a certificate that names no responder is none to speak of: %s", &w.log)
	}
}
