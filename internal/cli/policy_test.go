package cli

import (
	"bytes"
	"context"
	"flag"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"starttls/internal/lab"
	"starttls/internal/policy"
)

var update = flag.Bool("update", false, "write golden files anew")

// changing is what is not the same in every lab, with what is put there.
var changing = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`[0-9a-f]{12,}`), "HASH"},
	{regexp.MustCompile(`\d+(\.\d+){3}:\d{4,5}\b`), "ADDRESS"},
	{regexp.MustCompile(`127\.25\.\d+\.`), "127.25.N."},
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
	cmd.SetArgs([]string{"--lab", "--live", "--timeout", "3s", "--parallel", "16", "--name", "us.test"})
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
	trees := byDomain(string(want))
	for domain, tree := range byDomain(out.String()) {
		if trees[domain] != tree {
			t.Errorf("got\n%s\nwant\n%s\n(run with -update if that is as it should be)", tree, trees[domain])
		}
		delete(trees, domain)
	}
	for domain := range trees {
		t.Errorf("%s is not told of", domain)
	}
}

// byDomain takes trees apart.
func byDomain(text string) map[string]string {
	all := make(map[string]string)
	for tree := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		domain, _, _ := strings.Cut(tree, ":")
		all[domain] = tree
	}
	return all
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

// TestPolicyState: what another program saw of a host counts, and is told.
func TestPolicyState(t *testing.T) {
	l, err := lab.Start(lab.Config{Only: []string{"tls.test"}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	kept, err := openStore("", dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	kept.Hosts.Remember(t.Context(), "mx.tls.test", policy.Seen{Last: time.Now()})
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
	anchors := filepath.Join(dir, "anchors")
	if err := os.WriteFile(anchors, []byte(l.Anchor()), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"policy", "--dns-server", l.Resolver().String(), "--dns-anchors", anchors, "--dns-probe", "test", "tls.test"}
	for want, more := range map[string][]string{"tls.test: may\n": nil, "tls.test: encrypt\n": {"--state", dir}} {
		var out, told bytes.Buffer
		if status := Main(append(args, more...), strings.NewReader(""), &out, &told); status != statusFine || !strings.HasPrefix(out.String(), want) {
			t.Errorf("%q: status %d\n%s%s", more, status, out.String(), told.String())
		}
	}
}

// TestLongWaitsAreTold: what is waited for, in one line of a terminal, which is taken away at the end.
func TestLongWaitsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		progress := &progress{w: &out, terminal: true, done: 3}
		long := strings.Repeat("long", 30) + ".example\x1b[31m"
		next := pending{long, make(chan *inspection, 1)}
		time.AfterFunc(2500*time.Millisecond, func() { next.done <- &inspection{text: long} })
		i, err := next.wait(t.Context(), progress)
		progress.clear()
		if err != nil || i.text != long {
			t.Fatal(i, err)
		}
		told := out.String()
		if !strings.Contains(told, "3 done, 1 s for long") || !strings.Contains(told, "3 done, 2 s for long") || strings.Contains(told, "[31m") || !strings.HasSuffix(told, "\r\x1b[K") {
			t.Errorf("told %q", told)
		}
		for line := range strings.SplitSeq(told, "\r") {
			if utf8.RuneCountInString(line) > 79 {
				t.Errorf("a line of %d", utf8.RuneCountInString(line))
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := (pending{long, nil}).wait(ctx, progress); err == nil {
			t.Error("waits for ever")
		}
	})
}
