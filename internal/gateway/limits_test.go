package gateway_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"starttls/internal/gateway"
)

// flood says the same again and again, until nobody listens. It returns how much was said. What is
// answered meanwhile is read by somebody else.
func flood(c *peer, what string, most int) (said int) {
	piece := strings.Repeat(what, 1+(64<<10)/len(what))
	for said < most {
		n, err := c.wire.Conn.Write([]byte(piece))
		if said += n; err != nil {
			break
		}
	}
	return said
}

// bounded floods a server: it must hang up soon, with not much said on either side, and no memory gone.
func bounded(tg *target, what string, most int) error {
	c, err := tg.call()
	if err != nil {
		return err
	}
	defer c.Close()
	answers := make(chan string)
	go func() { answers <- c.rest() }()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	said := flood(c, what, most)
	runtime.ReadMemStats(&after)
	c.wire.CloseWrite()
	if said >= most {
		return fmt.Errorf("%d bytes were taken", said)
	}
	if n := len(<-answers); n > 256<<10 {
		return fmt.Errorf("%d bytes of answers", n)
	}
	if gone := after.TotalAlloc - before.TotalAlloc; gone > 256<<20 {
		return fmt.Errorf("%d MB of memory", gone>>20)
	}
	return nil
}

// TestFloodsAreBounded: G-11, promise 9.
func TestFloodsAreBounded(t *testing.T) {
	const gigabyte = 1 << 30
	for name, row := range map[string]struct {
		protos []*proto
		what   string
		most   int
	}{
		"G-11 a gigabyte without an end": {textual, strings.Repeat("a", 4096), gigabyte},
		"G-11 a gigabyte of zeros":       {protos, strings.Repeat("\x00", 4096), gigabyte},
		"G-11 a million empty lines":     {textual, "\r\n", 64 << 20},
		"G-11 a hundred thousand NOOPs":  {named("smtp", "lmtp"), "NOOP\r\n", 64 << 20},
		"G-11 NOOPs with tags":           {named("imap"), "a NOOP\r\n", 64 << 20},
		"G-11 CAPA":                      {named("pop3"), "CAPA\r\n", 64 << 20},
		"G-11 literals":                  {named("imap"), "a X {9+}\r\n123456789", gigabyte},
		"G-11 a literal of a gigabyte":   {named("imap"), "a ID {1073741823+}\r\n" + strings.Repeat("x", 1<<20), gigabyte},
		"G-11 searches":                  {named("ldap"), ldap.hello, 64 << 20},
		"G-11 a gigabyte of BER":         {named("ldap"), "\x30\x84\x3f\xff\xff\xff" + strings.Repeat("x", 1<<20), gigabyte},
		"G-11 GSSENCRequest":             {named("postgres"), pgGSSRequest, 64 << 20},
		"G-11 SSLRequest":                {named("postgres"), pgSSLRequest, 64 << 20},
		"G-11 a startup of a gigabyte":   {named("postgres"), pgOpening(3<<16, strings.Repeat("x", 1<<20)), gigabyte},
		"G-11 packets":                   {named("mysql"), mysqlPacket(1, "x"), 64 << 20},
	} {
		for _, p := range row.protos {
			t.Run(name+" "+p.Name, func(t *testing.T) {
				t.Parallel()
				tg := gatewayTarget(t, p, "encrypt")
				if err := bounded(tg, row.what, row.most); err != nil {
					t.Error(err)
				}
				record, err := tg.log.ended()
				if must(t, err); record["outcome"] == "tls" || record["outcome"] == "clear" {
					t.Errorf("the log has %v", record)
				}
				if err := bounded(libraryTarget(t, p), row.what, row.most); err != nil {
					t.Errorf("library: %v", err)
				}
			})
		}
	}
}

// TestFloodVillain is a server that takes all there is.
func TestFloodVillain(t *testing.T) {
	b := scripted(t, only("smtp"), func(c *peer) {
		c.say(c.p.greeting)
		buf := make([]byte, 64<<10)
		for {
			if _, err := c.wire.Conn.Read(buf); err != nil {
				return
			}
		}
	})
	finds(t, bounded(&target{p: only("smtp"), addr: b.addr}, "\r\n", 16<<20))
}

// TestNoiseIsNotServed: what is no protocol at all, in the clear and inside TLS.
func TestNoiseIsNotServed(t *testing.T) {
	noise := make([]byte, 64<<10)
	rand.Read(noise)
	noise = bytes.ReplaceAll(noise, []byte("\n"), []byte("?"))
	noise[0] = 0xee
	for _, p := range protos {
		for _, secure := range []bool{false, true} {
			tg := gatewayTarget(t, p, "encrypt")
			c, err := tg.call()
			must(t, err)
			if secure {
				must(t, c.honestly())
			}
			c.say(string(noise))
			c.closeWrite()
			c.rest()
			c.Close()
			if _, err := tg.log.ended(); err != nil {
				t.Errorf("%s TLS %t: %v", p.Name, secure, err)
			}
			if seen := tg.seen(); len(seen) > 1000 {
				t.Errorf("%s TLS %t: the server has heard %s", p.Name, secure, show(seen))
			}
		}
	}
}

