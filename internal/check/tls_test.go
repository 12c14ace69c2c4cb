package check

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"starttls/internal/finding"
)

// A beast is an IMAP server with TLS from the first byte, and some flaw in that.
type beast struct {
	config  func(*tls.Config)
	canned  *flight                 // answers ClientHellos that were made by hand
	leaf    func(*x509.Certificate) // changes its certificate
	rsa     int                     // bits of an RSA key in the place of ECDSA
	also    func(*x509.Certificate) // a second certificate, with RSA
	sign    x509.SignatureAlgorithm
	chain   bool // sends a certificate that does not belong
	strange bool // an authority that nobody trusts
}

// authority signs for the beasts.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

var trusted, unknown = sync.OnceValue(newAuthority), sync.OnceValue(newAuthority)

func newAuthority() authority {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "Zoo CA"}, NotBefore: time.Now().Add(-1000 * time.Hour), NotAfter: time.Now().Add(10000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return authority{cert, key}
}

// issue makes a certificate for 127.0.0.1.
func (a authority) issue(t *testing.T, bits int, sign x509.SignatureAlgorithm, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	var key crypto.Signer
	var err error
	if bits > 0 {
		key, err = rsa.GenerateKey(rand.Reader, bits)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "beast"}, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(60 * 24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, SignatureAlgorithm: sign,
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (b beast) start(t *testing.T) string {
	t.Helper()
	a := trusted()
	if b.strange {
		a = unknown()
	}
	config := serverTLS()
	config.NextProtos = []string{"imap"}
	config.Certificates = []tls.Certificate{a.issue(t, b.rsa, b.sign, b.leaf)}
	if b.also != nil {
		config.Certificates = append(config.Certificates, a.issue(t, 2048, 0, b.also))
	}
	if b.chain {
		config.Certificates[0].Certificate = append(config.Certificates[0].Certificate, unknown().cert.Raw)
	}
	if b.rsa > 0 || b.also != nil {
		config.CipherSuites = append(config.CipherSuites, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256)
	}
	if b.config != nil {
		b.config(config)
	}
	return served(t, func(conn net.Conn) { b.serve(conn, config) })
}

func (b beast) serve(conn net.Conn, config *tls.Config) {
	if b.canned != nil {
		head := bufio.NewReader(conn)
		size, err := head.Peek(5)
		if err != nil {
			return
		}
		hello, err := head.Peek(5 + int(size[3])<<8 + int(size[4]))
		if err != nil {
			return
		}
		if compresses(hello) {
			conn.Write(b.canned.marshal(config.Certificates[0].Certificate[0]))
			io.Copy(io.Discard, conn)
			return
		}
		conn = &restConn{Conn: conn, rest: bytes.Clone(hello)}
	}
	secured := tls.Server(conn, config)
	if secured.Handshake() != nil {
		return
	}
	in := bufio.NewScanner(secured)
	fmt.Fprint(secured, "* OK ready\r\n")
	for in.Scan() {
		tag, command, _ := strings.Cut(in.Text(), " ")
		switch strings.ToUpper(command) {
		case "CAPABILITY":
			fmt.Fprintf(secured, "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n%s OK done\r\n", tag)
		case "LOGOUT":
			fmt.Fprintf(secured, "* BYE bye\r\n%s OK done\r\n", tag)
			return
		default:
			fmt.Fprintf(secured, "%s BAD no\r\n", tag)
		}
	}
}

// compresses reports whether a ClientHello offers to compress: those of crypto/tls do not.
func compresses(record []byte) bool {
	s := cryptobyte.String(record[5+4+2+32:])
	var session, suites, methods cryptobyte.String
	return s.ReadUint8LengthPrefixed(&session) && s.ReadUint16LengthPrefixed(&suites) && s.ReadUint8LengthPrefixed(&methods) && len(methods) > 1
}

// A flight is what a server of TLS 1.2 says to a ClientHello, true or not: nobody checks.
type flight struct {
	suite         uint16 // ECDHE if zero
	compression   uint8
	group, scheme uint16
	bits          int // of a finite field
	bare          bool
}

func (f flight) marshal(der []byte) []byte {
	var b cryptobyte.Builder
	message := func(kind uint8, body func(*cryptobyte.Builder)) {
		b.AddUint8(22)
		b.AddUint16(0x0303)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint8(kind)
			b.AddUint24LengthPrefixed(body)
		})
	}
	suite := f.suite
	if suite == 0 {
		suite = tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
	}
	message(2, func(b *cryptobyte.Builder) {
		b.AddUint16(0x0303)
		b.AddBytes(make([]byte, 32))
		b.AddUint8(0)
		b.AddUint16(suite)
		b.AddUint8(f.compression)
		if !f.bare {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte("\xff\x01\x00\x01\x00\x00\x17\x00\x00")) })
		}
	})
	message(11, func(b *cryptobyte.Builder) {
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(der) })
		})
	})
	message(12, func(b *cryptobyte.Builder) {
		if f.bits > 0 {
			prime := new(big.Int).SetBit(new(big.Int), f.bits-1, 1).Bytes()
			for range 3 {
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(prime) })
			}
		} else {
			b.AddUint8(3)
			b.AddUint16(max(f.group, 23))
			b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(make([]byte, 65)) })
		}
		b.AddUint16(max(f.scheme, 0x0201))
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(make([]byte, 70)) })
	})
	message(14, func(*cryptobyte.Builder) {})
	return b.BytesOrPanic()
}

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
	{"tls.suites", finding.PhaseOut, beast{rsa: 2048, config: func(c *tls.Config) {
		c.CipherSuites = append(c.CipherSuites, tls.TLS_RSA_WITH_AES_128_GCM_SHA256)
	}}, ""},
	{"tls.suites", finding.Insufficient, beast{rsa: 2048, config: func(c *tls.Config) { c.CipherSuites = append(c.CipherSuites, tls.TLS_RSA_WITH_RC4_128_SHA) }}, ""},
	{"tls.suites", finding.PhaseOut, beast{rsa: 2048, config: func(c *tls.Config) {
		c.CipherSuites = append(c.CipherSuites, tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA)
	}}, ""},
	{"tls.groups", finding.Insufficient, beast{canned: &flight{group: 19 + 4}}, "bsi"}, // set below
	{"tls.post-quantum", finding.Sufficient, beast{config: func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} }}, ""},
	{"tls.key-length", finding.Insufficient, beast{canned: &flight{suite: 0x009e, bits: 1024}}, ""},
	{"tls.signature-hash", finding.Insufficient, beast{canned: &flight{}}, ""},
	{"tls.compression", finding.PhaseOut, beast{canned: &flight{compression: 1}}, ""},
	{"tls.renegotiation", finding.Insufficient, beast{canned: &flight{bare: true}}, ""},
	{"tls.extended-master-secret", finding.PhaseOut, beast{canned: &flight{bare: true}}, ""},
	{"tls.preference", finding.Sufficient, beast{}, ""}, // crypto/tls follows the client in part
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
	{"cert.revocation", finding.Sufficient, beast{leaf: func(c *x509.Certificate) { c.OCSPServer = []string{"http://ocsp.example"} }}, ""},
	{"cert.revocation", finding.Good, beast{leaf: func(c *x509.Certificate) { c.OCSPServer = []string{"http://ocsp.example"} },
		config: func(c *tls.Config) { c.Certificates[0].OCSPStaple = []byte("staple") }}, ""},
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

