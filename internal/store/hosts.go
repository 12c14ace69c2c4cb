package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/hex"
	"sync"
	"time"

	"starttls/internal/policy"
)

// Hosts is the memory of what was seen of hosts (RFC 3207 §6), see package policy. Its methods have no
// errors: while the store is away, they work on what is in memory.
type Hosts struct {
	store *Store

	mu     sync.Mutex
	memory map[string]policy.Seen // what this process has read or remembered
}

var _ policy.Memory = (*Hosts)(nil)

// forget is how long a host is remembered that was not seen again.
const forget = 400 * 24 * time.Hour

// Recall returns what was seen of a host by any process, or nil.
func (h *Hosts) Recall(ctx context.Context, host string) *policy.Seen {
	row, err := h.read(ctx, host)
	h.mu.Lock()
	defer h.mu.Unlock()
	seen, ok := h.memory[host]
	if err == nil && (!ok || row.Last.After(seen.Last)) {
		h.keep(host, row)
		seen, ok = row, true
	}
	if !ok {
		return nil
	}
	return &seen
}

func (h *Hosts) read(ctx context.Context, host string) (seen policy.Seen, err error) {
	var first, last int64
	var spki string
	err = h.store.ask(ctx, readTimeout, func(ctx context.Context, db *sql.DB) error {
		return db.QueryRowContext(ctx, `SELECT first_at, last_at, version, spki, issuer FROM host WHERE name = $1`, host).
			Scan(&first, &last, &seen.Version, &spki, &seen.Issuer)
	})
	seen.First, seen.Last = time.Unix(first, 0), time.Unix(last, 0)
	hex.Decode(seen.SPKI[:], []byte(spki))
	return seen, err
}

// Remember notes a session with TLS. First stays what it was, if anything was.
func (h *Hosts) Remember(_ context.Context, host string, seen policy.Seen) {
	seen.Issuer = clean(seen.Issuer)
	seen.Last = seen.Last.Truncate(time.Second)
	if seen.First.IsZero() {
		seen.First = seen.Last
	}
	h.mu.Lock()
	if old, ok := h.memory[host]; ok {
		seen.First = old.First
	}
	h.keep(host, seen)
	h.mu.Unlock()
	h.store.add(func(b *batch) { b.hosts[host] = seen })
}

// keep puts a host into memory, in place of any other if there are too many.
func (h *Hosts) keep(host string, seen policy.Seen) {
	if h.memory == nil {
		h.memory = make(map[string]policy.Seen)
	}
	h.memory[host] = seen
	for other := range h.memory {
		if len(h.memory) <= cmp.Or(h.store.cfg.MaxHosts, defaultMax) {
			break
		}
		if other != host {
			delete(h.memory, other)
		}
	}
}

// writeHosts writes hosts that were seen, unless another process has seen them since.
func (b *batch) writeHosts(ctx context.Context, tx *sql.Tx) error {
	for _, host := range inOrder(b.hosts) {
		seen := b.hosts[host]
		_, err := tx.ExecContext(ctx, `INSERT INTO host (name, first_at, last_at, version, spki, issuer) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (name) DO UPDATE SET last_at = excluded.last_at, version = excluded.version, spki = excluded.spki, issuer = excluded.issuer
			WHERE host.last_at <= excluded.last_at`,
			host, seen.First.Unix(), seen.Last.Unix(), int64(seen.Version), hex.EncodeToString(seen.SPKI[:]), seen.Issuer)
		if err != nil {
			return err
		}
	}
	return nil
}

// tidy takes out hosts that were not seen for long, and then the ones too many.
func (h *Hosts) tidy(ctx context.Context, tx *sql.Tx, now time.Time) error {
	e := h.store.engine
	if err := e.remove(ctx, tx, "host", "name", `last_at < $1`, now.Add(-forget).Unix()); err != nil {
		return err
	}
	return e.trim(ctx, tx, "host", "name", "last_at", cmp.Or(h.store.cfg.MaxHosts, defaultMax))
}
