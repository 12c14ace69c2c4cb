package cli

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
