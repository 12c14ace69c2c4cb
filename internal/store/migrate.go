package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"path"
	"strings"
	"time"
)

// migrations are the steps of the schema, 0001_….sql first; they are the same for every engine. A step
// that was released is never changed.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date, one process at a time. It reports whether there was none.
func migrate(ctx context.Context, db *sql.DB, e engine) (empty bool, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer tx.Rollback()
	if e.lock != "" {
		if _, err := tx.ExecContext(ctx, e.lock); err != nil {
			return false, err
		}
	}
	const versions = `CREATE TABLE IF NOT EXISTS migration (version BIGINT PRIMARY KEY, at BIGINT NOT NULL)`
	if _, err := tx.ExecContext(ctx, versions); err != nil {
		return false, err
	}
	var version int
	if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(version), 0) FROM migration`).Scan(&version); err != nil {
		return false, err
	}
	steps, err := migrations.ReadDir("migrations")
	if err != nil {
		return false, err
	}
	if version > len(steps) {
		return false, fmt.Errorf("the store is of version %d, and this program knows %d: a newer one has used it", version, len(steps))
	}
	for i, step := range steps[version:] {
		if err := take(ctx, tx, version+i+1, step.Name()); err != nil {
			return false, fmt.Errorf("%s: %w", step.Name(), err)
		}
	}
	return version == 0, tx.Commit()
}

// take takes one step.
func take(ctx context.Context, tx *sql.Tx, version int, file string) error {
	text, err := migrations.ReadFile(path.Join("migrations", file))
	if err != nil {
		return err
	}
	for statement := range strings.SplitSeq(string(text), ";\n") {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO migration (version, at) VALUES ($1, $2)`, version, time.Now().Unix())
	return err
}
