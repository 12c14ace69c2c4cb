package relay

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// An mx is a next hop that keeps what it takes, and can be told to go wrong in any phase.
type mx struct {
	t    *testing.T
	ln   net.Listener
	cert *tls.Certificate // nil: no STARTTLS
	// offers are the extensions besides STARTTLS.
	offers     []string
	requireTLS bool // offered inside TLS
	// on, if not nil, is asked before each command is answered: the words that it returns are said in
	// place of the answer, "close" and "hang" do what they say, and "" is the usual course. The phases are
	// the verbs, "banner", "HANDSHAKE" and "." (the end of the message).
	on func(phase, line string) string

	mu       sync.Mutex
	taken    []letter
	commands []string
	sessions int
	released chan struct{}
}

// A letter is a message that an mx has taken.
type letter struct {
	from, params string
	to           []string
	trace, data  string // the line that was put in front, and what was handed in; unstuffed
	secured      bool
}

func newMX(t *testing.T, cert *tls.Certificate, offers ...string) *mx {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if offers == nil {
		offers = []string{"PIPELINING", "8BITMIME", "SIZE 1000000"}
	}
	m := &mx{t: t, ln: ln, cert: cert, offers: offers, released: make(chan struct{})}
	t.Cleanup(func() { ln.Close(); close(m.released) })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			m.mu.Lock()
			m.sessions++
			m.mu.Unlock()
			go func() {
				defer conn.Close()
				(&mxSession{mx: m, conn: conn, r: bufio.NewReader(conn)}).serve()
			}()
		}
	}()
	return m
}

// when sets what goes wrong from now on.
func (m *mx) when(on func(phase, line string) string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.on = on
}

// in makes what goes wrong in one phase.
func in(phase, words string) func(string, string) string {
	return func(at, _ string) string {
		if at == phase {
			return words
		}
		return ""
	}
}

// fixed is a listener that is somebody else's: only its address counts.
type fixedListener struct {
	net.Listener
	addr net.Addr
}

func fixed(addr string) net.Listener {
	a, _ := net.ResolveTCPAddr("tcp", addr)
	return fixedListener{addr: a}
}

func (l fixedListener) Addr() net.Addr { return l.addr }

func (m *mx) addr() netip.AddrPort { return m.ln.Addr().(*net.TCPAddr).AddrPort() }

func (m *mx) letters() []letter {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]letter(nil), m.taken...)
}

// said are the commands that were heard.
func (m *mx) said() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.commands, "\n")
}

func (m *mx) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sessions
}

type mxSession struct {
	*mx
	conn    net.Conn
	r       *bufio.Reader
	secured bool
	letter  letter
	body    bytes.Buffer
}

// goesWrong does what the test wants done in a phase. over says that the session has ended.
func (s *mxSession) goesWrong(phase, line string) (said, over bool) {
	s.mu.Lock()
	on := s.on
	s.mu.Unlock()
	if on == nil {
		return false, false
	}
	switch words := on(phase, line); words {
	case "":
		return false, false
	case "close":
		return false, true
	case "hang":
		<-s.released
		return false, true
	default:
		s.say(words)
		return true, false
	}
}

func (s *mxSession) say(words string) { io.WriteString(s.conn, words+"\r\n") }

func (s *mxSession) serve() {
	if said, over := s.goesWrong("banner", ""); over {
		return
	} else if !said {
		s.say("220 mx.test ESMTP")
	}
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		s.mu.Lock()
		s.commands = append(s.commands, line)
		s.mu.Unlock()
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		said, over := s.goesWrong(verb, line)
		if over || !said && !s.obey(verb, line) {
			return
		}
	}
}

