package cli

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// saidLine is a command line in a text: indented, or in a cell or a sentence between backquotes.
var saidLine = regexp.MustCompile("(?m)(?:^ {4}|`)(starttls [a-z][^`\\n]*)")

// TestTheManualSaysWhatThereIs: each command line in it names a command and flags that there are, and as many arguments
// as that takes. Nothing is run.
func TestTheManualSaysWhatThereIs(t *testing.T) {
	pages, _ := filepath.Glob("../../docs/*.md")
	lines := 0
	for _, page := range append(pages, "../../README.md") {
		if strings.HasSuffix(page, "findings.md") {
			continue // sentences, made from the catalogue
		}
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, said := range saidLine.FindAllStringSubmatch(string(text), -1) {
			if strings.HasSuffix(said[1], ";") {
				continue // nginx has a word like ours
			}
			lines++
			if err := parses(said[1]); err != nil {
				t.Errorf("%s: %s: %v", filepath.Base(page), said[1], err)
			}
		}
	}
	if lines < 50 {
		t.Errorf("%d lines", lines)
	}
	for _, wrong := range []string{"starttls gatewy", "starttls check --no-such-flag example.org", "starttls connect --show", "starttls policy serve now"} {
		if parses(wrong) == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
}

// parses reports what is wrong with a command line, up to what is the shell's.
func parses(line string) error {
	line, _, _ = strings.Cut(line, "   ") // what it does, beside it
	var args []string
	for _, word := range words(line)[1:] {
		if strings.ContainsAny(word[:1], "|<>;&#(") {
			break
		}
		args = append(args, word)
	}
	root := newRoot(streams{strings.NewReader(""), io.Discard, io.Discard})
	cmd, rest, err := root.Find(args)
	if err == nil && len(rest) > 0 { // without, it is the command's name in a sentence
		err = cmd.ParseFlags(rest)
	}
	if err == nil && len(rest) > 0 && cmd.Args != nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if errors.Is(err, pflag.ErrHelp) {
		err = nil
	}
	return err
}
