package hello

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// newCertificate returns a certificate for a new key.
func newCertificate(t testing.TB, ec bool) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	if ec {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// server serves TLS and returns where.
func server(t testing.TB, config *tls.Config) string {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", config)
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
				if conn.(*tls.Conn).Handshake() == nil {
					io.Copy(io.Discard, conn)
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// asker asks the server at addr.
func asker(t testing.TB, addr string) func(*Hello) (*Reply, error) {
	return func(h *Hello) (*Reply, error) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		text, err := h.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(text); err != nil {
			return nil, err
		}
		return Read(conn)
	}
}

func everything(versions ...uint16) Hello {
	return Hello{
		Versions: versions, Suites: Suites(slices.Max(versions), func(string) bool { return true }), ServerName: "localhost",
		Groups: Groups(func(Group) bool { return true }), Schemes: Schemes(Any), Deflate: true, ALPN: []string{"imap"},
	}
}

func names(all []Chosen) (suites, groups []string) {
	for _, c := range all {
		suites = append(suites, SuiteName(c.Reply.Suite))
		if name := c.Reply.Group.String(); c.Reply.Group != 0 && !slices.Contains(groups, name) {
			groups = append(groups, name)
		}
	}
	slices.Sort(suites)
	slices.Sort(groups)
	return suites, groups
}

func TestSuitesAndGroupsOfCryptoTLS(t *testing.T) {
	want := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_RSA_WITH_AES_128_CBC_SHA}
	addr := server(t, &tls.Config{
		Certificates: []tls.Certificate{newCertificate(t, false)}, CipherSuites: want,
		CurvePreferences: []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP384},
	})
	h := everything(TLS12)
	asked := 0
	all, err := Enumerate(h, func(h *Hello) (*Reply, error) { asked++; return asker(t, addr)(h) })
	if err != nil {
		t.Fatal(err)
	}
	suites, groups := names(all)
	var wanted []string
	for _, id := range want {
		wanted = append(wanted, tls.CipherSuiteName(id))
	}
	slices.Sort(wanted)
	if !slices.Equal(suites, wanted) || !slices.Equal(groups, []string{"P-384", "X25519"}) {
		t.Errorf("TLS 1.2: %v %v", suites, groups)
	}
	if asked > len(want)+2 {
		t.Errorf("%d connections for %d suites", asked, len(want))
	}
	h = everything(TLS13)
	if all, err = Enumerate(h, asker(t, addr)); err != nil {
		t.Fatal(err)
	}
	suites, groups = names(all)
	if len(suites) != 3 || !slices.Equal(groups, []string{"P-384", "X25519", "X25519MLKEM768"}) || !all[0].Reply.Retry {
		t.Errorf("TLS 1.3: %v %v", suites, groups)
	}
}

func TestWhatAServerSays(t *testing.T) {
	addr := server(t, &tls.Config{Certificates: []tls.Certificate{newCertificate(t, true)}, NextProtos: []string{"imap"}, ClientAuth: tls.RequestClientCert})
	h := everything(TLS12)
	r, err := asker(t, addr)(&h)
	if err != nil {
		t.Fatal(err)
	}
	if r.Version != TLS12 || !r.MasterSecret || !r.Renegotiation || r.Compression != 0 || len(r.Certificates) != 1 ||
		r.Scheme.String() != "ecdsa_secp256r1_sha256" || r.ALPN != "imap" || !r.Asked || r.Group != X25519 {
		t.Errorf("%+v", r)
	}
	h.ALPN = []string{"h2"}
	if _, err := asker(t, addr)(&h); !errors.Is(err, NoApplicationProtocol) {
		t.Errorf("wrong ALPN: %v", err)
	}
	old := everything(TLS11)
	if _, err := asker(t, addr)(&old); !errors.Is(err, ProtocolVersion) {
		t.Errorf("TLS 1.1: %v", err)
	}
}