func (s *mxSession) obey(verb, line string) bool {
	switch verb {
	case "EHLO":
		offers := append([]string{"mx.test"}, s.offers...)
		if s.requireTLS && s.secured {
			offers = append(offers, "REQUIRETLS")
		}
		if s.cert != nil && !s.secured {
			offers = append(offers, "STARTTLS")
		}
		last := len(offers) - 1
		for _, o := range offers[:last] {
			s.say("250-" + o)
		}
		s.say("250 " + offers[last])
	case "STARTTLS":
		s.say("220 go on")
		if _, over := s.goesWrong("HANDSHAKE", ""); over {
			return false
		}
		conn := tls.Server(s.conn, &tls.Config{Certificates: []tls.Certificate{*s.cert}})
		if conn.Handshake() != nil {
			return false
		}
		s.conn, s.r, s.secured = conn, bufio.NewReader(conn), true
	case "MAIL":
		path, params, _ := strings.Cut(line[len("MAIL FROM:<"):], ">")
		s.letter = letter{from: path, params: strings.TrimSpace(params), secured: s.secured}
		s.body.Reset()
		s.say("250 2.1.0 sender ok")
	case "RCPT":
		s.letter.to = append(s.letter.to, line[len("RCPT TO:<"):len(line)-1])
		s.say("250 2.1.5 recipient ok")
	case "DATA":
		s.say("354 go on")
		return s.data()
	case "BDAT":
		return s.bdat(line)
	case "QUIT":
		s.say("221 bye")
		return false
	default:
		s.say("502 what?")
	}
	return true
}

func (s *mxSession) data() bool {
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		s.body.WriteString(strings.TrimPrefix(line, "."))
		if _, over := s.goesWrong("body", line); over {
			return false
		}
	}
	return s.take()
}

func (s *mxSession) bdat(line string) bool {
	words := strings.Fields(line)
	n, _ := strconv.Atoi(words[1])
	if _, err := io.CopyN(&s.body, s.r, int64(n)); err != nil {
		return false
	}
	if len(words) == 3 {
		return s.take()
	}
	s.say("250 chunk ok")
	return true
}

// take keeps the message, unless the phase goes wrong. A phase ".taken" goes wrong after it was kept.
func (s *mxSession) take() bool {
	if said, over := s.goesWrong(".", ""); said || over {
		return !over
	}
	s.letter.trace, s.letter.data = cutTrace(s.body.String())
	s.mu.Lock()
	s.taken = append(s.taken, s.letter)
	s.mu.Unlock()
	if said, over := s.goesWrong(".taken", ""); said || over {
		return !over
	}
	s.say("250 2.0.0 taken")
	return true
}

// cutTrace cuts the first field off a message.
func cutTrace(data string) (trace, rest string) {
	end := strings.Index(data, "\r\n")
	for end >= 0 && strings.HasPrefix(data[end:], "\r\n\t") {
		next := strings.Index(data[end+2:], "\r\n")
		end += 2 + next
	}
	return data[:end+2], data[end+2:]
}

// selfSigned returns a certificate for names, and the pool in which it is trusted.
func selfSigned(t *testing.T, names ...string) (*tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ := x509.ParseCertificate(der)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

// A client is what hands mail in: it says lines and hears replies.
type client struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func (c *client) send(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.conn, format, args...); err != nil {
		c.t.Fatal(err)
	}
}

// hear returns the next reply, its lines joined.
func (c *client) hear() string {
	c.t.Helper()
	c.conn.SetReadDeadline(time.Now().Add(3 * time.Minute))
	var all []string
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("after %q: %v", all, err)
		}
		all = append(all, strings.TrimSuffix(line, "\r\n"))
		if len(line) < 4 || line[3] != '-' {
			return strings.Join(all, "\n")
		}
	}
}

// startTLS goes on inside TLS, unverified.
func (c *client) startTLS() {
	c.t.Helper()
	c.ask("STARTTLS", "220")
	secured := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	if err := secured.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	c.conn, c.r = secured, bufio.NewReader(secured)
}

// ask says a line and wants a reply that begins with want.
func (c *client) ask(line, want string) string {
	c.t.Helper()
	c.send("%s\r\n", line)
	return c.want(want)
}

func (c *client) want(want string) string {
	c.t.Helper()
	got := c.hear()
	if !strings.HasPrefix(got, want) {
		c.t.Fatalf("got %q, want %q", got, want)
	}
	return got
}
