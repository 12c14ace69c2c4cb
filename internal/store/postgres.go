package store

import (
	"cmp"
	"errors"
	"net/netip"
	"net/url"
	"os"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// newServer returns the engine of a PostgreSQL server.
func newServer(text string) (engine, error) {
	u, err := url.Parse(text)
	if err != nil {
		return engine{}, errors.New("the store's URL is none") // err has the password
	}
	query := u.Query()
	host := cmp.Or(query.Get("host"), u.Hostname(), os.Getenv("PGHOST"))
	if cmp.Or(query.Get("sslmode"), os.Getenv("PGSSLMODE")) == "" && !isLocal(host) {
		query.Set("sslmode", "verify-full") // the driver would be content with what anybody on the path can strip
	}
	if query.Get("application_name") == "" {
		query.Set("application_name", "starttls")
	}
	u.RawQuery = query.Encode()
	return engine{
		name:   "postgres://" + u.Host + u.Path,
		driver: "pgx",
		dsn:    u.String(),
		lock:   "SELECT pg_advisory_xact_lock(6082461001)", // a number that is ours
		claim:  " FOR UPDATE SKIP LOCKED",
	}, nil
}

// isLocal reports whether a host is this machine: its loopback, or a unix socket.
func isLocal(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || host == "localhost" || strings.HasPrefix(host, "/") || err == nil && addr.IsLoopback()
}