// hangsUp does nothing, or little and slowly: the server must not wait for long.
func hangsUp(addr string, p *proto, say, trickle string) error {
	c, err := greeted(addr, p)
	if err != nil {
		return err
	}
	defer c.Close()
	c.say(say)
	c.SetReadDeadline(time.Now().Add(2 * time.Second))
	done := make(chan struct{})
	defer func() { <-done }()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for _, b := range []byte(trickle) {
			select {
			case <-tick.C:
				c.say(string([]byte{b}))
			case <-stop:
				return
			}
		}
	}()
	buf := make([]byte, 4096)
	for {
		if _, err := c.Read(buf); isTimeout(err) {
			return fmt.Errorf("it waits on: %w", err)
		} else if err != nil {
			return nil
		}
	}
}

// TestTheWayToTLSHasADeadline: G-10. It does not begin anew with what is said.
func TestTheWayToTLSHasADeadline(t *testing.T) {
	hello := "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("r", 500)
	for _, p := range protos {
		for name, row := range map[string][2]string{
			"nothing is said":             {},
			"nothing follows the upgrade": {p.upgrade},
			"byte by byte":                {"", strings.Repeat(p.hello+p.upgrade, 20)},
			"a ClientHello byte by byte":  {p.upgrade, hello},
			"half a message":              {p.upgrade[:len(p.upgrade)-1]},
		} {
			t.Run("G-10 "+p.Name+" "+name, func(t *testing.T) {
				t.Parallel()
				g := start(t, p, frontEncrypt, within(60*time.Millisecond))
				must(t, hangsUp(g.addr, p, row[0], row[1]))
				if _, err := g.ended(); err != nil {
					t.Error(err)
				}
			})
		}
	}
	for _, p := range protos[:1] {
		b := newBackend(t, p)
		finds(t, hangsUp(b.addr, p, "", ""))
	}
}

// TestTheDeadlineEndsWithTLS: and where TLS is optional, with the first work, whether the server offers
// TLS of its own or not.
func TestTheDeadlineEndsWithTLS(t *testing.T) {
	for _, p := range append(protos, offering(only("smtp"))) {
		for _, secure := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s TLS %t", p.Name, secure), func(t *testing.T) {
				t.Parallel()
				hold := make(chan struct{})
				defer close(hold)
				b := scripted(t, p, func(*peer) { <-hold })
				begun := time.Now() // on a machine that is busy, getting there takes longer
				settled(t, start(t, p, to(b), within(patience)).addr, b, secure)
				timeout := unhurried(begun)
				c, server := settled(t, start(t, p, to(b), within(timeout)).addr, b, secure)
				c.SetReadDeadline(time.Now().Add(timeout))
				if _, err := c.wire.Conn.Read(make([]byte, 1)); !isTimeout(err) {
					t.Fatal(err)
				}
				const words = "421 still here\r\n"
				must(t, server.say(words))
				server.closeWrite()
				c.SetReadDeadline(time.Now().Add(patience))
				if secure { // crypto/tls keeps an error of reading, so the deadline was for the raw connection
					c.SetDeadline(time.Now().Add(patience))
				}
				if got := c.rest(); got != words {
					t.Errorf("the client hears %s", show(got))
				}
			})
		}
	}
}

// TestConnectionsAreCounted: in all, and by address; who is turned away is told in its protocol.
func TestConnectionsAreCounted(t *testing.T) {
	for name, edit := range map[string]func(*gateway.Route){
		"in all":     func(r *gateway.Route) { r.MaxConns = 2 },
		"by address": func(r *gateway.Route) { r.MaxPerAddr = 2 },
	} {
		for _, p := range protos {
			t.Run(name+" "+p.Name, func(t *testing.T) {
				t.Parallel()
				g := start(t, p, edit)
				var in []*peer
				for range 2 {
					c, err := greeted(g.addr, p)
					must(t, err)
					must(t, c.say(p.upgrade))
					in = append(in, c)
				}
				eventually(t, "both are in", func() bool { return g.Live() == 2 })
				c, err := call(g.addr, p)
				must(t, err)
				words := c.rest()
				if turned := map[string]string{"smtp": "421", "lmtp": "421", "imap": "* BYE [LIMIT]", "pop3": "-ERR", "mysql": "\xff\x10\x04"}[p.Name]; !strings.Contains(words, turned) {
					t.Errorf("who is turned away hears %s", show(words))
				}
				if name == "by address" {
					other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
					conn, err := other.DialContext(bg, "tcp", g.addr)
					if err != nil {
						t.Skip("no second address here: ", err)
					}
					must(t, newPeer(conn, p).honestFrom())
				}
				in[0].Close()
				eventually(t, "one is out", func() bool { return g.Live() < 2 || name == "by address" && g.Live() < 3 })
				c, err = greeted(g.addr, p)
				must(t, err)
				must(t, c.honestly())
			})
		}
	}
}

// honestFrom is honestly, with the greeting before it.
func (c *peer) honestFrom() error {
	if c.p.serverFirst() {
		if _, err := c.hear(); err != nil {
			return err
		}
	}
	return c.honestly()
}
