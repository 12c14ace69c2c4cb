package store

import (
	"errors"
	"os"
	"strings"
)

// An engine is one of the databases, and all in which they differ.
type engine struct {
	name   string // for people, without secrets
	driver string // of database/sql
	dsn    string
	// lock is the statement by which a transaction has the schema for itself. If empty, every transaction
	// that writes has.
	lock string
	// claim ends a query whose rows nobody else shall be given meanwhile.
	claim string
	// file is where the data are, if that is one file.
	file string
}

// engineOf returns the engine that a URL names. Errors do not repeat it: it may hold a password.
func engineOf(url string) (engine, error) {
	scheme, rest, _ := strings.Cut(url, ":")
	switch {
	case scheme == "sqlite" && rest != "":
		return newFile(rest)
	case strings.HasPrefix(url, "postgres://"), strings.HasPrefix(url, "postgresql://"):
		return newServer(url)
	}
	return engine{}, errors.New(`the store's URL is neither "sqlite:PATH" nor "postgres://USER@HOST/DATABASE"`)
}

// stat returns the file in which the data are now, nil if they are in none.
func (e engine) stat() (os.FileInfo, error) {
	if e.file == "" {
		return nil, nil
	}
	return os.Stat(e.file)
}
