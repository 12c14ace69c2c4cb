package store_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"starttls/internal/store"
	"starttls/mtasts"
)

// The test program runs itself again as another process that uses a store.
const childEnv = "STARTTLS_STORE_CHILD" // what it is to do, a space, and the URL

func TestMain(m *testing.M) {
	what, url, ok := strings.Cut(os.Getenv(childEnv), " ")
	if !ok {
		os.Exit(m.Run())
	}
	if err := children[what](url); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var children = map[string]func(url string) error{"begin": begin, "count": count}

func child(ctx context.Context, what, url string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+what+" "+url)
	cmd.Stderr = os.Stderr
	return cmd
}

// begin opens a store and writes something.
func begin(url string) error {
	s, err := store.Open(store.Config{URL: url})
	if err != nil {
		return err
	}
	s.Tally.Add(session("example.com", time.Now(), ok(sts)))
	if err := s.Flush(context.Background()); err != nil {
		return err
	}
	return s.Close()
}

// count counts sessions and keeps policies, and says the number of each when the store has confirmed it. It
// does not end by itself.
func count(url string) error {
	s, err := store.Open(store.Config{URL: url})
	if err != nil {
		return err
	}
	p, err := mtasts.ParsePolicy([]byte(text))
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		s.Tally.Add(session("example.com", time.Now(), ok(sts)))
		s.Policies.Put(context.Background(), mtasts.Entry{Domain: fmt.Sprintf("d%d-%d.example", os.Getpid(), n), ID: "1", Policy: p, Fetched: time.Now()})
		if err := s.Flush(context.Background()); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// TestProcessesBeginAtOnce: one of them makes the schema.
func TestProcessesBeginAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		const processes = 6
		var all sync.WaitGroup
		for range processes {
			all.Go(func() {
				if err := child(t.Context(), "begin", url).Run(); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		counts := day(t, open(t, url), time.Now())
		if len(counts) != 1 || counts[0].Successful != processes {
			t.Errorf("%+v", counts)
		}
		if n := number(t, database(t, url), `SELECT COUNT(*) FROM migration`); n != steps(t) {
			t.Errorf("%d migrations of %d", n, steps(t))
		}
	})
}

// TestKilledProcesses: two processes use one store, and are killed at any moment. What was confirmed is there.
func TestKilledProcesses(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		type process struct {
			cmd       *exec.Cmd
			confirmed int
		}
		const rounds = 3
		var all []*process
		for range rounds {
			var pair [2]*process
			var both sync.WaitGroup
			for i := range pair {
				p := &process{cmd: child(t.Context(), "count", url)}
				pair[i] = p
				out, err := p.cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := p.cmd.Start(); err != nil {
					t.Fatal(err)
				}
				enough := 20 + rand.IntN(30)
				both.Go(func() {
					for lines := bufio.NewScanner(out); lines.Scan(); {
						p.confirmed, _ = strconv.Atoi(lines.Text())
						if p.confirmed == enough {
							time.AfterFunc(rand.N(3*time.Millisecond), func() { p.cmd.Process.Kill() })
						}
					}
					p.cmd.Wait()
				})
			}
			both.Wait()
			all = append(all, pair[:]...)
		}
		confirmed, db := 0, database(t, url)
		for _, p := range all {
			confirmed += p.confirmed
			if p.confirmed < 20 {
				t.Errorf("a process ended after %d", p.confirmed)
			}
			// One more may have been written and not told.
			n := number(t, db, `SELECT COUNT(*) FROM sts WHERE domain LIKE $1`, fmt.Sprintf("d%d-%%", p.cmd.Process.Pid))
			if n < p.confirmed || n > p.confirmed+1 {
				t.Errorf("%d policies of %d that were confirmed", n, p.confirmed)
			}
		}
		s := open(t, url)
		counts := day(t, s, time.Now())
		if before := day(t, s, time.Now().Add(-time.Hour)); len(before) == 1 && len(counts) == 1 && before[0].Successful != counts[0].Successful {
			counts[0].Successful += before[0].Successful // midnight
		}
		if len(counts) != 1 || int(counts[0].Successful) < confirmed || int(counts[0].Successful) > confirmed+len(all) {
			t.Errorf("%+v, and %d were confirmed", counts, confirmed)
		}
		t.Logf("%d confirmed", confirmed)
	})
}

// steps returns how many steps the schema has.
func steps(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("migrations")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	return len(files)
}
