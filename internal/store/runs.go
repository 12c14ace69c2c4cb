package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"time"

	"starttls/internal/finding"
)

// Runs is the history of checks. Of each target, from each place, it keeps the last runs that found something
// else than the one before. Nothing of it waits in memory: what a method was told is on disk when it returns.
// All fail when the store is away.
type Runs struct{ store *Store }

// keepRuns is how many runs of a target there are.
const keepRuns = 10

// Past returns what runs have found for a target from a place, what was found last first.
func (r *Runs) Past(ctx context.Context, target, place string) (all []finding.Run, err error) {
	err = r.store.ask(ctx, writeTimeout, func(ctx context.Context, db *sql.DB) error {
		rows, err := db.QueryContext(ctx, `SELECT id, last_at, result FROM run WHERE target = $1 AND place = $2 ORDER BY last_at DESC, n DESC`, clean(target), clean(place))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			run := finding.Run{Result: &finding.Result{}}
			var last int64
			var text []byte
			if err := rows.Scan(&run.ID, &last, &text); err != nil {
				return err
			}
			if json.Unmarshal(text, run.Result) == nil && run.Result.Schema == finding.Schema { // else it is of another release
				run.Last = time.Unix(last, 0).UTC()
				all = append(all, run)
			}
		}
		return rows.Err()
	})
	return all, err
}

// Add keeps a run that found something else than those before. The oldest of the target go for it.
func (r *Runs) Add(ctx context.Context, target, place string, result *finding.Result) error {
	target, place = clean(target), clean(place)
	text, err := json.Marshal(result.Brief())
	if err != nil {
		return err
	}
	at := result.Started.Unix()
	return r.store.ask(ctx, writeTimeout, func(ctx context.Context, db *sql.DB) error {
		return commit(ctx, db, func(ctx context.Context, tx *sql.Tx) error {
			var n int64
			if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(n), 0) + 1 FROM run WHERE target = $1 AND place = $2`, target, place).Scan(&n); err != nil {
				return err
			}
			// Of two that find it at the same time one is kept.
			_, err := tx.ExecContext(ctx, `INSERT INTO run (id, target, place, n, first_at, last_at, result) VALUES ($1, $2, $3, $4, $5, $6, $7)
				ON CONFLICT (target, place, n) DO NOTHING`, rand.Text(), target, place, n, at, at, string(text))
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, `DELETE FROM run WHERE target = $1 AND place = $2 AND n <= $3`, target, place, n-keepRuns)
			return err
		})
	})
}

// Replace puts what a run has found in the place of what the one with an id has.
func (r *Runs) Replace(ctx context.Context, id string, result *finding.Result) error {
	text, err := json.Marshal(result.Brief())
	if err != nil {
		return err
	}
	return r.store.ask(ctx, writeTimeout, func(ctx context.Context, db *sql.DB) error {
		at := result.Started.Unix()
		_, err := db.ExecContext(ctx, `UPDATE run SET first_at = $2, last_at = $3, result = $4 WHERE id = $1 AND last_at <= $5`, id, at, at, string(text), at)
		return err
	})
}

// Again notes that a run has found the same as the one with an id.
func (r *Runs) Again(ctx context.Context, id string, at time.Time) error {
	return r.store.ask(ctx, writeTimeout, func(ctx context.Context, db *sql.DB) error {
		_, err := db.ExecContext(ctx, `UPDATE run SET last_at = $2 WHERE id = $1 AND last_at < $2`, id, at.Unix())
		return err
	})
}

// tidy takes out runs that were not found again for long, and then those too many.
func (r *Runs) tidy(ctx context.Context, tx *sql.Tx, now time.Time) error {
	e := r.store.engine
	if err := e.remove(ctx, tx, "run", "id", `last_at < $1`, now.Add(-forget).Unix()); err != nil {
		return err
	}
	return e.trim(ctx, tx, "run", "id", "last_at", cmp.Or(r.store.cfg.MaxRuns, defaultMax))
}
