package gateway_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"starttls/internal/gateway"
)

// withoutOffer takes our offer of TLS out of what a client heard.
func withoutOffer(p *proto, heard string) string {
	if p == mysql && len(heard) > len(mysqlGreeting(mysqlClear)) {
		flags := strings.Index(heard, "saltsalt\x00") + len("saltsalt\x00") + 1
		return heard[:flags] + string([]byte{heard[flags] &^ 0x08}) + heard[flags+1:]
	}
	if p.offer == "" {
		return heard
	}
	return strings.Replace(heard, p.offer, "", 1)
}

// echoing is a server that answers hello and work, and from then on says again all that it hears.
func echoing(t testing.TB, p *proto) *backend {
	return scripted(t, p, func(c *peer) {
		c.say(p.greeting)
		answer := p.polite()
		for {
			request, err := c.heard()
			if err != nil {
				return
			}
			c.say(answer(request))
			if request == p.work {
				break
			}
		}
		c.say(c.buf)
		io.Copy(c.Conn, c.Conn.(*recorder))
		c.say("the end")
	})
}

// talk says hello, goes to work and moves bulk, in pieces as random as the seed, or all at once. It
// returns what the client heard.
func talk(addr string, p *proto, bulk string, seed uint64, atOnce bool) (string, error) {
	c, err := greeted(addr, p)
	if err != nil {
		return "", err
	}
	defer c.Close()
	hello := p.hello
	if p == ldap {
		hello = ldapSearch(1, "", "namingContexts") // not asked for extensions, we name none
	}
	requests := []string{hello, p.work}
	if atOnce {
		requests = []string{hello + p.work}
		bulk = "the rest"
	}
	for _, request := range requests {
		if err := c.say(request); err != nil {
			return "", err
		}
	}
	if hello != "" {
		c.hear()
	}
	if _, err := c.hear(); err != nil {
		return "", err
	}
	go func() {
		random := rand.New(rand.NewPCG(seed, 0))
		for rest := bulk; rest != ""; {
			n := min(len(rest), 1+random.IntN(70_000))
			c.say(rest[:n])
			rest = rest[n:]
		}
		c.closeWrite()
	}()
	c.rest()
	return c.wire.all(), nil
}

// transparent compares a conversation with the server to one through something between.
func transparent(p *proto, direct, between *backend, through string, atOnce bool) error {
	random := rand.New(rand.NewPCG(7, 7))
	bulk := make([]byte, 300_000)
	for i := range bulk {
		bulk[i] = byte(random.Uint32())
	}
	want, err := talk(direct.addr, p, string(bulk), 1, atOnce)
	if err != nil {
		return err
	}
	got, err := talk(through, p, string(bulk), 2, atOnce)
	if err != nil {
		return err
	}
	if got = withoutOffer(p, got); got != want {
		return fmt.Errorf("the client heard %s, and not %s", show(got), show(want))
	}
	if !strings.HasSuffix(got, "the end") {
		return errors.New("the last words are lost")
	}
	if got, want := between.seen(), direct.seen(); got != want {
		return fmt.Errorf("the server heard %s, and not %s", show(got), show(want))
	}
	return nil
}

// TestClientsWithoutTLSAreServedAsIfWeWereNotThere is the fourth promise.
func TestClientsWithoutTLSAreServedAsIfWeWereNotThere(t *testing.T) {
	for _, p := range protos {
		for level, edit := range map[string]func(*gateway.Route){"may": levels["may"], "none": frontNone} {
			for _, atOnce := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %s at once %t", p.Name, level, atOnce), func(t *testing.T) {
					t.Parallel()
					between := echoing(t, p)
					g := start(t, p, edit, to(between))
					must(t, transparent(p, echoing(t, p), between, g.addr, atOnce))
					must(t, g.outcome("clear"))
				})
			}
		}
	}
}

