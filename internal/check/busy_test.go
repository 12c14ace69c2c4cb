package check

import (
	"bufio"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"starttls/internal/finding"
)

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// TestWhoPutsUsOffIsNotTestable: none of these has no TLS; nothing is known of them.
func TestWhoPutsUsOffIsNotTestable(t *testing.T) {
	says := func(words string) func(net.Conn) { return func(c net.Conn) { io.WriteString(c, words) } }
	for name, serve := range map[string]func(net.Conn){
		"smtp 421":          says("421 4.7.0 Too many connections\r\n"),
		"smtp 450":          says("450 4.7.1 Greylisted\r\n"),
		"smtp 554":          says("554 5.7.1 Listed\r\n"),
		"smtp hangs up":     says(""),
		"smtp tarpit":       func(c net.Conn) { io.Copy(io.Discard, c) },
		"smtp EHLO 421":     func(c net.Conn) { greets(c, "421 4.3.2 Busy\r\n") },
		"smtp EHLO 450":     func(c net.Conn) { greets(c, "450 4.7.1 Later\r\n") },
		"smtp slow drip":    func(c net.Conn) { fmt.Fprint(c, "22"); io.Copy(io.Discard, c) },
		"smtp STARTTLS 421": animal{answers: map[string]string{"STARTTLS": "421 4.7.0 Too many sessions with TLS"}}.serve,
		"lmtp 421":          says("421 4.3.2 Busy\r\n"),
		"imap BYE":          says("* BYE Too many connections\r\n"),
		"pop3 -ERR":         says("-ERR [SYS/TEMP] Too many connections\r\n"),
		"sieve BYE":         says("BYE (TRYLATER) \"Too many connections\"\r\n"),
		"nntp 400":          says("400 Too many connections\r\n"),
		"ftp 421":           says("421 Too many users\r\n"),
		"mysql 1040":        says("\x17\x00\x00\x00\xff\x10\x0408004Too many connections"[:4+0x17]),
		"irc ERROR":         says("ERROR :Closing link (Throttled)\r\n"),
		"xmpp hangs up":     says(""),
		"ldap tarpit":       func(c net.Conn) { io.Copy(io.Discard, c) },
		"postgres hangs up": says(""),
	} {
		scheme, _, _ := strings.Cut(name, " ")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int32
			addr := served(t, func(c net.Conn) { n.Add(1); serve(c) })
			timeout := 10 * time.Second
			if strings.HasSuffix(name, "tarpit") || strings.HasSuffix(name, "drip") {
				timeout = 200 * time.Millisecond
			}
			r := result(t, scheme+"://"+addr, func(c *Config) { c.Timeout = timeout })
			if s := r.Services[0]; s.Outcome != finding.Busy || s.Why == "" {
				t.Errorf("%s: %s", s.Outcome, s.Why)
			}
			if r.Reached || r.Verdict != finding.NotTestable {
				t.Errorf("reached %v, %s", r.Reached, r.Verdict)
			}
			for _, f := range r.All {
				if f.Verdict != finding.NotTestable {
					t.Errorf("%s is %s: %s", f.ID, f.Verdict, f.Evidence)
				}
			}
			if got := n.Load(); got != 2 {
				t.Errorf("%d connections, want one and one to come back", got)
			}
		})
	}
}

func greets(c net.Conn, answer string) {
	fmt.Fprint(c, "220 mx.example.org ESMTP\r\n")
	bufio.NewReader(c).ReadString('\n')
	fmt.Fprint(c, answer)
	io.Copy(io.Discard, c)
}

// TestWhoRelentsIsTested: a server that puts off the first of two connections, as greylisting and limits of
// rate do, is tested in the end.
func TestWhoRelentsIsTested(t *testing.T) {
	var n atomic.Int32
	addr := served(t, func(c net.Conn) {
		if n.Add(1)%2 == 1 {
			fmt.Fprint(c, "421 4.7.0 Too many connections\r\n")
			return
		}
		animal{}.serve(c)
	})
	found := checked(t, "submission://"+addr, func(c *Config) { c.Budget = 100 })
	for id, f := range found {
		if f.Verdict == finding.NotTestable {
			t.Errorf("%s: %s", id, f.Evidence)
		}
	}
	if f := found["clear.command-injection"]; f.Verdict != finding.Good {
		t.Errorf("%s: %s", f.Verdict, f.Evidence)
	}
}

