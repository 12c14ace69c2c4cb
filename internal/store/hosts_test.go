package store_test

import (
	"fmt"
	"testing"
	"time"

	"starttls/internal/policy"
	"starttls/internal/store"
)

// TestHostsAreRemembered: across processes, and what is kept is the first time and the last session.
func TestHostsAreRemembered(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		at := newClock()
		a, b := open(t, url, at.set), open(t, url, at.set)
		if seen := a.Hosts.Recall(t.Context(), "mx.example.com"); seen != nil {
			t.Errorf("%+v", seen)
		}
		first := at.now()
		a.Hosts.Remember(t.Context(), "mx.example.com", policy.Seen{Last: first, Version: 0x303, SPKI: [32]byte{1}, Issuer: "A"})
		if seen := a.Hosts.Recall(t.Context(), "mx.example.com"); seen == nil || seen.Version != 0x303 {
			t.Errorf("not at once: %+v", seen)
		}
		flush(t, a)
		at.add(time.Hour)
		b.Hosts.Remember(t.Context(), "mx.example.com", policy.Seen{Last: at.now(), Version: 0x304, SPKI: [32]byte{2, 31: 255}, Issuer: "B\x00\xff\n\u202e"})
		flush(t, b)
		want := policy.Seen{First: first, Last: at.now(), Version: 0x304, SPKI: [32]byte{2, 31: 255}, Issuer: "B ? \u202e"}
		c := open(t, url, at.set)
		for i, s := range []*store.Store{a, c} { // b has not read what a knew
			if seen := s.Hosts.Recall(t.Context(), "mx.example.com"); seen == nil || *seen != want {
				t.Errorf("%d: %+v, want %+v", i, seen, want)
			}
		}
		// A session that is told of late changes nothing.
		c.Hosts.Remember(t.Context(), "mx.example.com", policy.Seen{Last: first, Version: 0x301})
		flush(t, c)
		if seen := a.Hosts.Recall(t.Context(), "mx.example.com"); *seen != want {
			t.Errorf("%+v", seen)
		}
	})
}

// TestHostsAreBounded: on disk and in memory.
func TestHostsAreBounded(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		at := newClock()
		s := open(t, url, at.set, func(c *store.Config) { c.MaxHosts = 10 })
		for i := range 100 {
			s.Hosts.Remember(t.Context(), fmt.Sprintf("mx%d.example", i), policy.Seen{Last: at.now().Add(time.Duration(i) * time.Second)})
		}
		at.add(2 * time.Minute)
		flush(t, s)
		at.add(time.Minute)
		flush(t, s)
		db := database(t, url)
		until(t, "the surplus to go", func() bool { return number(t, db, `SELECT COUNT(*) FROM host`) == 10 })
		if seen := open(t, url, at.set).Hosts.Recall(t.Context(), "mx99.example"); seen == nil {
			t.Error("the last one seen is gone")
		}
		at.add(401 * 24 * time.Hour)
		flush(t, s)
		until(t, "the forgotten to go", func() bool { return number(t, db, `SELECT COUNT(*) FROM host`) == 0 })
	})
}
