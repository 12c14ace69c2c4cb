//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"time"
)

// measureLatency sends one NOOP after the other inside a session, and to the backend without a proxy.
func (b *bench) measureLatency(ctx context.Context) {
	s := &scope{}
	defer s.close()
	all := b.startAll(s, proxyNames, smtpPlace, imapPlace)
	for round := range b.counted(ctx) {
		plain := b.trips(s, b.back.imap, nil)
		for _, p := range turns(all, round) {
			if ctx.Err() != nil {
				return
			}
			trips := b.trips(s, p.addrs[imapPlace], clientTLS(tls.X25519))
			b.table.add("NOOP round trip, median", "µs", less, p.name, at(trips, 0.5))
			b.table.add("NOOP round trip, 99 %", "µs", less, p.name, at(trips, 0.99))
			b.table.add("added to a session without proxy and TLS, median", "µs", less, p.name, at(trips, 0.5)-at(plain, 0.5))
			b.table.add("SMTP, from connecting to the go-ahead, median", "µs", less, p.name, at(b.approaches(s, p.addrs[smtpPlace]), 0.5))
		}
	}
}

// trips returns how long round trips took, sorted.
func (b *bench) trips(s *scope, addr string, config *tls.Config) []time.Duration {
	d := dialogues["imap"]
	t, err := d.enter(addr, config)
	s.check(err)
	defer t.Close()
	var took []time.Duration
	for range b.size.trips {
		begun := time.Now()
		_, err := d.ask(t, "a NOOP")
		s.check(err)
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	return took
}

// at returns a quantile in microseconds.
func at(sorted []time.Duration, q float64) float64 {
	i := min(int(q*float64(len(sorted))), len(sorted)-1)
	return float64(sorted[i].Nanoseconds()) / 1e3
}

// approaches returns how long it took from connecting to the answer to STARTTLS, behind which the handshake
// would begin, sorted.
func (b *bench) approaches(s *scope, addr string) (took []time.Duration) {
	d := dialogues["smtp"]
	for end := time.Now().Add(b.size.sessions); time.Now().Before(end) && len(took) < b.size.trips; {
		begun := time.Now()
		conn, err := net.DialTimeout("tcp4", addr, talkLimit)
		s.check(err)
		conn.SetDeadline(begun.Add(talkLimit))
		t := newTalk(conn)
		_, err = t.line()
		if err == nil {
			err = d.asks(t, d.clear)
		}
		took = append(took, time.Since(begun))
		conn.Close()
		s.check(err)
		time.Sleep(2 * time.Millisecond) // what a proxy does at the end is not in the next one's way
	}
	slices.Sort(took)
	return took
}
