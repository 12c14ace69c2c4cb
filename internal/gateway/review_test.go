package gateway_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starttls"
	"starttls/dialect"
	"starttls/internal/gateway"
)

// A seemingConn says that its ends are elsewhere.
type seemingConn struct {
	net.Conn
	local, remote net.Addr
}

func (c seemingConn) LocalAddr() net.Addr  { return c.local }
func (c seemingConn) RemoteAddr() net.Addr { return c.remote }

// seeming runs a gateway that is called by whoever come returns for an address.
func seeming(t testing.TB, p *proto, edits ...func(*gateway.Route)) (g *running, come func(remote, local net.Addr) *peer) {
	t.Helper()
	g = start(t, p, edits...)
	ln := &pipeListener{make(chan net.Conn), make(chan struct{})}
	go g.Serve(bg, ln)
	t.Cleanup(func() { ln.Close() })
	return g, func(remote, local net.Addr) *peer {
		near, far := net.Pipe()
		t.Cleanup(func() { near.Close() })
		ln.conns <- seemingConn{far, local, remote}
		return newPeer(near, p)
	}
}

// TestAPortOfOursIsNoLoop: the kernel gives the port of a connection to the backend to a client too. A
// loop is one at both ends.
func TestAPortOfOursIsNoLoop(t *testing.T) {
	p := only("smtp")
	b := newBackend(t, p)
	g, come := seeming(t, p, to(b))
	c, err := greeted(g.addr, p)
	must(t, err)
	defer c.Close()
	ours := b.next(t).wire.Conn
	for _, row := range []struct {
		local net.Addr
		want  string
	}{{c.wire.Conn.RemoteAddr(), "220"}, {ours.LocalAddr(), p.sorry}} {
		other := come(ours.RemoteAddr(), row.local)
		if answer, err := other.hear(); err != nil || !strings.HasPrefix(answer, row.want) {
			t.Errorf("who comes from %v to %v hears %s, %v", ours.RemoteAddr(), row.local, show(answer), err)
		}
		other.Close()
	}
}

// TestABackendThatStallsInALogin: the client is told in time, in the clear and inside TLS.
func TestABackendThatStallsInALogin(t *testing.T) {
	const timeout = 500 * time.Millisecond
	for _, p := range named("mysql") {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s TLS %t", p.Name, secure), func(t *testing.T) {
				t.Parallel()
				b := scripted(t, p, func(c *peer) {
					c.say(mysqlGreeting(mysqlSecure))
					c.rest()
				})
				g := start(t, p, backTo(b.addr, starttls.Encrypt), within(timeout))
				c, err := greeted(g.addr, p)
				must(t, err)
				work := p.work
				if secure {
					must(t, c.say(p.upgrade))
					must(t, c.shake(credulousTLS()))
					work = mysqlLogin(2, mysqlSecure, secret)
				}
				begun := time.Now()
				must(t, c.expect(work, p.sorry))
				if took := time.Since(begun); took > timeout+patience/2 {
					t.Errorf("it is told after %v", took)
				}
				c.Close()
				must(t, g.outcome("backend-failed"))
			})
		}
	}
}

// TestABackendThatLeavesInTheHandshake does not end it: what it has to say comes after, and where TLS
// begins a new session, a new server does.
func TestABackendThatLeavesInTheHandshake(t *testing.T) {
	for _, p := range append(named("smtp", "imap", "pop3"), ftp) {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			leave := make(chan struct{}, 1)
			b := scripted(t, p, func(c *peer) {
				c.say(p.greeting)
				<-leave
			})
			g := start(t, p, to(b))
			c, err := greeted(g.addr, p)
			must(t, err)
			must(t, c.say(p.upgrade))
			if answer, err := c.hear(); err != nil || !p.ready(answer) {
				t.Fatalf("%s, %v", show(answer), err)
			}
			leave <- struct{}{}
			silent(t, c, 100*time.Millisecond)
			must(t, c.shake(credulousTLS()))
			leave <- struct{}{}
			if late := c.rest(); late != "" {
				t.Errorf("then comes %s", show(late))
			}
			c.Close()
			must(t, g.outcome("tls"))
		})
	}
}

// TestALongClientHelloMakesAShortLine in the log: crypto/tls repeats what it says.
func TestALongClientHelloMakesAShortLine(t *testing.T) {
	p := only("imap")
	g := start(t, p)
	c, err := greeted(g.addr, p)
	must(t, err)
	must(t, c.say(p.upgrade))
	_, err = c.hear()
	must(t, err)
	config := credulousTLS()
	for range 200 {
		config.NextProtos = append(config.NextProtos, strings.Repeat("\x01", 250))
	}
	if err := c.shake(config); err == nil {
		t.Error("a protocol was agreed on")
	}
	record, err := g.ended()
	must(t, err)
	if reason, _ := record["reason"].(string); reason == "" || len(reason) > 1000 {
		t.Errorf("the reason has %d bytes: %s", len(reason), show(reason))
	}
}

