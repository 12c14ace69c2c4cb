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

// openLimit bounds how long it takes until they are all open.
const openLimit = 45 * time.Second

var errOpening = fmt.Errorf("not all are open after %v", openLimit)

// settle is how long idle connections have been idle when they are measured.
const settle = 1500 * time.Millisecond

// measureMemory opens sessions, each with a login, leaves them idle, and looks at the proxy's memory
// before and then. Each has new processes: in old ones, memory of earlier loads would be used.
func (b *bench) measureMemory(ctx context.Context) {
	loads := []idleLoad{{imapPlace, b.most(), false}, {smtpPlace, b.most(), false}, {imapPlace, b.size.idle / 5, true}}
	for round := range b.counted(ctx) {
		for _, load := range loads {
			for _, name := range turns(once(), round) {
				if ctx.Err() != nil {
					return
				}
				if time.Now().After(b.until) {
					b.table.note(name, fmt.Sprintf("%v left out in round %d: no time", load, round+1))
					continue
				}
				if err := b.memory(ctx, name, load); err != nil {
					b.table.note(name, fmt.Sprintf("no %v: %v", load, err))
				}
			}
		}
	}
}

// An idleLoad is so many sessions at a place, idle after the login or after some bulk.
type idleLoad struct {
	at   place
	n    int
	bulk bool
}

func (l idleLoad) String() string {
	what := fmt.Sprintf("memory of each of %d idle sessions, %s", l.n, strings.ToUpper(l.at.protocol))
	if l.bulk {
		what += ", after 256 KiB each way"
	}
	return what
}

// most is how many sessions can be idle at once: each has two descriptors in the proxy, and two in this
// program, which is client and backend.
func (b *bench) most() int { return min(b.size.idle, int(descriptors()-100)/2) }

// memory measures one proxy, alone on the machine.
func (b *bench) memory(ctx context.Context, name string, load idleLoad) (err error) {
	s := &scope{}
	defer s.close()
	defer caught(&err)
	for _, p := range b.startAll(s, []string{name}, load.at) {
		open := func(n int) []*talk {
			ctx, cancel := context.WithTimeoutCause(ctx, openLimit, errOpening)
			defer cancel()
			talks, err := idle(ctx, n, load.at.protocol, p.addrs[load.at])
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
		b.snapshot(p, load.at)
		before := memory(p.groups[load.at])
		talks := open(load.n)
		if load.bulk {
			s.check(moveAll(talks))
		}
		time.Sleep(settle)
		if ctx.Err() != nil {
			return nil
		}
		b.snapshot(p, load.at)
		b.table.add(load.String(), "bytes", less, name, float64(memory(p.groups[load.at])-before)/float64(load.n))
		if !load.bulk {
			b.table.add("memory of "+strings.ToUpper(load.at.protocol)+" without sessions", "MB", less, name, float64(before)/1e6)
		}
	}
	return nil
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
					break
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
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return talks, err
}
