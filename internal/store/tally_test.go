package store_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"starttls/internal/store"
	"starttls/tlsrpt"
)

var (
	sts  = tlsrpt.Policy{Type: tlsrpt.STS, Domain: "example.com", String: []string{"version: STSv1", "mode: enforce"}, MX: []string{"*.example.com"}}
	tlsa = tlsrpt.Policy{Type: tlsrpt.TLSA, Domain: "mx.example.com", String: []string{"3 1 1 00"}, MX: []string{"mx.example.com"}}
	none = tlsrpt.Policy{Type: tlsrpt.NoPolicy, Domain: "example.net", String: []string{}, MX: []string{}}

	noDay    = time.Date(2026, 11, 24, 23, 59, 59, 999999999, time.UTC)
	mismatch = tlsrpt.Failure{Type: tlsrpt.CertificateHostMismatch, SendingIP: "192.0.2.1", ReceivingHost: "mx.example.com", ReceivingHelo: "mx", ReceivingIP: "2001:db8::1"}
	noOffer  = tlsrpt.Failure{Type: tlsrpt.StartTLSNotSupported, ReceivingHost: "mx.example.net"}
)

func session(domain string, at time.Time, outcomes ...tlsrpt.Outcome) tlsrpt.Session {
	return tlsrpt.Session{Time: at, Domain: domain, Outcomes: outcomes}
}

func ok(p tlsrpt.Policy) tlsrpt.Outcome { return tlsrpt.Outcome{Policy: p} }

func failed(p tlsrpt.Policy, failures ...tlsrpt.Failure) tlsrpt.Outcome {
	return tlsrpt.Outcome{Policy: p, Failed: true, Failures: failures}
}

