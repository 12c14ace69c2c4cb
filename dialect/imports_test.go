package dialect

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestImports keeps the promise of the package comment.
func TestImports(t *testing.T) {
	bad := map[string]string{
		"net":        "a dialect does no I/O",
		"os":         "a dialect does no I/O",
		"io":         "a dialect does no I/O",
		"crypto/tls": "a dialect knows words, and TLS is what comes after them",
		"time":       "a dialect knows no clock: timeouts are the caller's",
		"context":    "nothing here waits",
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			if why := bad[path]; why != "" || strings.HasPrefix(path, "net/") || strings.Contains(path, ".") {
				t.Errorf("%s imports %s: %s", file, path, why)
			}
		}
	}
}
