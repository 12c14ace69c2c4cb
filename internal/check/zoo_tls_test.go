package check

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// A beast is an IMAP server with TLS from the first byte, and some flaw in that.
type beast struct {
	config  func(*tls.Config)
	silent  bool                    // says nothing to ClientHellos that were made by hand
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
	if b.canned != nil || b.silent {
		head := bufio.NewReader(conn)
		size, err := head.Peek(5)
		if err != nil {
			return
		}
		hello, err := head.Peek(5 + int(size[3])<<8 + int(size[4]))
		if err != nil {
			return
		}
		if compresses(hello) && b.silent {
			io.Copy(io.Discard, conn)
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
	version       uint16 // TLS 1.2 if zero
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
	message(2, func(b *cryptobyte.Builder) {
		b.AddUint16(cmp.Or(f.version, tls.VersionTLS12))
		b.AddBytes(make([]byte, 32))
		b.AddUint8(0)
		b.AddUint16(cmp.Or(f.suite, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256))
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

// refuseUpgrades answers StartTLS inside TLS, through the standard input of s_server, for one that is asked over
// LDAP: it would say nothing of its own.
func refuseUpgrades(out io.Reader, in io.Writer) {
	const startTLS, protocolError = "1.3.6.1.4.1.1466.20037", "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\x00\x04\x00"
	words := bufio.NewScanner(out)
	words.Split(func(data []byte, end bool) (int, []byte, error) {
		if at := bytes.Index(data, []byte(startTLS)); at >= 0 {
			return at + len(startTLS), data[:0], nil
		}
		return max(0, len(data)-len(startTLS)), nil, nil
	})
	for words.Scan() {
		io.WriteString(in, protocolError)
	}
}

// sServer starts "openssl s_server" and returns where it listens.
func sServer(t *testing.T, args ...string) string {
	t.Helper()
	pair := trusted().issue(t, 0, 0, nil)
	addr, out, in := openssl(t, append([]string{"s_server", "-accept", "127.0.0.1:0", "-naccept", "1000",
		"-key", keyFile(t, pair.PrivateKey), "-cert", pemFile(t, "CERTIFICATE", pair.Certificate[0])}, args...)...)
	go refuseUpgrades(out, in)
	return addr
}

func keyFile(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pemFile(t, "PRIVATE KEY", der)
}

func pemFile(t *testing.T, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pem")
	if err := os.WriteFile(file, pemOf(kind, der), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// openssl starts a server of OpenSSL, and returns what it says of where it listens, its output and its input:
// some end when that does.
func openssl(t *testing.T, args ...string) (accepts string, out io.Reader, in io.WriteCloser) {
	t.Helper()
	program, err := exec.LookPath("openssl")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal("peer missing: openssl")
	} else if err != nil {
		t.Skip("peer missing: openssl")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, args...)
	if out, err = cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); in.Close(); cmd.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, accepts, ok := strings.Cut(lines.Text(), "ACCEPT "); ok {
			return accepts, out, in
		}
	}
	t.Fatalf("openssl %s does not listen", args[0])
	return "", nil, nil
}
