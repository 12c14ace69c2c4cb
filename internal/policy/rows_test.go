package policy_test

import (
	"fmt"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The tables of cases: the letter, and how many rows there are.
var tables = map[string]int{"D": 78, "S": 92, "R": 27}

var number = regexp.MustCompile(`\b([DSR])(\d\d)\b`)

// TestEveryRowIsATest: each row of the tables of cases is in the name of a test somewhere, and what
// docs/policy.md decides otherwise is a row that there is.
func TestEveryRowIsATest(t *testing.T) {
	found := map[string]bool{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && strings.HasPrefix(e.Name(), ".") && path != root:
			return fs.SkipDir
		case e.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		return rowsIn(path, found)
	})
	if err != nil {
		t.Fatal(err)
	}
	for letter, n := range tables {
		for i := 1; i <= n; i++ {
			if row := fmt.Sprintf("%s%02d", letter, i); !found[row] {
				t.Errorf("%s is no test", row)
			}
		}
	}
	doc, err := os.ReadFile(filepath.Join(root, "docs", "policy.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, otherwise, ok := strings.Cut(string(doc), "## Decided otherwise")
	otherwise, _, _ = strings.Cut(otherwise, "\n## ")
	if !ok || len(number.FindAllString(otherwise, -1)) == 0 {
		t.Fatal("docs/policy.md does not tell what is decided otherwise")
	}
	for _, row := range number.FindAllString(string(doc), -1) {
		if !found[row] {
			t.Errorf("docs/policy.md speaks of %s, which is no test", row)
		}
	}
}

// rowsIn adds the rows that the strings of a test file name.
func rowsIn(path string, found map[string]bool) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	files := token.NewFileSet()
	if _, err := parser.ParseFile(files, path, text, parser.PackageClauseOnly); err != nil {
		return err
	}
	var s scanner.Scanner
	s.Init(files.AddFile(path, -1, len(text)), text, nil, 0)
	for {
		_, tok, literal := s.Scan()
		switch tok {
		case token.EOF:
			return nil
		case token.STRING:
			for _, row := range number.FindAllString(literal, -1) {
				found[row] = true
			}
		}
	}
}
