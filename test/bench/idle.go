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
	"time"
)

// opening is how many clients connect at the same time: with all of them at once, the garbage of a
// thousand handshakes would be measured.
const opening = 50

// settle is how long idle connections have been idle when they are measured.
const settle = 1500 * time.Millisecond

// measureMemory opens sessions, each with a login, leaves them idle, and looks at the proxy's memory
// before and then. Each round has new processes: in old ones, memory of earlier loads would be used.
func (b *bench) measureMemory(ctx context.Context) {
	for round := range b.counted(ctx) {
		for _, protocol := range []string{"imap", "smtp"} {
			s := &scope{}
			for _, p := range turns(b.startAll(s), round) {
				if ctx.Err() == nil {
					b.memory(ctx, s, p, protocol)
				}
			}
			s.close()
		}
	}
}

func (b *bench) memory(ctx context.Context, s *scope, p *proxy, protocol string) {
	open := func(n int) []*talk {
		talks, err := idle(ctx, n, protocol, p.addrs[protocol])
		for _, t := range talks {
			s.Cleanup(func() { t.Close() })
		}
		s.check(err)
		return talks
	}
	for _, t := range open(opening) { // what is set up once, and buffers that are kept for reuse
		t.Close()
	}
	time.Sleep(200 * time.Millisecond)
	b.snapshot(p, protocol)
	before := memory(p.groups[protocol])
	talks := open(b.size.idle)
	time.Sleep(settle)
	if ctx.Err() != nil {
		return
	}
	b.snapshot(p, protocol)
	what := "memory of an idle session, " + strings.ToUpper(protocol)
	tell := func(what string) {
		b.table.add(what, "bytes", less, p.name, float64(memory(p.groups[protocol])-before)/float64(len(talks)))
	}
	tell(what)
	b.table.add("memory of "+strings.ToUpper(protocol)+" without sessions", "MB", less, p.name, float64(before)/1e6)
	if protocol == "imap" { // only there is bulk
		s.check(moveAll(talks))
		time.Sleep(settle)
		tell(what + ", after 256 KiB each way")
		b.snapshot(p, protocol)
	}
	for _, t := range talks {
		t.Close()
	}
}

// moveAll moves some data through every session, a few at a time. Clients fetch a message and then wait:
// buffers that a proxy keeps from the one to the other are in each of its idle sessions.
func moveAll(talks []*talk) error {
	var wg sync.WaitGroup
	failed := make(chan error, len(talks))
	for part := range slices.Chunk(talks, (len(talks)+opening-1)/opening) {
		wg.Go(func() {
			for _, t := range part {
				t.SetDeadline(time.Now().Add(talkLimit))
				if err := errors.Join(t.move(256<<10, false), t.move(256<<10, true)); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	return <-failed
}

// idle opens n sessions and logs in. What it has opened when it fails is returned too.
func idle(ctx context.Context, n int, protocol, addr string) (talks []*talk, err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	jobs := make(chan struct{}, n)
	for range n {
		jobs <- struct{}{}
	}
	close(jobs)
	for range opening {
		wg.Go(func() {
			for range jobs {
				if ctx.Err() != nil {
					return
				}
				t, failure := dialogues[protocol].enter(addr, clientTLS(tls.X25519))
				mu.Lock()
				if failure != nil {
					err = fmt.Errorf("%s session %d: %w", protocol, len(talks), failure)
				} else {
					talks = append(talks, t)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return talks, err
}