func TestEveryFlawOfTLSIsFound(t *testing.T) {
	for i, row := range bestiary {
		if row.id == "tls.groups" {
			row.beast.canned, row.standard = &flight{group: 0x0100}, "mozilla-intermediate"
		}
		t.Run(fmt.Sprintf("%s/%d", row.id, i), func(t *testing.T) {
			t.Parallel()
			addr := row.beast.start(t)
			for range 3 {
				if f := checked(t, "imaps://"+addr, judgedBy(t, row.standard))[row.id]; f.Verdict != row.verdict {
					t.Fatalf("%q: %s", f.Verdict, f.Evidence)
				}
			}
		})
	}
}

// TestAWholeBeastHasNoFlaw: the other side of every row but those that tell of what is merely not there.
func TestAWholeBeastHasNoFlaw(t *testing.T) {
	addr := beast{leaf: func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier(sctList), Value: []byte{4, 2, 0, 0}}}
	}}.start(t)
	r := result(t, "imaps://"+addr, judgedBy(t, ""))
	found := map[string]finding.Verdict{}
	for _, f := range r.All {
		found[f.ID] = f.Verdict
		if f.Verdict.Bad() || f.Verdict == finding.NotTestable {
			t.Errorf("%s %s: %s", f.Verdict, f.ID, f.Evidence)
		}
	}
	for _, row := range bestiary {
		if v, ok := found[row.id]; !ok && row.id != "tls.key-length" && row.id != "tls.fallback" || v == finding.Insufficient {
			t.Errorf("%s is %q", row.id, v)
		}
	}
	if n := r.Services[0].Connections; n > 20 {
		t.Errorf("%d connections", n)
	}
}

// TestFlawsThatOpenSSLHas: what crypto/tls cannot be made to do.
func TestFlawsThatOpenSSLHas(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("peer missing: openssl")
		}
		t.Skip("peer missing: openssl")
	}
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
		t.Run(row.id+strings.Join(row.args, ""), func(t *testing.T) {
			t.Parallel()
			addr := sServer(t, openssl, row.args...)
			if f := checked(t, "ldaps://"+addr, judgedBy(t, ""))[row.id]; f.Verdict != row.want {
				t.Errorf("%q: %s", f.Verdict, f.Evidence)
			}
		})
	}
}

// sServer starts "openssl s_server" and returns where it listens.
func sServer(t *testing.T, openssl string, args ...string) string {
	t.Helper()
	pair := trusted().issue(t, 0, 0, nil)
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		if err := os.WriteFile(dir+"/"+name, pemOf(kind, der), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir + "/" + name
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, openssl, append([]string{"s_server", "-accept", "127.0.0.1:0", "-naccept", "1000",
		"-key", write("key", "PRIVATE KEY", key), "-cert", write("cert", "CERTIFICATE", pair.Certificate[0])}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe() // it ends when its input does
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); in.Close(); cmd.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, addr, ok := strings.Cut(lines.Text(), "ACCEPT "); ok {
			go io.Copy(io.Discard, out)
			return addr
		}
	}
	t.Fatal("openssl s_server does not listen")
	return ""
}
