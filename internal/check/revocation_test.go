package check

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"starttls/internal/finding"
	"starttls/internal/revocation"
)

// serial is that of the certificates whose revocation is asked for.
var serial = big.NewInt(7000)

// An answer is what a responder says of a certificate. The zero answer is that all is well.
type answer struct {
	status int
	at     time.Duration // from now
	by     func(*testing.T) (*x509.Certificate, crypto.Signer)
	list   bool // with timestamps of logs
}

func (a answer) text(t *testing.T) []byte {
	t.Helper()
	ca := trusted()
	template := ocsp.Response{Status: a.status, SerialNumber: serial, ThisUpdate: opened.Add(a.at - time.Hour), RevokedAt: opened.Add(-48 * time.Hour), RevocationReason: ocsp.KeyCompromise}
	template.NextUpdate = template.ThisUpdate.Add(24 * time.Hour)
	if a.list {
		template.ExtraExtensions = []pkix.Extension{{Id: stapledList, Value: []byte{4, 2, 0, 0}}}
	}
	by, key := ca.cert, ca.key
	if a.by != nil {
		by, key = a.by(t)
		template.Certificate = by
	}
	text, err := ocsp.CreateResponse(ca.cert, by, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// leafOf has an authority issue a certificate to a signer.
func leafOf(a authority, change func(*x509.Certificate)) func(*testing.T) (*x509.Certificate, crypto.Signer) {
	return func(t *testing.T) (*x509.Certificate, crypto.Signer) {
		pair := a.issue(t, 2048, 0, change)
		cert, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return cert, pair.PrivateKey.(crypto.Signer)
	}
}

func mayAnswer(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning} }

// inOne leaves one connection, which is what revocation is judged by.
func inOne(c *Config) { c.Budget = 1 }

// named returns a beast whose certificate names responders.
func named(responders ...string) beast {
	return beast{leaf: func(c *x509.Certificate) { c.SerialNumber, c.OCSPServer = serial, responders }}
}

func stapled(b beast, staple []byte) beast {
	b.config = func(c *tls.Config) { c.Certificates[0].OCSPStaple = staple }
	return b
}

// TestWhatIsBelievedOfARevocation: the same answers, stapled and asked for. What cannot be believed is not
// believed either way; who is, is for package revocation to know.
func TestWhatIsBelievedOfARevocation(t *testing.T) {
	for _, row := range []struct {
		name           string
		answer         answer
		stapled, asked finding.Verdict // cert.revocation, and cert.revoked of who has asked
		evidence       string
	}{
		{"good", answer{}, finding.Good, finding.Good, "said on"},
		{"revoked", answer{status: ocsp.Revoked}, finding.Good, finding.Insufficient, "the key was compromised"},
		{"unknown", answer{status: ocsp.Unknown}, finding.PhaseOut, finding.NotTestable, "does not know"},
		{"good no longer", answer{at: -48 * time.Hour}, finding.PhaseOut, finding.NotTestable, "has expired"},
		{"by who may", answer{by: leafOf(trusted(), mayAnswer)}, finding.Good, finding.Good, "said on"},
		{"by another customer", answer{by: leafOf(trusted(), nil)}, finding.PhaseOut, finding.NotTestable, "not for OCSP"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			text := row.answer.text(t)
			responder := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				question, err := io.ReadAll(r.Body)
				asked, bad := ocsp.ParseRequest(question)
				if err != nil || bad != nil || asked.SerialNumber.Cmp(serial) != 0 || r.Method != http.MethodPost {
					t.Errorf("%s: %v, %v", r.Method, err, bad)
				}
				w.Write(text)
			}))
			defer responder.Close()
			asked := result(t, "imaps://"+named(responder.URL).start(t), judgedBy(t, ""), inOne)
			if f := one(t, asked, "cert.revoked"); f.Verdict != row.asked || !strings.Contains(f.Evidence, row.evidence) {
				t.Errorf("asked: %s: %s", f.Verdict, f.Evidence)
			}
			came := result(t, "imaps://"+stapled(named("http://127.0.0.1:1"), text).start(t), judgedBy(t, ""), inOne)
			if f := one(t, came, "cert.revocation"); f.Verdict != row.stapled {
				t.Errorf("stapled: %s: %s", f.Verdict, f.Evidence)
			}
			if f := one(t, came, "cert.revoked"); f.Verdict != row.asked {
				t.Errorf("stapled: %s: %s", f.Verdict, f.Evidence)
			}
		})
	}
}

