package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"starttls/internal/policy"
	"starttls/mtasts"
)

// A batch is what is written in one transaction.
type batch struct {
	policies  map[string]mtasts.Entry // fetched, by domain
	postponed map[string]mtasts.Entry // due another time, by domain
	used      map[string]time.Time    // by deliveries, by domain
	hosts     map[string]policy.Seen  // by name
	sessions  map[countKey]*Count
	failures  map[countKey]*FailureCount
	id        string
	at        time.Time    // when it is written
	waiters   []chan error // told when it is on disk, or could not be brought there
}

// maxBatch is how many things are written in one transaction.
const maxBatch = 1000

func newBatch() *batch {
	return &batch{
		policies: map[string]mtasts.Entry{}, postponed: map[string]mtasts.Entry{}, used: map[string]time.Time{},
		hosts: map[string]policy.Seen{}, sessions: map[countKey]*Count{}, failures: map[countKey]*FailureCount{},
		id: rand.Text(),
	}
}

func (b *batch) size() int {
	return len(b.policies) + len(b.postponed) + len(b.used) + len(b.hosts) + len(b.sessions) + len(b.failures)
}

// write writes the batch. Rows are written in the order of their keys: two processes that write the same
// ones would otherwise wait for each other.
func (b *batch) write(ctx context.Context, tx *sql.Tx) error {
	for _, part := range []func(context.Context, *sql.Tx) error{
		b.writePolicies, b.writeUsed, b.writeHosts, b.writeCounts,
	} {
		if err := part(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// add lets fill put something into the batch that is filled; it is lost if too much waits.
func (s *Store) add(fill func(b *batch)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting() >= cmp.Or(s.cfg.MaxWaiting, 50_000) {
		s.health.Lost++
		return
	}
	if s.next.size() >= maxBatch {
		s.seal()
	}
	fill(s.next)
	signal(s.dirty)
}

// waiting returns how many things wait to be written.
func (s *Store) waiting() int {
	n := s.next.size()
	for _, b := range s.queue {
		n += b.size()
	}
	return n
}

// seal puts the batch that is filled into the queue. Nothing is added to it from then on.
func (s *Store) seal() {
	s.queue = append(s.queue, s.next)
	s.next = newBatch()
}

// first returns the batch to be written first, or nil if there is none.
func (s *Store) first() *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		if s.next.size() == 0 && len(s.next.waiters) == 0 {
			return nil
		}
		s.seal()
	}
	return s.queue[0]
}

// written takes the first batch out of the queue.
func (s *Store) written(b *batch) {
	s.mu.Lock()
	s.queue = s.queue[1:]
	s.mu.Unlock()
	for _, w := range b.waiters {
		w <- nil
	}
}

// run writes what waits, until ctx ends.
func (s *Store) run(ctx context.Context) {
	defer close(s.stopped)
	retry := firstRetry
	for ctx.Err() == nil {
		pause, dirty := tidyEvery, s.dirty
		if err := s.work(ctx); err != nil {
			pause, dirty = retry, nil
			retry = min(2*retry, lastRetry)
		} else {
			retry = firstRetry
		}
		select {
		case <-time.After(pause):
		case <-s.now:
		case <-dirty:
			select { // more will come
			case <-time.After(cmp.Or(s.cfg.Every, time.Second)):
			case <-s.now:
			case <-ctx.Done():
			}
		case <-ctx.Done():
		}
	}
}

// work reaches the store if it was away, and writes what waits.
func (s *Store) work(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	s.closeLost()
	db, err := s.reach(ctx)
	for err == nil {
		b := s.first()
		if b == nil {
			break
		}
		b.at = s.clock()
		if err = cmp.Or(commit(ctx, db, b.write), s.moved()); err == nil {
			s.note(nil)
			s.written(b)
		}
	}
	if err == nil {
		err = s.tidy(ctx, db)
	}
	if err != nil {
		s.giveUp(db, err)
		return err
	}
	s.note(nil)
	return nil
}

// commit does something in one transaction.
func commit(ctx context.Context, db *sql.DB, do func(context.Context, *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := do(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}

// reach returns the database; if the store was away, it is opened and its schema brought up to date.
func (s *Store) reach(ctx context.Context) (*sql.DB, error) {
	if db := s.db.Load(); db != nil {
		return db, s.moved()
	}
	if err := s.engine.prepare(); err != nil {
		return nil, err
	}
	db, err := sql.Open(s.engine.driver, s.engine.dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(maxConns)
	empty, err := migrate(ctx, db, s.engine)
	if err == nil {
		s.file, err = s.engine.stat()
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	if empty {
		s.Policies.refill()
	}
	s.db.Store(db)
	return db, nil
}

// closeLost closes databases that deliveries have given up.
func (s *Store) closeLost() {
	s.mu.Lock()
	lost := s.lost
	s.lost = nil
	s.mu.Unlock()
	for _, db := range lost {
		db.Close()
	}
}

// moved tells whether another file is where the store's was, or none. SQLite would go on with the one that it
// has open, and all that is written to it is lost in the end.
func (s *Store) moved() error {
	if now, err := s.engine.stat(); err != nil || now != nil && !os.SameFile(now, s.file) {
		return fmt.Errorf("%s was moved or removed", s.engine.file)
	}
	return nil
}

// giveUp leaves a database after an error. What waits stays; those who wait for it are told.
func (s *Store) giveUp(db *sql.DB, err error) {
	if db != nil && s.db.CompareAndSwap(db, nil) {
		db.Close()
	}
	s.note(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range slices.Concat(s.queue, []*batch{s.next}) {
		for _, w := range b.waiters {
			w <- err
		}
		b.waiters = nil
	}
}

// tidy takes out, now and then, what has no more meaning and what is too much. A clock that has jumped is
// not believed: what is too old by it may not be when it is right again.
func (s *Store) tidy(ctx context.Context, db *sql.DB) error {
	now := s.clock()
	if !s.seen.IsZero() && jumped(s.seen, now) {
		s.doubted = now.Add(doubtFor)
	}
	s.seen = now
	if past := now.Sub(s.tidied); past >= 0 && past < tidyEvery || now.Before(s.doubted) {
		return nil
	}
	err := commit(ctx, db, func(ctx context.Context, tx *sql.Tx) error {
		for _, part := range []func(context.Context, *sql.Tx, time.Time) error{s.Policies.tidy, s.Hosts.tidy, s.Tally.tidy, s.Tickets.tidy, s.Runs.tidy} {
			if err := part(ctx, tx, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		s.tidied = now
	}
	return err
}

// jumped reports whether the clock on the wall has gone another way than time between two readings.
func jumped(a, b time.Time) bool {
	return (b.Round(0).Sub(a.Round(0)) - b.Sub(a)).Abs() > maxDrift
}

// remove takes the rows of a table out for which a condition holds, but those that another process is at.
func (e engine) remove(ctx context.Context, tx *sql.Tx, table, key, condition string, args ...any) error {
	query := fmt.Sprintf(`DELETE FROM %[1]s WHERE %[2]s IN (SELECT %[2]s FROM %[1]s WHERE %[3]s%[4]s)`, table, key, condition, e.claim)
	_, err := tx.ExecContext(ctx, query, args...)
	return err
}

// trim takes out the rows of a table that are more than most, the last by an order.
func (e engine) trim(ctx context.Context, tx *sql.Tx, table, key, order string, most int) error {
	var n int
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+table).Scan(&n); err != nil || n <= most {
		return err
	}
	const atOnce = 20_000
	last := fmt.Sprintf(`%[2]s IN (SELECT %[2]s FROM %[1]s ORDER BY %[3]s LIMIT $1)`, table, key, order)
	return e.remove(ctx, tx, table, key, last, min(n-most, atOnce))
}

// inOrder returns the keys of a map in the order in which they are written.
func inOrder[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
