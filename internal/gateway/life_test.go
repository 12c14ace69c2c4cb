package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starttls"
	"starttls/internal/gateway"
)

// TestABackendThatIsDown: the client is told in its protocol that it may come again, in the clear or
// inside TLS, wherever it is when the server is needed (G-18).
func TestABackendThatIsDown(t *testing.T) {
	down := func(r *gateway.Route) {
		r.Back.Dial = func(context.Context) (net.Conn, error) { return nil, errors.New("down") }
	}
	for level, edit := range levels {
		for _, p := range protos {
			t.Run("G-18 "+p.Name+" "+level, func(t *testing.T) {
				t.Parallel()
				g := start(t, p, edit, down)
				c, err := call(g.addr, p)
				must(t, err)
				must(t, sorry(c, level == "encrypt"))
				c.Close()
				must(t, g.outcome("backend-failed"))
			})
		}
	}
}

// sorry goes to work, through TLS or not, until it hears that the server cannot be reached.
func sorry(c *peer, secure bool) error {
	p := c.p
	if p.serverFirst() {
		greeting, err := c.hear()
		if err != nil || strings.Contains(greeting, p.sorry) {
			return err
		}
	}
	work := p.work
	if secure {
		c.say(p.upgrade)
		if p.acknowledged() {
			if answer, err := c.hear(); err != nil || !p.ready(answer) {
				return fmt.Errorf("no go-ahead but %s, %v", show(answer), err)
			}
		}
		if err := c.shake(credulousTLS()); err != nil {
			return err
		}
		if p.serverFirst() { // what comes after TLS is no answer
			if answer, err := c.hear(); err == nil && strings.Contains(answer, p.sorry) {
				return nil
			}
		}
	}
	return c.expect(work, p.sorry)
}

// TestABackendThatDies: its end is the client's end, before TLS, inside it, and in the splice.
func TestABackendThatDies(t *testing.T) {
	for _, p := range protos {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s TLS %t", p.Name, secure), func(t *testing.T) {
				t.Parallel()
				hold := make(chan struct{})
				b := scripted(t, p, func(*peer) { <-hold })
				defer close(hold)
				g := start(t, p, to(b))
				c, server := settled(t, g.addr, b, secure)
				server.wire.Conn.(*net.TCPConn).SetLinger(0)
				server.wire.Close() // a reset
				if late := c.rest(); late != "" {
					t.Errorf("then comes %s", show(late))
				}
				_, err := g.ended()
				must(t, err)
				eventually(t, "the session is counted out", func() bool { return g.Live() == 0 })
			})
		}
	}
}

// TestAServerThatLeavesEarlyIsHeard: its goodbye reaches a client that is silent.
func TestAServerThatLeavesEarlyIsHeard(t *testing.T) {
	for _, p := range named("smtp", "lmtp", "imap", "pop3") {
		b := scripted(t, p, func(c *peer) {
			c.say(p.greeting)
			c.say(goodbyes[p.Name])
		})
		g := start(t, p, to(b))
		c, err := call(g.addr, p)
		must(t, err)
		if words := c.rest(); words != p.greeting+goodbyes[p.Name] {
			t.Errorf("%s: the client hears %s", p.Name, show(words))
		}
		c.Close()
		must(t, g.outcome("clear"))
	}
}

// TestAFailedHandshakeEndsTheSession, also when the server has said something meanwhile that is held,
// and when the client just goes.
func TestAFailedHandshakeEndsTheSession(t *testing.T) {
	for _, p := range protos {
		for says, outcome := range map[string]string{"evil evil evil": "injected", "": "tls-failed"} {
			t.Run(p.Name+" "+outcome, func(t *testing.T) {
				t.Parallel()
				testFailedHandshake(t, p, says, outcome)
			})
		}
	}
}

