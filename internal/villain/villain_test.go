package villain

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"starttls/dialect"
	"starttls/internal/finding"
)

// verdicts has the client visit every villain and returns what is found.
func verdicts(t *testing.T, s *Stage, visit func(*Listener)) map[string]finding.Finding {
	t.Helper()
	for _, l := range s.Listeners {
		visit(l)
	}
	until(t, s.Visited)
	found := map[string]finding.Finding{}
	for _, f := range s.Result().Services[0].Findings {
		found[f.ID] = f
	}
	return found
}

func until(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("some villain was not visited, or does not come to an end")
		}
	}
}

// A naive client is one of old: one buffer for all that is read, before TLS and inside.
type naive struct {
	scheme        string
	clear, inside []string                     // what it says
	ends          func(said, line string) bool // whether line is the end of an answer
	believes      bool                         // an answer that stood there before the question: TLS has begun
}

var naives = []naive{
	{"smtp", []string{"EHLO naive", "STARTTLS"}, []string{"EHLO naive", "MAIL FROM:<>"},
		func(_, line string) bool { return len(line) < 4 || line[3] != '-' }, false},
	{"imap", []string{"a1 CAPABILITY", "a2 STARTTLS"}, []string{"a3 CAPABILITY", "a4 LOGIN joe verify"},
		taggedEnd, false},
	{"imap", []string{"a1 CAPABILITY", "a2 STARTTLS"}, []string{"a3 CAPABILITY", "a4 LOGIN joe verify"},
		taggedEnd, true},
}

func taggedEnd(said, line string) bool { return said == "" || strings.HasPrefix(line, said[:2]) }

// waits is how long it waits: a villain may say nothing that it would take for an answer.
func (n naive) waits(l *Listener) time.Duration {
	if l.odd || l.upgrade == says {
		return impatience
	}
	d, _ := dialect.ByScheme(n.scheme)
	return client{dialect: d, flaw: "client.injected"}.waits(l)
}

func (n naive) visit(l *Listener, config *tls.Config) {
	conn, err := net.Dial("tcp", l.Addr)
	if err != nil {
		return
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(n.waits(l)))
	in := bufio.NewReader(conn)
	var last string
	says := func(to net.Conn, words string) {
		if words != "" {
			fmt.Fprintf(to, "%s\r\n", words)
		}
		for {
			line, err := in.ReadString('\n')
			if last = line; err != nil || n.ends(words, line) {
				return
			}
		}
	}
	says(conn, "")
	for _, words := range n.clear {
		if n.believes && in.Buffered() > 0 {
			fmt.Fprintf(conn, "%s\r\n%s\r\n", words, n.inside[1])
			return
		}
		says(conn, words)
	}
	if !strings.HasPrefix(last, "220") && !strings.HasPrefix(last, "a2 OK") {
		return
	}
	secured := tls.Client(conn, config)
	if secured.Handshake() != nil {
		return
	}
	rest, _ := in.Peek(in.Buffered())
	in = bufio.NewReader(&kept{secured, slices.Clone(rest)})
	for _, words := range n.inside {
		says(secured, words)
	}
}

func TestNaiveReaderIsCaught(t *testing.T) {
	for _, n := range naives {
		t.Run(n.scheme, func(t *testing.T) {
			t.Parallel()
			for range rounds() {
				n.isCaught(t)
			}
		})
	}
}

func (n naive) isCaught(t *testing.T) {
	s := openFor(t, n.scheme)
	roots := x509.NewCertPool()
	roots.AddCert(s.CA())
	config := &tls.Config{RootCAs: roots, ServerName: "localhost"}
	found := verdicts(t, s, func(l *Listener) { n.visit(l, config) })
	if f := found["client.injected"]; f.Verdict != finding.Insufficient {
		t.Errorf("%s is %s: %s", f.ID, f.Verdict, f.Evidence)
	}
	if f, want := found["client.early"], map[bool]finding.Verdict{true: finding.Insufficient, false: finding.Sufficient}[n.believes]; f.Verdict != want {
		t.Errorf("%s is %s, want %s: %s", f.ID, f.Verdict, want, f.Evidence)
	}
	for _, id := range []string{"client.honest", "client.name", "client.refused"} {
		if f := found[id]; f.Verdict != finding.Good {
			t.Errorf("%s is %s: %s", id, f.Verdict, f.Evidence)
		}
	}
}

// TestNothingFollowsFromAClientThatDoesNoWork: a port scanner, or a client that does not trust our
// authority, is not praised.
func TestNothingFollowsFromAClientThatDoesNoWork(t *testing.T) {
	s := openFor(t, "imap")
	found := verdicts(t, s, func(l *Listener) {
		if conn, err := net.Dial("tcp", l.Addr); err == nil {
			conn.Close()
		}
	})
	for id, f := range found {
		if f.Verdict != finding.NotTestable {
			t.Errorf("%s is %s: %s", id, f.Verdict, f.Evidence)
		}
	}
	s = openFor(t, "imap")
	if r := s.Result(); r.Reached || r.Verdict != finding.NotTestable {
		t.Errorf("nobody was there: %+v", r)
	}
}

func TestSecretsAreNotTold(t *testing.T) {
	for _, row := range []struct {
		words, tag, want string
	}{
		{"a1 LOGIN joe hunter2\r\n", "a1", "LOGIN"},
		{"AUTH PLAIN AGpvZQBodW50ZXIy\r\n", "", "AUTH"},
		{"pass hunter2\r\n", "", "PASS"},
		{"hunter2\r\n", "", "its login or first work"},
		{"AGpvZQBodW50ZXIy\r\n", "", "its login or first work"},
		{"<auth xmlns='x'>", "", "AUTH"},
		{"\x30\x1c\x02\x01", "1", "its login or first work"},
	} {
		got := label(dialect.Message{Raw: []byte(row.words), Tag: row.tag})
		if got != row.want {
			t.Errorf("%q is told as %q, want %q", row.words, got, row.want)
		}
	}
}

func TestNextTag(t *testing.T) {
	for tag, want := range map[string]string{"a1": "a2", "A0009": "A0010", "A999": "A1000", "x": "x", "": "", "7": "8"} {
		if got := nextTag(tag); got != want {
			t.Errorf("after %q comes %q, want %q", tag, got, want)
		}
	}
}