// sServer starts "openssl s_server" with arguments and returns where it listens.
func sServer(t *testing.T, args ...string) string {
	t.Helper()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("peer missing: openssl")
		}
		t.Skip("peer missing: openssl")
	}
	dir := t.TempDir()
	make := exec.Command(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", dir+"/key", "-out", dir+"/cert", "-subj", "/CN=localhost", "-days", "2")
	if out, err := make.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, openssl, append([]string{"s_server", "-accept", "127.0.0.1:0", "-naccept", "1000", "-key", dir + "/key", "-cert", dir + "/cert"}, args...)...)
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

func TestOldServersOfOpenSSL(t *testing.T) {
	for _, row := range []struct {
		name   string
		args   []string
		hello  Hello
		good   func(*Reply) bool
		refuse error
	}{
		{"TLS 1.0", []string{"-cipher", "ALL:@SECLEVEL=0", "-tls1"}, everything(TLS11), func(r *Reply) bool { return r.Version == TLS10 }, nil},
		{"DHE", []string{"-cipher", "DHE:@SECLEVEL=0", "-tls1_2"}, everything(TLS12), func(r *Reply) bool { return r.Bits >= 1024 && r.Prime != "" }, nil},
		{"SHA-1", []string{"-cipher", "ALL:@SECLEVEL=0", "-tls1_2", "-sigalgs", "RSA+SHA1"}, everything(TLS12), func(r *Reply) bool { return r.Scheme.String() == "rsa_pkcs1_sha1" }, nil},
		{"NULL", []string{"-cipher", "NULL:@SECLEVEL=0", "-tls1_2"}, everything(TLS12), func(r *Reply) bool { return strings.Contains(SuiteName(r.Suite), "_NULL_") }, nil},
		{"anonymous", []string{"-cipher", "aNULL:@SECLEVEL=0", "-tls1_2"}, everything(TLS12), func(r *Reply) bool { return strings.Contains(SuiteName(r.Suite), "_anon_") && r.Scheme == 0 }, nil},
		{"TLS 1.3 only", []string{"-tls1_3"}, everything(TLS12), nil, ProtocolVersion},
		{"TLS 1.3", []string{"-tls1_3", "-groups", "P-384"}, everything(TLS13), func(r *Reply) bool { return r.Retry && r.Group.String() == "P-384" }, nil},
		{"fallback", []string{"-cipher", "ALL:@SECLEVEL=0", "-no_tls1_3"}, func() Hello { h := everything(TLS11); h.Fallback = true; return h }(), nil, InappropriateFallback},
		{"no EMS", []string{"-cipher", "ALL:@SECLEVEL=0", "-tls1_2"}, everything(TLS12), func(r *Reply) bool { return r.MasterSecret && r.Renegotiation }, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			ask := asker(t, sServer(t, row.args...))
			r, err := ask(&row.hello)
			switch {
			case row.refuse != nil && !errors.Is(err, row.refuse):
				t.Errorf("%v, want %v", err, row.refuse)
			case row.refuse == nil && (err != nil || !row.good(r)):
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

func TestOpenReadsWhatCryptoTLSKeeps(t *testing.T) {
	addr := server(t, &tls.Config{Certificates: []tls.Certificate{newCertificate(t, true)}})
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	var keys strings.Builder
	kept := &keeper{Conn: raw}
	conn := tls.Client(kept, &tls.Config{InsecureSkipVerify: true, KeyLogWriter: &keys, ClientSessionCache: tls.NewLRUClientSessionCache(1)})
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	conn.CloseWrite()
	io.Copy(io.Discard, conn)
	o, err := Open(conn.ConnectionState().CipherSuite, keys.String(), kept.read)
	if err != nil || o.Scheme.String() != "ecdsa_secp256r1_sha256" || o.Tickets != 1 || o.EarlyData != 0 || o.Lifetime == 0 {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := Open(conn.ConnectionState().CipherSuite, strings.ReplaceAll(keys.String(), "0", "1"), kept.read); err == nil {
		t.Error("opened with a wrong secret")
	}
}

type keeper struct {
	net.Conn
	read []byte
}

func (k *keeper) Read(p []byte) (int, error) {
	n, err := k.Conn.Read(p)
	k.read = append(k.read, p[:n]...)
	return n, err
}

func TestEarlyDataIsSeen(t *testing.T) {
	addr := sServer(t, "-tls1_3", "-early_data", "-max_early_data", "4096")
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	var keys strings.Builder
	kept := &keeper{Conn: raw}
	conn := tls.Client(kept, &tls.Config{InsecureSkipVerify: true, KeyLogWriter: &keys, ClientSessionCache: tls.NewLRUClientSessionCache(1)})
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	conn.CloseWrite()
	io.Copy(io.Discard, conn)
	if o, err := Open(conn.ConnectionState().CipherSuite, keys.String(), kept.read); err != nil || o.EarlyData != 4096 {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestReadIsBounded(t *testing.T) {
	for name, text := range map[string]string{
		"not TLS":       "HTTP/1.0 400 Bad request\r\n\r\n",
		"a long record": "\x16\x03\x03\xff\xff",
		"no end":        "\x16\x03\x03\x00\x04\x02\xff\xff\xff",
		"an odd alert":  "\x15\x03\x03\x00\x01\x00",
	} {
		if _, err := Read(io.MultiReader(strings.NewReader(text), endless{})); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// endless goes on with empty handshake records of one byte.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	return copy(p, bytes.Repeat([]byte("\x16\x03\x03\x00\x01\x00"), 1+len(p)/6)), nil
}

func FuzzRead(f *testing.F) {
	h := everything(TLS12)
	for _, config := range []*tls.Config{{}, {MaxVersion: tls.VersionTLS12}, {NextProtos: []string{"x"}}} {
		config.Certificates = []tls.Certificate{newCertificate(f, true)}
		conn, err := net.Dial("tcp", server(f, config))
		if err != nil {
			f.Fatal(err)
		}
		text, err := h.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		conn.Write(text)
		var seed bytes.Buffer
		Read(io.TeeReader(conn, &seed))
		conn.Close()
		f.Add(seed.Bytes())
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := Read(bytes.NewReader(text))
		if err == nil && r == nil {
			t.Error("no reply and no error")
		}
		if err == nil && r.Version < TLS13 && len(r.Certificates) > len(text)/3 {
			t.Error("more certificates than bytes")
		}
	})
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte("\x17\x03\x03\x00\x01\x00"), "SERVER_HANDSHAKE_TRAFFIC_SECRET 00 00")
	f.Fuzz(func(t *testing.T, records []byte, keylog string) {
		Open(tls.TLS_AES_128_GCM_SHA256, keylog, records)
		var o Opened
		o.messages(records)
	})
}

func TestNamesAreThoseOfTheRegistry(t *testing.T) {
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if SuiteName(s.ID) != s.Name && !strings.HasSuffix(s.Name, "_SHA256") {
			t.Errorf("%04x is %s here and %s in crypto/tls", s.ID, SuiteName(s.ID), s.Name)
		}
	}
	if X25519MLKEM768.String() != "X25519MLKEM768" || !X25519MLKEM768.PostQuantum() || P256.PostQuantum() {
		t.Error("groups")
	}
	if !errors.Is(HandshakeFailure, Alert(40)) || Alert(99).Error() != "alert 99" || SuiteName(0x7777) != "0x7777" {
		t.Error("names of what has none")
	}
}

func TestClientsRenegotiate(t *testing.T) {
	for _, row := range []struct {
		args []string
		want bool
	}{
		{[]string{"-tls1_2"}, false},
		{[]string{"-tls1_2", "-client_renegotiation"}, true},
	} {
		conn, err := net.Dial("tcp", sServer(t, row.args...))
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		got, err := Renegotiate(t.Context(), conn, &tls.Config{InsecureSkipVerify: true})
		if err != nil || got != row.want {
			t.Errorf("%v: %v, %v", row.args, got, err)
		}
		conn.Close()
	}
	conn, err := net.Dial("tcp", server(t, &tls.Config{Certificates: []tls.Certificate{newCertificate(t, true)}}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got, err := Renegotiate(t.Context(), conn, &tls.Config{InsecureSkipVerify: true}); err != nil || got {
		t.Errorf("crypto/tls: %v, %v", got, err)
	}
}
