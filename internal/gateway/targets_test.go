package gateway_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"starttls"
)

// A target is a server that is put to the test: the gateway, the library, or a villain.
type target struct {
	name string
	p    *proto
	addr string
	// seen returns what reached who executes commands, when the session is over.
	seen func() string
	// injected checks how the session has ended, in which n bytes were injected.
	injected func(n int) error
	// ended checks how a session has ended in which nothing was.
	ended func(outcome string) error
	log   *logs // of the gateway
	hasty bool  // a villain may be found to hang sooner
}

func (tg *target) call() (*peer, error) {
	c, err := greeted(tg.addr, tg.p)
	if err == nil && tg.hasty {
		c.SetDeadline(time.Now().Add(2 * time.Second))
	}
	return c, err
}

// gatewayTarget is the gateway at a level, before a polite server.
func gatewayTarget(t testing.TB, p *proto, level string) *target {
	g := start(t, p, levels[level])
	return &target{
		name: "gateway " + level, p: p, addr: g.addr,
		seen:  g.backend.seen,
		ended: g.outcome,
		log:   g.logs,
		injected: func(n int) error {
			record, err := g.ended()
			if err != nil {
				return err
			}
			count, _ := record["injected_bytes"].(int64)
			if record["outcome"] != "injected" || count < int64(n) {
				return fmt.Errorf("injected_bytes is less than %d: %v", n, record)
			}
			return nil
		},
	}
}

// libraryTarget is starttls.Server, and a polite server inside.
func libraryTarget(t testing.TB, p *proto) *target {
	errs := make(chan error, 100)
	var inside *peer
	b := scripted(t, p, func(c *peer) {
		conn, err := starttls.Server(bg, c.wire, p.Dialect, &starttls.Config{TLS: serverTLS()})
		errs <- err
		if err == nil {
			inside = newPeer(c.wire.Conn, p)
			inside.Conn = conn
			serveOn(inside, p.polite())
		}
	})
	return &target{
		name: "library", p: p, addr: b.addr,
		seen: func() string { return "" },
		ended: func(string) error {
			<-errs
			return nil
		},
		injected: func(int) error {
			for {
				select {
				case err := <-errs:
					switch {
					case errors.Is(err, starttls.ErrInjected):
						return nil
					case !errors.Is(err, io.EOF): // somebody else, on a port that was another's
						return fmt.Errorf("the error is %v", err)
					}
				case <-time.After(patience):
					return errors.New("no error says that bytes were injected")
				}
			}
		},
	}
}

// targets are the real things.
func targets(t testing.TB, p *proto) []*target {
	return []*target{gatewayTarget(t, p, "may"), gatewayTarget(t, p, "encrypt"), libraryTarget(t, p)}
}

// flaws are what villains do wrong.
type flaws struct {
	executes bool // what stands behind the upgrade is read as if it had come through TLS
	deaf     bool // what stands behind the upgrade is lost, a ClientHello too
	lax      bool // whatever looks like an upgrade is one
	again    bool // it is one inside TLS, too
	falls    bool // when TLS fails, it goes on in the clear
	chatty   bool // words in the clear follow the go-ahead
}

// villain is a server with flaws.
func villain(t testing.TB, p *proto, f flaws) *target {
	b := scripted(t, p, func(c *peer) { villainy(c, f) })
	nothing := func() string { return "" }
	return &target{name: "villain", p: p, addr: b.addr, seen: nothing, hasty: true}
}

func villainy(c *peer, f flaws) {
	p := c.p
	greeting := p.greeting
	if p.Name == "mysql" {
		greeting = mysqlGreeting(mysqlSecure)
	}
	c.say(greeting)
	answer := p.polite()
	word, _, _ := strings.Cut(strings.TrimSuffix(p.upgrade, "\r\n"), "\x00")
	word = word[strings.IndexByte(word, ' ')+1:]
	for inside := false; ; {
		request, err := c.heard()
		if err != nil {
			return
		}
		upgrade := request == p.upgrade || request == p.again || f.lax && p.text() && strings.Contains(strings.ToUpper(request), word)
		if !upgrade || inside && !f.again {
			if c.say(answer(request)); request == pgCancel {
				c.say("done")
			}
			continue
		}
		c.say(villainReady(p, request))
		if !inside && !c.villainTLS(f) {
			return
		}
		inside = true
	}
}

// villainReady is the go-ahead.
func villainReady(p *proto, request string) string {
	switch p.Name {
	case "smtp", "lmtp":
		return "220 go\r\n"
	case "imap":
		tag, _, _ := strings.Cut(request, " ")
		return tag + " OK go\r\n"
	case "pop3":
		return "+OK go\r\n"
	case "ldap":
		return ldapMessage(2, ldapResult(0x78, 0))
	case "postgres":
		return "S"
	}
	return ""
}

// villainTLS begins TLS, in the wrong way.
func (c *peer) villainTLS(f flaws) bool {
	if f.chatty {
		c.say("evil words\r\n")
	}
	if f.deaf {
		c.take(func(buf string) int { // the first record
			if len(buf) < 5 {
				return 0
			}
			if n := 5 + int(buf[3])<<8 + int(buf[4]); n <= len(buf) {
				return n
			}
			return 0
		})
	}
	kept := ""
	if f.executes {
		var err error
		kept, err = c.take(func(buf string) int { return strings.Index(buf, "\x16\x03") })
		if err != nil {
			return false
		}
	}
	conn := tls.Server(&spilled{Conn: c.wire, rest: c.buf}, serverTLS())
	c.buf = kept
	if err := conn.Handshake(); err != nil {
		if f.falls {
			c.say(c.p.polite()(c.p.work))
		}
		io.Copy(io.Discard, c.wire) // closing with something unread would take our words back
		return false
	}
	c.Conn = conn
	return true
}
