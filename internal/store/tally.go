package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"starttls/tlsrpt"
)

// Tally counts sessions by day, domain, policy and failure, as reports have it (RFC 8460 §4).
type Tally struct{ store *Store }

// A Count is the sessions of one day with one domain under one policy.
type Count struct {
	Domain             string
	Policy             tlsrpt.Policy
	Successful, Failed int64 // sessions
	Failures           []FailureCount
}

// A FailureCount is the sessions that had one failure. One session may have several.
type FailureCount struct {
	tlsrpt.Failure
	Sessions int64
}

// keepCounts is how many days are kept.
const keepCounts = 30

// keepBatches is how long it is known that a batch was written. One that is older is not tried again by
// any process that still runs.
const keepBatches = 24 * time.Hour

// A countKey is the key of a row in one of the two tables of counts; failure is empty in the first.
type countKey struct {
	day                     int64
	domain, policy, failure string
}

func (k countKey) compare(l countKey) int {
	return cmp.Or(cmp.Compare(k.day, l.day), cmp.Compare(k.domain, l.domain), cmp.Compare(k.policy, l.policy), cmp.Compare(k.failure, l.failure))
}

func countsInOrder[V any](m map[countKey]V) []countKey {
	return slices.SortedFunc(maps.Keys(m), countKey.compare)
}

// dayOf returns the number of a day in UTC.
func dayOf(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }

// Add counts a session. It does not wait for the store; see [Store.Flush].
func (t *Tally) Add(session tlsrpt.Session) {
	t.store.add(func(b *batch) {
		for _, o := range session.Outcomes {
			b.count(session, o)
		}
	})
}

// count adds what a session was under one policy.
func (b *batch) count(session tlsrpt.Session, o tlsrpt.Outcome) {
	p := o.Policy
	p.String, p.MX = cleanAll(p.String), cleanAll(p.MX)
	key := countKey{day: dayOf(session.Time), domain: session.Domain, policy: hash(p)}
	c := b.sessions[key]
	if c == nil {
		c = &Count{Policy: p}
		b.sessions[key] = c
	}
	if o.Failed {
		c.Failed++
	} else {
		c.Successful++
	}
	counted := map[countKey]bool{} // the same failure twice is one session
	for _, f := range o.Failures {
		f.ReceivingHost, f.ReceivingHelo, f.Info, f.Reason = clean(f.ReceivingHost), clean(f.ReceivingHelo), clean(f.Info), clean(f.Reason)
		key.failure = hash(f)
		if counted[key] {
			continue
		}
		counted[key] = true
		if b.failures[key] == nil {
			b.failures[key] = &FailureCount{Failure: f}
		}
		b.failures[key].Sessions++
	}
}

// hash tells values apart that are written as JSON.
func hash(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // only texts and lists of them
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// maxText is the longest text of a peer that is kept, in bytes.
const maxText = 500

// clean makes a peer's text one that every database takes: valid UTF-8 without control characters, not
// too long.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return s
}

// cleanAll cleans the lines of a policy; there are as many as the policy has.
func cleanAll(all []string) []string {
	cleaned := make([]string, len(all))
	for i, s := range all {
		cleaned[i] = clean(s)
	}
	return cleaned
}

