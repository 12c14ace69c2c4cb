package starttls

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The house of docs/design.md, the ground floor first. Imports go down only.
var house = []struct {
	dir   string
	never map[string]string // what it must not import besides what is above it, and why
}{
	{"tlsrpt", map[string]string{
		"net": "it has words and counts, and sends nothing", "crypto/tls": "it is told what befell",
	}},
	{"resolver", map[string]string{
		"log": "a library has its errors and no log", "log/slog": "a library has its errors and no log",
	}},
	{"resolver/dnstest", map[string]string{"net": "nothing is asked of any network"}},
	{"internal/zone", map[string]string{
		"starttls/resolver": "who serves a zone does not judge it",
	}},
	{"internal/revocation", map[string]string{"starttls/dialect": "a certificate is the same in every protocol"}},
	{"internal/hello", map[string]string{"starttls/dialect": "a ClientHello is the same in every protocol"}},
	{"internal/finding", map[string]string{
		"net": "a finding is a fact about facts", "crypto/tls": "a finding is a fact about facts",
	}},
	{"dialect", map[string]string{
		"net": "a dialect does no I/O", "os": "a dialect does no I/O", "io": "a dialect does no I/O",
		"crypto/tls": "a dialect knows words, and TLS is what comes after them",
		"time":       "a dialect knows no clock: timeouts are the caller's",
		"log":        "who reads messages is told by Show", "log/slog": "who reads messages is told by Show",
	}},
	{".", map[string]string{
		"log": "a library has its errors and no log", "log/slog": "a library has its errors and no log",
		"os": "a library reads no files and no environment", "flag": "configuration is a struct",
	}},
	{"dane/danetest", map[string]string{"net": "it makes certificates, and servers are the test's"}},
	{"dane", map[string]string{
		"log": "a library has its errors and no log", "log/slog": "a library has its errors and no log",
		"net": "records come from a resolver.Resolver",
	}},
	{"mtasts", map[string]string{
		"log": "a library has its errors and no log", "log/slog": "a library has its errors and no log",
		"os": "the cache is an interface",
	}},
	{"internal/policy", map[string]string{
		"os": "it reads no files", "database/sql": "memory is an interface",
	}},
	{"internal/accept", map[string]string{
		"starttls": "what a connection is for is the business of who takes it",
	}},
	{"internal/proxyproto", map[string]string{
		"net": "who may send a header is for the caller to say",
	}},
	{"internal/cert", map[string]string{
		"starttls/dialect": "a certificate is for a name, whatever is spoken",
		"net/http":         "it does not get certificates from anywhere",
	}},
	{"internal/tryout", map[string]string{
		"starttls":         "the try-out servers are what is behind the gateway, and know nothing of it",
		"starttls/dialect": "they speak on their own, so that no mistake in a dialect meets itself",
		"crypto/tls":       "they have no word for TLS",
	}},
	{"internal/pool", map[string]string{
		"net": "what a server is, and how it is reached, is said by who has it", "starttls": "it knows no protocol",
	}},
	{"internal/gateway", map[string]string{
		"starttls/internal/cert":   "it is given a tls.Config",
		"starttls/internal/tryout": "a backend is dialled, whatever it is",
		"net/url":                  "endpoints are parsed elsewhere", "os": "it reads no files",
	}},
	{"internal/verify", map[string]string{
		"starttls/internal/gateway": "it attacks listeners from outside, ours like everybody's",
		"os":                        "it reads no files",
	}},
	{"internal/socketmap", map[string]string{
		"starttls/internal/gateway": "it answers questions, and passes no mail",
	}},
	{"internal/relay", map[string]string{
		"database/sql": "what is counted goes to an interface",
	}},
	{"internal/check", map[string]string{
		"database/sql": "history is an interface", "html/template": "reports are made elsewhere",
	}},
	{"internal/lab", map[string]string{
		"starttls/internal/gateway": "the lab is what the gateway is tried on",
	}},
	{"internal/villain", map[string]string{
		"starttls/internal/tryout": "a villain says what makes clients err, and no more", "os/exec": "who runs a client is the caller",
	}},
	{"internal/store", map[string]string{
		"net": "where things are kept is a URL",
	}},
	{"internal/report", map[string]string{
		"net": "it computes nothing and fetches nothing",
	}},
	{"internal/acme", map[string]string{
		"starttls": "a certificate is for a name, whatever is spoken",
	}},
	{"internal/status", map[string]string{
		"starttls": "it is told what befell, and shows it", "net": "who serves it opens the listener",
	}},
	{"internal/systemd", map[string]string{
		"log/slog": "what to do about a manager that is gone is for the program to say",
	}},
	{"internal/config", nil},
	{"internal/cli", nil},
	{"cmd/starttls", map[string]string{
		"starttls": "main runs the program, and package cli is the program",
	}},
}

// foreign is the code of others that each room may use, besides the program's surface, which may use any.
var foreign = map[string][]string{
	"resolver":            {"github.com/miekg/dns", "golang.org/x/net/idna"},
	"internal/status":     {"github.com/VictoriaMetrics/metrics"},
	"internal/acme":       {"github.com/mholt/acmez/v3", "github.com/mholt/acmez/v3/acme", "github.com/miekg/dns"},
	"internal/config":     {"github.com/pelletier/go-toml/v2", "github.com/pelletier/go-toml/v2/unstable"},
	"internal/store":      {"modernc.org/sqlite", "github.com/jackc/pgx/v5/stdlib"},
	"internal/zone":       {"github.com/miekg/dns"},
	"internal/lab":        {"github.com/miekg/dns"},
	"internal/hello":      {"golang.org/x/crypto/cryptobyte"},
	"internal/check":      {"golang.org/x/crypto/ocsp"},
	"internal/cert":       {"golang.org/x/crypto/ocsp"},
	"internal/revocation": {"golang.org/x/crypto/ocsp"},
}

// TestImports holds every package to the house.
func TestImports(t *testing.T) {
	floors := map[string]int{}
	for floor, room := range house {
		floors[room.dir] = floor
	}
	for dir, imports := range packages(t) {
		floor, ok := floors[dir]
		if !ok {
			t.Errorf("package %s is not in the house of docs/design.md; give it a floor there and here", dir)
			continue
		}
		for path, file := range imports {
			if why := house[floor].never[path]; why != "" {
				t.Errorf("%s imports %s: %s", file, path, why)
			}
			if other, ok := floors[roomOf(path)]; ok && other >= floor {
				t.Errorf("%s imports %s: imports go down only", file, path)
			}
			if strings.Contains(path, ".") && floor < floors["internal/cli"] && !slices.Contains(foreign[dir], path) {
				t.Errorf("%s imports %s: others' code is used where foreign says so, and nowhere else", file, path)
			}
		}
	}
}

// roomOf returns the folder of one of our packages.
func roomOf(path string) string {
	if path == "starttls" {
		return "."
	}
	dir, _ := strings.CutPrefix(path, "starttls/")
	return dir
}

// packages returns what each of our packages imports, and in which file. Tests and what is below test/
// may import what they like.
func packages(t *testing.T) map[string]map[string]string {
	all := map[string]map[string]string{}
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (name == "test" || name == "packaging" || entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".") && name != "."):
			return fs.SkipDir
		case !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(name))
		if all[dir] == nil {
			all[dir] = map[string]string{}
		}
		for _, spec := range f.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			all[dir][path] = name
		}
		return nil
	})
	if err != nil || len(all) < 2 {
		t.Fatal(slices.Collect(maps.Keys(all)), err)
	}
	return all
}
