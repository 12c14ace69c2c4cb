package store

import (
	"net/url"
	"testing"
)

// TestDatabaseIsVerified: nobody on the path to a database gets its password, or the policies.
func TestDatabaseIsVerified(t *testing.T) {
	for _, name := range []string{"PGHOST", "PGSSLMODE"} {
		t.Setenv(name, "")
	}
	for text, want := range map[string]string{
		"postgres://u@db.example/d":                      "verify-full",
		"postgresql://u:p@192.0.2.1:5432/d":              "verify-full",
		"postgres://u@/d?host=db.example":                "verify-full",
		"postgres://u@localhost,db.example/d":            "verify-full",
		"postgres://u@db.example/d?sslmode=disable":      "disable", // said, so meant
		"postgres://u@127.0.0.1/d":                       "",
		"postgres://u@[::1]/d":                           "",
		"postgres://u@localhost/d":                       "",
		"postgres://u@/d":                                "",
		"postgres:///d?host=/run/postgresql":             "",
		"postgres://u@127.0.0.1/d?host=db.example":       "verify-full",
		"postgres://u@db.example/d?host=/run/postgresql": "",
	} {
		e, err := engineOf(text)
		if err != nil {
			t.Error(text, err)
			continue
		}
		if u, err := url.Parse(e.dsn); err != nil || u.Query().Get("sslmode") != want {
			t.Errorf("%s became %s", text, e.dsn)
		}
	}
	t.Setenv("PGHOST", "db.example")
	if e, err := engineOf("postgres:///d"); err != nil || e.dsn != "postgres:///d?application_name=starttls&sslmode=verify-full" {
		t.Error(e.dsn, err)
	}
}
