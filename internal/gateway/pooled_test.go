package gateway_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"starttls"
	"starttls/dialect"
	"starttls/internal/gateway"
	"starttls/internal/pool"
)

// several makes servers the pool of a route. They are checked often.
func several(c pool.Config, backs ...*gateway.Back) func(*gateway.Route) {
	return func(r *gateway.Route) {
		if c.Every == 0 {
			c.Every = time.Hour // the first check only
		}
		r.Back, r.Others, r.Pool = *backs[0], backs[1:], pool.New(len(backs), c)
	}
}

// poolOf starts a gateway with such a pool and returns it.
func poolOf(t *testing.T, c pool.Config, backs ...*gateway.Back) (*running, *pool.Pool) {
	var p *pool.Pool
	g := start(t, only("smtp"), several(c, backs...), func(r *gateway.Route) { p = r.Pool })
	return g, p
}

func plainBack(name string, b *backend) *gateway.Back {
	return &gateway.Back{Name: name, Addr: name, Dial: b.dial}
}

var errRefusedHere = errors.New("refused")

// deadBack cannot be reached while dead.
func deadBack(name string, dead *atomic.Bool, b *backend) *gateway.Back {
	return &gateway.Back{Name: name, Addr: name, Dial: func(ctx context.Context) (net.Conn, error) {
		if dead.Load() {
			return nil, errRefusedHere
		}
		return b.dial(ctx)
	}}
}

// TestClientIsServedByTheNext when one cannot be reached, before any check has found it out.
func TestClientIsServedByTheNext(t *testing.T) {
	var dead atomic.Bool
	first, second := newBackend(t, only("smtp")), newBackend(t, only("smtp"))
	g, p := poolOf(t, pool.Config{Fall: 1000}, deadBack("first", &dead, first), plainBack("second", second))
	for _, want := range []string{"first", "second", "second"} {
		answer, conn := come(t, g.addr, "")
		if !strings.HasPrefix(answer, "250") {
			t.Fatalf("got %q", answer)
		}
		conn.Close()
		record, err := g.ended()
		if must(t, err); record["backend"] != want {
			t.Errorf("served by %v, want %s", record["backend"], want)
		}
		dead.Store(true)
	}
	for i, s := range p.States() {
		if s.Uses != 0 {
			t.Errorf("server %d is used by %d, of which there are none", i, s.Uses)
		}
	}
}

// TestSilentServerIsPassedOver, in the time of a check.
func TestSilentServerIsPassedOver(t *testing.T) {
	silent := answering(t, starttls.Secure, says(""))
	g, _ := poolOf(t, pool.Config{Timeout: 50 * time.Millisecond, Fall: 1000}, silent, plainBack("second", newBackend(t, only("smtp"))))
	if answer, _ := come(t, g.addr, ""); !strings.HasPrefix(answer, "250") {
		t.Errorf("got %q", answer)
	}
}

// TestAllDown: the protocol's own temporary refusal; and when one is back, it serves.
func TestAllDown(t *testing.T) {
	var dead atomic.Bool
	dead.Store(true)
	b := newBackend(t, only("smtp"))
	g, p := poolOf(t, pool.Config{Every: time.Millisecond, Fall: 2, Rise: 2}, deadBack("one", &dead, b), deadBack("two", &dead, b))
	down := func(want bool) func() bool {
		return func() bool {
			s := p.States()
			return (s[0].Down != nil) == want && (s[1].Down != nil) == want
		}
	}
	eventually(t, "both down", down(true))
	if answer, _ := come(t, g.addr, ""); !strings.HasPrefix(answer, "421 ") {
		t.Errorf("got %q", answer)
	}
	record, err := g.ended()
	if must(t, err); record["outcome"] != "backend-failed" || !strings.HasPrefix(fmt.Sprint(record["reason"]), "backend: no backend is well; ") {
		t.Errorf("the log has %v", record)
	}
	dead.Store(false)
	eventually(t, "both well", down(false))
	if answer, _ := come(t, g.addr, ""); !strings.HasPrefix(answer, "250") {
		t.Errorf("got %q", answer)
	}
}

// TestServerThatIsBackServesBeforeTheNextCheck, if no other is well.
func TestServerThatIsBackServesBeforeTheNextCheck(t *testing.T) {
	var dead atomic.Bool
	dead.Store(true)
	b := newBackend(t, only("smtp"))
	g, p := poolOf(t, pool.Config{Every: time.Hour, Fall: 1}, deadBack("one", &dead, b), deadBack("two", &dead, b))
	eventually(t, "both down", func() bool { s := p.States(); return s[0].Down != nil && s[1].Down != nil })
	dead.Store(false)
	if answer, _ := come(t, g.addr, ""); !strings.HasPrefix(answer, "250") {
		t.Errorf("got %q", answer)
	}
}

// TestFailureOfAClientsIsNotTheServers: who is refused by a server takes it from nobody.
func TestFailureOfAClientsIsNotTheServers(t *testing.T) {
	back, _ := tellable(t, map[string]string{"EHLO": "250-back.test\r\n250 XCLIENT ADDR\r\n", "XCLIENT": "554 listed\r\n"})
	back.Addr = "told"
	g, p := poolOf(t, pool.Config{Fall: 1}, back, plainBack("next", newBackend(t, only("smtp"))))
	if answer, _ := come(t, g.addr, ""); !strings.HasPrefix(answer, "250") {
		t.Errorf("got %q", answer)
	}
	if s := p.States(); s[0].Down != nil {
		t.Errorf("it is down: %v", s[0].Down)
	}
}

