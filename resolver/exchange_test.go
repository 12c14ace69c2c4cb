package resolver_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"starttls/resolver"
)

// byUDP reports how a question came.
func byUDP(w dns.ResponseWriter) bool { return w.LocalAddr().Network() == "udp" }

// A taker hands on what a handler says.
type taker struct {
	dns.ResponseWriter
	take func(m *dns.Msg)
}

func (t taker) WriteMsg(m *dns.Msg) error {
	t.take(m)
	return nil
}

// between puts a stage before each answer of a handler by UDP.
func between(h dns.Handler, stage func(w dns.ResponseWriter, m *dns.Msg)) dns.Handler {
	return dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		if !byUDP(w) {
			h.ServeDNS(w, q)
			return
		}
		h.ServeDNS(taker{w, func(m *dns.Msg) { stage(w, m) }}, q)
	})
}

// TestDatagrams has answers by UDP that are not the server's, or not to be used. None may come through,
// and none may keep the right one away.
func TestDatagrams(t *testing.T) {
	tree := newTree(t)
	forge := func(m *dns.Msg) *dns.Msg {
		m = m.Copy()
		if len(m.Answer) > 0 {
			m.Answer = []dns.RR{record(mxA + forged)}
		}
		return m
	}
	for name, stage := range map[string]func(w dns.ResponseWriter, m *dns.Msg){
		"another id first": func(w dns.ResponseWriter, m *dns.Msg) {
			f := forge(m)
			f.Id++
			w.WriteMsg(f)
			w.WriteMsg(m)
		},
		"another name first": func(w dns.ResponseWriter, m *dns.Msg) {
			f := forge(m)
			f.Question[0].Name = "x." + f.Question[0].Name
			w.WriteMsg(f)
			w.WriteMsg(m)
		},
		"another type first": func(w dns.ResponseWriter, m *dns.Msg) {
			f := forge(m)
			f.Question[0].Qtype++
			w.WriteMsg(f)
			w.WriteMsg(m)
		},
		"a query first": func(w dns.ResponseWriter, m *dns.Msg) {
			f := forge(m)
			f.Response = false
			w.WriteMsg(f)
			w.WriteMsg(m)
		},
		"no message first": func(w dns.ResponseWriter, m *dns.Msg) {
			w.Write([]byte("\x00\x01what is this"))
			w.WriteMsg(m)
		},
		"names in another case": func(w dns.ResponseWriter, m *dns.Msg) {
			f := m.Copy()
			f.Question[0].Name = strings.ToLower(f.Question[0].Name)
			if f.Question[0].Name != m.Question[0].Name { // the root has no letters, and one in 2^13 is like that
				f = forge(f)
			}
			w.WriteMsg(f)
		},
		"truncated, with an answer": func(w dns.ResponseWriter, m *dns.Msg) {
			f := forge(m)
			f.Truncated = true
			w.WriteMsg(f)
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := &resolver.Validator{Servers: []string{serve(t, between(tree.Recursor(), stage))}, Anchors: tree.Anchor()}
			a, err := v.Lookup(t.Context(), mxA, resolver.A)
			if err != nil || said(a) != "192.0.2.2" || a.Status != resolver.Secure {
				t.Errorf("got %+v, %v", a, err)
			}
		})
	}
}

// TestServers asks the next when one fails.
func TestServers(t *testing.T) {
	tree := newTree(t)
	good := serve(t, tree.Recursor())
	failing := serve(t, dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) { w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)) }))
	flooding := serve(t, dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		for range 20 {
			w.WriteMsg(new(dns.Msg).SetReply(new(dns.Msg).SetQuestion("flood.", dns.TypeA)))
		}
	}))
	closed := serveNothing(t)
	for _, other := range []string{failing, flooding, closed} {
		v := &resolver.Validator{Servers: []string{other, good}, Anchors: tree.Anchor()}
		if a, err := v.Lookup(t.Context(), mxA, resolver.A); err != nil || a.Status != resolver.Secure {
			t.Errorf("after %s: %+v, %v", other, a, err)
		}
		v = &resolver.Validator{Servers: []string{other}, Anchors: tree.Anchor()}
		if got, _ := status(v.Lookup(t.Context(), mxA, resolver.A)); got != resolver.Indeterminate {
			t.Errorf("%s alone: %s", other, got)
		}
		if err := v.Check(t.Context()); err == nil {
			t.Errorf("%s is fit", other)
		}
	}
}

