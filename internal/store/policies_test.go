package store_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"starttls/internal/store"
	"starttls/mtasts"
	"starttls/resolver/dnstest"
)

const text = "version: STSv1\nmode: enforce\nmx: mail.example.com\nmax_age: 604800\n"

func entry(t *testing.T, domain, id string, mode mtasts.Mode, fetched time.Time) mtasts.Entry {
	t.Helper()
	p, err := mtasts.ParsePolicy([]byte(fmt.Sprintf("version: STSv1\nmode: %s\nmx: mail.example.com\nmax_age: 604800\n", mode)))
	if err != nil {
		t.Fatal(err)
	}
	return mtasts.Entry{Domain: domain, ID: id, Policy: p, Fetched: fetched, Used: fetched, Due: fetched.Add(24 * time.Hour)}
}

// has checks what a store has of a domain; id "" is nothing.
func has(t *testing.T, s *store.Store, domain, id string) mtasts.Entry {
	t.Helper()
	e, ok := s.Policies.Get(t.Context(), domain)
	if ok != (id != "") || e.ID != id || ok && (e.Policy == nil || e.Policy.MX[0] != "mail.example.com") {
		t.Errorf("%s: %t, %+v; want id %q", domain, ok, e, id)
	}
	return e
}

// TestPolicyOutlivesProcess: S89, with the client and a real policy host, which is asked once.
func TestPolicyOutlivesProcess(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		var fetches atomic.Int32
		host := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			fetches.Add(1)
			rw.Header().Set("Content-Type", "text/plain")
			io.WriteString(rw, text)
		}))
		host.StartTLS() // with a certificate for example.com and its names
		defer host.Close()
		for run, failed := range []bool{false, true} {
			s := open(t, url)
			c := &mtasts.Client{
				Cache:    s.Policies,
				Resolver: dnstest.New("_mta-sts.example.com TXT \"v=STSv1; id=1;\"\nmta-sts.example.com A 192.0.2.1"),
				Roots:    poolOf(host.TLS),
				Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
					if failed {
						return nil, errors.New("away")
					}
					return new(net.Dialer).DialContext(ctx, network, host.Listener.Addr().String())
				},
			}
			if state := c.Policy(t.Context(), "example.com"); state.Policy == nil || state.Policy.Text != text || state.Err != nil || state.Cached != failed {
				t.Errorf("S89 run %d: %+v", run, state)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if fetches.Load() != 1 {
			t.Errorf("%d fetches", fetches.Load())
		}
	})
}

func poolOf(cfg *tls.Config) *x509.CertPool {
	pool := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(cfg.Certificates[0].Certificate[0])
	if err != nil {
		panic(err)
	}
	pool.AddCert(leaf)
	return pool
}

func TestPoliciesAreShared(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		at := newClock()
		a, b := open(t, url, at.set), open(t, url, at.set)
		a.Policies.Put(t.Context(), entry(t, "example.com", "1", mtasts.Enforce, at.now()))
		has(t, a, "example.com", "1") // at once
		flush(t, a)
		has(t, b, "example.com", "1")
		at.add(time.Hour)
		b.Policies.Put(t.Context(), entry(t, "example.com", "2", mtasts.Enforce, at.now()))
		flush(t, b)
		has(t, a, "example.com", "2")
		// One that was fetched before and comes late changes nothing.
		a.Policies.Put(t.Context(), entry(t, "example.com", "0", mtasts.Testing, at.now().Add(-time.Minute)))
		flush(t, a)
		has(t, a, "example.com", "2")
		has(t, b, "example.com", "2")
		at.add(8 * 24 * time.Hour)
		has(t, a, "example.com", "")
		has(t, b, "example.com", "")
	})
}

// TestPolicyIsDueOnce: one process of all fetches a policy anew.
func TestPolicyIsDueOnce(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		at := newClock()
		a, b := open(t, url, at.set), open(t, url, at.set)
		for i := range 20 {
			a.Policies.Put(t.Context(), entry(t, fmt.Sprintf("d%d.example", i), "1", mtasts.Enforce, at.now()))
		}
		a.Policies.Put(t.Context(), entry(t, "none.example", "1", mtasts.None, at.now()))
		flush(t, a)
		due := func(s *store.Store, n int) (all []mtasts.Entry) { return s.Policies.Due(t.Context(), n, time.Minute) }
		if n := len(due(a, 100)); n != 0 {
			t.Fatalf("%d due already", n)
		}
		at.add(24 * time.Hour)
		seen := map[string]int{}
		for _, e := range append(append(due(a, 7), due(b, 7)...), due(a, 100)...) {
			seen[e.Domain]++
		}
		if len(seen) != 20 || seen["none.example"] != 0 || len(due(b, 100)) != 0 {
			t.Errorf("due: %v", seen)
		}
		at.add(time.Minute) // none of them came back
		again := due(b, 100)
		if len(again) != 20 {
			t.Fatalf("%d due again", len(again))
		}
		again[0].Due, again[0].Failures = at.now().Add(time.Hour), 3
		b.Policies.Postpone(t.Context(), again[0])
		flush(t, b)
		at.add(time.Minute)
		if n := len(due(a, 100)); n != 19 {
			t.Errorf("%d due, and one was postponed", n)
		}
		at.add(time.Hour)
		for _, e := range due(a, 100) {
			if e.Domain == again[0].Domain && e.Failures != 3 {
				t.Errorf("%+v", e)
			}
		}
		at.add(mtasts.Idle)
		if n := len(due(a, 100)); n != 0 {
			t.Errorf("%d due that have ended", n)
		}
	})
}

