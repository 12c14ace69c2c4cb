package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
	"time"
)

// Tickets are the secrets by which nodes that share a store protect the tickets of TLS sessions: what began at
// one node resumes at another. There is one for each day.
type Tickets struct{ store *Store }

// KeepSecrets is how many days a secret is kept after its own, for tickets that it has protected: an old one
// that leaks opens what was recorded under TLS 1.2 (RFC 9325 §3.4).
const KeepSecrets = 2

// secretSize is in bytes.
const secretSize = 32

// Secrets returns those of yesterday and the days before that are kept, of a day and of the one after, by day:
// days in UTC, since 1970. Those of the latter two are made by whoever asks first, so that every node has one
// before its day begins. It fails when the store is away.
func (t *Tickets) Secrets(ctx context.Context, day int64) (map[int64][]byte, error) {
	secrets := make(map[int64][]byte)
	var wrong error
	err := t.store.ask(ctx, writeTimeout, func(ctx context.Context, db *sql.DB) error {
		for _, d := range []int64{day, day + 1} {
			fresh := make([]byte, secretSize)
			rand.Read(fresh)
			if _, err := db.ExecContext(ctx, `INSERT INTO ticket_secret (day, secret) VALUES ($1, $2) ON CONFLICT (day) DO NOTHING`, d, hex.EncodeToString(fresh)); err != nil {
				return err
			}
		}
		rows, err := db.QueryContext(ctx, `SELECT day, secret FROM ticket_secret WHERE day BETWEEN $1 AND $2`, day-KeepSecrets, day+1)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var d int64
			var text string
			if err := rows.Scan(&d, &text); err != nil {
				return err
			}
			if secrets[d], err = hex.DecodeString(text); err != nil || len(secrets[d]) != secretSize {
				wrong = fmt.Errorf("the ticket secret of day %d in the store is none", d) // and is not told
			}
		}
		return rows.Err()
	})
	if err == nil {
		err = wrong
	}
	return secrets, err
}

// tidy takes out secrets of days that are over, and those that a node has made whose clock is wrong.
func (t *Tickets) tidy(ctx context.Context, tx *sql.Tx, now time.Time) error {
	return t.store.engine.remove(ctx, tx, "ticket_secret", "day", `day < $1 OR day > $2`, dayOf(now)-KeepSecrets, dayOf(now)+1)
}
