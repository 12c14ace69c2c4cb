package starttls

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"starttls/dialect"
)

// exempt are the files that may name protocols although they are not named after one, each with why.
var exempt = map[string]string{
	"internal/tryout/tryout.go":   "its one list is how the servers of the other files are found",
	"internal/villain/accents.go": "its one list is how what the other files have is found",
}

// TestProtocolsAreNamedInTheirFiles: what is known of a protocol is in dialect, or in a file named after
// it. Everywhere else the code knows dialects and not protocols.
func TestProtocolsAreNamedInTheirFiles(t *testing.T) {
	names := map[string]bool{}
	for _, d := range dialect.All {
		names[strings.ReplaceAll(d.Name, "-", "")] = true
	}
	found := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (path == "dialect" || path == "test" || e.Name() == "testdata" || strings.HasPrefix(e.Name(), ".") && path != "."):
			return fs.SkipDir
		case e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || namedAfterOne(e.Name(), names):
			return nil
		}
		for _, name := range protocolsIn(t, path, names) {
			found[path] = true
			if exempt[path] == "" {
				t.Errorf("%s names %s: that belongs into dialect, or into a file of that name", path, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for path := range exempt {
		if !found[path] {
			t.Errorf("%s names no protocol anymore, and needs no exemption", path)
		}
	}
}

// namedAfterOne reports whether a file is named after a protocol: ftp.go, imap_words.go.
func namedAfterOne(file string, names map[string]bool) bool {
	word, _, _ := strings.Cut(strings.TrimSuffix(file, ".go"), "_")
	return names[word] || word == "mail" // what smtp and lmtp share
}

// protocolsIn returns the protocols that the code of a file names: words of identifiers, and strings that
// are a name and nothing else. Comments and help texts may say what they like.
func protocolsIn(t *testing.T, path string, names map[string]bool) (found []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	web := slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"net/http"` })
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Ident:
			for _, word := range words(n.Name) {
				if names[word] && !(web && word == "http") { // the library's name for something else than the upgrade
					found = append(found, n.Name)
				}
			}
		case *ast.BasicLit:
			if text, err := strconv.Unquote(n.Value); err == nil && names[text] {
				found = append(found, n.Value)
			}
		}
		return true
	})
	return found
}

// words splits an identifier at its capitals: newFTPChannels is new, ftp, channels.
func words(name string) (all []string) {
	runes := []rune(name)
	from := 0
	for i := 1; i <= len(runes); i++ {
		if i == len(runes) || unicode.IsUpper(runes[i]) && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			all = append(all, strings.ToLower(string(runes[from:i])))
			from = i
		}
	}
	return all
}

// TestWordsOfNames: the villain of the test above.
func TestWordsOfNames(t *testing.T) {
	if got := strings.Join(words("newFTPChannels"), " "); got != "new ftp channels" {
		t.Errorf("got %q", got)
	}
}
