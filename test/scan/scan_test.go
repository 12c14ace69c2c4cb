//go:build linux

package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"starttls/internal/cli"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// TestAScanThatWasKilledGoesOn: the scanner is this very program, killed in the middle.
func TestAScanThatWasKilledGoesOn(t *testing.T) {
	var out bytes.Buffer
	s := scan{program: os.Args[0], targets: 600, jobs: 16, limit: 2 * time.Minute, out: &out}
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "exactly once") {
		t.Error(out.String())
	}
	t.Log(out.String())
}

// TestALostOrRepeatedTargetIsNoticed: the judge of the test above can say no.
func TestALostOrRepeatedTargetIsNoticed(t *testing.T) {
	s := scan{targets: 2, port: "25", output: t.TempDir() + "/out"}
	one, two := `{"target":"`+s.target(0)+"\"}\n", `{"target":"`+s.target(1)+"\"}\n"
	for _, row := range []struct {
		text string
		ok   bool
	}{{one + two, true}, {two + one, true}, {one, false}, {one + two + one, false}, {one + one, false}, {one + two[:9], false}} {
		if err := os.WriteFile(s.output, []byte(row.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := s.exactlyOnce(); (err == nil) != row.ok {
			t.Errorf("%q: %v", row.text, err)
		}
	}
}
