package tryout

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A notebook is an Out that can be read while it is written.
type notebook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (n *notebook) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(p)
}

func (n *notebook) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.String()
}

func newServer(t *testing.T, name string) (*Server, *notebook) {
	t.Helper()
	s, ok := New(name)
	if !ok {
		t.Fatalf("no server for %s", name)
	}
	out := new(notebook)
	s.Out, s.Name = out, "try.test"
	return s, out
}

func dial(t *testing.T, s *Server) net.Conn {
	t.Helper()
	conn, err := s.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// converse says all of it in one piece, ends its direction, and returns all that the server says.
func converse(t *testing.T, s *Server, said string) string {
	t.Helper()
	conn := dial(t, s)
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	go func() {
		io.WriteString(conn, said)
		conn.(interface{ CloseWrite() error }).CloseWrite()
	}()
	heard, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("after %q: %v", heard, err)
	}
	return string(heard)
}

// A talk is lines of a client, and what the server must say, as lines. A line that ends in "…" is the
// beginning of one.
type talk struct {
	server, name string
	say, hear    string
	out          string // what a person is told
}

func (k talk) run(t *testing.T) {
	s, out := newServer(t, k.server)
	heard := converse(t, s, strings.ReplaceAll(k.say, "\n", "\r\n"))
	want := strings.Split(strings.TrimSpace(k.hear), "\n")
	got := strings.Split(strings.TrimSuffix(k.lines(heard), "\r\n"), "\r\n")
	same := func(g, w string) bool {
		begin, cut := strings.CutSuffix(w, "…")
		return g == w || cut && strings.HasPrefix(g, begin)
	}
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("heard:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if out.String() != k.out {
		t.Errorf("told %q, want %q", out, k.out)
	}
}

func TestTalks(t *testing.T) {
	for _, k := range slices.Concat(smtpTalks, imapTalks, pop3Talks, otherTalks) {
		t.Run(k.server+"/"+k.name, k.run)
	}
}

func TestNewKnowsOnlyItsProtocols(t *testing.T) {
	for _, name := range []string{
		"smtp", "lmtp", "imap", "pop3", "ldap", "postgres", "mysql", "sieve", "nntp", "ftp", "irc", "xmpp", "xmpp-server",
		"telnet", "nats", "nut", "http", "acap", "mtqp", "nbd",
	} {
		newServer(t, name)
	}
	if _, ok := New("gopher"); ok {
		t.Error("a server for gopher")
	}
}

// No server may offer TLS, nor take a request for it: that is the gateway's work.
func TestNoServerKnowsTLS(t *testing.T) {
	for server, said := range map[string]string{
		"smtp": "EHLO x\r\nSTARTTLS\r\n", "lmtp": "LHLO x\r\nSTARTTLS\r\n",
		"imap": "a CAPABILITY\r\na STARTTLS\r\n", "pop3": "CAPA\r\nSTLS\r\n",
		"sieve": "CAPABILITY\r\nSTARTTLS\r\n", "nntp": "CAPABILITIES\r\nSTARTTLS\r\n", "ftp": "FEAT\r\nAUTH TLS\r\n",
		"acap": "a STARTTLS\r\n", "mtqp": "STARTTLS try.test\r\n",
	} {
		s, _ := newServer(t, server)
		heard := converse(t, s, said)
		_, refusal, _ := strings.Cut(heard, "not known")
		if strings.Contains(heard, "STARTTLS") || strings.Contains(heard, "STLS") || strings.Contains(heard, "AUTH TLS") || refusal == heard {
			t.Errorf("%s: %q", server, heard)
		}
	}
}

func TestLongLinesEndTheConnection(t *testing.T) {
	for server, last := range map[string]string{"smtp": "500 ", "lmtp": "500 ", "imap": "* BYE ", "pop3": "-ERR ",
		"sieve": "BYE ", "nntp": "400 ", "ftp": "500 ", "acap": "* BYE ", "mtqp": "-BAD ", "nats": "-ERR "} {
		s, _ := newServer(t, server)
		heard := converse(t, s, strings.Repeat("x", 1<<20))
		if lines := strings.Split(heard, "\r\n"); len(lines) < 3 || !strings.HasPrefix(lines[len(lines)-2], last) {
			t.Errorf("%s: %q", server, heard)
		}
	}
}

