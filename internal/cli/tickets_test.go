package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"starttls"
	"starttls/internal/config"
	"starttls/internal/store"
	"starttls/test/peers/peer"
)

// A fleet is nodes that serve the same, with a store that they share.
type fleet struct {
	*testing.T
	dir   string
	nodes []*service
	said  []*lockedBuffer
	cache tls.ClientSessionCache
	roots *x509.CertPool
	days  atomic.Int64 // that the clocks of all nodes are ahead
}

// startFleet starts nodes with these lines in [tls]. Each has the routes "imap" and "smtp", and "other", which is
// imap with a certificate for another name.
func startFleet(t *testing.T, lines ...string) *fleet {
	f := &fleet{T: t, dir: t.TempDir(), cache: tls.NewLRUClientSessionCache(0), roots: x509.NewCertPool()}
	for _, name := range []string{"mail.example.org", "other.example.org"} {
		if err := writeCertificate(filepath.Join(f.dir, name), name, "localhost"); err != nil {
			t.Fatal(err)
		}
	}
	for i, line := range lines {
		text := fmt.Sprintf("state = %q\n[tls]\n%s\n", filepath.Join(f.dir, fmt.Sprint("state", i)), line)
		for _, route := range []string{"imap imap mail", "smtp smtp mail", "other imap other"} {
			words := strings.Fields(route)
			file := filepath.Join(f.dir, words[2]+".example.org")
			text += fmt.Sprintf("[[route]]\nname = %q\nlisten = \"%s://127.0.0.1:0?tls=encrypt\"\n[[route.certificate]]\ncert = %q\nkey = %q\n",
				words[0], words[1], file+".pem", file+".key")
		}
		said := &lockedBuffer{}
		s := &service{std: streams{nil, said, said}, read: readText(text)}
		startService(t, s)
		f.nodes, f.said = append(f.nodes, s), append(f.said, said)
		if s.tickets.kept != nil {
			s.tickets.kept.Close()
			f.open(s)
		}
	}
	for _, r := range inOrder(f.nodes[0].routes) {
		for _, leaf := range r.certs.Leaves() {
			f.roots.AddCert(leaf)
		}
	}
	return f
}

// visit has a session with a route of a node, as the client that was at the others, and reports whether it resumes
// an earlier one.
func (f *fleet) visit(node int, route string) bool {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	defer cancel()
	for _, r := range f.nodes[node].routes {
		if r.Name != route {
			continue
		}
		// The name is in both certificates: the client has one ticket for all.
		client := &tls.Config{ServerName: "localhost", RootCAs: f.roots, ClientSessionCache: f.cache}
		conn, err := starttls.Dial(ctx, r.listen.Scheme+"://"+r.ln.Addr().String(), &starttls.Config{TLS: client})
		if err != nil {
			f.Fatal(err)
		}
		talkWith(f.T, conn, r.Dialect.Name) // the ticket comes before the answer
		return conn.ConnectionState().DidResume
	}
	f.Fatal("no such route")
	return false
}

func (f *fleet) now() time.Time { return time.Now().Add(time.Duration(f.days.Load()) * 24 * time.Hour) }

// open has a node use the store by the fleet's clock.
func (f *fleet) open(s *service) {
	f.Helper()
	file, err := s.read()
	if err != nil {
		f.Fatal(err)
	}
	s.tickets.now = f.now
	if s.tickets.kept, err = store.Open(store.Config{URL: file.Store.URL, Now: f.now}); err != nil {
		f.Fatal(err)
	}
	if err := s.tickets.kept.Flush(f.Context()); err != nil {
		f.Fatal(err)
	}
}

// later has it be some days later at all nodes, and the secrets refreshed.
func (f *fleet) later(days int64) {
	f.Helper()
	f.days.Store(days)
	for _, s := range f.nodes {
		if err := s.tickets.refresh(f.Context()); err != nil {
			f.Fatal(err)
		}
	}
}

