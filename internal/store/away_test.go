package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"starttls/internal/policy"
	"starttls/internal/store"
	"starttls/mtasts"
)

// logged is a log in memory.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logged) set(c *store.Config) { c.Log = slog.New(slog.NewTextHandler(l, nil)) }

// away makes a store fail that is in use, and returns how to mend it.
func away(t *testing.T, url string) (newURL string, breakIt, mend func()) {
	if file, ok := strings.CutPrefix(url, "sqlite:"); ok {
		// A folder in its place cannot be opened.
		return url,
			func() { os.Rename(file, file+".away"); os.Mkdir(file, 0o700) },
			func() { os.Remove(file); os.Rename(file+".away", file) }
	}
	p, url := newPath(t, url)
	return url, func() { p.set(true) }, func() { p.set(false) }
}

// TestStoreGoesAway: deliveries go on with what is in memory, the log tells of it once, and what came
// meanwhile is written when the store is back.
func TestStoreGoesAway(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		url, breakIt, mend := away(t, url)
		var log logged
		s := open(t, url, log.set)
		ctx, now := t.Context(), time.Now()
		s.Policies.Put(ctx, entry(t, "known.example", "1", mtasts.Enforce, now))
		s.Hosts.Remember(ctx, "known.example", policy.Seen{Last: now, Version: 0x304})
		flush(t, s)

		breakIt()
		until(t, "the store to be away", func() bool {
			s.Tally.Add(session("example.com", now, ok(none)))
			return s.Health().Err != nil
		})
		start := time.Now()
		s.Policies.Put(ctx, entry(t, "new.example", "2", mtasts.Enforce, now))
		s.Hosts.Remember(ctx, "new.example", policy.Seen{Last: now, Version: 0x303})
		has(t, s, "known.example", "1")
		has(t, s, "new.example", "2")
		has(t, s, "unknown.example", "")
		for host, version := range map[string]uint16{"known.example": 0x304, "new.example": 0x303} {
			if seen := s.Hosts.Recall(ctx, host); seen == nil || seen.Version != version {
				t.Errorf("%s: %+v", host, seen)
			}
		}
		if due := s.Policies.Due(ctx, 10, time.Minute); len(due) != 0 {
			t.Errorf("due: %v", due)
		}
		if _, err := s.Tally.Day(ctx, now); err == nil {
			t.Error("a report could be made of nothing")
		}
		if err := s.Flush(ctx); err == nil {
			t.Error("confirmed what is not on disk")
		}
		if h := s.Health(); h.Err == nil || h.Waiting == 0 || h.Lost != 0 {
			t.Errorf("%+v", h)
		}
		if spent := time.Since(start); spent > patience {
			t.Errorf("deliveries waited %v", spent)
		}

		mend()
		until(t, "the store to be back", func() bool { return s.Flush(ctx) == nil })
		if h := s.Health(); h.Err != nil || h.Waiting != 0 {
			t.Errorf("%+v", h)
		}
		other := open(t, url)
		has(t, other, "known.example", "1")
		has(t, other, "new.example", "2")
		if seen := other.Hosts.Recall(ctx, "new.example"); seen == nil {
			t.Error("a host was lost")
		}
		if counts := day(t, other, now); len(counts) != 1 || counts[0].Successful == 0 {
			t.Errorf("%+v", counts)
		}
		if text := log.String(); strings.Count(text, "store away") != 1 || strings.Count(text, "store back") != 1 || strings.Contains(text, "secret") {
			t.Error(text)
		}
	})
}

// TestStoreHangs: a server that takes questions and answers none keeps one delivery waiting, for a moment.
func TestStoreHangs(t *testing.T) {
	p, url := newPath(t, newPostgres(t))
	s := open(t, url)
	now := time.Now()
	s.Policies.Put(t.Context(), entry(t, "example.com", "1", mtasts.Enforce, now))
	s.Hosts.Remember(t.Context(), "mx.example.com", policy.Seen{Last: now})
	flush(t, s)
	p.hold(t)

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if s.Policies.Get(gone, "example.com"); s.Health().Err != nil {
		t.Error("a delivery that went away has taken the store along: ", s.Health().Err)
	}
	has(t, s, "example.com", "1")
	if s.Health().Err == nil {
		t.Error("the store is said to be there")
	}
	for range 1000 { // these do not wait
		has(t, s, "example.com", "1")
		if s.Hosts.Recall(t.Context(), "mx.example.com") == nil {
			t.Fatal("nothing in memory")
		}
	}
}

// TestAnswerToCommitIsLost: what was written and not confirmed is tried again, and counted once.
func TestAnswerToCommitIsLost(t *testing.T) {
	direct := newPostgres(t)
	p, url := newPath(t, direct)
	s := open(t, url)
	now := time.Now()
	for range 5 {
		p.mu.Lock()
		p.lose = true
		p.mu.Unlock()
		s.Tally.Add(session("example.com", now, failed(sts, mismatch)))
		until(t, "the path to be cut", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return !p.lose })
		until(t, "the store", func() bool { return s.Flush(t.Context()) == nil })
	}
	counts := day(t, open(t, direct), now)
	if len(counts) != 1 || counts[0].Failed != 5 || counts[0].Failures[0].Sessions != 5 {
		t.Errorf("%+v", counts)
	}
}