// Whatever a stranger sends, the server comes to an end, and to no panic.
func TestNoiseIsSurvived(t *testing.T) {
	noise := []string{
		"", "\x00", "\r\n\r\n\n", "\xff\xff\xff\xff\xff\xff", "\x30\x84\xff\xff\xff\xff", "\x30\x80\x00\x00",
		"\x30\x00", "\x30\x03\x02\x01\x01", "\x30\x05\x02\x01\x01\x63\x00", "\x30\x05\x02\x01\x01\x60\x00",
		"\x30\x05\x02\x01\x01\x77\x00", "\x00\x00\x00\x04", "\x00\x00\x00\x09\x00\x03\x00\x00\x00",
		"\x00\x00\x00\x08\x04\xd2\x16\x2e", "\x00\x00\x00\x01", "\x20\x00\x00\x00" + strings.Repeat("\xff", 32),
		"\x00\x00\x00\x00", "\xff\xff\xff\x00", "a LOGIN {99999999999}\r\n", "a LOGIN {70000+}\r\n", "a X {5}\r\nab",
		"a UID\r\n", "a\r\n", "AUTH\r\nAUTH PLAIN\r\n*\r\n", "APOP\r\nTOP\r\n", "a ID {0}\r\n\r\n",
	}
	for _, p := range protocols {
		for _, said := range noise {
			s, _ := newServer(t, p.name)
			converse(t, s, said)
		}
	}
}

func TestSilenceEndsTheConnection(t *testing.T) {
	for _, p := range protocols {
		synctest.Test(t, func(t *testing.T) {
			s, _ := newServer(t, p.name)
			conn, err := s.Dial(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			begin := time.Now()
			if _, err := io.ReadAll(conn); err != nil || time.Since(begin) != idle {
				t.Errorf("%s: ended after %v with %v", p.name, time.Since(begin), err)
			}
		})
	}
}

func TestDialHeedsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s, _ := newServer(t, "smtp")
	if _, err := s.Dial(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestToldWordsAreHarmless(t *testing.T) {
	for in, want := range map[string]string{
		"joe":                    "joe",
		"jürgen <a@x>":           "jürgen <a@x>",
		"a\nb":                   `"a\nb"`,
		"\x1b[2J":                `"\x1b[2J"`,
		"\u202eevil":             `"\u202eevil"`,
		"\xff":                   `"\xff"`,
		strings.Repeat("é", 500): strings.Repeat("é", 100) + "…",
	} {
		if got := visible(in); got != want {
			t.Errorf("%q is shown as %s", in, got)
		}
	}
}

func TestPipeHalfClose(t *testing.T) {
	a, b := pipe()
	io.WriteString(a, "question")
	a.CloseWrite()
	if heard, err := io.ReadAll(b); string(heard) != "question" || err != nil {
		t.Errorf("heard %q, %v", heard, err)
	}
	if _, err := io.WriteString(a, "more"); err == nil {
		t.Error("wrote after CloseWrite")
	}
	io.WriteString(b, "answer")
	b.Close()
	if heard, err := io.ReadAll(a); string(heard) != "answer" || err != nil {
		t.Errorf("heard %q, %v", heard, err)
	}
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading a closed end: %v", err)
	}
}

func TestPipeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe()
		a.SetWriteDeadline(time.Now().Add(time.Minute))
		n, err := a.Write(make([]byte, 2*pipeBuffer))
		if n != pipeBuffer || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("wrote %d, %v", n, err)
		}
		a.SetWriteDeadline(time.Time{})
		done := make(chan error)
		go func() {
			_, err := a.Write([]byte("x"))
			done <- err
		}()
		b.Close()
		if err := <-done; !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("writing to who is gone: %v", err)
		}
	})
}

func TestPipeDeadlineWakesReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := pipe()
		go func() {
			time.Sleep(time.Second)
			a.SetDeadline(time.Now())
		}()
		if _, err := bufio.NewReader(a).ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	})
}

// FuzzServe looks for a client that makes a server panic or hang.
func FuzzServe(f *testing.F) {
	for i, p := range protocols {
		for _, k := range slices.Concat(smtpTalks, imapTalks, pop3Talks, otherTalks) {
			if k.server == p.name {
				f.Add(uint8(i), []byte(strings.ReplaceAll(k.say, "\n", "\r\n")))
			}
		}
		for _, w := range slices.Concat(wires, nbdWires, binaryWires) {
			if w.server == p.name {
				f.Add(uint8(i), []byte(bytesOf(w.say)))
			}
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, said []byte) {
		s, _ := newServer(t, protocols[int(which)%len(protocols)].name)
		converse(t, s, string(said))
	})
}
