package cli

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write golden files anew")

// changing is what is not the same in every lab, with what is put there.
var changing = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`[0-9a-f]{12,}`), "HASH"},
	{regexp.MustCompile(`\d+(\.\d+){3}:\d{4,5}\b`), "ADDRESS"},
	{regexp.MustCompile(`\b20\d\d-\d\d-\d\d(T[0-9:]+Z)?`), "DATE"},
	{regexp.MustCompile(`key \d+ of`), "key N of"},
}

// settle takes from a tree what changes.
func (b *branch) settle() {
	for _, c := range changing {
		b.text = c.pattern.ReplaceAllString(b.text, c.with)
	}
	for _, kid := range b.kids {
		kid.settle()
	}
}

// TestPolicyOfTheLab holds the tree of each of the lab's domains, with its hosts visited. What the lab
// says must come of a delivery is held by its own test.
func TestPolicyOfTheLab(t *testing.T) {
	var out bytes.Buffer
	cmd := newPolicyCommand(streams{strings.NewReader(""), &out, io.Discard}, func(r *policyRun, i *inspection) error {
		tree := treeOf(i)
		tree.settle()
		if err := tree.write(r.std.out); err != nil {
			return err
		}
		_, err := io.WriteString(r.std.out, "\n")
		return err
	})
	cmd.SetArgs([]string{"--lab", "--live", "--timeout", "2s", "--parallel", "16", "--name", "us.test"})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	if err := cmd.Execute(); err == nil {
		t.Error("every domain of the lab is well, it says")
	}
	for line := range strings.Lines(out.String()) {
		if utf8.RuneCountInString(line) > columns+1 {
			t.Errorf("too wide: %q", line)
		}
	}
	golden := filepath.Join("testdata", "lab.trees")
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(out.String(), "\n\n")
	for n, tree := range strings.Split(string(want), "\n\n") {
		if n >= len(got) || got[n] != tree {
			t.Errorf("want\n%s\ngot\n%s", tree, got[min(n, len(got)-1)])
		}
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text string
		want string
	}{
		{"", ""},
		{"one two three", "one two|three"},
		{"onetwothree", "onetwothr|ee"},
		{"a onetwothree four", "a|onetwot|hree|four"},
		{"ünï cödé wörds hére", "ünï cödé|wörds|hére"},
	} {
		if got := strings.Join(wrap(c.text, 9, 7), "|"); got != c.want {
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
	}
}

func TestClean(t *testing.T) {
	if got := clean("a\x1b[31m\r\nb\u202e\x9fc\xff"); strings.ContainsAny(got, "\x1b\r\n\u202e") || !utf8.ValidString(got) {
		t.Errorf("got %q", got)
	}
}