func testFailedHandshake(t *testing.T, p *proto, says, outcome string) {
	said := make(chan struct{})
	b := scripted(t, p, func(c *peer) {
		c.say(p.greeting)
		if p.hello != "" {
			c.heard()
			c.say(p.polite()(p.hello))
		}
		<-said
		c.say(goodbyes[p.Name])
		c.rest()
	})
	g := start(t, p, to(b))
	c, err := greeted(g.addr, p)
	must(t, err)
	must(t, c.open(together, ""))
	if p.acknowledged() {
		_, err = c.hear()
		must(t, err)
	}
	close(said)
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)) // for the server's words to arrive
	c.Read(make([]byte, 1))
	must(t, c.say(says))
	c.Close()
	must(t, g.outcome(outcome))
	eventually(t, "the session is counted out", func() bool { return g.Live() == 0 })
}

// TestABackendThatHangsUp in place of a greeting, or of an answer to the upgrade.
func TestABackendThatHangsUp(t *testing.T) {
	for _, p := range protos {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			b := scripted(t, p, func(c *peer) {
				if !p.serverFirst() {
					c.heard()
				}
			})
			g := start(t, p, frontNone, backTo(b.addr, starttls.Encrypt))
			c, err := call(g.addr, p)
			must(t, err)
			must(t, sorry(c, false))
			c.Close()
			must(t, g.outcome("backend-failed"))
		})
	}
}

// TestDrain: sessions live on when the gateway stops, until they end or are broken.
func TestDrain(t *testing.T) {
	for _, forced := range []bool{false, true} {
		for _, p := range protos {
			for _, secure := range []bool{false, true} {
				t.Run(fmt.Sprintf("forced %t %s TLS %t", forced, p.Name, secure), func(t *testing.T) {
					t.Parallel()
					hold := make(chan struct{})
					defer close(hold)
					b := scripted(t, p, func(*peer) { <-hold })
					g := start(t, p, to(b))
					c, server := settled(t, g.addr, b, secure)
					testDrain(t, g, c, server, forced)
				})
			}
		}
	}
}

func testDrain(t *testing.T, g *running, c, server *peer, forced bool) {
	g.stop()
	if err := <-g.served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	must(t, c.say("still here"))
	got, err := server.take(func(buf string) int { return len("still here") * (len(buf) / len("still here")) })
	if err != nil || got != "still here" {
		t.Errorf("a session that is drained hears %s, %v", show(got), err)
	}
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	broken := make(chan int)
	go func() { broken <- g.Drain(ctx) }()
	if forced {
		cancel()
		if n := <-broken; n != 1 {
			t.Errorf("%d sessions broken, not 1", n)
		}
		if late := c.rest(); late != "" {
			t.Errorf("then comes %s", show(late))
		}
		must(t, g.outcome("broken"))
		return
	}
	c.closeWrite()
	server.rest()
	server.closeWrite()
	if n := <-broken; n != 0 {
		t.Errorf("%d sessions broken", n)
	}
	if record, err := g.ended(); err != nil || record["outcome"] == "broken" {
		t.Errorf("%v, %v", record, err)
	}
}

// TestIdleSessionsEnd, and those on which something is said do not.
func TestIdleSessionsEnd(t *testing.T) {
	const most = time.Second
	idle := func(r *gateway.Route) { r.Idle = most }
	p := only("smtp")
	g := start(t, p, idle)
	c, err := greeted(g.addr, p)
	must(t, err)
	must(t, c.honestly())
	must(t, c.follow(exchange{p.probe, "250"}, exchange{p.work, "235"}))
	for begun := time.Now(); time.Since(begun) < most*3/2; {
		must(t, c.expect("NOOP\r\n", "250"))
	}
	if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("an idle session is kept: %v", err)
	}
	record, err := g.ended()
	if must(t, err); record["reason"] != "idle for too long" {
		t.Errorf("the log has %v", record)
	}
}

