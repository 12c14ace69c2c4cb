package cli

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starttls/mtasts"
	"starttls/test/peers/peer"
)

// TestPolicyServeShares: what one program has learned, another has; and a store that is away stops neither.
func TestPolicyServeShares(t *testing.T) {
	pg := peer.StartPostgres(t, peer.PostgresOptions{Mode: peer.ModePlain})
	for name, url := range map[string]string{
		"SQLite":     "sqlite:" + filepath.Join(t.TempDir(), "shared.db"),
		"PostgreSQL": fmt.Sprintf("postgres://%s:%s@%s/postgres?sslmode=disable", peer.User, peer.Password, pg.Addr),
		"away":       "sqlite:/dev/null/store.db",
	} {
		t.Run(name, func(t *testing.T) {
			const want = "OK secure match=mx.sts-enforce.test servername=hostname"
			var both [2]*policyService
			for i := range both {
				both[i] = startPolicy(t, "--lab", "--listen", "inet:127.0.0.1:0", "--postfix", "3.9", "--store", url, "--metrics", "127.0.0.1:0")
				if got := both[i].query("sts-enforce.test"); got != want {
					t.Error(got)
				}
			}
			if strings.Contains(both[0].said(both[0].out, "store      "), peer.Password) {
				t.Error("the password is told")
			}
			if name != "away" { // what a third has fetched, though no policy host is there
				learn(t, url, "sts-down.test")
				for _, p := range both {
					if got, want := p.query("sts-down.test"), "OK secure match=mx.sts-down.test servername=hostname"; got != want {
						t.Error(got)
					}
				}
			}
			if name == "away" {
				both[0].said(both[0].err, "store away, going on with what is in memory")
				both[0].counted("starttls_store_up 0")
				both[0].stop()
				both[0].said(both[0].err, "not everything was written to the store")
				return
			}
			for end := time.Now().Add(patience); !strings.Contains(both[0].scrape(), "starttls_store_up 1"); {
				if time.Now().After(end) {
					t.Fatal("the store does not come up")
				}
			}
			s, err := openStore(url, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			both[0].stop() // what waits is written
			<-both[0].ended
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if e, ok := s.Policies.Get(t.Context(), "sts-enforce.test"); !ok || e.Policy.Mode != "enforce" {
				t.Errorf("%+v", e)
			}
		})
	}
}

// learn puts a policy of a domain into a store, as another process that could fetch it.
func learn(t *testing.T, url, domain string) {
	t.Helper()
	s, err := openStore(url, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p, err := mtasts.NewPolicy(mtasts.Enforce, time.Hour, "mx."+domain)
	if err != nil {
		t.Fatal(err)
	}
	s.Policies.Put(t.Context(), mtasts.Entry{Domain: domain, ID: "1", Policy: p, Fetched: time.Now(), Used: time.Now(), Due: time.Now().Add(time.Hour)})
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestKeptIsKnownAtOnce: who blocks DNS and policy host while a program starts does not find it without the
// policy that it had (RFC 8461 §10.2).
func TestKeptIsKnownAtOnce(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "kept.db")
	learn(t, url, "example.org")
	s, err := openStore(url, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, ok := s.Policies.Get(t.Context(), "example.org"); !ok {
		t.Error("the first delivery does not know the policy")
	}
}

// TestGatewayKeepsWhatItLearns: of deliveries to the lab, by two routes with one store, which are read again
// as well.
func TestGatewayKeepsWhatItLearns(t *testing.T) {
	l, err := startLab()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	r := startReloading(t, "first")
	r.lab = l
	url := "sqlite:" + filepath.Join(r.dir, "learned.db")
	for _, limit := range []string{"7", "8"} {
		r.configure("out:backend = \"mx:\"\nmax-connections = "+limit, `other:backend = "mx:"`)
		r.text += fmt.Sprintf("[store]\nurl = %q\n", url)
		r.reload()
	}
	for domain, code := range map[string]string{"dane-ee.test": "250 ", "sts-enforce.test": "250 ", "dane-rolled.test": "451 "} {
		s := r.dial("out")
		fmt.Fprintf(s.conn, "HELO client.test\r\nMAIL FROM:<a@client.test>\r\nRCPT TO:<b@%s>\r\nDATA\r\n", domain)
		for _, want := range []string{"250 ", "250 ", "250 ", "354 "} {
			s.expect(want)
		}
		s.conn.Write([]byte("Subject: lab\r\n\r\n.\r\n"))
		s.expect(code)
	}
	kept, err := openStore(url, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	want := map[string]string{
		"dane-ee.test":     "tlsa 1/0 ",
		"sts-enforce.test": "sts 1/0 ",
		"dane-rolled.test": "tlsa 0/1 validation-failure ",
	}
	told := map[string]string{}
	for end := time.Now().Add(patience); len(told) < len(want) && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		counts, _ := kept.Tally.Day(t.Context(), time.Now())
		for _, c := range counts {
			told[c.Domain] = fmt.Sprintf("%s %d/%d ", c.Policy.Type, c.Successful, c.Failed)
			for _, f := range c.Failures {
				told[c.Domain] += string(f.Type) + " "
			}
		}
	}
	for domain, words := range want {
		if told[domain] != words {
			t.Errorf("%s: counted %q, want %q", domain, told[domain], words)
		}
	}
	if _, ok := kept.Policies.Get(t.Context(), "sts-enforce.test"); !ok {
		t.Error("no policy")
	}
	if seen := kept.Hosts.Recall(t.Context(), "mx.dane-ee.test"); seen == nil || seen.Version == 0 {
		t.Errorf("host: %+v", seen)
	}
	var b bytes.Buffer
	r.board.writeGauges(&b)
	for _, name := range []string{"out", "other"} {
		if !strings.Contains(b.String(), fmt.Sprintf("starttls_store_up{route=%q} 1\n", name)) {
			t.Errorf("%s in\n%s", name, &b)
		}
	}
}
