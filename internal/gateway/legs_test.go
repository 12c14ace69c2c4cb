package gateway_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"starttls"
	"starttls/internal/gateway"
)

// goodbyes are what a server says unasked.
var goodbyes = map[string]string{
	"smtp": "421 4.3.2 evil\r\n", "lmtp": "421 4.3.2 evil\r\n", "imap": "* BYE evil\r\n", "pop3": "-ERR evil\r\n",
	"ldap": ldapMessage(0, ldapResult(0x78, 52, tlv(0x8a, disconnectOID))),
}

// spill has the server speak while TLS begins in front: its words must be held, and come inside TLS.
func spill(tg *target, speak func(string)) error {
	c, err := tg.call()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.open(together, ""); err != nil {
		return err
	}
	if c.p.acknowledged() {
		if _, err := c.hear(); err != nil {
			return err
		}
	}
	words := goodbyes[c.p.Name]
	speak(words)
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if clear := c.rest(); clear != "" {
		return fmt.Errorf("in the clear, after the go-ahead: %s", show(clear))
	}
	c.SetReadDeadline(time.Now().Add(patience))
	if err := c.shake(credulousTLS()); err != nil {
		return err
	}
	if inside := c.rest(); inside != words {
		return fmt.Errorf("inside TLS comes %s", show(inside))
	}
	return nil
}

func TestTheServersWordsAreHeldWhileTLSBegins(t *testing.T) { // G-1
	for _, p := range protos {
		if p == postgres || p == mysql {
			continue // there is no server before TLS; there is no go-ahead that could be too early
		}
		t.Run("G-1 "+p.Name, func(t *testing.T) {
			t.Parallel()
			tg := gatewayTarget(t, p, "may")
			b := scripted(t, p, func(c *peer) {
				c.say(p.greeting)
				if p.hello != "" {
					c.heard()
					c.say(p.polite()(p.hello))
				}
				c.Read(make([]byte, 1))
			})
			tg.addr = start(t, p, to(b)).addr
			must(t, spill(tg, func(s string) {
				c := b.next(t)
				c.say(s)
				c.wire.CloseWrite()
			}))
			finds(t, spill(villain(t, p, flaws{chatty: true}), func(string) {}))
		})
	}
}

// TestTheServerIsLeftPolitely: a client that is gone in the middle of the handshake leaves no half-open
// leg behind, and the server is told in its protocol (G-2).
func TestTheServerIsLeftPolitely(t *testing.T) {
	for _, p := range named("smtp", "lmtp", "imap", "pop3", "ldap") {
		t.Run("G-2 "+p.Name, func(t *testing.T) {
			t.Parallel()
			g := start(t, p)
			c, err := greeted(g.addr, p)
			must(t, err)
			must(t, c.open(together, ""))
			_, err = c.hear()
			must(t, err)
			must(t, c.say("\x16\x03\x01\x02\x00\x01")) // the start of a ClientHello
			c.Close()
			must(t, g.outcome("tls-failed"))
			if seen := g.backend.seen(); !strings.HasPrefix(seen, p.hello) || !strings.HasSuffix(seen, p.bye) {
				t.Errorf("the server has heard %s", show(seen))
			}
			eventually(t, "the session is counted out", func() bool { return g.Live() == 0 })
		})
	}
}

// TestPipelinedRequestsAreAnsweredInOrder: G-6, and TLS begins once.
func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	for name, row := range map[string]struct {
		says    string
		answers []string
	}{
		"smtp": {"EHLO me\r\nNOOP\r\nSTARTTLS\r\n", []string{"STARTTLS", "250", "220"}},
		"lmtp": {"LHLO me\r\nSTARTTLS\r\n", []string{"STARTTLS", "220"}},
		"imap": {"h CAPABILITY\r\ni ID NIL\r\nu STARTTLS\r\n", []string{"STARTTLS", "i OK", "u OK"}},
		"pop3": {"CAPA\r\nNOOP\r\nSTLS\r\n", []string{"STLS", "+OK", "+OK"}},
		"ldap": {ldap.hello + ldap.upgrade, []string{startTLSOID, "\x0a\x01\x00"}},
	} {
		for level := range levels {
			t.Run("G-6 "+name+" "+level, func(t *testing.T) {
				t.Parallel()
				tg := gatewayTarget(t, only(name), level)
				c, err := tg.call()
				must(t, err)
				must(t, c.say(row.says))
				for _, want := range row.answers {
					if answer, err := c.hear(); err != nil || !strings.Contains(answer, want) {
						t.Fatalf("%s is not in %s, %v", show(want), show(answer), err)
					}
				}
				must(t, c.shake(credulousTLS()))
				must(t, c.expect(c.p.probe, "probe"))
				c.Close()
				must(t, tg.ended("tls"))
			})
		}
	}
}