// TestRespondersThatHaveNoAnswer: nothing is known then, and nothing bad is said.
func TestRespondersThatHaveNoAnswer(t *testing.T) {
	answering := func(answer http.HandlerFunc) string {
		s := httptest.NewServer(answer)
		t.Cleanup(s.Close)
		return s.URL
	}
	good := answer{}.text(t)
	for _, row := range []struct{ name, url, evidence string }{
		{"away", "http://127.0.0.1:1", "refused"},
		{"over TLS", "https://127.0.0.1:1", "no responder speaks http"},
		{"no URL", "http://", "no responder speaks http"},
		{"refuses", answering(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }), "403"},
		{"leads elsewhere", answering(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:2/", http.StatusFound)
		}), "302"},
		{"noise", answering(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }), "asn1"},
		{"try later", answering(func(w http.ResponseWriter, _ *http.Request) { w.Write(ocsp.TryLaterErrorResponse) }), "try later"},
		{"without end", answering(func(w http.ResponseWriter, _ *http.Request) { w.Write(bytes.Repeat(good, 200)) }), "more than"},
		{"silent", "http://" + served(t, func(conn net.Conn) { io.Copy(io.Discard, conn) }), "deadline"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			quickly := func(c *Config) { c.Timeout = 2 * time.Second }
			r := result(t, "imaps://"+named(row.url).start(t), judgedBy(t, ""), inOne, quickly)
			if f := one(t, r, "cert.revoked"); f.Verdict != finding.NotTestable || !strings.Contains(f.Evidence, row.evidence) {
				t.Errorf("%s: %s", f.Verdict, f.Evidence)
			}
		})
	}
}

// staples are certificates that are revoked or not, and that demand to be stapled and are or are not.
func staples() (all []specimen) {
	demanding := func(c *x509.Certificate) {
		c.SerialNumber = serial
		c.ExtraExtensions = []pkix.Extension{{Id: revocation.TLSFeature, Value: []byte{0x30, 3, 2, 1, revocation.StatusRequest}}}
	}
	for name, row := range map[string]struct {
		beast  beast
		answer *answer
		finds  sightings
	}{
		"good":                 {named("http://127.0.0.1:1"), &answer{}, sightings{"cert.revoked": finding.Good, "cert.revocation": finding.Good}},
		"revoked":              {named("http://127.0.0.1:1"), &answer{status: ocsp.Revoked}, sightings{"cert.revoked": finding.Insufficient}},
		"demanded":             {beast{leaf: demanding}, nil, sightings{"cert.must-staple": finding.Insufficient}},
		"demanded, and stands": {beast{leaf: demanding}, &answer{}, sightings{"cert.must-staple": finding.Good}},
	} {
		all = append(all, specimen{"cert.revoked/" + name, row.finds, func(t *testing.T) look {
			b := row.beast
			if row.answer != nil {
				b = stapled(b, row.answer.text(t))
			}
			return lookingAt("imaps://"+b.start(t), judgedBy(t, ""), inOne)
		}})
	}
	return all
}

// TestWhoIsNotAsked: nobody, with one connection, or of a certificate that leads nowhere or is stapled.
func TestWhoIsNotAsked(t *testing.T) {
	responder := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it is asked") }))
	defer responder.Close()
	there := named(responder.URL)
	strange := there
	strange.strange = true
	expired := there
	expired.leaf = func(c *x509.Certificate) { there.leaf(c); c.NotAfter = time.Now().Add(-time.Hour) }
	quick := func(c *Config) { c.Depth = Quick }
	for name, row := range map[string]struct {
		beast beast
		edit  func(*Config)
		want  finding.Verdict
	}{
		"quick":                   {there, quick, ""},
		"quick, stapled":          {stapled(there, answer{}.text(t)), quick, finding.Good},
		"quick, stapled: revoked": {stapled(there, answer{status: ocsp.Revoked}.text(t)), quick, finding.Insufficient},
		"stapled":                 {stapled(there, answer{}.text(t)), nil, finding.Good},
		"of a stranger":           {strange, nil, finding.NotApplicable},
		"expired":                 {expired, nil, finding.NotApplicable},
		"names no responder":      {beast{}, nil, finding.NotApplicable},
	} {
		t.Run(name, func(t *testing.T) {
			edits := []func(*Config){judgedBy(t, ""), inOne}
			if row.edit != nil {
				edits = append(edits, row.edit)
			}
			if f := one(t, result(t, "imaps://"+row.beast.start(t), edits...), "cert.revoked"); f.Verdict != row.want {
				t.Errorf("%q: %s", f.Verdict, f.Evidence)
			}
		})
	}
}

