package cli

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestTheWebIsBounded: a request with a long header is refused, and a connection is for one request.
func TestTheWebIsBounded(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		serveWeb(ctx, ln, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), slog.New(slog.DiscardHandler))
	}()
	for size, want := range map[int]int{10: http.StatusOK, 64 << 10: http.StatusRequestHeaderFieldsTooLarge} {
		ask, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+ln.Addr().String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		ask.Header.Set("Long", strings.Repeat("x", size))
		resp, err := http.DefaultClient.Do(ask)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want || !resp.Close {
			t.Errorf("%d bytes: status %d, the last %v", size, resp.StatusCode, resp.Close)
		}
	}
	cancel()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("it does not end")
	}
}

// TestWhoHasAskedIsAnswered, although the end comes first: a scrape in the middle of a hand-over is not lost.
func TestWhoHasAskedIsAnswered(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ctx, end := context.WithCancel(t.Context())
	go serveWeb(ctx, ln, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		end()
		for { // until nobody else is served
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				return
			}
			conn.Close()
		}
	}), slog.New(slog.DiscardHandler))
	resp, err := http.Get("http://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}