// TestALPN: G-9, cross-protocol attacks.
func TestALPN(t *testing.T) {
	for id, p := range map[string]*proto{"imap": imap, "pop3": pop3, "postgresql": postgres} {
		for _, row := range []struct {
			offers []string
			good   bool
		}{{nil, true}, {[]string{id}, true}, {[]string{"h2", id}, true}, {[]string{"h2", "http/1.1"}, false}} {
			for _, tg := range targets(t, p) {
				c, err := tg.call()
				must(t, err)
				must(t, c.open(together, ""))
				c.hear()
				config := credulousTLS()
				config.NextProtos = row.offers
				err = c.shake(config)
				if alert := tls.AlertError(120); row.good != (err == nil) || !row.good && !errors.As(err, &alert) && !strings.Contains(err.Error(), "no application protocol") {
					t.Errorf("G-9 %s: offering %q: %v", tg.name, row.offers, err)
				}
				c.Close()
			}
		}
	}
}

// TestNobodySpeaksHTTP: a browser that was talked into speaking to us is not answered, in the clear or
// inside TLS, and nothing of it comes through (G-9).
func TestNobodySpeaksHTTP(t *testing.T) {
	const post = "POST / HTTP/1.1\r\nHost: evil\r\n\r\nEHLO evil\r\n"
	for _, p := range protos {
		for level := range levels {
			t.Run("G-9 "+p.Name+" "+level, func(t *testing.T) {
				t.Parallel()
				tg := gatewayTarget(t, p, level)
				for _, secure := range []bool{false, true} {
					c, err := tg.call()
					must(t, err)
					if secure {
						must(t, c.honestly())
					}
					c.say(post)
					if answer := c.rest(); strings.Contains(answer, "250") || strings.Contains(answer, "OK") {
						t.Errorf("answered with %s", show(answer))
					}
					c.Close()
					must(t, tg.ended("broken"))
				}
				if seen := tg.seen(); strings.Contains(seen, evil) {
					t.Errorf("the server has heard %s", show(seen))
				}
			})
		}
	}
}

// TestClearAfterTLSIsNotRead: who ends TLS ends the session (G-14; for LDAP RFC 4511 §4.14.3).
func TestClearAfterTLSIsNotRead(t *testing.T) {
	for _, p := range protos {
		t.Run("G-14 "+p.Name, func(t *testing.T) {
			t.Parallel()
			tg := gatewayTarget(t, p, "may")
			c, err := tg.inside()
			must(t, err)
			must(t, c.expect(p.probe, "probe"))
			must(t, c.Conn.(*tls.Conn).CloseWrite())
			c.wire.Write([]byte("NOOP evil\r\n" + pgMessage('Q', evil)))
			if answer := c.rest(); answer != "" {
				t.Errorf("answered with %s", show(answer))
			}
			c.Close()
			if seen := tg.seen(); strings.Contains(seen, evil) {
				t.Errorf("the server has heard %s", show(seen))
			}
		})
	}
}

// TestTLSFirst: G-17, a client that begins with TLS where the upgrade is in-band.
func TestTLSFirst(t *testing.T) {
	detect := func(r *gateway.Route) { r.Front.Detect = time.Second }
	implicit := func(r *gateway.Route) { r.Front.Level, r.Front.Implicit = starttls.Encrypt, true }
	for _, p := range protos {
		for name, edit := range map[string]func(*gateway.Route){"as it comes": levels["may"], "detect": detect, "implicit": implicit} {
			t.Run("G-17 "+p.Name+" "+name, func(t *testing.T) {
				t.Parallel()
				g := start(t, p, edit)
				c, err := call(g.addr, p)
				must(t, err)
				config := credulousTLS()
				config.NextProtos = p.ALPN
				err = c.shake(config)
				if p.serverFirst() && name == "as it comes" {
					if err == nil {
						t.Error("TLS where a greeting was due")
					}
					c.Close()
					must(t, g.outcome("broken"))
					return
				}
				must(t, err)
				if p.serverFirst() {
					_, err := c.hear()
					must(t, err)
				}
				if p == mysql {
					return // no client of it begins with TLS, and the numbers of its packets would differ
				}
				must(t, c.expect(p.probe, "probe"))
				c.Close()
				must(t, g.outcome("tls"))
			})
		}
	}
}

