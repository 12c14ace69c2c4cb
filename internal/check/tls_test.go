package check

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"
	"testing"
	"time"

	"starttls/internal/finding"
)

// bestiary has, for each finding of TLS and certificates, a beast with the flaw.
var bestiary = []struct {
	id       string
	verdict  finding.Verdict
	beast    beast
	standard string // if not RFC 9325
}{
	{"tls.versions", finding.Insufficient, beast{config: func(c *tls.Config) { c.MinVersion = tls.VersionTLS10; old(c) }}, ""},
	{"tls.versions", finding.Insufficient, beast{config: func(c *tls.Config) { c.MinVersion = tls.VersionTLS11; old(c) }}, ""},
	{"tls.versions", finding.Sufficient, beast{config: func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }}, ""},
	{"tls.suites", finding.PhaseOut, beast{config: old}, ""},
	{"tls.suites", finding.Good, beast{config: func(c *tls.Config) { c.CipherSuites = c.CipherSuites[:2] }}, ""},
	{"tls.suites", finding.PhaseOut, beast{rsa: 2048, config: func(c *tls.Config) {
		c.CipherSuites = append(c.CipherSuites, tls.TLS_RSA_WITH_AES_128_GCM_SHA256)
	}}, ""},
	{"tls.suites", finding.Insufficient, beast{rsa: 2048, config: func(c *tls.Config) { c.CipherSuites = append(c.CipherSuites, tls.TLS_RSA_WITH_RC4_128_SHA) }}, ""},
	{"tls.suites", finding.PhaseOut, beast{rsa: 2048, config: func(c *tls.Config) {
		c.CipherSuites = append(c.CipherSuites, tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA)
	}}, ""},
	{"tls.groups", finding.Insufficient, beast{canned: &flight{group: 0x0100}}, "mozilla-intermediate"},
	{"tls.post-quantum", finding.Sufficient, beast{config: func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} }}, ""},
	{"tls.key-length", finding.Insufficient, beast{canned: &flight{suite: 0x009e, bits: 1024}}, ""},
	{"tls.key-length", finding.Good, beast{canned: &flight{suite: 0x009e, bits: 2048}}, ""},
	{"tls.signature-hash", finding.Insufficient, beast{canned: &flight{}}, ""},
	{"tls.compression", finding.PhaseOut, beast{canned: &flight{compression: 1}}, ""},
	{"tls.renegotiation", finding.Insufficient, beast{canned: &flight{bare: true}}, ""},
	{"tls.extended-master-secret", finding.PhaseOut, beast{canned: &flight{bare: true}}, ""},
	{"tls.preference", finding.Sufficient, beast{}, ""}, // crypto/tls follows the client in part
	{"tls.fallback", finding.Sufficient, beast{canned: &flight{version: tls.VersionTLS11}}, ""},
	{"tls.fallback", finding.Good, beast{config: func(c *tls.Config) { c.MinVersion = tls.VersionTLS10; old(c) }}, ""},
	{"tls.resumption", finding.Sufficient, beast{config: func(c *tls.Config) { c.SessionTicketsDisabled = true }}, ""},
	{"tls.alpn", finding.Sufficient, beast{config: func(c *tls.Config) { c.NextProtos = nil }}, ""},
	{"tls.sni", finding.Sufficient, beast{config: strict}, ""},
	{"tls.client-certificate", finding.Sufficient, beast{config: func(c *tls.Config) { c.ClientAuth = tls.RequestClientCert }}, ""},

	{"cert.trusted", finding.Insufficient, beast{strange: true}, ""},
	{"cert.name", finding.Insufficient, beast{leaf: func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"other.example"} }}, ""},
	{"cert.dates", finding.Insufficient, beast{leaf: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }}, ""},
	{"cert.dates", finding.Insufficient, beast{leaf: func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }}, ""},
	{"cert.dates", finding.PhaseOut, beast{leaf: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(5 * 24 * time.Hour) }}, ""},
	{"cert.key", finding.Insufficient, beast{rsa: 1024}, ""},
	{"cert.key", finding.PhaseOut, beast{rsa: 2048}, "ncsc-nl"},
	{"cert.signature", finding.Insufficient, beast{sign: x509.SHA1WithRSA}, ""},
	{"cert.lifetime", finding.Insufficient, beast{leaf: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(400 * 24 * time.Hour) }}, "mozilla-intermediate"},
	{"cert.lifetime", finding.Good, beast{}, "mozilla-intermediate"},
	{"cert.chain", finding.PhaseOut, beast{chain: true}, ""},
	{"cert.both", finding.Insufficient, beast{also: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }}, ""},
	{"cert.both", finding.Insufficient, beast{also: func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"other.example"} }}, ""},
	{"cert.both", finding.Good, beast{also: func(*x509.Certificate) {}}, ""},
	{"cert.transparency", finding.Sufficient, beast{}, ""},
	{"cert.transparency", finding.Good, beast{leaf: func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier(sctList), Value: []byte{4, 2, 0, 0}}}
	}}, ""},
	{"cert.revocation", finding.Sufficient, beast{leaf: func(c *x509.Certificate) { c.OCSPServer = []string{"http://127.0.0.1:1"} }}, ""},
}

