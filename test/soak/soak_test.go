//go:build linux

package main

import (
	"bytes"
	"crypto/tls"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"starttls"
	"starttls/dialect"
	"starttls/internal/tryout"
)

func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		os.Exit(beChild(what))
	}
	os.Exit(m.Run())
}

// quick is a soak in which everything happens within seconds.
func quick() pace {
	return pace{
		length: 4 * time.Second, between: 500 * time.Millisecond, round: 400 * time.Millisecond,
		kill: 600 * time.Millisecond, reload: 200 * time.Millisecond, renew: 500 * time.Millisecond, hand: 700 * time.Millisecond,
		garbage: 50 * time.Millisecond, stay: time.Second, sample: 500 * time.Millisecond, grace: 30 * time.Second,
	}
}

// TestNoSessionBreaksThatWasNotAimedAt: "make soak" in small.
func TestNoSessionBreaksThatWasNotAimedAt(t *testing.T) {
	var out bytes.Buffer
	err := soak(t.Context(), t.TempDir(), quick(), &out)
	t.Log(out.String())
	if err != nil {
		t.Fatal(err)
	}
}

// TestACrowdIsServed: ten thousand idle sessions and two thousand half open ones, in small.
func TestACrowdIsServed(t *testing.T) {
	var out bytes.Buffer
	err := (&crowd{dir: t.TempDir(), idle: 300, half: 60, out: &out}).run(t.Context())
	t.Log(out.String())
	if err != nil {
		t.Fatal(err)
	}
}

// TestAimsExcuseNothingElse: a session that broke at another time, or where nothing was done, is a failure.
func TestAimsExcuseNothingElse(t *testing.T) {
	at := func(seconds int) (tm time.Time) {
		if seconds >= 0 {
			tm = time.Unix(1e9+int64(seconds), 0)
		}
		return tm
	}
	killed := aim{from: at(10), to: at(20)}
	lasting := aim{from: at(10)}
	removed := aim{from: at(10), to: at(20), newcomers: true}
	changed := aim{from: at(10), to: at(11), after: 30 * time.Second}
	for _, row := range []struct {
		name             string
		aim              aim
		began, up, broke int // up -1: never
		want             bool
	}{
		{"killed, and broken by it", killed, 5, 6, 15, true},
		{"killed, and not served meanwhile", killed, 12, -1, 12, true},
		{"killed after it broke", killed, 5, 6, 9, false},
		{"killed before it began", killed, 21, 22, 23, false},
		{"not over yet", lasting, 500, -1, 501, true},
		{"removed before it came", removed, 12, -1, 12, true},
		{"removed while it was not served yet", removed, 9, -1, 12, true},
		{"removed while it worked", removed, 5, 6, 15, false},
		{"changed, and grace is over", changed, 5, 6, 40, true},
		{"changed, and grace is not over", changed, 5, 6, 39, false},
		{"changed before it came", changed, 12, 13, 60, false},
	} {
		if got := row.aim.meant(life{at(row.began), at(row.up), at(row.broke)}); got != row.want {
			t.Errorf("%s: %v", row.name, got)
		}
	}
	var all aims
	one := all.begin(aim{why: "killed"}, "a")
	l := life{began: one.from, broke: one.from.Add(time.Second)}
	if all.at("a", l) != "killed" || all.at("b", l) != "" {
		t.Error("one route for another")
	}
}

// TestABrokenSessionIsNoticed: one in which other bytes are heard than before, and one that is cut off; and
// neither is if it was aimed at.
func TestABrokenSessionIsNoticed(t *testing.T) {
	var out bytes.Buffer
	w, err := newWorld(t.TempDir(), quick(), &out)
	if err != nil {
		t.Fatal(err)
	}
	r := w.routes[slices.IndexFunc(w.routes, func(r *route) bool { return r.name == "postgres" })]
	c := &client{w: w, g: w.gateways[0], r: r}
	var cut atomic.Bool
	serveTLS(t, w, address(c.g.ports[r.name]), &cut)
	failures := func(want int) {
		t.Helper()
		if c.session(t.Context()); len(w.tally.failures) != want {
			t.Fatalf("%d failures, want %d:\n%s", len(w.tally.failures), want, out.String())
		}
	}
	failures(0)
	heard, _ := w.tally.heard.Swap("postgres", "something else")
	failures(1)
	w.tally.heard.Store("postgres", heard)
	cut.Store(true)
	failures(2)
	w.aims.begin(aim{why: "cut"}, c.g.key(r))
	failures(2)
	if n := w.tally.dialects["postgres"].aimed["cut"]; n != 1 {
		t.Errorf("%d were aimed at", n)
	}
}

// serveTLS is a gateway made of package starttls and the try-out server, which cuts connections when it is
// told to.
func serveTLS(t *testing.T, w *world, addr string, cut *atomic.Bool) {
	text, err := w.pki.next()
	if err == nil {
		err = w.pki.put(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.LoadX509KeyPair(w.pki.file, w.pki.file)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	server, _ := tryout.New("postgres")
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			secured, err := starttls.Server(t.Context(), conn, &dialect.Postgres, &starttls.Config{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
			switch {
			case err != nil:
			case cut.Load():
				conn.Close()
			default:
				server.Serve(secured)
			}
		}
	}()
}

// TestGrowthIsNoticed: memory that rises by a kilobyte for each session is not flat, and what is needed
// once is.
func TestGrowthIsNoticed(t *testing.T) {
	for name, row := range map[string]struct {
		memory func(i int) float64
		flat   bool
	}{
		"a leak":     {func(i int) float64 { return 30e6 + 100e3*float64(i) }, false},
		"a plateau":  {func(i int) float64 { return 30e6 + 20e6*float64(min(i, 10)) }, true},
		"ups, downs": {func(i int) float64 { return 30e6 + 10e6*float64(i%3) }, true},
	} {
		v := &watch{}
		for i := range 180 {
			v.samples = append(v.samples, sample{each: []figures{{memory: row.memory(i)}}})
		}
		if g := v.growth(0, 4e6, func(f figures) float64 { return f.memory }); g.flat() != row.flat {
			t.Errorf("%s: %+v", name, g)
		}
	}
}
