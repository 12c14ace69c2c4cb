//go:build linux

package faults

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"starttls"
	"starttls/dialect"
	"starttls/internal/gateway"
	"starttls/internal/policy"
	"starttls/internal/store"
	"starttls/mtasts"
	"starttls/tlsrpt"
)

// What a program measures itself (deadlines, rests, the age of answers) is by Go's monotonic clock, which
// does not jump. What is left is compared with dates that others have written: certificates, tickets,
// policies. For these a clock is a field, and here it jumps.

// A clock that jumps. What has passed is time; what it is ahead is not.
type clock struct{ ahead, passed atomic.Int64 }

func (c *clock) jump(by time.Duration) { c.ahead.Store(int64(by)) }
func (c *clock) pass(d time.Duration)  { c.passed.Add(int64(d)) }
func (c *clock) now() time.Time {
	return wrongBy(time.Now().Add(time.Duration(c.passed.Load())), time.Duration(c.ahead.Load()))
}

// wrongBy returns t as a machine shows it whose clock was set while the program ran: another time of day,
// with the monotonic reading that it has. Package time has no words for that; inside, the seconds of the day
// are above the 30 bits of nanoseconds where there is a monotonic reading.
func wrongBy(t time.Time, d time.Duration) time.Time {
	*(*uint64)(unsafe.Pointer(&t)) += uint64(int64(d/time.Second) << 30)
	return t
}

// TestAClockIsWrong by what the tests think it is.
func TestAClockIsWrong(t *testing.T) {
	for _, d := range []time.Duration{years, -years, time.Second} {
		now := time.Now()
		wrong := wrongBy(now, d)
		if day, passed := wrong.Round(0).Sub(now.Round(0)), wrong.Sub(now); day != d || passed != 0 {
			t.Errorf("it is wrong by %v, and %v have passed", day, passed)
		}
	}
}

const years = 10 * 365 * 24 * time.Hour

// jumps of a clock, there and back.
var jumps = []struct {
	name string
	by   time.Duration
	good bool // what was good is
}{
	{"none", 0, true}, {"ten years on", years, false}, {"back", 0, true},
	{"ten years back", -years, false}, {"and right again", 0, true},
}

// TestTheClockJumps under a gateway: sessions go on, clients with a ticket and without get in, and a backend
// whose certificate is not good by that clock gets nobody, in the clear least of all, until the clock is
// right again.
func TestTheClockJumps(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	var c clock
	pair := newPair(t, "localhost")
	cert, err := tls.X509KeyPair(pair.cert, pair.key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pair.cert)
	certs := []tls.Certificate{cert}
	back := newSecureBackend(t, dir+"/back", &tls.Config{Certificates: certs})
	route := func(level starttls.Level) gateway.Route {
		return gateway.Route{
			Dialect: &dialect.SMTP,
			Front:   gateway.Front{Level: starttls.Encrypt, TLS: &tls.Config{Certificates: certs, Time: c.now}},
			Back: gateway.Back{
				Name: "localhost", Level: level, Implicit: true,
				TLS:  &tls.Config{ServerName: "localhost", RootCAs: roots, Time: c.now, InsecureSkipVerify: level < starttls.Verify},
				Dial: func(context.Context) (net.Conn, error) { return net.Dial("unix", back.path) },
			},
		}
	}
	for path, level := range map[string]starttls.Level{dir + "/any": starttls.Encrypt, dir + "/good": starttls.Secure} {
		serveHere(t, path, route(level))
	}
	all := append(beginOthers(t, 2, dir+"/any"), beginOthers(t, 2, dir+"/good")...)
	config := ours.Clone()
	config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	for _, jump := range jumps {
		c.jump(jump.by)
		conn, err := dialWith(config, "unix", dir+"/any", "echo")
		if err != nil {
			t.Fatalf("%s: %v", jump.name, err)
		}
		if jump.by > 0 && conn.ConnectionState().DidResume {
			t.Error("a ticket is good for ten years") // and not for a week (RFC 8446 §4.6.1)
		}
		s := begin(conn)
		(others{s}).undisturbed(t)
		(others{s}).end(t)
		if conn, err = dial("unix", dir+"/good", "echo"); (err == nil) != jump.good || err != nil && !strings.Contains(err.Error(), `"4`) {
			t.Errorf("%s: a backend that is verified: %v", jump.name, err)
		}
		if err == nil {
			conn.Close()
		}
		all.undisturbed(t)
	}
	all.end(t)
}

// serveHere serves a route in this process until the test ends; a session that then does not end is a leak.
func serveHere(t *testing.T, path string, r gateway.Route) {
	t.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	g := gateway.New(r)
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if n := g.Drain(ctx); n > 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

// TestTheClockJumpsUnderRenewals: a CA is asked no more often than it may be, what it gives by another clock
// is not taken for good, and when the clock is right there is a certificate that is.
func TestTheClockJumpsUnderRenewals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var clock clock
		m, c := renewing(t, nil)
		m.Now = clock.now
		for _, jump := range jumps {
			before := file(t, m)
			c.certified = 0
			clock.jump(jump.by)
			run(t, m, 24*time.Hour)
			if c.certified > 30 {
				t.Errorf("%s: asked for %d certificates in a day", jump.name, c.certified)
			}
			leaf := ensuredLeaf(t, file(t, m))
			if now := time.Now(); now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
				t.Errorf("%s: what is served is good from %v to %v", jump.name, leaf.NotBefore, leaf.NotAfter)
			}
			if !jump.good && !bytes.Equal(before, file(t, m)) {
				t.Errorf("%s: a good certificate was replaced", jump.name)
			}
		}
	})
}

func ensuredLeaf(t *testing.T, text []byte) *x509.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf
}

// TestTheClockJumpsUnderAStore: nothing is thrown away by a clock that has jumped.
func TestTheClockJumpsUnderAStore(t *testing.T) {
	t.Parallel()
	var clock clock
	url := "sqlite:" + folder(t) + "/kept.db"
	s := openStore(t, store.Config{URL: url, Now: clock.now})
	enforce, err := mtasts.NewPolicy(mtasts.Enforce, 7*24*time.Hour, "mx.test")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	s.Policies.Put(t.Context(), mtasts.Entry{Domain: "a.test", ID: "1", Policy: enforce, Fetched: now, Used: now, Due: now.Add(time.Hour)})
	s.Hosts.Remember(t.Context(), "mx.test", policy.Seen{Last: now})
	s.Tally.Add(tlsrpt.Session{Time: now, Domain: "a.test", Outcomes: []tlsrpt.Outcome{{Policy: tlsrpt.Policy{Type: tlsrpt.NoPolicy, Domain: "a.test"}}}})
	for _, jump := range jumps {
		clock.jump(jump.by)
		for range 3 {
			clock.pass(2 * time.Minute) // there is time to tidy up
			flush(t, s)
		}
	}
	other := openStore(t, store.Config{URL: url})
	flush(t, other)
	if _, ok := other.Policies.Get(t.Context(), "a.test"); !ok {
		t.Error("the policy was thrown away")
	}
	if other.Hosts.Recall(t.Context(), "mx.test") == nil {
		t.Error("the host was thrown away")
	}
	if counts, err := other.Tally.Day(t.Context(), now); err != nil || len(counts) != 1 {
		t.Errorf("the count was thrown away: %v, %v", counts, err)
	}
}

func openStore(t *testing.T, c store.Config) *store.Store {
	t.Helper()
	s, err := store.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func flush(t *testing.T, s *store.Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}
