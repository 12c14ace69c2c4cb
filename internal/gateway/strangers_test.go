package gateway_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"starttls"
	"starttls/dialect"
	"starttls/internal/gateway"
)

// opening is what a client of a dialect says first, in the clear or as the first piece of work.
func opening(d *dialect.Dialect) []byte {
	if d.Work != "" {
		return []byte(d.Work)
	}
	speech := d.Speak(dialect.Client, false)
	for _, kind := range []dialect.Kind{dialect.Hello, dialect.Ask, dialect.Upgrade} {
		if said := speech.Write(nil, dialect.Message{Kind: kind, Name: "x"}); len(said) > 0 {
			return said
		}
	}
	return []byte("\x00\x01\x02\x03")
}

// TestStrangersAtEveryDoor: the client of every protocol at the port of every other, where TLS is
// demanded: the session ends, and the server behind has heard nothing of it.
func TestStrangersAtEveryDoor(t *testing.T) {
	for _, d := range dialect.All {
		if d.Early {
			continue // its server is asked for a greeting before the client is heard
		}
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			var dialled atomic.Int64
			g := gateway.New(gateway.Route{
				Name: "test", Dialect: d, Timeout: 2 * time.Second, MaxPerAddr: 100,
				Front: gateway.Front{Level: starttls.Encrypt, TLS: &tls.Config{Certificates: []tls.Certificate{good()}}},
				Back: gateway.Back{Name: "test", Dial: func(ctx context.Context) (net.Conn, error) {
					dialled.Add(1)
					return nil, errors.New("nobody is there")
				}},
			})
			door, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			go g.Serve(ctx, door)
			for _, stranger := range dialect.All {
				before := dialled.Load()
				if err := knock(door.Addr().String(), opening(stranger)); err != nil {
					t.Errorf("%s at the door of %s: %v", stranger.Name, d.Name, err)
				}
				if stranger != d && dialled.Load() != before {
					t.Errorf("%s at the door of %s gets to the server", stranger.Name, d.Name)
				}
			}
			eventually(t, "all sessions have ended", func() bool { return g.Live() == 0 })
		})
	}
}

// knock says something and leaves; the other side must leave as well.
func knock(addr string, says []byte) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	conn.Write(says)
	conn.(*net.TCPConn).CloseWrite()
	n, err := io.Copy(io.Discard, io.LimitReader(conn, 1<<20))
	switch {
	case n == 1<<20:
		return errors.New("it is told without end")
	case isTimeout(err):
		return fmt.Errorf("it is not let go: %w", err)
	}
	return nil
}