// writeCounts adds the counts of the batch, once.
func (b *batch) writeCounts(ctx context.Context, tx *sql.Tx) error {
	if len(b.sessions) == 0 {
		return nil
	}
	result, err := tx.ExecContext(ctx, `INSERT INTO batch (id, at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, b.id, b.at.Unix())
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); n == 0 || err != nil {
		return err // it was written, and only the answer to that was lost
	}
	return cmp.Or(b.writeSessions(ctx, tx), b.writeFailures(ctx, tx))
}

func (b *batch) writeSessions(ctx context.Context, tx *sql.Tx) error {
	for _, key := range countsInOrder(b.sessions) {
		c := b.sessions[key]
		lines, _ := json.Marshal(c.Policy.String)
		mx, _ := json.Marshal(c.Policy.MX)
		_, err := tx.ExecContext(ctx, `INSERT INTO session_count (day, domain, policy, type, policy_domain, strings, mx, successful, failed)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT (day, domain, policy) DO UPDATE SET
				successful = session_count.successful + excluded.successful, failed = session_count.failed + excluded.failed`,
			key.day, key.domain, key.policy, string(c.Policy.Type), c.Policy.Domain, string(lines), string(mx), c.Successful, c.Failed)
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) writeFailures(ctx context.Context, tx *sql.Tx) error {
	for _, key := range countsInOrder(b.failures) {
		f := b.failures[key]
		_, err := tx.ExecContext(ctx, `INSERT INTO failure_count (day, domain, policy, failure, type, sending_ip, receiving_host, receiving_helo, receiving_ip, info, reason, sessions)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
			ON CONFLICT (day, domain, policy, failure) DO UPDATE SET sessions = failure_count.sessions + excluded.sessions`,
			key.day, key.domain, key.policy, key.failure, string(f.Type), f.SendingIP, f.ReceivingHost, f.ReceivingHelo, f.ReceivingIP, f.Info, f.Reason, f.Sessions)
		if err != nil {
			return err
		}
	}
	return nil
}

// Day returns the counts of the day in UTC in which a time is, by domain. It fails if the store is away.
func (t *Tally) Day(ctx context.Context, day time.Time) ([]Count, error) {
	db := t.store.db.Load()
	if db == nil {
		return nil, errAway
	}
	counts, index, err := t.sessions(ctx, db, dayOf(day))
	if err != nil {
		return nil, err
	}
	return counts, t.failures(ctx, db, dayOf(day), counts, index)
}

// sessions reads the counts of a day without failures, and where each is.
func (t *Tally) sessions(ctx context.Context, db *sql.DB, day int64) (counts []Count, index map[countKey]int, err error) {
	rows, err := db.QueryContext(ctx, `SELECT domain, policy, type, policy_domain, strings, mx, successful, failed FROM session_count
		WHERE day = $1 ORDER BY domain, type, policy`, day)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	index = map[countKey]int{}
	for rows.Next() {
		var c Count
		var key, lines, mx string
		if err := rows.Scan(&c.Domain, &key, &c.Policy.Type, &c.Policy.Domain, &lines, &mx, &c.Successful, &c.Failed); err != nil {
			return nil, nil, err
		}
		if err := json.Unmarshal([]byte(lines), &c.Policy.String); err != nil {
			return nil, nil, err
		}
		if err := json.Unmarshal([]byte(mx), &c.Policy.MX); err != nil {
			return nil, nil, err
		}
		index[countKey{day: day, domain: c.Domain, policy: key}] = len(counts)
		counts = append(counts, c)
	}
	return counts, index, rows.Err()
}

// failures adds the failures of a day to its counts.
func (t *Tally) failures(ctx context.Context, db *sql.DB, day int64, counts []Count, index map[countKey]int) error {
	rows, err := db.QueryContext(ctx, `SELECT domain, policy, type, sending_ip, receiving_host, receiving_helo, receiving_ip, info, reason, sessions
		FROM failure_count WHERE day = $1 ORDER BY sessions DESC, failure`, day)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var f FailureCount
		key := countKey{day: day}
		if err := rows.Scan(&key.domain, &key.policy, &f.Type, &f.SendingIP, &f.ReceivingHost, &f.ReceivingHelo, &f.ReceivingIP, &f.Info, &f.Reason, &f.Sessions); err != nil {
			return err
		}
		if i, ok := index[key]; ok { // not one that was counted between the two questions
			counts[i].Failures = append(counts[i].Failures, f)
		}
	}
	return rows.Err()
}

// tidy takes out days long past, and the names of batches that nobody tries again.
func (t *Tally) tidy(ctx context.Context, tx *sql.Tx, now time.Time) error {
	e := t.store.engine
	for _, table := range []string{"session_count", "failure_count"} {
		if err := e.remove(ctx, tx, table, "day", `day < $1`, dayOf(now)-keepCounts); err != nil {
			return err
		}
	}
	return e.remove(ctx, tx, "batch", "id", `at < $1`, now.Add(-keepBatches).Unix())
}