// TestTransparencyVillains: a relay that loses the end of a direction, and one that mends line ends.
func TestTransparencyVillains(t *testing.T) {
	for name, relay := range map[string]func(to, from net.Conn){
		"no half-close": func(to, from net.Conn) {
			io.Copy(to, from)
			to.Close()
			from.Close()
		},
		"line ends": func(to, from net.Conn) {
			buf := make([]byte, 64<<10)
			for {
				n, err := from.Read(buf)
				to.Write(bytes.ReplaceAll(buf[:n], []byte("\xfe"), []byte("\xff")))
				if err != nil {
					to.(*net.TCPConn).CloseWrite()
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := only("smtp")
			between := echoing(t, p)
			finds(t, transparent(p, echoing(t, p), between, runRelay(t, between, relay), false))
		})
	}
}

// runRelay runs a relay that is no gateway.
func runRelay(t testing.TB, b *backend, relay func(to, from net.Conn)) (addr string) {
	ln := listen(t)
	go func() {
		for {
			front, err := ln.Accept()
			if err != nil {
				return
			}
			back, err := b.dial(bg)
			if err != nil {
				return
			}
			go relay(back, front)
			go relay(front, back)
		}
	}()
	return ln.Addr().String()
}

// halfClosed has both sides end their direction first, once each, in the clear or inside TLS: what the
// other says after that must arrive.
func halfClosed(c *peer, b *peer, clientFirst bool) error {
	first, second := c, b
	if !clientFirst {
		first, second = b, c
	}
	first.closeWrite()
	if late := second.rest(); late != "" {
		return fmt.Errorf("before the end came %s", show(late))
	}
	if _, secure := second.Conn.(*tls.Conn); secure { // the end is told below TLS as well
		if n, err := second.wire.Conn.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			return fmt.Errorf("below TLS came %d bytes, %v", n, err)
		}
	}
	if err := second.say("last words"); err != nil {
		return err
	}
	second.closeWrite()
	if words := first.rest(); words != "last words" {
		return fmt.Errorf("the last words were %s", show(words))
	}
	return nil
}

func TestHalfCloseIsKept(t *testing.T) {
	for _, p := range protos {
		for _, secure := range []bool{false, true} {
			for _, clientFirst := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s TLS %t client first %t", p.Name, secure, clientFirst), func(t *testing.T) {
					t.Parallel()
					hold := make(chan struct{})
					b := scripted(t, p, func(c *peer) { <-hold })
					defer close(hold)
					g := start(t, p, to(b))
					c, server := settled(t, g.addr, b, secure)
					must(t, halfClosed(c, server, clientFirst))
				})
			}
		}
	}
}

// settled goes to work, so that nothing is read as a message anymore. The test is the server.
func settled(t testing.TB, addr string, b *backend, secure bool) (c, server *peer) {
	t.Helper()
	p := b.p
	c, err := call(addr, p)
	must(t, err)
	answer := p.polite()
	work := p.work
	greet := func() {
		server = b.next(t)
		must(t, server.say(p.greeting))
		if p.serverFirst() {
			_, err := c.hear()
			must(t, err)
		}
	}
	if p.serverFirst() {
		greet()
	}
	hello := func() {
		if p.hello == "" {
			return
		}
		must(t, c.say(p.hello))
		if server == nil {
			greet()
		}
		_, err := server.heard()
		must(t, err)
		must(t, server.say(answer(p.hello)))
		_, err = c.hear()
		must(t, err)
	}
	hello()
	if secure {
		must(t, c.say(p.upgrade))
		if p.acknowledged() {
			_, err := c.hear()
			must(t, err)
		}
		must(t, c.shake(credulousTLS()))
		if p == mysql {
			work = p.probe
		}
		hello()
	}
	must(t, c.say(work))
	if server == nil {
		greet()
	}
	request, err := server.heard()
	must(t, err)
	must(t, server.say(answer(request)))
	_, err = c.hear()
	must(t, err)
	return c, server
}
