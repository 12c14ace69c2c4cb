package check

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// served listens on loopback and serves each connection by serve.
func served(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
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
				serve(conn)
			}()
		}
	}()
	return ln.Addr().String()
}

var ownCertificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mx.example.org"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(80 * 24 * time.Hour), DNSNames: []string{"mx.example.org", "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
})

func serverTLS() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{ownCertificate()}, CipherSuites: []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	}}
}

// hangUp in the place of an answer is to say nothing and go.
const hangUp = "hang up"

// An animal is a mail server with some flaw. The zero animal has none that the checker knows.
type animal struct {
	greeting string            // in place of its greeting
	ehlo     []string          // lines of the answer to EHLO in the clear, in place of its own
	inside   []string          // and inside TLS
	answers  map[string]string // by verb, in the clear
	work     bool              // takes mail and logins in the clear
	keep     bool              // keeps what stands behind the upgrade
	behind   bool              // answers it in the clear
	state    bool              // goes on inside TLS with the transaction of the clear
	again    bool              // goes ahead inside TLS
	lax      bool              // takes any word that begins with STARTTLS
	cut      bool              // hangs up behind its go-ahead
	drop     bool              // throws away what stands behind the upgrade
	formal   string            // what it says to an upgrade before a hello; hangUp is nothing
	version  uint16            // of TLS, the only one, if not zero
}

func (a animal) serve(conn net.Conn) {
	s := session{animal: a, wire: conn, clear: true, in: bufio.NewReader(conn)}
	s.say(or(a.greeting, "220 mx.example.org ESMTP"))
	for s.step(conn) {
	}
}

// A session is one client of an animal.
type session struct {
	animal
	wire        net.Conn
	in          *bufio.Reader
	clear, mail bool
	named       bool // a hello was said
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func (s *session) say(line string) { fmt.Fprintf(s.wire, "%s\r\n", line) }

// step answers one command and reports whether there is more to do.
func (s *session) step(conn net.Conn) bool {
	line, err := s.in.ReadString('\n')
	if err != nil {
		return false
	}
	line = strings.TrimRight(line, "\r\n")
	verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
	if answer := s.answers[verb]; answer != "" && s.clear {
		s.say(answer)
		return true
	}
	switch {
	case verb == "EHLO":
		s.named = true
		s.hello()
	case verb == "QUIT":
		s.say("221 2.0.0 Bye")
		return false
	case verb == "STARTTLS" && s.formal != "" && !s.named:
		if s.formal == hangUp {
			return false
		}
		s.say(s.formal)
	case verb == "STARTTLS" && line == verb, s.lax && strings.HasPrefix(verb, "STARTTLS"):
		return s.startTLS(conn)
	case strings.HasPrefix(verb, "STARTTLS"):
		s.say("500 5.5.1 Unknown")
	case s.clear && !s.work:
		s.say("530 5.7.0 Must issue a STARTTLS command first")
	case verb == "MAIL":
		s.mail = true
		s.say("250 2.1.0 Go on")
	case verb == "RCPT" && !s.mail:
		s.say("503 5.5.1 Need MAIL")
	case verb == "AUTH":
		s.say("334 ")
	default:
		s.say("250 2.0.0 Fine")
	}
	return true
}

func (s *session) hello() {
	lines := s.ehlo
	if lines == nil {
		lines = []string{"mx.example.org", "SIZE 1000", "STARTTLS"}
	}
	if !s.clear {
		if lines = s.inside; lines == nil {
			lines = []string{"mx.example.org", "SIZE 1000", "AUTH PLAIN"}
		}
	}
	for i, line := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		s.say("250" + sep + line)
	}
}

// startTLS reports whether there is a session after it.
func (s *session) startTLS(conn net.Conn) bool {
	if !s.clear {
		if s.again {
			s.say("220 2.0.0 Go ahead")
			return true
		}
		s.say("503 5.5.1 TLS is active already")
		return true
	}
	s.say("220 2.0.0 Go ahead")
	if s.cut {
		return false
	}
	if s.behind && s.in.Buffered() > 0 {
		s.say("250 2.0.0 mx.example.org")
	}
	rest, _ := s.in.Peek(s.in.Buffered())
	rest = append([]byte(nil), rest...)
	config := serverTLS()
	config.MinVersion, config.MaxVersion = s.version, s.version
	var secured *tls.Conn
	if s.keep {
		secured = tls.Server(conn, config)
		s.in = bufio.NewReader(&restConn{Conn: secured, rest: rest})
	} else if s.drop {
		secured = tls.Server(conn, config)
		s.in = bufio.NewReader(secured)
	} else {
		secured = tls.Server(&restConn{Conn: conn, rest: rest}, config)
		s.in = bufio.NewReader(secured)
	}
	s.wire, s.clear, s.mail = secured, false, s.mail && s.state
	return secured.Handshake() == nil
}
