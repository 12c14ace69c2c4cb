package store

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// newFile returns the engine of a file.
func newFile(path string) (engine, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return engine{}, err
	}
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{
		"_busy_timeout": {"5000"},
		"_journal_mode": {"WAL"},  // readers and a writer do not wait for each other
		"_synchronous":  {"FULL"}, // what is committed is on disk
		// A transaction that reads first and writes later would otherwise fail where another writes between.
		"_txlock": {"immediate"},
	}.Encode()}
	return engine{name: path, driver: "sqlite", dsn: dsn.String(), file: path}, nil
}

// prepare makes the file, for us alone: SQLite would let others read it.
func (e engine) prepare() error {
	if e.file == "" {
		return nil
	}
	f, err := os.OpenFile(e.file, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}
