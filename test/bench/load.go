//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A sessionRow is a load of whole sessions.
type sessionRow struct {
	at      place
	clients int
	group   tls.CurveID
	resumed bool // each resumes a session before it
}

// sessionRows are the loads of whole sessions. Many clients at once, because stunnel waits 200 ms before
// its greeting for a client that begins with TLS at once: with few, that is all one would measure of it.
var sessionRows = []sessionRow{
	{smtpPlace, 8, tls.X25519, false},
	{smtpPlace, 300, tls.X25519, false},
	{imapPlace, 300, tls.X25519, false},
	{smtpPlace, 300, tls.X25519MLKEM768, false},
	{smtpRSAPlace, 300, tls.X25519, false},
	{smtpPlace, 300, tls.X25519, true},
}

func (r sessionRow) String() string {
	key := "ECDSA P-256"
	if r.at.rsa {
		key = "RSA-2048"
	}
	if r.resumed {
		key = "resumed"
	}
	return fmt.Sprintf("%s sessions, %d clients, %v, %s", strings.ToUpper(r.at.protocol), r.clients, r.group, key)
}

// config is that of the clients, who share the tickets if they resume.
func (r sessionRow) config() *tls.Config {
	config := clientTLS(r.group)
	if r.resumed {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	return config
}

// try does two sessions, which pay for what is set up once, and says why a proxy cannot do them.
func (r sessionRow) try(addr string) error {
	config := r.config()
	for range 2 {
		t, err := dialogues[r.at.protocol].enter(addr, config)
		if err != nil {
			return err
		}
		again := t.Conn.(*tls.Conn).ConnectionState().DidResume
		if _, err := dialogues[r.at.protocol].ask(t, dialogues[r.at.protocol].bye); err != nil {
			return err
		}
		t.Close()
		if again == r.resumed {
			return nil
		}
	}
	return errors.New("no session is resumed")
}

func (b *bench) measureSessions(ctx context.Context) {
	s := &scope{}
	defer s.close()
	all := b.startAll(s, proxyNames, smtpPlace, imapPlace, smtpRSAPlace)
	for round := range b.counted(ctx) {
		for _, row := range sessionRows {
			for _, p := range turns(all, round) {
				if ctx.Err() != nil {
					return
				}
				if err := row.try(p.addrs[row.at]); err != nil { // older OpenSSL knows no ML-KEM
					b.table.note(p.name, fmt.Sprintf("no %v: %v", row, err))
					continue
				}
				n, took, used := b.sessions(ctx, s, p, row.at, row.clients, row.config())
				b.table.add(row.String(), "1/s", more, p.name, float64(n)/took.Seconds())
				b.table.add(row.String()+", CPU", "ms each", less, p.name, used.Seconds()*1000/float64(n))
			}
		}
	}
}

// turns puts proxies in another order each round: who comes first finds a cooler machine.
func turns[P any](all []P, round int) []P {
	at := round % max(1, len(all))
	return append(slices.Clone(all[at:]), all[:at]...)
}

// sessions runs clients that do one session after the other, and returns how many there were, in what
// time, and the proxy's CPU time. A few may fail, which is told below the table; more end the run.
func (b *bench) sessions(ctx context.Context, s *scope, p *proxy, at place, clients int, config *tls.Config) (int, time.Duration, time.Duration) {
	var done, failed atomic.Int64
	var first error
	var once sync.Once
	var wg sync.WaitGroup
	used, begun := cpuTime(p.groups[at]), time.Now()
	for range clients {
		wg.Go(func() {
			for time.Since(begun) < b.size.sessions && ctx.Err() == nil {
				if err := dialogues[at.protocol].session(p.addrs[at], config); err != nil {
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
	used = cpuTime(p.groups[at]) - used
	if n := failed.Load(); n > 1+done.Load()/100 {
		s.Fatalf("%s: %d %s sessions failed: %w", p.name, n, at.protocol, first)
	} else if n > 0 {
		b.table.note(p.name, fmt.Sprintf("%d of %d %s sessions failed: %v", n, n+done.Load(), at.protocol, first))
	}
	return max(1, int(done.Load())), took, used
}

func (b *bench) measureBulk(ctx context.Context) {
	s := &scope{}
	defer s.close()
	all := b.startAll(s, once(), imapPlace)
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
		t, err := dialogues["imap"].enter(p.addrs[imapPlace], clientTLS(tls.X25519))
		s.check(err)
		defer t.Close()
		talks[i] = t
		b.noteCipher(p, t)
	}
	each := b.size.bulk / int64(conns)
	failed := make(chan error, conns)
	used, own, begun := cpuTime(p.groups[imapPlace]), ownTime(), time.Now()
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
	used, own = cpuTime(p.groups[imapPlace])-used, ownTime()-own
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