// TestDirectTLSNeedsALPN: PostgreSQL's direct TLS has one.
func TestDirectTLSNeedsALPN(t *testing.T) {
	g := start(t, postgres)
	c, err := call(g.addr, postgres)
	must(t, err)
	must(t, c.shake(credulousTLS()))
	if answer, err := c.ask(postgres.probe); err == nil {
		t.Errorf("served without ALPN: %s", show(answer))
	}
	must(t, g.outcome("broken"))
}

// TestDetectKeepsNobodyWaiting: a client that waits for its greeting gets it.
func TestDetectKeepsNobodyWaiting(t *testing.T) {
	g := start(t, only("smtp"), func(r *gateway.Route) { r.Front.Detect = 10 * time.Millisecond })
	c, err := greeted(g.addr, only("smtp"))
	must(t, err)
	must(t, c.honestly())
	must(t, c.expect(c.p.probe, "probe"))
}

// TestALoopIsFound: G-19, a gateway whose backend is itself.
func TestALoopIsFound(t *testing.T) {
	for _, p := range protos {
		t.Run("G-19 "+p.Name, func(t *testing.T) {
			t.Parallel()
			var self atomic.Value
			g := start(t, p, frontNone, func(r *gateway.Route) {
				r.Back.Dial = func(ctx context.Context) (net.Conn, error) { return dialer(self.Load().(string))(ctx) }
			})
			self.Store(g.addr)
			c, err := call(g.addr, p)
			must(t, err)
			if !p.serverFirst() {
				must(t, c.say(p.work))
			}
			if answer, err := c.hear(); err != nil || !strings.Contains(answer, p.sorry) {
				t.Errorf("the client hears %s, %v", show(answer), err)
			}
			c.Close()
			eventually(t, "the log says why", func() bool { return strings.Contains(g.text(), "the backend is this gateway") })
		})
	}
}

// TestThePeersWordsAreNoNews: what a client says of itself is neither believed nor logged (G-7).
func TestThePeersWordsAreNoNews(t *testing.T) {
	const smuggled = "\x1b[31mevil"
	says := map[string]string{
		"smtp": "PROXY TCP4 9.9.9.9 8.8.8.8 1 2\r\nEHLO " + smuggled + "\r\nAUTH PLAIN " + smuggled + "\r\nSTARTTLS evil\r\nQUIT\r\n",
		"imap": "PROXY TCP4 9.9.9.9 8.8.8.8 1 2\r\n" + smuggled + " LOGIN evil\r\n",
		"ldap": ldapBind(1, smuggled) + "evil", "postgres": pgStartup(smuggled), "mysql": mysqlLogin(1, mysqlClear, smuggled),
	}
	for name, words := range says {
		for level, edit := range levels {
			g := start(t, only(name), edit)
			c, err := call(g.addr, only(name))
			must(t, err)
			c.say(words)
			c.closeWrite()
			c.rest()
			record, err := g.ended()
			must(t, err)
			if peer := c.LocalAddr().String(); record["peer"] != peer {
				t.Errorf("G-7 %s %s: peer is %v and not %s", name, level, record["peer"], peer)
			}
			if log := g.text(); strings.Contains(log, evil) || strings.Contains(log, "9.9.9.9") {
				t.Errorf("G-7 %s %s: the log has %s", name, level, log)
			}
		}
	}
}

// TestNames: whatever name a client asks for, there is TLS or an alert, and the next is served (G-8).
func TestNames(t *testing.T) {
	for _, name := range []string{"", "127.0.0.1", "mx.test.", "other.test", strings.Repeat("a", 300), "a b\r\nevil"} {
		tg := gatewayTarget(t, only("smtp"), "encrypt")
		for _, name := range []string{name, serverName} {
			c, err := tg.call()
			must(t, err)
			must(t, c.open(together, ""))
			_, err = c.hear()
			must(t, err)
			config := credulousTLS()
			config.ServerName = name
			err = c.shake(config)
			if isTimeout(err) || name == serverName && err != nil {
				t.Errorf("G-8 %s: %v", show(name), err)
			}
			c.Close()
		}
	}
}