// expect tells of a visit that does not go as it must.
func (f *fleet) expect(what string, got, want bool) {
	f.Helper()
	if got != want {
		f.Errorf("%s: resumed %v", what, got)
	}
}

// TestTicketsOfAFleet: a session that began at one node resumes at another, from day to day, and at no other
// service.
func TestTicketsOfAFleet(t *testing.T) {
	pg := peer.StartPostgres(t, peer.PostgresOptions{Mode: peer.ModePlain})
	for name, url := range map[string]string{
		"SQLite":     "sqlite:" + filepath.Join(t.TempDir(), "shared.db"),
		"PostgreSQL": fmt.Sprintf("postgres://%s:%s@%s/postgres?sslmode=disable", peer.User, peer.Password, pg.Addr),
	} {
		t.Run(name, func(t *testing.T) {
			shared := fmt.Sprintf("tickets = \"shared\"\n[store]\nurl = %q\n", url)
			f := startFleet(t, shared, shared)
			f.expect("the first", f.visit(0, "imap"), false)
			f.expect("the other node", f.visit(1, "imap"), true)
			f.expect("another protocol", f.visit(1, "smtp"), false)
			f.visit(0, "imap")
			f.expect("other names", f.visit(0, "other"), false)
			f.visit(0, "imap")
			f.later(1)
			f.expect("the day after", f.visit(1, "imap"), true)
			f.later(2)
			f.expect("one more, with a ticket of then", f.visit(0, "imap"), true)
			f.later(2 + 3)
			f.expect("a ticket that is too old", f.visit(1, "imap"), false)
			for i, said := range f.said {
				for _, secret := range f.nodes[i].tickets.secrets {
					if strings.Contains(said.String(), fmt.Sprintf("%x", secret)) || strings.Contains(said.String(), string(secret)) {
						t.Error("a secret is in the log")
					}
				}
			}
		})
	}
}

// TestTicketsWithoutTheStore: what is known goes on, then each node is alone, and says so; when the store is back
// they are one again.
func TestTicketsWithoutTheStore(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "shared.db")
	shared := fmt.Sprintf("tickets = \"shared\"\n[store]\nurl = %q\n", url)
	f := startFleet(t, shared, shared)
	f.visit(0, "imap")
	for _, s := range f.nodes {
		s.tickets.kept.Close()
	}
	f.later(1)
	f.expect("tomorrow's secret was known", f.visit(1, "imap"), true)
	f.later(2)
	f.expect("a ticket from before", f.visit(0, "imap"), true)
	f.expect("each is alone", f.visit(1, "imap"), false)
	f.expect("and serves its own", f.visit(1, "imap"), true)
	for i, said := range f.said {
		if strings.Count(said.String(), "of this node alone until the store is back") != 1 {
			t.Errorf("node %d said %s", i, said)
		}
		f.open(f.nodes[i])
	}
	f.later(2)
	f.visit(0, "imap")
	f.expect("the store is back", f.visit(1, "imap"), true)
	if !strings.Contains(f.said[0].String(), "are those of all nodes again") {
		t.Errorf("said %s", f.said[0])
	}
}

// TestTicketsOfOneNode: without the word nothing is shared, and nothing of it is in the store.
func TestTicketsOfOneNode(t *testing.T) {
	f := startFleet(t, "", `tickets = "own"`)
	f.expect("the first", f.visit(0, "imap"), false)
	f.expect("the same node", f.visit(0, "imap"), true)
	f.expect("the other node", f.visit(1, "imap"), false)
	if f.nodes[0].tickets.kept != nil {
		t.Error("a store was opened")
	}
}

// TestTicketsAreNamed: a word that is none is told with its place.
func TestTicketsAreNamed(t *testing.T) {
	file, err := config.Read("f.toml", []byte("[tls]\ntickets = \"all\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newTickets(file, nil, true); err == nil || err.Error() != `f.toml:2:1: unknown tickets "all"; meant is own or shared` {
		t.Error(err)
	}
}