// TestStoreIsAwayAtFirst: the program begins without it.
func TestStoreIsAwayAtFirst(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		url, breakIt, mend := away(t, url)
		if file, ok := strings.CutPrefix(url, "sqlite:"); ok {
			os.MkdirAll(filepath.Dir(file), 0o700)
		}
		breakIt()
		s, err := store.Open(store.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Flush(t.Context()); err == nil || s.Health().Err == nil {
			t.Error("there is a store")
		}
		s.Policies.Put(t.Context(), entry(t, "example.com", "1", mtasts.Enforce, time.Now()))
		has(t, s, "example.com", "1")
		mend()
		until(t, "the store", func() bool { return s.Flush(t.Context()) == nil })
		has(t, open(t, url), "example.com", "1")
	})
}

// TestWaitingIsBounded: a store that stays away costs so much memory and no more.
func TestWaitingIsBounded(t *testing.T) {
	s, err := store.Open(store.Config{URL: "sqlite:/dev/null/x", MaxWaiting: 2500})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 3000 {
		s.Policies.Put(t.Context(), mtasts.Entry{Domain: string(rune('a' + i)), Policy: &mtasts.Policy{Mode: mtasts.Enforce, MaxAge: time.Hour}, Fetched: time.Now()})
	}
	if h := s.Health(); h.Waiting != 2500 || h.Lost != 500 {
		t.Errorf("%+v", h)
	}
}

// TestFileRemoved: SQLite would go on writing into what nobody can open again.
func TestFileRemoved(t *testing.T) {
	url := newSQLite(t)
	file := strings.TrimPrefix(url, "sqlite:")
	s := open(t, url)
	s.Policies.Put(t.Context(), entry(t, "before.example", "1", mtasts.Enforce, time.Now()))
	flush(t, s)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	s.Policies.Put(t.Context(), entry(t, "after.example", "2", mtasts.Enforce, time.Now()))
	until(t, "a new file", func() bool { return s.Flush(t.Context()) == nil })
	other := open(t, url)
	has(t, other, "before.example", "1") // from memory
	has(t, other, "after.example", "2")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
}

// TestDamagedFile: it is left as it is.
func TestDamagedFile(t *testing.T) {
	for name, damage := range map[string]func(file string) error{
		"another file": func(file string) error { return os.WriteFile(file, bytes.Repeat([]byte("garbage\n"), 4096), 0o600) },
		"overwritten": func(file string) error {
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			for i := 100; i < len(data); i++ { // behind the header
				data[i] = 0xa5
			}
			return os.WriteFile(file, data, 0o600)
		},
		"cut": func(file string) error { return os.Truncate(file, 5000) },
	} {
		t.Run(name, func(t *testing.T) {
			url := newSQLite(t)
			file := strings.TrimPrefix(url, "sqlite:")
			s := open(t, url)
			s.Policies.Put(t.Context(), entry(t, "example.com", "1", mtasts.Enforce, time.Now()))
			flush(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := damage(file); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err = store.Open(store.Config{URL: url})
			if err != nil {
				t.Fatal(err)
			}
			s.Policies.Put(t.Context(), entry(t, "example.net", "2", mtasts.Enforce, time.Now()))
			if err := s.Flush(t.Context()); err == nil {
				t.Error("confirmed")
			}
			has(t, s, "example.net", "2")
			if h := s.Health(); h.Err == nil || h.Waiting != 1 {
				t.Errorf("%+v", h)
			}
			if err := s.Close(); err == nil {
				t.Error("closed as if nothing was lost")
			}
			after, err := os.ReadFile(file)
			if err != nil || !bytes.Equal(before, after) {
				t.Error("the damaged file was changed: ", err)
			}
		})
	}
}

// TestNewerSchema: an old program does not touch what a newer one has made.
func TestNewerSchema(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		open(t, url).Close()
		if _, err := database(t, url).Exec(`INSERT INTO migration (version, at) VALUES (999, 0)`); err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(store.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), "version 999") {
			t.Error(err)
		}
	})
}

// TestMigrationFails: half a schema is none.
func TestMigrationFails(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		if file, ok := strings.CutPrefix(url, "sqlite:"); ok {
			os.MkdirAll(filepath.Dir(file), 0o700)
		}
		db := database(t, url)
		if _, err := db.Exec(`CREATE TABLE failure_count (x TEXT)`); err != nil { // in the way of the last step
			t.Fatal(err)
		}
		s, err := store.Open(store.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), "0001_") {
			t.Error(err)
		}
		if err := db.QueryRow(`SELECT 1 FROM sts`).Scan(new(int)); err == nil || err == sql.ErrNoRows {
			t.Error("half a schema is there: ", err)
		}
	})
}

func TestURLs(t *testing.T) {
	for _, bad := range []string{"", "sqlite:", "sqlite", "/var/lib/x.db", "mysql://u:secret@h/d", "postgres:x", "postgres://u:secret@h:port/d", "postgres://u:sec\x7fret@h/d"} {
		if s, err := store.Open(store.Config{URL: bad}); err == nil {
			s.Close()
			t.Errorf("%q was opened", bad)
		} else if strings.Contains(err.Error(), "sec") {
			t.Errorf("a password is told: %v", err)
		}
	}
}

// TestFlushIsGivenUp: who waits for the store does not wait for ever.
func TestFlushIsGivenUp(t *testing.T) {
	s, err := store.Open(store.Config{URL: "postgres://joe:secret@192.0.2.1/db"}) // nobody answers there
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Flush(ctx); err == nil {
		t.Error("confirmed")
	}
	if err := s.Close(); err != nil {
		t.Error(err) // nothing was lost
	}
	if err := s.Flush(t.Context()); err == nil {
		t.Error("confirmed after the end")
	}
}