// TestALimitInTheMiddle: what was found before the server had enough is told, the rest is not testable.
func TestALimitInTheMiddle(t *testing.T) {
	var n atomic.Int32
	addr := served(t, func(c net.Conn) {
		if n.Add(1) > 3 {
			fmt.Fprint(c, "421 4.7.0 Too many connections\r\n")
			return
		}
		animal{}.serve(c)
	})
	found := checked(t, "submission://"+addr)
	if f := found["clear.offer"]; f.Verdict != finding.Good {
		t.Errorf("%s: %s", f.Verdict, f.Evidence)
	}
	// TLS 1.3 alone was seen: that is not to say that there is no more.
	if f := found["tls.versions"]; f.Verdict != finding.NotTestable || !strings.Contains(f.Evidence, "TLS 1.3; what else") {
		t.Errorf("%s: %s", f.Verdict, f.Evidence)
	}
	if f := found["clear.login-before-tls"]; f.Verdict != finding.NotTestable || !strings.Contains(f.Evidence, "421") {
		t.Errorf("%s: %s", f.Verdict, f.Evidence)
	}
}

// TestSilenceIsNoRefusal: a server that does not answer old ClientHellos may speak old versions, or sit
// behind somebody who drops them.
func TestSilenceIsNoRefusal(t *testing.T) {
	addr := beast{silent: true}.start(t)
	found := checked(t, "imaps://"+addr, judgedBy(t, ""), func(c *Config) { c.Timeout = 300 * time.Millisecond })
	for _, id := range []string{"tls.versions", "tls.suites"} {
		if f := found[id]; f.Verdict != finding.NotTestable {
			t.Errorf("%s: %s %s", id, f.Verdict, f.Evidence)
		}
	}
}

// TestOneConnectionAtATime: four checks of one address, and never two connections to it, nor more than
// the budget for each.
func TestOneConnectionAtATime(t *testing.T) {
	addr := served(t, animal{}.serve)
	var open counted
	checker := New(Config{Timeout: 5 * time.Second, Dial: open.dial})
	target, err := ParseTarget("smtp://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	var checks sync.WaitGroup
	for range 4 {
		checks.Go(func() {
			r, err := checker.Check(context.Background(), target)
			if err != nil || r.Services[0].Connections > 20 || r.Services[0].Outcome != finding.Tested {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	checks.Wait()
	if open.most.Load() != 1 || open.all.Load() > 80 {
		t.Errorf("%d at once, %d in all", open.most.Load(), open.all.Load())
	}
}

// counted counts connections.
type counted struct{ now, most, all atomic.Int32 }

func (n *counted) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return n.through(ctx, new(net.Dialer).DialContext, network, address)
}

func (n *counted) through(ctx context.Context, dial func(context.Context, string, string) (net.Conn, error), network, address string) (net.Conn, error) {
	conn, err := dial(ctx, network, address)
	n.all.Add(1)
	if now := n.now.Add(1); now > n.most.Load() {
		n.most.Store(now)
	}
	return &countedConn{Conn: conn, n: n}, err
}

type countedConn struct {
	net.Conn
	n      *counted
	closed sync.Once
}

func (c *countedConn) Close() error {
	c.closed.Do(func() { c.n.now.Add(-1) })
	return c.Conn.Close()
}

func (c *countedConn) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

// networks are a network that leads mail elsewhere, so that a server greets at an address where nobody is,
// and one that does not.
func networks() (all []specimen) {
	for led, want := range map[bool]finding.Verdict{true: finding.Insufficient, false: ""} {
		all = append(all, specimen{fmt.Sprintf("strip.port-redirected/%v", led), sightings{"strip.port-redirected": want}, func(t *testing.T) look {
			real, elsewhere := served(t, animal{}.serve), served(t, animal{greeting: "220 isp.example ESMTP"}.serve)
			_, port, _ := net.SplitHostPort(real)
			nobody := "192.0.2.1:" + port
			return lookingAt("smtp://"+real, quickly, func(c *Config) {
				c.Nobody, c.Dial = nobody, func(ctx context.Context, network, address string) (net.Conn, error) {
					switch {
					case address != nobody:
						return new(net.Dialer).DialContext(ctx, network, address)
					case led:
						return new(net.Dialer).DialContext(ctx, network, elsewhere)
					}
					return nil, fmt.Errorf("no route to host")
				}
			})
		}})
	}
	return all
}

func TestNothingListens(t *testing.T) {
	r := result(t, "smtp://127.0.0.1:1")
	if s := r.Services[0]; s.Outcome != finding.Unreachable || r.Reached {
		t.Errorf("%+v", s)
	}
}