// A pipeListener accepts the ends of pipes that are handed to it.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { close(l.done); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// TestTheDefaultTimes, on a clock that is not real: a minute to TLS where it is demanded, five where it
// is not, and twelve hours of silence after that.
func TestTheDefaultTimes(t *testing.T) {
	for name, row := range map[string]struct {
		edit  func(*gateway.Route)
		work  bool
		after time.Duration
	}{
		"encrypt":  {frontEncrypt, false, time.Minute},
		"may":      {levels["may"], false, 5 * time.Minute},
		"at work":  {levels["may"], true, 12 * time.Hour},
		"implicit": {func(r *gateway.Route) { frontEncrypt(r); r.Front.Implicit = true }, false, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testDefaultTimes(t, row.edit, row.work, row.after) })
		})
	}
}

func testDefaultTimes(t *testing.T, edit func(*gateway.Route), work bool, after time.Duration) {
	p := only("pop3")
	r := gateway.Route{Dialect: p.Dialect, Back: gateway.Back{Dial: func(context.Context) (net.Conn, error) {
		near, far := net.Pipe()
		go func() { serve(&peer{Conn: far, p: p, wire: &recorder{Conn: far}}, p.polite()) }()
		return near, nil
	}}}
	r.Front.Level, r.Front.TLS = 1, serverTLS()
	edit(&r)
	g, ln := gateway.New(r), &pipeListener{make(chan net.Conn), make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	go g.Serve(ctx, ln)
	near, far := net.Pipe()
	ln.conns <- far
	begun := time.Now()
	c := &peer{Conn: near, p: p, wire: &recorder{Conn: near}}
	if work {
		for _, say := range []string{"", "CAPA\r\n", "USER x\r\n"} {
			if say != "" {
				must(t, c.say(say))
			}
			_, err := c.hear()
			must(t, err)
		}
	}
	c.rest()
	if took := time.Since(begun); took < after || took > after+time.Minute {
		t.Errorf("the session ended after %v, and not %v", took, after)
	}
	cancel()
	g.Drain(bg)
	time.Sleep(time.Hour) // what looks after sessions sees that there are none
}

// silent waits for longer than the way to TLS may take, and hears nothing.
func silent(t testing.TB, c *peer, timeout time.Duration) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(timeout * 3 / 2))
	if _, err := c.wire.Conn.Read(make([]byte, 1)); !isTimeout(err) {
		t.Fatalf("the session is over: %v", err)
	}
	c.SetReadDeadline(time.Now().Add(patience))
}

// TestAClientInsideTLSMayTakeItsTime: pools open connections long before there is work. Where the client
// speaks first, the server is dialled only then.
func TestAClientInsideTLSMayTakeItsTime(t *testing.T) {
	upgraded := func(t *testing.T, p *proto, timeout time.Duration) *peer {
		c, err := greeted(start(t, p, frontEncrypt, within(timeout)).addr, p)
		must(t, err)
		must(t, c.say(p.upgrade))
		if p.acknowledged() {
			_, err = c.hear()
			must(t, err)
		}
		must(t, c.shake(credulousTLS()))
		return c
	}
	for _, p := range protos {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			upgraded(t, p, patience)
			timeout := unhurried(begun)
			c := upgraded(t, p, timeout)
			silent(t, c, timeout)
			must(t, c.expect(p.probe, "probe"))
		})
	}
}

// TestAClientAtWorkMayStillBeginTLS, however long it has been there.
func TestAClientAtWorkMayStillBeginTLS(t *testing.T) {
	const timeout = 2 * time.Second
	p := offering(only("smtp"))
	c, err := greeted(start(t, p, to(newBackend(t, p)), within(timeout)).addr, p)
	must(t, err)
	must(t, c.follow(exchange{p.hello, "250"}, exchange{"MAIL FROM:<a@x>\r\n", "250"}, exchange{"RSET\r\n", "250"}))
	silent(t, c, timeout)
	must(t, c.honestly())
	must(t, c.expect(p.probe, "probe"))
}
