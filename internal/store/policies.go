package store

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"

	"starttls/mtasts"
)

// Policies is the cache of MTA-STS policies, see [mtasts.Cache]. Its methods have no errors: while the
// store is away, they work on what is in memory.
type Policies struct {
	store  *Store
	memory mtasts.Memory // what this process has read or put
}

var _ mtasts.Cache = (*Policies)(nil)

// noteUse is how old the time of the last use may be before it is written again.
const noteUse = time.Hour

// policyColumns are those that scanPolicy reads.
const policyColumns = `domain, id, body, fetched, used, due, failures`

// scanPolicy reads a policy from a row. Policy is nil if the row's is none.
func scanPolicy(row interface{ Scan(...any) error }) (e mtasts.Entry, err error) {
	var body string
	var fetched, used, due int64
	if err = row.Scan(&e.Domain, &e.ID, &body, &fetched, &used, &due, &e.Failures); err != nil {
		return e, err
	}
	e.Fetched, e.Used, e.Due = time.Unix(fetched, 0), time.Unix(used, 0), time.Unix(due, 0)
	e.Policy, _ = mtasts.ParsePolicy([]byte(body))
	return e, nil
}

// Get returns the policy of a domain, that which was fetched last by any process.
func (p *Policies) Get(ctx context.Context, domain string) (mtasts.Entry, bool) {
	now := p.store.clock()
	row, stored := p.read(ctx, domain)
	e, ok := p.memory.Get(ctx, domain)
	switch {
	case !stored:
		return e, ok
	case row.Fetched.After(now):
		// By a clock that was set back since. It counts as fetched now, lest it live longer than it may.
		if !ok {
			row.Fetched, row.Due = now, now
			p.Put(ctx, row)
			return row, true
		}
	case !ok || row.Fetched.After(e.Fetched):
		p.memory.Put(ctx, row)
		e, ok = p.memory.Get(ctx, domain)
	}
	if ok && now.Sub(row.Used) > noteUse {
		p.store.add(func(b *batch) { b.used[domain] = now })
	}
	return e, ok
}

// read reads the row of a domain, if there is one and the store is not away.
func (p *Policies) read(ctx context.Context, domain string) (e mtasts.Entry, ok bool) {
	err := p.store.ask(ctx, readTimeout, func(ctx context.Context, db *sql.DB) (err error) {
		e, err = scanPolicy(db.QueryRowContext(ctx, `SELECT `+policyColumns+` FROM sts WHERE domain = $1`, domain))
		return err
	})
	return e, err == nil && e.Policy != nil
}

// Put keeps a policy.
func (p *Policies) Put(ctx context.Context, e mtasts.Entry) {
	e.Fetched = e.Fetched.Truncate(time.Second) // as the database has it
	p.memory.Put(ctx, e)
	p.store.add(func(b *batch) { b.policies[e.Domain] = e })
}

// Postpone notes when a policy is to be fetched anew.
func (p *Policies) Postpone(ctx context.Context, e mtasts.Entry) {
	p.memory.Postpone(ctx, e)
	p.store.add(func(b *batch) { b.postponed[e.Domain] = e })
}

// Due returns policies that are to be fetched anew, to one of all processes that share the store.
func (p *Policies) Due(ctx context.Context, n int, lease time.Duration) []mtasts.Entry {
	var entries []mtasts.Entry
	err := p.store.ask(ctx, writeTimeout, func(ctx context.Context, db *sql.DB) error {
		return commit(ctx, db, func(ctx context.Context, tx *sql.Tx) (err error) {
			entries, err = p.claim(ctx, tx, n, lease)
			return err
		})
	})
	if err != nil {
		return p.memory.Due(ctx, n, lease)
	}
	return entries
}

// claim takes policies that are due, and makes them due again after lease. A time far ahead is one from
// before the clock was set back.
func (p *Policies) claim(ctx context.Context, tx *sql.Tx, n int, lease time.Duration) ([]mtasts.Entry, error) {
	now := p.store.clock()
	rows, err := tx.QueryContext(ctx, `SELECT `+policyColumns+` FROM sts
		WHERE (due <= $1 OR due > $2) AND expires > $1 AND used > $3 AND mode <> $4
		ORDER BY due LIMIT $5`+p.store.engine.claim,
		now.Unix(), now.Add(48*time.Hour).Unix(), now.Add(-mtasts.Idle).Unix(), string(mtasts.None), n)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var entries []mtasts.Entry
	for rows.Next() {
		e, err := scanPolicy(rows)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for _, e := range entries { // in this transaction the rows are ours
		if _, err := tx.ExecContext(ctx, `UPDATE sts SET due = $1 WHERE domain = $2`, now.Add(lease).Unix(), e.Domain); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(entries, func(e mtasts.Entry) bool { return e.Policy == nil }), nil
}

// refill gives all that is in memory to a store that has nothing.
func (p *Policies) refill() {
	for _, e := range p.memory.All() {
		p.store.add(func(b *batch) { b.policies[e.Domain] = e })
	}
}

// writePolicies writes those that were fetched, unless a newer one is there; and then those that were
// postponed, if they are still the same.
func (b *batch) writePolicies(ctx context.Context, tx *sql.Tx) error {
	for _, domain := range inOrder(b.policies) {
		e := b.policies[domain]
		_, err := tx.ExecContext(ctx, `INSERT INTO sts (domain, id, mode, body, fetched, expires, used, due, failures)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT (domain) DO UPDATE SET id = excluded.id, mode = excluded.mode, body = excluded.body, fetched = excluded.fetched,
				expires = excluded.expires, used = excluded.used, due = excluded.due, failures = excluded.failures
			WHERE sts.fetched <= excluded.fetched OR sts.fetched > $10`,
			e.Domain, e.ID, string(e.Policy.Mode), e.Policy.Text, e.Fetched.Unix(), e.End().Unix(), e.Used.Unix(), e.Due.Unix(), e.Failures, b.at.Unix())
		if err != nil {
			return err
		}
	}
	for _, domain := range inOrder(b.postponed) {
		e := b.postponed[domain]
		_, err := tx.ExecContext(ctx, `UPDATE sts SET due = $1, failures = $2 WHERE domain = $3 AND fetched = $4`,
			e.Due.Unix(), e.Failures, e.Domain, e.Fetched.Unix())
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) writeUsed(ctx context.Context, tx *sql.Tx) error {
	for _, domain := range inOrder(b.used) {
		if _, err := tx.ExecContext(ctx, `UPDATE sts SET used = $1 WHERE domain = $2 AND used < $1`, b.used[domain].Unix(), domain); err != nil {
			return err
		}
	}
	return nil
}

// tidy takes out policies that have ended, and then the ones too many: those that enforce last, and among
// each kind first those not used for longest.
func (p *Policies) tidy(ctx context.Context, tx *sql.Tx, now time.Time) error {
	e := p.store.engine
	if err := e.remove(ctx, tx, "sts", "domain", `expires <= $1`, now.Unix()); err != nil {
		return err
	}
	return e.trim(ctx, tx, "sts", "domain", `CASE mode WHEN 'enforce' THEN 1 ELSE 0 END, used`, cmp.Or(p.store.cfg.MaxPolicies, defaultMax))
}

// defaultMax is how many policies and how many hosts are kept.
const defaultMax = 100_000
