package resolver_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"starttls/resolver"
)

// A validating is a resolver that does as if: it calls everything secure but what is in the insecure
// zone, and has no answer for what is spoiled. Its switches make it worse.
type validating struct {
	dns.Handler
	noAD, answersBogus atomic.Bool
}

func (v *validating) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	name := dns.CanonicalName(q.Question[0].Name)
	v.Handler.ServeDNS(taker{w, func(m *dns.Msg) {
		m.AuthenticatedData = q.AuthenticatedData && !v.noAD.Load() && !dns.IsSubDomain("insecure.example.", name)
		if dns.IsSubDomain("spoiled.example.", name) && !v.answersBogus.Load() {
			m.Rcode, m.Answer, m.Ns = dns.RcodeServerFailure, nil, nil
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_EDE{InfoCode: 6, ExtraText: "spoiled"})
		}
		w.WriteMsg(m)
	}}, q)
}

func TestTrustAD(t *testing.T) {
	server := &validating{Handler: newTree(t).Recursor()}
	addr := serve(t, server)
	r := &resolver.TrustAD{Servers: []string{addr}, Bogus: "mx.spoiled.example"}
	for _, row := range []struct {
		name string
		t    resolver.Type
		want resolver.Status
		code int
		said string
	}{
		{mxA, resolver.A, resolver.Secure, -1, "192.0.2.2"},
		{"alias.nsec.example", resolver.A, resolver.Secure, -1, "192.0.2.2"},
		{"x.to.nsec.example", resolver.TXT, resolver.Secure, -1, "through a DNAME"},
		{"nope.nsec.example", resolver.A, resolver.Secure, -1, "no name"},
		{mxA, resolver.AAAA, resolver.Secure, -1, "no record"},
		{"mx.insecure.example", resolver.A, resolver.Insecure, -1, "192.0.2.2"},
		{"nope.insecure.example", resolver.A, resolver.Insecure, -1, "no name"},
		{"mx.spoiled.example", resolver.A, resolver.Bogus, 6, ""},
	} {
		a, err := r.Lookup(t.Context(), row.name, row.t)
		got, code := status(a, err)
		if got != row.want || code != row.code || err == nil && said(a) != row.said {
			t.Errorf("%s %s: got %+v, %v", row.name, row.t, a, err)
		}
	}
	if h := r.Health(); h.Err != nil || time.Since(h.Proved) > time.Minute {
		t.Errorf("health %+v", h)
	}

	// It is believed only as long as it proves itself.
	for name, flaw := range map[string]*atomic.Bool{"it never says secure": &server.noAD, "it answers what is bogus": &server.answersBogus} {
		t.Run(name, func(t *testing.T) {
			flaw.Store(true)
			defer flaw.Store(false)
			r := &resolver.TrustAD{Servers: []string{addr}, Bogus: "mx.spoiled.example"}
			if got, _ := status(r.Lookup(t.Context(), "insecure.example", resolver.MX)); got != resolver.Indeterminate {
				t.Errorf("got %s from a server that is not proved to validate", got)
			}
			if h := r.Health(); h.Err == nil || !h.Proved.IsZero() {
				t.Errorf("health %+v", h)
			}
		})
	}
}

// TestTrustADTime has the proof made again after an hour.
func TestTrustADTime(t *testing.T) {
	server := &validating{Handler: newTree(t).Recursor()}
	now := time.Now()
	r := &resolver.TrustAD{Servers: []string{serve(t, server)}, Now: func() time.Time { return now }}
	lookup := func(want resolver.Status) {
		t.Helper()
		if got, _ := status(r.Lookup(t.Context(), mxA, resolver.A)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	lookup(resolver.Secure)
	server.noAD.Store(true)
	now = now.Add(59 * time.Minute)
	if err := r.Check(t.Context()); err == nil {
		t.Error("a check that is asked for believes an older one")
	}
	lookup(resolver.Indeterminate)
	server.noAD.Store(false)
	now = now.Add(time.Minute)
	lookup(resolver.Secure)
	server.noAD.Store(true)
	now = now.Add(61 * time.Minute)
	lookup(resolver.Indeterminate)
}

// TestTrustADRefuses asks no server whose word could be changed on the way.
func TestTrustADRefuses(t *testing.T) {
	for server, ok := range map[string]bool{
		"127.0.0.1:1": true, "[::1]:1": true, "127.0.0.53": true, "tls://192.0.2.1#dns.example": true,
		"192.0.2.1": false, "[2001:db8::1]:53": false, "tls://127.0.0.1": false, "localhost": false, "192.168.1.1:53": false,
	} {
		asked := false
		ctx, cancel := context.WithCancel(t.Context())
		r := &resolver.TrustAD{Servers: []string{server}, Dial: dialNothing(func() { asked = true; cancel() })}
		r.Lookup(ctx, "example.org", resolver.A)
		if asked != ok {
			t.Errorf("%s: asked %v, want %v", server, asked, ok)
		}
	}
}

// TestTrustADRun proves at once, every hour, and every minute while that fails.
func TestTrustADRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var tries atomic.Int32
		r := &resolver.TrustAD{Servers: []string{"127.0.0.1"}, Dial: dialNothing(func() { tries.Add(1) })}
		done := make(chan struct{})
		go func() { r.Run(ctx); close(done) }()
		synctest.Wait()
		first := tries.Load()
		if h := r.Health(); first == 0 || h.Err == nil {
			t.Errorf("%d tries, %+v", first, h)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := tries.Load(); n != 2*first {
			t.Errorf("%d tries after a minute, want %d", n, 2*first)
		}
		cancel()
		<-done
	})
}
