package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"starttls/internal/store"
	"starttls/test/peers/peer"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// onEach runs a test on each engine. It is given the URL of a store that is empty.
func onEach(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { test(t, newSQLite(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, newPostgres(t)) })
}

func newSQLite(t *testing.T) string {
	return "sqlite:" + filepath.Join(t.TempDir(), "a store?#%.db")
}

// newPostgres starts a server that keeps what it has confirmed.
func newPostgres(t *testing.T) string {
	t.Helper()
	p := peer.StartPostgres(t, peer.PostgresOptions{Mode: peer.ModePlain, Settings: []string{"synchronous_commit=on", "full_page_writes=on", "log_min_messages=warning"}})
	return fmt.Sprintf("postgres://%s:%s@%s/postgres?sslmode=disable", peer.User, peer.Password, p.Addr)
}

// open opens a store that goes with the test, and waits until it is there.
func open(t *testing.T, url string, edits ...func(*store.Config)) *store.Store {
	t.Helper()
	cfg := store.Config{URL: url, Every: time.Millisecond}
	for _, edit := range edits {
		edit(&cfg)
	}
	s, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	flush(t, s)
	return s
}

func flush(t *testing.T, s *store.Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

// until waits for a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain for ", what)
		}
	}
}

// database opens the database behind a store for the test itself.
func database(t *testing.T, storeURL string) *sql.DB {
	t.Helper()
	driver, dsn := "pgx", storeURL
	if path, ok := strings.CutPrefix(storeURL, "sqlite:"); ok {
		driver, dsn = "sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: "_busy_timeout=5000"}).String()
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// number asks a question that has a number for an answer.
func number(t *testing.T, db *sql.DB, query string, args ...any) (n int) {
	t.Helper()
	if err := db.QueryRow(query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A clock is set by hand.
type clock struct{ unix atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.unix.Store(1_800_000_000)
	return c
}

func (c *clock) now() time.Time      { return time.Unix(c.unix.Load(), 0) }
func (c *clock) add(d time.Duration) { c.unix.Add(int64(d / time.Second)) }
func (c *clock) set(cfg *store.Config) {
	cfg.Now = c.now
}

// TestNoFolderIsMade: a path that was misspelt does not become one.
func TestNoFolderIsMade(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "none")
	s, err := store.Open(store.Config{URL: "sqlite:" + filepath.Join(folder, "store.db")})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(t.Context()); err == nil {
		t.Error("there is a store in a folder that there is not")
	}
	s.Close()
	if _, err := os.Stat(folder); err == nil {
		t.Error("the folder was made")
	}
}