// old has crypto/tls take the suites of old versions.
func old(c *tls.Config) {
	c.CipherSuites = append(c.CipherSuites, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA)
}

// strict has it refuse names that it does not know.
func strict(c *tls.Config) {
	all := c.Certificates
	c.Certificates = nil
	c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if hello.ServerName != "" {
			return nil, nil
		}
		return &all[0], nil
	}
}

// judgedBy are what the standard of a row and the roots of the zoo are.
func judgedBy(t *testing.T, standard string) func(*Config) {
	return func(c *Config) {
		c.Roots = x509.NewCertPool()
		c.Roots.AddCert(trusted().cert)
		if standard != "" {
			s, err := finding.StandardByID(standard)
			if err != nil {
				t.Fatal(err)
			}
			c.Standards = []finding.Standard{s}
		}
	}
}

// flawless is what a beast without flaws has, if it is one of them.
var flawless = []string{
	"tls.versions", "tls.groups", "tls.post-quantum", "tls.signature-hash", "tls.compression", "tls.renegotiation",
	"tls.client-renegotiation", "tls.extended-master-secret", "tls.early-data", "tls.resumption", "tls.alpn", "tls.sni", "tls.client-certificate",
	"cert.trusted", "cert.name", "cert.dates", "cert.key", "cert.signature", "cert.chain", "cert.transparency",
}

func beasts() (all []specimen) {
	for i, row := range bestiary {
		all = append(all, row.beast.specimen(fmt.Sprintf("%s/%d", row.id, i), sightings{row.id: row.verdict}, row.standard))
	}
	finds := sightings{}
	for _, id := range flawless {
		finds[id] = finding.Good
	}
	return append(all, flawlessBeast.specimen("tls.flawless", finds, ""))
}

func (b beast) specimen(name string, finds sightings, standard string) specimen {
	return specimen{name, finds, func(t *testing.T) look { return lookingAt("imaps://"+b.start(t), judgedBy(t, standard)) }}
}

var flawlessBeast = beast{leaf: func(c *x509.Certificate) {
	c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier(sctList), Value: []byte{4, 2, 0, 0}}}
}}

// TestAWholeBeastHasNoFlaw: whatever it is asked, nothing else is found either.
func TestAWholeBeastHasNoFlaw(t *testing.T) {
	r := result(t, "imaps://"+flawlessBeast.start(t), judgedBy(t, ""))
	for _, f := range r.All {
		if f.Verdict.Bad() || f.Verdict == finding.NotTestable {
			t.Errorf("%s %s: %s", f.Verdict, f.ID, f.Evidence)
		}
	}
	if n := r.Services[0].Connections; n > 20 {
		t.Errorf("%d connections", n)
	}
}

// openSSLs have what crypto/tls cannot be made to do.
func openSSLs() (all []specimen) {
	for _, row := range []struct {
		id   string
		args []string
		want finding.Verdict
	}{
		{"tls.client-renegotiation", []string{"-tls1_2", "-client_renegotiation"}, finding.Sufficient},
		{"tls.client-renegotiation", []string{"-tls1_2"}, finding.Good},
		{"tls.early-data", []string{"-early_data", "-max_early_data", "4096"}, finding.PhaseOut},
		{"tls.early-data", nil, finding.Good},
		{"tls.preference", []string{"-serverpref"}, finding.Good},
		{"tls.groups", []string{"-groups", "P-256"}, finding.Good},
	} {
		all = append(all, specimen{row.id + strings.Join(row.args, ""), sightings{row.id: row.want}, func(t *testing.T) look {
			return lookingAt("ldaps://"+sServer(t, row.args...), judgedBy(t, ""))
		}})
	}
	return all
}