// TestToldFault keeps what a server said over the silence of others, and asks it once.
func TestToldFault(t *testing.T) {
	var asked atomic.Int32
	telling := serve(t, tally(dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
		m.SetEdns0(1232, true)
		m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_EDE{InfoCode: 14, ExtraText: "not ready"})
		w.WriteMsg(m)
	}), &asked))
	for _, servers := range [][]string{{telling, serveNothing(t)}, {serveNothing(t), telling}} {
		asked.Store(0)
		v := &resolver.Validator{Servers: servers}
		_, err := v.Lookup(t.Context(), "example.org", resolver.A)
		if e, ok := errors.AsType[*resolver.Error](err); !ok || e.Code != 14 || e.Text != "not ready" || asked.Load() != 1 {
			t.Errorf("asked %d times: %v", asked.Load(), err)
		}
	}
}

// TestTurn asks another server after one gave what is bogus: it may have taken the signatures away.
func TestTurn(t *testing.T) {
	tree := newTree(t)
	stripping := serve(t, dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		q.Extra = nil
		tree.Recursor().ServeDNS(w, q)
	}))
	now := time.Now()
	v := &resolver.Validator{Servers: []string{stripping, serve(t, tree.Recursor())}, Anchors: tree.Anchor(), Now: func() time.Time { return now }}
	for _, want := range []resolver.Status{resolver.Bogus, resolver.Bogus, resolver.Secure, resolver.Secure} {
		if got, _ := status(v.Lookup(t.Context(), mxA, resolver.A)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if want == resolver.Bogus {
			now = now.Add(3 * time.Second) // failures are kept for five
		}
	}
}

// serveNothing returns an address where nobody listens.
func serveNothing(t *testing.T) string {
	t.Helper()
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.LocalAddr().String()
}

// TestTime ends a lookup with the caller's time, or its own.
func TestTime(t *testing.T) {
	silent := serve(t, dns.HandlerFunc(func(dns.ResponseWriter, *dns.Msg) {}))
	v := &resolver.Validator{Servers: []string{silent}, Timeout: 10 * time.Millisecond}
	if got, code := status(v.Lookup(t.Context(), "example.org", resolver.A)); got != resolver.Indeterminate || code != 22 {
		t.Errorf("got %s (EDE %d)", got, code)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	v = &resolver.Validator{Servers: []string{silent}}
	if _, err := v.Lookup(ctx, "example.org", resolver.A); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// serveTLS serves DNS over TLS as "example.com", and counts connections. Each ends after some messages.
func serveTLS(t *testing.T, h dns.Handler, messages int) (addr string, roots *x509.CertPool, conns *atomic.Int32) {
	t.Helper()
	https := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(https.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns = new(atomic.Int32)
	s := &dns.Server{Listener: counted{tls.NewListener(l, &tls.Config{Certificates: https.TLS.Certificates}), conns}, Handler: h, MaxTCPQueries: messages,
		IdleTimeout: func() time.Duration { return time.Second }}
	done := make(chan error, 1)
	go func() { done <- s.ActivateAndServe() }()
	t.Cleanup(func() { l.Close(); <-done })
	roots = x509.NewCertPool()
	roots.AddCert(https.Certificate())
	return l.Addr().String(), roots, conns
}

type counted struct {
	net.Listener
	conns *atomic.Int32
}

func (c counted) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.conns.Add(1)
	}
	return conn, err
}

// TestTLS asks by DNS over TLS, a connection for several questions, and only who has the name.
func TestTLS(t *testing.T) {
	tree := newTree(t)
	addr, roots, conns := serveTLS(t, tree.Recursor(), 5)
	v := &resolver.Validator{Servers: []string{"tls://" + addr + "#example.com"}, Anchors: tree.Anchor(), RootCAs: roots}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		if a, err := v.Lookup(t.Context(), name+".nsec.example", resolver.A); err != nil || a.Status != resolver.Secure {
			t.Fatalf("%s: %+v, %v", name, a, err)
		}
	}
	if n := conns.Load(); n < 2 || n > 4 { // 13 messages, 5 on each
		t.Errorf("%d connections", n)
	}
	other := &resolver.Validator{Servers: []string{"tls://" + addr + "#other.test"}, Anchors: tree.Anchor(), RootCAs: roots}
	if got, code := status(other.Lookup(t.Context(), mxA, resolver.A)); got != resolver.Indeterminate || code != 22 {
		t.Errorf("another name: got %s (EDE %d)", got, code)
	}
}

// dialNothing tells that somebody dials, and has nobody there.
func dialNothing(told func()) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		told()
		return nil, errors.New("nobody is there")
	}
}
