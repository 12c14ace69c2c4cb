package accept

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A poor listener has no descriptors, but for every tenth client if it is lucky.
type poor struct {
	lucky  bool
	asked  int
	closed atomic.Bool
}

func (p *poor) Accept() (net.Conn, error) {
	p.asked++
	switch {
	case p.closed.Load():
		return nil, net.ErrClosed
	case p.asked > 100_000:
		panic("a loop that takes all of a processor") // time does not pass for who never waits
	case p.lucky && p.asked%10 == 0:
		conn, _ := net.Pipe()
		return conn, nil
	}
	return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
}

func (p *poor) Close() error { p.closed.Store(true); return nil }
func (*poor) Addr() net.Addr { return &net.TCPAddr{} }

// TestALackOfDescriptorsIsWaitedOut for an hour: without a loop that takes all of a processor, with few
// lines in the log, and with every client served for whom there is a descriptor.
func TestALackOfDescriptorsIsWaitedOut(t *testing.T) {
	for name, row := range map[string]struct {
		lucky         bool
		asked, served int // at most, at least
	}{
		"none for an hour":  {false, 3610, 0},
		"some now and then": {true, 20_000, 700},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln := &poor{lucky: row.lucky}
				var log bytes.Buffer
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				served := 0
				err := Each(ctx, ln, slog.New(slog.NewTextHandler(&log, nil)), func(net.Conn) { served++ })
				if err != nil || !ln.closed.Load() {
					t.Errorf("at the end: %v, closed %t", err, ln.closed.Load())
				}
				if ln.asked > row.asked || served < row.served {
					t.Errorf("asked %d times, served %d", ln.asked, served)
				}
				if lines := strings.Count(log.String(), "too many open files"); lines < 10 || lines > 361 {
					t.Errorf("%d lines in the log", lines)
				}
			})
		})
	}
}

// TestWhoClosesIsNotWaitedFor: the end comes at once, and an end by others is told.
func TestWhoClosesIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := Patiently(&poor{}, slog.New(slog.DiscardHandler))
		begun := time.Now()
		time.AfterFunc(10*time.Second+500*time.Millisecond, func() { ln.Close() })
		if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) || time.Since(begun) != 10*time.Second+500*time.Millisecond {
			t.Errorf("got %v after %v", err, time.Since(begun))
		}
	})
	closed := &poor{}
	closed.Close()
	if err := Each(t.Context(), closed, slog.New(slog.DiscardHandler), nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a listener that others have closed: %v", err)
	}
}
