// Package store keeps what must outlive the process: MTA-STS policies, what was seen of hosts, and the
// counts for TLS-RPT; the secrets of session tickets, for nodes that share them; and what checks have found.
// It is SQLite in a file, or PostgreSQL where several nodes share one view; the schema is the same.
//
// # Where to start
//
// [Open], and then the things kept: [Store.Policies] is the cache of package mtasts, [Store.Hosts]
// the memory of package policy, [Store.Tally] counts sessions, [Store.Tickets] has secrets,
// [Store.Runs] the history of checks. [Store.Flush] returns when all that was given to the first three is on
// disk.
//
// # The store being away never stops mail
//
// Nothing that a delivery calls waits for a write, or longer than half a second for a read. What was read or
// given is kept in memory too, and is what there is while the store is away: the database is down, the disk
// full, the file gone or damaged. Writes wait in memory, bounded, and are tried again, later and later. The
// log tells when the store goes and when it is back, and [Store.Health] tells at any time. A damaged file is
// never changed.
//
// Two processes may use one store at once. What Flush has confirmed, no end of any process undoes.
package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"starttls/mtasts"
)

// A Config says where things are kept. Only URL is needed.
type Config struct {
	// URL is "sqlite:PATH" or "postgres://USER@HOST/DATABASE?…". To a PostgreSQL on another host sslmode is
	// verify-full if the URL has none.
	URL string
	// Log is told when the store goes away and comes back. If nil, nobody is.
	Log *slog.Logger
	// Every is how long writes are gathered, at most. If zero, a second.
	Every time.Duration
	// MaxPolicies and MaxHosts bound what is kept, in memory and on disk; MaxRuns, on disk. If zero, 100,000
	// each.
	MaxPolicies, MaxHosts, MaxRuns int
	// MaxWaiting bounds how many things wait to be written. If zero, 50,000. More of them are lost: counts
	// for good, others until they come again.
	MaxWaiting int
	// Now is the clock. If nil, time.Now.
	Now func() time.Time
}

// Limits of time.
const (
	readTimeout  = 500 * time.Millisecond // a delivery waits for it
	writeTimeout = 30 * time.Second       // of one transaction, and for reaching the database
	closeTimeout = 5 * time.Second
	firstRetry   = time.Second
	lastRetry    = 30 * time.Second
	tidyEvery    = time.Minute
	maxDrift     = time.Hour      // between a clock and time, for it to be believed
	doubtFor     = 24 * time.Hour // and otherwise
)

// maxConns bounds the connections to the database: one writes, the others read.
const maxConns = 4

// A Store is an open store. Its methods, and those of its parts, may be called at the same time.
type Store struct {
	Policies *Policies
	Hosts    *Hosts
	Tally    *Tally
	Tickets  *Tickets
	Runs     *Runs

	cfg    Config
	engine engine
	db     atomic.Pointer[sql.DB] // nil while the store is away

	stop    context.CancelFunc
	stopped chan struct{}
	dirty   chan struct{} // something waits to be written
	now     chan struct{} // and somebody waits for that

	// Of those who write, one at a time: Store.run, and Close after its end.
	file   os.FileInfo // in which the data are, if in one
	tidied time.Time
	// The clock as it was last seen, and until when it is not believed.
	seen, doubted time.Time

	mu     sync.Mutex
	next   *batch   // is filled
	queue  []*batch // are written, the first one first
	lost   []*sql.DB
	health Health
}

// Health is how the store is.
type Health struct {
	Err     error     // why it is away; nil if it is not
	Since   time.Time // since when it is as it is
	Waiting int       // things that wait to be written
	Lost    uint64    // things that were never written because too many waited
}

var errStarting = errors.New("the store has not been reached yet")

// Open begins to use a store. It fails if the URL is none. A store that cannot be reached is no failure:
// see [Store.Health], and [Store.Flush] to wait for it.
func Open(cfg Config) (*Store, error) {
	e, err := engineOf(cfg.URL)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Store{
		cfg: cfg, engine: e, stop: stop,
		next: newBatch(), stopped: make(chan struct{}), dirty: make(chan struct{}, 1), now: make(chan struct{}, 1),
	}
	s.health = Health{Err: errStarting, Since: s.clock()}
	s.Policies = &Policies{store: s, memory: mtasts.Memory{Max: cfg.MaxPolicies, Now: cfg.Now}}
	s.Hosts = &Hosts{store: s}
	s.Tally = &Tally{store: s}
	s.Tickets = &Tickets{store: s}
	s.Runs = &Runs{store: s}
	go s.run(ctx)
	return s, nil
}

// String names the store, without secrets.
func (s *Store) String() string { return s.engine.name }

// Flush writes what waits, and returns when all that was given to the store before is on disk: the end of
// the process or of the machine does not undo it. It fails when the attempt at that fails; what waits
// is kept and tried again.
func (s *Store) Flush(ctx context.Context) error {
	done := make(chan error, 1)
	s.mu.Lock()
	s.next.waiters = append(s.next.waiters, done)
	s.mu.Unlock()
	signal(s.now)
	select {
	case err := <-done:
		return err
	case <-s.stopped:
		return errClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

var errClosed = errors.New("the store was closed")

// Close writes what waits and ends the use of the store. It fails if something could not be written: that
// is lost.
func (s *Store) Close() error {
	s.stop()
	<-s.stopped
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var err error
	if s.Health().Waiting > 0 {
		err = s.work(ctx)
	}
	if db := s.db.Swap(nil); db != nil {
		err = cmp.Or(err, db.Close())
	}
	s.closeLost()
	return err
}

// Health tells how the store is.
func (s *Store) Health() Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.health
	h.Waiting = s.waiting()
	return h
}

// note sets the health, and tells of a change.
func (s *Store) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.health
	s.health.Err = err
	if (was.Err == nil) == (err == nil) && was.Err != errStarting {
		return
	}
	s.health.Since = s.clock()
	switch {
	case s.cfg.Log == nil:
	case err != nil:
		s.cfg.Log.Error("store away, going on with what is in memory", "store", s.engine.name, "err", err)
	case was.Err != errStarting:
		s.cfg.Log.Info("store back", "store", s.engine.name, "away", s.health.Since.Sub(was.Since).Round(time.Second))
	}
}

// ask puts a question to the database. It fails with errAway at once if the store is away, and gives the
// database up when that fails.
func (s *Store) ask(ctx context.Context, limit time.Duration, question func(context.Context, *sql.DB) error) error {
	db := s.db.Load()
	if db == nil {
		return errAway
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := question(limited, db)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		s.failed(ctx, db, err)
	}
	return err
}

var errAway = errors.New("the store is away")

// failed gives a database up after an error, unless it is only that the one who asked has gone.
func (s *Store) failed(ctx context.Context, db *sql.DB, err error) {
	if ctx.Err() != nil || !s.db.CompareAndSwap(db, nil) {
		return
	}
	s.note(err)
	s.mu.Lock()
	s.lost = append(s.lost, db) // to close it may take time, and a delivery has none
	s.mu.Unlock()
	signal(s.now) // to reach it again
}

func (s *Store) clock() time.Time {
	if s.cfg.Now != nil {
		return s.cfg.Now()
	}
	return time.Now()
}

// signal wakes who waits on c, or the next who does.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
