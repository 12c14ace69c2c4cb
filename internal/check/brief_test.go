package check

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"starttls/dialect"
	"starttls/internal/finding"
)

// TestWhoWantsAHelloGetsIt: what is found does not depend on whether a server takes the upgrade without a hello
// before it, refuses it, hangs up on it or answers nonsense.
func TestWhoWantsAHelloGetsIt(t *testing.T) {
	everything := func(c *Config) { c.Budget = 60 }
	want := ""
	for _, formal := range []string{"", "503 5.5.1 EHLO first", "454 4.7.0 Not now", "421 4.7.0 Bye", hangUp} {
		addr := served(t, animal{formal: formal}.serve)
		got := strings.ReplaceAll(told(result(t, "smtp://"+addr, everything)), addr, "ADDRESS")
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("%q\n%s", formal, difference(want, got))
		}
	}
}

// TestEveryProtocolIsAskedBriefly: where hello or list are left out, TLS begins as ever, and all of it is found.
func TestEveryProtocolIsAskedBriefly(t *testing.T) {
	var all []string
	for _, d := range dialect.All {
		if !brief(d) {
			continue
		}
		all = append(all, d.Name)
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			var briefly atomic.Int32
			upgrade := words(d, dialect.Upgrade, "localhost")
			addr := served(t, func(conn net.Conn) {
				host{Dialect: d}.serve(&firstConn{Conn: conn, hears: func(first []byte) {
					if bytes.Equal(first, upgrade) {
						briefly.Add(1)
					}
				}})
			})
			found := checked(t, fmt.Sprintf(urlOf(d), addr))
			for _, id := range []string{"tls.versions", "tls.groups", "tls.signature-hash", "tls.sni"} {
				if f := found[id]; f.Verdict != finding.Good {
					t.Errorf("%s is %q: %s", id, f.Verdict, f.Evidence)
				}
			}
			if n := briefly.Load(); n < 8 {
				t.Errorf("%d conversations began with the upgrade", n)
			}
		})
	}
	if want := []string{"smtp", "lmtp", "imap", "pop3", "nntp", "ftp", "irc"}; !slices.Equal(all, want) {
		t.Errorf("%v, want %v", all, want)
	}
}

// firstConn tells what is heard first.
type firstConn struct {
	net.Conn
	hears func([]byte)
}

func (c *firstConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.hears != nil {
		c.hears(p[:n])
		c.hears = nil
	}
	return n, err
}

// farAway is how late each reply of a server at some distance is.
const farAway = 50 * time.Millisecond

// TestAServerFarAway: the whole check of a service, with each reply late, is done in less than five seconds. What
// is measured is the waiting alone: time stands still while anybody works.
func TestAServerFarAway(t *testing.T) {
	ownCertificate() // the clock is another one inside
	for name, row := range map[string]struct {
		animal animal
		most   time.Duration
	}{
		"takes the upgrade at once": {animal{drop: true, work: true}, 4100 * time.Millisecond},
		"wants a hello before":      {animal{drop: true, work: true, formal: "503 5.5.1 EHLO first"}, 4700 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dial := func(context.Context, string, string) (net.Conn, error) { return far(row.animal.serve), nil }
				target, err := ParseTarget("smtp://192.0.2.1")
				if err != nil {
					t.Fatal(err)
				}
				begun := time.Now()
				r, err := New(Config{Dial: dial}).Check(t.Context(), target)
				if err != nil {
					t.Fatal(err)
				}
				s, took := r.Services[0], time.Since(begun)
				if s.Outcome != finding.Tested || s.Connections > 20 || took > row.most {
					t.Errorf("%s with %d connections in %v: %s", s.Outcome, s.Connections, took, s.Why)
				}
				t.Logf("%d connections, %v", s.Connections, took)
			})
		})
	}
}

// far serves one connection from far away.
func far(serve func(net.Conn)) net.Conn {
	client, here := net.Pipe()
	there, server := net.Pipe()
	go func() {
		defer server.Close()
		serve(server)
	}()
	go carry(there, here, 0)
	go carry(here, there, farAway)
	return client
}

// carry takes what one says to the other, each piece late. Who speaks does not wait for it.
func carry(to, from net.Conn, late time.Duration) {
	type piece struct {
		due  time.Time
		text []byte
	}
	under := make(chan piece, 1000)
	go func() {
		defer close(under)
		for {
			text := make([]byte, 16<<10)
			n, err := from.Read(text)
			if err != nil {
				return
			}
			under <- piece{time.Now().Add(late), text[:n]}
		}
	}()
	defer to.Close()
	for p := range under {
		time.Sleep(time.Until(p.due))
		to.Write(p.text) // who has hung up does not read it
	}
}
