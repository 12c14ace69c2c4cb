//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// sessionRows are the loads of whole sessions. Many clients at once, because stunnel waits 200 ms before
// its greeting for a client that begins with TLS at once: with few, that is all one would measure of it.
var sessionRows = []struct {
	protocol string
	clients  int
	group    tls.CurveID
}{
	{"smtp", 8, tls.X25519},
	{"smtp", 300, tls.X25519},
	{"imap", 300, tls.X25519},
	{"smtp", 300, tls.X25519MLKEM768},
}

func (b *bench) measureSessions(ctx context.Context) {
	s := &scope{}
	defer s.close()
	all := b.startAll(s)
	for _, p := range all { // first sessions pay for what is set up once
		for _, protocol := range []string{"smtp", "imap"} {
			s.check(dialogues[protocol].session(p.addrs[protocol], clientTLS(tls.X25519)))
		}
	}
	for round := range b.counted(ctx) {
		for _, row := range sessionRows {
			for _, p := range turns(all, round) {
				if row.group == tls.X25519MLKEM768 && p.name != ours && p.name != also { // older OpenSSL knows none
					continue
				}
				if ctx.Err() != nil {
					return
				}
				n, took, used := b.sessions(ctx, s, p, row.protocol, row.clients, clientTLS(row.group))
				what := fmt.Sprintf("%s sessions, %d clients, %v", strings.ToUpper(row.protocol), row.clients, row.group)
				b.table.add(what, "1/s", more, p.name, float64(n)/took.Seconds())
				b.table.add(what+", CPU", "ms each", less, p.name, used.Seconds()*1000/float64(n))
			}
		}
	}
}

// turns puts the proxies in another order each round: who comes first finds a cooler machine.
func turns(all []*proxy, round int) []*proxy {
	at := round % max(1, len(all))
	return append(slices.Clone(all[at:]), all[:at]...)
}

// sessions runs clients that do one session after the other, and returns how many there were, in what
// time, and the proxy's CPU time. A few may fail, which is told below the table; more end the run.
func (b *bench) sessions(ctx context.Context, s *scope, p *proxy, protocol string, clients int, config *tls.Config) (int, time.Duration, time.Duration) {
	var done, failed atomic.Int64
	var first error
	var once sync.Once
	var wg sync.WaitGroup
	used, begun := cpuTime(p.groups[protocol]), time.Now()
	for range clients {
		wg.Go(func() {
			for time.Since(begun) < b.size.sessions && ctx.Err() == nil {
				if err := dialogues[protocol].session(p.addrs[protocol], config); err != nil {
					once.Do(func() { first = err })
					failed.Add(1)
					continue
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	took := time.Since(begun)
	used = cpuTime(p.groups[protocol]) - used
	if n := failed.Load(); n > 1+done.Load()/100 {
		s.Fatalf("%s: %d %s sessions failed: %w", p.name, n, protocol, first)
	} else if n > 0 {
		b.table.note(p.name, fmt.Sprintf("%d of %d %s sessions failed: %v", n, n+done.Load(), protocol, first))
	}
	return max(1, int(done.Load())), took, used
}

func (b *bench) measureBulk(ctx context.Context) {
	s := &scope{}
	defer s.close()
	all := b.startAll(s)
	for round := range b.counted(ctx) {
		for _, conns := range []int{1, 4} {
			for _, up := range []bool{false, true} {
				for _, p := range turns(all, round) {
					if ctx.Err() != nil {
						return
					}
					b.bulk(s, p, conns, up)
				}
			}
		}
	}
}

// bulk moves data through IMAP sessions after the login, from which on every proxy only copies.
func (b *bench) bulk(s *scope, p *proxy, conns int, up bool) {
	talks := make([]*talk, conns)
	for i := range talks {
		t, err := dialogues["imap"].enter(p.addrs["imap"], clientTLS(tls.X25519))
		s.check(err)
		defer t.Close()
		talks[i] = t
		b.noteCipher(p, t)
	}
	each := b.size.bulk / int64(conns)
	failed := make(chan error, conns)
	used, own, begun := cpuTime(p.groups["imap"]), ownTime(), time.Now()
	var wg sync.WaitGroup
	for _, t := range talks {
		wg.Go(func() {
			if err := t.move(each, up); err != nil {
				failed <- err
			}
		})
	}
	wg.Wait()
	took := time.Since(begun)
	used, own = cpuTime(p.groups["imap"])-used, ownTime()-own
	select {
	case err := <-failed:
		s.check(fmt.Errorf("%s, bulk: %w", p.name, err))
	default:
	}
	bytes := float64(each * int64(conns))
	way := "to the client"
	if up {
		way = "to the server"
	}
	what := fmt.Sprintf("bulk %s, %d at once", way, conns)
	b.table.add(what, "MB/s", more, p.name, bytes/1e6/took.Seconds())
	b.table.add(what+", CPU", "s/GB", less, p.name, used.Seconds()/bytes*1e9)
	b.table.share(own, took)
}

func (t *talk) move(n int64, up bool) error {
	command, work := "BULK", func() error { return drain(t, n) }
	if up {
		command, work = "SINK", func() error { return fill(t.Conn, n) }
	}
	if err := t.say(fmt.Sprintf("a %s %d\r\n", command, n)); err != nil {
		return err
	}
	if err := work(); err != nil {
		return err
	}
	_, err := t.line()
	return err
}

func (b *bench) noteCipher(p *proxy, t *talk) {
	state := t.Conn.(*tls.Conn).ConnectionState()
	b.table.note(p.name, fmt.Sprintf("%s, %v", tls.CipherSuiteName(state.CipherSuite), state.CurveID))
}

// measureLatency sends one NOOP after the other inside a session, and to the backend without a proxy.
func (b *bench) measureLatency(ctx context.Context) {
	s := &scope{}
	defer s.close()
	all := b.startAll(s)
	for round := range b.counted(ctx) {
		plain := b.trips(s, b.back.imap, nil)
		for _, p := range turns(all, round) {
			if ctx.Err() != nil {
				return
			}
			trips := b.trips(s, p.addrs["imap"], clientTLS(tls.X25519))
			b.table.add("NOOP round trip, median", "µs", less, p.name, at(trips, 0.5))
			b.table.add("NOOP round trip, 99 %", "µs", less, p.name, at(trips, 0.99))
			b.table.add("added to a session without proxy and TLS, median", "µs", less, p.name, at(trips, 0.5)-at(plain, 0.5))
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