// TestClientsOfAUnixSocketAreNotCounted by an address that none of them has.
func TestClientsOfAUnixSocketAreNotCounted(t *testing.T) {
	p := only("smtp")
	g := start(t, p, func(r *gateway.Route) { r.MaxPerAddr = 2 })
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	must(t, err)
	defer ln.Close()
	go g.Serve(bg, ln)
	for i := range 5 {
		conn, err := net.Dial("unix", ln.Addr().String())
		must(t, err)
		defer conn.Close()
		if answer, err := newPeer(conn, p).hear(); err != nil || answer != p.greeting {
			t.Errorf("client %d hears %s, %v", i, show(answer), err)
		}
	}
}

// TestIPv6ClientsAreCountedByNetwork: one host has all of a /64 to choose from.
func TestIPv6ClientsAreCountedByNetwork(t *testing.T) {
	p := only("smtp")
	_, come := seeming(t, p, func(r *gateway.Route) { r.MaxPerAddr = 1 })
	for _, row := range []struct{ from, want string }{
		{"2001:db8::1", "220"}, {"2001:db8::2", "421"}, {"2001:db8::ffff:ffff:ffff:ffff", "421"}, {"2001:db8:0:1::1", "220"},
		{"192.0.2.1", "220"}, {"192.0.2.2", "220"}, {"::ffff:192.0.2.3", "220"}, {"::ffff:192.0.2.1", "421"},
	} {
		c := come(&net.TCPAddr{IP: net.ParseIP(row.from), Port: 2000}, &net.TCPAddr{IP: net.IPv6loopback, Port: 25})
		if answer, err := c.hear(); err != nil || !strings.HasPrefix(answer, row.want) {
			t.Errorf("%s hears %s, %v", row.from, show(answer), err)
		}
	}
}

// TestACancelRequestPassesWhereTLSIsDemanded, by design: libpq says it in the clear for sessions that
// are inside TLS. A startup does not.
func TestACancelRequestPassesWhereTLSIsDemanded(t *testing.T) {
	p := only("postgres")
	for says, want := range map[string]string{pgCancel: pgCancel, pgStartup(secret): ""} {
		b := newBackend(t, p)
		g := start(t, p, to(b), frontEncrypt)
		c, err := call(g.addr, p)
		must(t, err)
		must(t, c.say(says))
		c.closeWrite()
		c.rest()
		c.Close()
		_, err = g.ended()
		must(t, err)
		if seen := b.seen(); seen != want {
			t.Errorf("%s: the server hears %s", show(says), show(seen))
		}
	}
}

// webHead asks for a thing, and for TLS with it.
func webHead(first string) string {
	return first + " HTTP/1.1\r\nHost: " + serverName + "\r\nUpgrade: TLS/1.2\r\nConnection: Upgrade\r\n\r\n"
}

var web = &proto{
	Dialect: &dialect.HTTP,
	upgrade: webHead("OPTIONS *"),
	ready:   func(answer string) bool { return strings.HasPrefix(answer, "HTTP/1.1 101 ") },
	request: func(buf string) int { return strings.Index(buf, "\r\n\r\n") + 4*min(1, strings.Count(buf, "\r\n\r\n")) },
	polite: func() func(string) string {
		return func(string) string { return "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" }
	},
}

// upgradesWith asks for TLS in a request, and wants a status line.
func upgradesWith(addr, first, want string) error {
	c, err := call(addr, web)
	if err != nil {
		return err
	}
	defer c.Close()
	c.p = &proto{Dialect: web.Dialect, reply: web.request} // a head is a head
	if err := c.expect(webHead(first), "HTTP/1.1 "+want+" "); err != nil || want != "101" {
		return err
	}
	config := credulousTLS()
	config.MinVersion = tls.VersionTLS12
	if err := c.shake(config); err != nil {
		return err
	}
	return c.expect("", "HTTP/1.1 200 ")
}

// TestAnUpgradeThatAsksForMoreIsWork: said in the clear, it is refused where TLS is demanded.
func TestAnUpgradeThatAsksForMoreIsWork(t *testing.T) {
	for _, first := range []string{"GET /" + secret, "DELETE /jobs/7", "OPTIONS /"} {
		b := newBackend(t, web)
		must(t, upgradesWith(start(t, web, to(b), frontEncrypt).addr, first, "426"))
		if seen := b.seen(); seen != "" {
			t.Errorf("%s: the server hears %s", first, show(seen))
		}
		finds(t, upgradesWith(start(t, web).addr, first, "426"))
		must(t, upgradesWith(start(t, web).addr, first, "101"))
	}
	must(t, upgradesWith(start(t, web, frontEncrypt).addr, "OPTIONS *", "101"))
}