// TestLackOfOursIsNotTheServers: with no descriptors left no server can be reached, and none is down for that.
func TestLackOfOursIsNotTheServers(t *testing.T) {
	var dials atomic.Int32
	lack := func(context.Context) (net.Conn, error) {
		dials.Add(1)
		return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}
	}
	config := pool.Config{Fall: 1, Every: time.Millisecond}
	g, p := poolOf(t, config, &gateway.Back{Name: "one", Dial: lack}, &gateway.Back{Name: "two", Dial: lack})
	come(t, g.addr, "")
	must(t, g.outcome("backend-failed"))
	eventually(t, "many checks", func() bool { return dials.Load() > 20 })
	for i, s := range p.States() {
		if s.Down != nil {
			t.Errorf("server %d is down: %v", i, s.Down)
		}
	}
}

// TestLeastIsByLiveSessions, and not by how many there were.
func TestLeastIsByLiveSessions(t *testing.T) {
	b := newBackend(t, only("smtp"))
	g, p := poolOf(t, pool.Config{Balance: pool.Least}, plainBack("one", b), plainBack("two", b))
	var conns []net.Conn
	for range 4 {
		_, conn := come(t, g.addr, "")
		conns = append(conns, conn)
	}
	if s := p.States(); s[0].Uses != 2 || s[1].Uses != 2 {
		t.Errorf("%+v", s)
	}
	conns[1].Close() // of the second
	_, err := g.ended()
	must(t, err)
	come(t, g.addr, "")
	if s := p.States(); s[0].Uses != 2 || s[1].Uses != 2 {
		t.Errorf("%+v", s)
	}
}

// upgrading is a server that takes clients to TLS with a certificate, and is silent inside.
func upgrading(t *testing.T, level starttls.Level, cert tls.Certificate) *gateway.Back {
	return answering(t, level, func(conn net.Conn) {
		starttls.Server(bg, conn, &dialect.SMTP, &starttls.Config{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
	})
}

func answering(t *testing.T, level starttls.Level, talk func(net.Conn)) *gateway.Back {
	t.Helper()
	ln := listen(t)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			go talk(conn)
		}
	}()
	back := &gateway.Back{Name: "back.test", Dial: dialer(ln.Addr().String()), Level: level}
	if level > starttls.None {
		back.TLS = clientTLS()
	}
	return back
}

func says(text string) func(net.Conn) { return func(c net.Conn) { c.Write([]byte(text)) } }

// TestCheckGoesThroughTheUpgrade, and what it finds is why a server is down.
func TestCheckGoesThroughTheUpgrade(t *testing.T) {
	expired := badCertificates["T_4 expired"]()
	rows := []struct {
		name string
		back *gateway.Back
		why  string // empty: well
	}{
		{"in the clear", plainBack("", newBackend(t, only("smtp"))), ""},
		{"TLS, good", upgrading(t, starttls.Secure, good()), ""},
		{"certificate of another host", upgrading(t, starttls.Secure, trusted().issue("other.test")), "other.test"},
		{"certificate that has expired", upgrading(t, starttls.Secure, expired), "expired"},
		{"certificate of another authority", upgrading(t, starttls.Secure, newAuthority("villain").issue(serverName)), "unknown authority"},
		{"stripped", plainBackAt(newBackend(t, only("smtp")), starttls.Secure), "not offered"},
		{"turns away", answering(t, starttls.None, says("421 4.3.2 overloaded\r\n")), "overloaded"},
		{"another protocol", answering(t, starttls.None, says("* OK hi\r\n")), "not the protocol"},
		{"silent", answering(t, starttls.None, says("")), "in time"},
		{"silent before TLS", answering(t, starttls.Secure, says("")), "in time"},
	}
	var backs []*gateway.Back
	for _, row := range rows {
		backs = append(backs, row.back)
	}
	done := make(chan struct{}, len(rows))
	config := pool.Config{Fall: 1, Timeout: time.Second, Changed: func(int, error) { done <- struct{}{} }}
	_, p := poolOf(t, config, backs...)
	for _, row := range rows {
		if row.why != "" {
			<-done
		}
	}
	for i, s := range p.States() {
		if row := rows[i]; row.why == "" && s.Down != nil || row.why != "" && (s.Down == nil || !strings.Contains(s.Down.Error(), row.why)) {
			t.Errorf("%s: %v, want %q", row.name, s.Down, row.why)
		}
	}
}

func plainBackAt(b *backend, level starttls.Level) *gateway.Back {
	back := plainBack("", b)
	back.Level, back.TLS = level, clientTLS()
	return back
}

// TestCheckOfAServerBehindPROXY speaks for itself.
func TestCheckOfAServerBehindPROXY(t *testing.T) {
	dial, headers := readsHeader(t)
	for _, version := range []int{1, 2} {
		poolOf(t, pool.Config{}, &gateway.Back{Name: "back.test", Dial: dial, Proxy: version}, plainBack("next", newBackend(t, only("smtp"))))
		if h := <-headers; h.Source.IsValid() {
			t.Errorf("version %d: told %+v", version, h)
		}
	}
}