// TestUseIsNoted: what deliveries use is fetched anew for as long as they do.
func TestUseIsNoted(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		at := newClock()
		s := open(t, url, at.set)
		e := entry(t, "example.com", "1", mtasts.Enforce, at.now())
		s.Policies.Put(t.Context(), e)
		flush(t, s)
		for range 6 {
			at.add(24 * time.Hour)
			has(t, s, "example.com", "1")
		}
		flush(t, s)
		if used := number(t, database(t, url), `SELECT used FROM sts`); int64(used) != at.now().Unix() {
			t.Errorf("used %v ago", at.now().Sub(time.Unix(int64(used), 0)))
		}
	})
}

// TestClockSetBackInStore: S90 across processes.
func TestClockSetBackInStore(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		at := newClock()
		s := open(t, url, at.set)
		s.Policies.Put(t.Context(), entry(t, "example.com", "1", mtasts.Enforce, at.now()))
		s.Close()
		at.add(-1000 * 24 * time.Hour)
		s = open(t, url, at.set)
		has(t, s, "example.com", "1")
		if due := s.Policies.Due(t.Context(), 10, time.Minute); len(due) != 1 {
			t.Error("S90: not due at once")
		}
		flush(t, s)
		at.add(7 * 24 * time.Hour)
		has(t, s, "example.com", "") // no longer than if fetched when it was first seen
		s.Policies.Put(t.Context(), entry(t, "example.com", "2", mtasts.Enforce, at.now()))
		flush(t, s)
		has(t, open(t, url, at.set), "example.com", "2") // though the other one was "fetched later"
	})
}

// TestPoliciesAreBounded: S92 on disk.
func TestPoliciesAreBounded(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		at := newClock()
		s := open(t, url, at.set, func(c *store.Config) { c.MaxPolicies = 10 })
		for i := range 8 {
			s.Policies.Put(t.Context(), entry(t, fmt.Sprintf("enforce%d.example", i), "1", mtasts.Enforce, at.now().Add(time.Duration(i)*time.Second)))
		}
		at.add(10 * time.Second)
		for i := range 100 {
			s.Policies.Put(t.Context(), entry(t, fmt.Sprintf("testing%d.example", i), "1", mtasts.Testing, at.now()))
		}
		flush(t, s)
		at.add(time.Minute)
		flush(t, s)
		db := database(t, url)
		until(t, "the surplus to go", func() bool { return number(t, db, `SELECT COUNT(*) FROM sts`) == 10 })
		if n := number(t, db, `SELECT COUNT(*) FROM sts WHERE mode = 'enforce'`); n != 8 {
			t.Errorf("S92: %d that enforce are left", n)
		}
		at.add(700000 * time.Second)
		flush(t, s)
		until(t, "the ended to go", func() bool { return number(t, db, `SELECT COUNT(*) FROM sts`) == 0 })
	})
}

// TestDamagedRow: a row that is no policy is none, and stops nothing.
func TestDamagedRow(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		at := newClock()
		s := open(t, url, at.set)
		for _, domain := range []string{"bad.example", "good.example"} {
			s.Policies.Put(t.Context(), entry(t, domain, "1", mtasts.Enforce, at.now()))
		}
		flush(t, s)
		if _, err := database(t, url).Exec(`UPDATE sts SET body = 'x', due = 0 WHERE domain = 'bad.example'`); err != nil {
			t.Fatal(err)
		}
		other := open(t, url, at.set)
		has(t, other, "bad.example", "")
		has(t, other, "good.example", "1")
		at.add(24 * time.Hour)
		if due := other.Policies.Due(t.Context(), 10, time.Minute); len(due) != 1 || due[0].Domain != "good.example" {
			t.Errorf("due: %+v", due)
		}
		if h := other.Health(); h.Err != nil {
			t.Error(h.Err)
		}
	})
}
