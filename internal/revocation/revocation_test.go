package revocation

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"starttls/dane/danetest"
)

// A world is a root, an authority below it, and a leaf of that.
type world struct{ root, issuer, leaf *danetest.Cert }

func newWorld(t testing.TB) world {
	root := danetest.Issue(t, nil, "Root", nil, danetest.CA)
	issuer := danetest.Issue(t, root, "Issuer", nil, danetest.CA)
	return world{root, issuer, danetest.Issue(t, issuer, "", []string{"mail.example.org"})}
}

// says is an answer of the issuer's, signed by somebody whose certificate comes with it unless bare.
func (w world) says(t testing.TB, by *danetest.Cert, bare bool, edits ...func(*ocsp.Response)) []byte {
	t.Helper()
	r := ocsp.Response{SerialNumber: w.leaf.SerialNumber, ThisUpdate: danetest.Now.Add(-time.Minute), NextUpdate: danetest.Now.Add(time.Hour)}
	if !bare {
		r.Certificate = by.Certificate
	}
	for _, edit := range edits {
		edit(&r)
	}
	text, err := ocsp.CreateResponse(w.issuer.Certificate, by.Certificate, r, by.Key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func forOCSP(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning} }

// TestWhoIsBelieved: the issuer, and whom it lets, for as long as it does.
func TestWhoIsBelieved(t *testing.T) {
	w := newWorld(t)
	expired := func(c *x509.Certificate) { c.NotAfter = danetest.Now.Add(-time.Minute) }
	for _, row := range []struct {
		name string
		text []byte
		why  string // "" if it is believed
	}{
		{"O01 the issuer", w.says(t, w.issuer, true), ""},
		{"O02 the issuer, with its certificate, which another has issued", w.says(t, w.issuer, false), ""},
		{"O03 a delegate", w.says(t, danetest.Issue(t, w.issuer, "OCSP", nil, forOCSP), false), ""},
		{"O04 a delegate of old", w.says(t, danetest.Issue(t, w.issuer, "OCSP", nil, forOCSP, expired), false), "whose certificate has expired"},
		{"O05 another customer", w.says(t, danetest.Issue(t, w.issuer, "villain", nil), false), "not for OCSP"},
		{"O06 the root's delegate", w.says(t, danetest.Issue(t, w.root, "OCSP", nil, forOCSP), false), "not signed by the issuer"},
		{"O07 a stranger", w.says(t, danetest.Issue(t, nil, "Issuer", nil, danetest.CA), true), "not signed by the issuer"},
		{"O08 a stranger's delegate", w.says(t, danetest.Issue(t, nil, "Issuer", nil, danetest.CA, forOCSP), false), "not signed by the issuer"},
		{"O09 the past", w.says(t, w.issuer, true, func(r *ocsp.Response) { r.NextUpdate = danetest.Now }), "expired"},
		{"O10 the future", w.says(t, w.issuer, true, func(r *ocsp.Response) { r.ThisUpdate = danetest.Now.Add(time.Hour) }), "not valid yet"},
		{"O11 a clock that is fast", w.says(t, w.issuer, true, func(r *ocsp.Response) { r.ThisUpdate = danetest.Now.Add(time.Minute) }), ""},
		{"O12 without an end", w.says(t, w.issuer, true, func(r *ocsp.Response) { r.NextUpdate = time.Time{} }), ""},
		{"O17 without an end, and old", w.says(t, w.issuer, true, func(r *ocsp.Response) {
			r.ThisUpdate, r.NextUpdate = danetest.Now.Add(-25*time.Hour), time.Time{}
		}), "names no end"},
		{"O13 of another certificate", w.says(t, w.issuer, true, func(r *ocsp.Response) { r.SerialNumber = big.NewInt(1 << 40) }), "no response matching"},
		{"O14 revoked", w.says(t, w.issuer, true, func(r *ocsp.Response) { r.Status = ocsp.Revoked; r.RevokedAt = danetest.Now }), ""},
		{"O15 noise", []byte("<html>"), "asn1"},
		{"O16 later", ocsp.TryLaterErrorResponse, "try later"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, err := Read(row.text, w.leaf.Certificate, w.issuer.Certificate, danetest.Now)
			if (err == nil) != (row.why == "") || err != nil && !strings.Contains(err.Error(), row.why) || (r == nil) != (err != nil) {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// TestMustStaple: the feature in any company, and none that cannot be read.
func TestMustStaple(t *testing.T) {
	for value, want := range map[string]bool{
		"\x30\x03\x02\x01\x05": true, "\x30\x06\x02\x01\x11\x02\x01\x05": true, "\x30\x03\x02\x01\x11": false, "\x30\x00": false, "\x05": false, "": false,
	} {
		leaf := &x509.Certificate{Extensions: []pkix.Extension{{Id: TLSFeature, Value: []byte(value)}}}
		if MustStaple(leaf) != want {
			t.Errorf("%x: want %v", value, want)
		}
	}
	if MustStaple(&x509.Certificate{}) {
		t.Error("it is demanded by nothing")
	}
}

// FuzzRead: nothing panics, and nothing is believed that is not signed.
func FuzzRead(f *testing.F) {
	w := newWorld(f)
	stranger := danetest.Issue(f, nil, "Issuer", nil, danetest.CA)
	f.Add(w.says(f, w.issuer, false))
	f.Add(w.says(f, danetest.Issue(f, w.issuer, "OCSP", nil, forOCSP), false))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := Read(text, w.leaf.Certificate, w.issuer.Certificate, danetest.Now); err == nil {
			if _, err := Read(text, w.leaf.Certificate, stranger.Certificate, danetest.Now); err == nil {
				t.Error("a stranger has signed it as well")
			}
		}
	})
}