func day(t *testing.T, s *store.Store, at time.Time) []store.Count {
	t.Helper()
	counts, err := s.Tally.Day(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

func TestSessionsAreCounted(t *testing.T) {
	at := noDay.Add(time.Hour)
	for _, c := range []struct {
		name     string
		sessions []tlsrpt.Session
		want     []store.Count // of the day of at
	}{
		{"T10 no traffic", nil, nil},
		{"T11 the day before", []tlsrpt.Session{session("example.com", noDay, ok(sts))}, nil},
		{"T11 the first moment", []tlsrpt.Session{session("example.com", noDay.Add(time.Nanosecond), ok(sts))},
			[]store.Count{{Domain: "example.com", Policy: sts, Successful: 1}}},
		{"T11 the day in UTC", []tlsrpt.Session{session("example.com", noDay.Add(time.Nanosecond).In(time.FixedZone("", -12*3600)), ok(sts))},
			[]store.Count{{Domain: "example.com", Policy: sts, Successful: 1}}},
		{"T12 success alone", []tlsrpt.Session{session("example.com", at, ok(sts)), session("example.com", at, ok(sts))},
			[]store.Count{{Domain: "example.com", Policy: sts, Successful: 2}}},
		{"T13 two policies of one session", []tlsrpt.Session{session("example.com", at, failed(sts, mismatch), ok(tlsa))},
			[]store.Count{
				{Domain: "example.com", Policy: sts, Failed: 1, Failures: []store.FailureCount{{Failure: mismatch, Sessions: 1}}},
				{Domain: "example.com", Policy: tlsa, Successful: 1},
			}},
		{"T15, T18 no policy", []tlsrpt.Session{session("example.net", at, failed(none, noOffer))},
			[]store.Count{{Domain: "example.net", Policy: none, Failed: 1, Failures: []store.FailureCount{{Failure: noOffer, Sessions: 1}}}}},
		{"T22 a failure that was passed over", []tlsrpt.Session{session("example.com", at, tlsrpt.Outcome{Policy: tlsa, Failures: []tlsrpt.Failure{{Type: tlsrpt.TLSAInvalid}}})},
			[]store.Count{{Domain: "example.com", Policy: tlsa, Successful: 1, Failures: []store.FailureCount{{Failure: tlsrpt.Failure{Type: tlsrpt.TLSAInvalid}, Sessions: 1}}}}},
		{"T26 retries", []tlsrpt.Session{session("example.com", at, failed(sts, mismatch)), session("example.com", at, failed(sts, mismatch, noOffer)), session("example.com", at, ok(sts))},
			[]store.Count{{Domain: "example.com", Policy: sts, Successful: 1, Failed: 2, Failures: []store.FailureCount{{Failure: mismatch, Sessions: 2}, {Failure: noOffer, Sessions: 1}}}}},
		{"T27 one failure twice is one session", []tlsrpt.Session{session("example.com", at, failed(sts, mismatch, mismatch))},
			[]store.Count{{Domain: "example.com", Policy: sts, Failed: 1, Failures: []store.FailureCount{{Failure: mismatch, Sessions: 1}}}}},
		{"one domain's policy for another", []tlsrpt.Session{session("b.example", at, ok(tlsa)), session("a.example", at, ok(tlsa))},
			[]store.Count{{Domain: "a.example", Policy: tlsa, Successful: 1}, {Domain: "b.example", Policy: tlsa, Successful: 1}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, newSQLite(t), func(c *store.Config) { c.Now = func() time.Time { return at } })
			for _, session := range c.sessions {
				s.Tally.Add(session)
			}
			flush(t, s)
			if got := day(t, s, at); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// TestCountsAddUp: of two processes, over many flushes.
func TestCountsAddUp(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		at := time.Now()
		a, b := open(t, url), open(t, url)
		for range 50 {
			for _, s := range []*store.Store{a, b} {
				s.Tally.Add(session("example.com", at, failed(sts, mismatch), ok(tlsa)))
				s.Tally.Add(session("example.net", at, ok(none)))
				s.Tally.Add(session("example.com", at, ok(sts)))
			}
			flush(t, a)
		}
		flush(t, b)
		want := []store.Count{
			{Domain: "example.com", Policy: sts, Successful: 100, Failed: 100, Failures: []store.FailureCount{{Failure: mismatch, Sessions: 100}}},
			{Domain: "example.com", Policy: tlsa, Successful: 100},
			{Domain: "example.net", Policy: none, Successful: 100},
		}
		if got := day(t, b, at); !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
}

// TestTextsOfPeers: T29. What a peer says is kept short and clean, and stops no batch.
func TestTextsOfPeers(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		at := time.Now()
		s := open(t, url)
		nasty := "\"'; DROP TABLE sts; --\x00\r\n\x1b[2J\xff\u0085" + strings.Repeat("ü", 10_000)
		p := sts
		p.String = []string{nasty}
		s.Tally.Add(session("example.com", at, failed(p, tlsrpt.Failure{Type: tlsrpt.ValidationFailure, ReceivingHelo: nasty, Info: nasty, Reason: nasty})))
		flush(t, s)
		counts := day(t, s, at)
		if len(counts) != 1 || len(counts[0].Failures) != 1 {
			t.Fatalf("%+v", counts)
		}
		f := counts[0].Failures[0]
		for _, text := range []string{f.ReceivingHelo, f.Info, f.Reason, counts[0].Policy.String[0]} {
			if len(text) > 510 || !strings.HasPrefix(text, "\"'; DROP TABLE sts; --   ") || strings.ContainsAny(text, "\x00\r\n\x1b\u0085") {
				t.Errorf("%q", text)
			}
		}
	})
}

// TestOldDaysGo: counts are kept for a month.
func TestOldDaysGo(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		at := newClock()
		s := open(t, url, at.set)
		then := at.now()
		s.Tally.Add(session("example.com", then, failed(sts, mismatch)))
		flush(t, s)
		at.add(30 * 24 * time.Hour)
		flush(t, s)
		if n := len(day(t, s, then)); n != 1 {
			t.Errorf("%d", n)
		}
		at.add(24 * time.Hour)
		flush(t, s)
		db := database(t, url)
		until(t, "the old day to go", func() bool {
			return number(t, db, `SELECT COUNT(*) FROM session_count`)+number(t, db, `SELECT COUNT(*) FROM failure_count`) == 0
		})
	})
}