// TestWhatIsStapled: where it is demanded, where it is not, and what nobody can verify.
func TestWhatIsStapled(t *testing.T) {
	demands := func(features ...int) func(*x509.Certificate) {
		value, err := asn1.Marshal(features)
		if err != nil {
			t.Fatal(err)
		}
		return func(c *x509.Certificate) {
			c.SerialNumber = serial
			c.ExtraExtensions = []pkix.Extension{{Id: revocation.TLSFeature, Value: value}}
		}
	}
	good := answer{}.text(t)
	for _, row := range []struct {
		name, id string
		beast    beast
		want     finding.Verdict
	}{
		{"demanded", "cert.must-staple", beast{leaf: demands(revocation.StatusRequest)}, finding.Insufficient},
		{"demanded and there", "cert.must-staple", stapled(beast{leaf: demands(revocation.StatusRequest)}, good), finding.Good},
		{"demanded and nonsense", "cert.must-staple", stapled(beast{leaf: demands(revocation.StatusRequest)}, []byte("staple")), finding.Insufficient},
		{"demanded and expired", "cert.must-staple", stapled(beast{leaf: demands(revocation.StatusRequest)}, answer{at: -48 * time.Hour}.text(t)), finding.Insufficient},
		{"demanded, of who is not trusted", "cert.must-staple", stapled(beast{leaf: demands(revocation.StatusRequest), strange: true}, good), finding.NotTestable},
		{"another feature", "cert.must-staple", beast{leaf: demands(17)}, finding.NotApplicable},
		{"not demanded", "cert.must-staple", beast{}, finding.NotApplicable},
		{"nonsense", "cert.revocation", stapled(named("http://127.0.0.1:1"), []byte("staple")), finding.PhaseOut},
		{"of who is not trusted", "cert.revocation", stapled(beast{strange: true}, good), finding.Sufficient},
		{"not there", "cert.revocation", named("http://127.0.0.1:1"), finding.Sufficient},
		{"with timestamps", "cert.transparency", stapled(named("http://127.0.0.1:1"), answer{list: true}.text(t)), finding.Good},
	} {
		t.Run(row.name, func(t *testing.T) {
			if f := one(t, result(t, "imaps://"+row.beast.start(t), judgedBy(t, ""), inOne), row.id); f.Verdict != row.want {
				t.Errorf("%q: %s", f.Verdict, f.Evidence)
			}
		})
	}
}

// TestTheResponderOfOpenSSL: what a real one says of a certificate that is good, of one that is revoked, and of one
// that it does not know.
func TestTheResponderOfOpenSSL(t *testing.T) {
	index := filepath.Join(t.TempDir(), "index")
	lines := "V\t491231235959Z\t\t01\tunknown\t/CN=a\nR\t491231235959Z\t261120120000Z,keyCompromise\t02\tunknown\t/CN=b\n"
	if err := os.WriteFile(index, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	ca := trusted()
	file := pemFile(t, "CERTIFICATE", ca.cert.Raw)
	accepts, out, _ := openssl(t, "ocsp", "-port", "0", "-index", index, "-CA", file, "-rsigner", file, "-rkey", keyFile(t, ca.key), "-nmin", "60", "-ignore_err")
	go io.Copy(io.Discard, out)
	port := regexp.MustCompile(`:(\d+) `).FindStringSubmatch(accepts)
	if port == nil {
		t.Fatal(accepts)
	}
	now := func(c *Config) { c.Now = time.Now } // as the responder has it
	for serial, want := range map[int64]finding.Verdict{1: finding.Good, 2: finding.Insufficient, 3: finding.NotTestable} {
		b := beast{leaf: func(c *x509.Certificate) {
			c.SerialNumber, c.OCSPServer = big.NewInt(serial), []string{"http://127.0.0.1:" + port[1] + "/ocsp"}
		}}
		f := one(t, result(t, "imaps://"+b.start(t), judgedBy(t, ""), inOne, now), "cert.revoked")
		if f.Verdict != want || want == finding.Insufficient && f.Evidence != "revoked on 2026-11-20: the key was compromised" {
			t.Errorf("%d: %s: %s", serial, f.Verdict, f.Evidence)
		}
	}
}
