package store_test

import (
	"fmt"
	"testing"
	"time"

	"starttls/internal/store"
	"starttls/mtasts"
	"starttls/test/peers/peer"
)

// BenchmarkStore measures what a delivery waits for (reading a policy), and what can be counted and written.
func BenchmarkStore(b *testing.B) {
	pg := peer.StartPostgres(b, peer.PostgresOptions{Mode: peer.ModePlain, Settings: []string{"synchronous_commit=on"}})
	for name, url := range map[string]string{
		"SQLite":     "sqlite:" + b.TempDir() + "/store.db",
		"PostgreSQL": fmt.Sprintf("postgres://%s:%s@%s/postgres?sslmode=disable", peer.User, peer.Password, pg.Addr),
	} {
		s, err := store.Open(store.Config{URL: url})
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		p, err := mtasts.ParsePolicy([]byte(text))
		if err != nil {
			b.Fatal(err)
		}
		s.Policies.Put(b.Context(), mtasts.Entry{Domain: "example.com", ID: "1", Policy: p, Fetched: time.Now(), Used: time.Now()})
		if err := s.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/Get", func(b *testing.B) {
			for b.Loop() {
				s.Policies.Get(b.Context(), "example.com")
			}
		})
		b.Run(name+"/Add", func(b *testing.B) { // 1,000 domains, all on disk in the end
			for n := 0; b.Loop(); n++ {
				s.Tally.Add(session(fmt.Sprintf("d%d.example", n%1000), time.Now(), ok(sts)))
			}
			if err := s.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
