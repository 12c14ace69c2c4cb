package lab_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"starttls"
	"starttls/dialect"
	"starttls/internal/lab"
	"starttls/internal/policy"
	"starttls/internal/relay"
	"starttls/mtasts"
	"starttls/resolver"
	"starttls/tlsrpt"
)

// A sender is our own gateway, mail in and everything behind it, on a lab.
type sender struct {
	lab  *lab.Lab
	addr string
	mu   sync.Mutex
	told map[string][]tlsrpt.Session // by domain
	plan func(ctx context.Context, next string, m relay.Message) *policy.Plan
}

func newSender(t *testing.T, l *lab.Lab) *sender {
	t.Helper()
	v := &resolver.Validator{Servers: []string{l.Resolver().String()}, Anchors: l.Anchor(), Timeout: 3 * time.Second}
	g := &policy.Gatherer{
		Resolver: v,
		STS:      &mtasts.Client{Resolver: v, Roots: l.Roots(), Dial: l.Dial, Allow: func(netip.Addr) bool { return true }},
	}
	s := &sender{lab: l, told: make(map[string][]tlsrpt.Session), plan: func(ctx context.Context, next string, m relay.Message) *policy.Plan {
		d, err := policy.ParseDestination(next)
		if err != nil {
			panic(err)
		}
		return policy.Decide(g.Gather(ctx, d), policy.Options{RequireTLS: m.RequireTLS, TLSOptional: m.TLSOptional})
	}}
	r := relay.New(relay.Config{
		Name: "sender.test", Dialect: &dialect.SMTP, Dial: l.Dial, Plan: s.plan,
		TLS: &tls.Config{RootCAs: l.Roots()},
		Tally: func(session tlsrpt.Session) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.told[session.Domain] = append(s.told[session.Domain], session)
		},
		Times: relay.Times{TLS: 3 * time.Second},
		Log:   slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		<-done
		r.Drain(ctx)
	})
	return s
}

// send sends a message and returns the reply that refused it, "" if none did.
func (s *sender) send(t *testing.T, to string) string {
	t.Helper()
	conn, err := textproto.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, step := range []struct {
		say    string
		expect int
	}{
		{"", 220}, {"EHLO client.test", 250}, {"MAIL FROM:<a@sender.test>", 250}, {"RCPT TO:<" + to + ">", 250},
		{"DATA", 354}, {"Subject: lab\r\n\r\nhello\r\n.", 250},
	} {
		if step.say != "" {
			conn.PrintfLine("%s", step.say)
		}
		code, text, err := conn.ReadResponse(step.expect)
		if _, ok := errors.AsType[*textproto.Error](err); ok {
			return fmt.Sprintf("%d %s", code, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return ""
}

// TestOutcomes has our own sender try every domain: what the lab says of it comes true, and messages are
// where they belong.
func TestOutcomes(t *testing.T) {
	l, err := lab.Start(lab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := newSender(t, l)
	for _, d := range l.Domains() {
		// These two want a minute, and more patience than the others' time limits leave.
		if d.Slow && testing.Short() || d.Name == "sts-slow.test" || d.Name == "slow.test" {
			continue
		}
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			want := d.Outcome
			reply := s.send(t, "somebody@"+d.Name)
			t.Logf("%s: %q", want, reply)
			switch {
			case reply != "" && want.Deferrable:
				if reply[0] != '4' {
					t.Errorf("want it deferred or delivered")
				}
				return
			case !strings.HasPrefix(reply+" ", want.Reply+" "):
				t.Errorf("want %s", want)
			}
			s.reported(t, d)
			s.arrived(t, d)
		})
	}
}

// reported checks that the failure that a report must tell is counted; and where there is none to tell,
// that no policy counts one that decides about the delivery.
func (s *sender) reported(t *testing.T, d lab.Domain) {
	t.Helper()
	want := d.Outcome
	s.mu.Lock()
	defer s.mu.Unlock()
	found := want.Result == ""
	for _, session := range s.told[d.Name] {
		for _, o := range session.Outcomes {
			for _, f := range o.Failures {
				decides := o.Policy.Type == tlsrpt.TLSA || o.Policy.Type == tlsrpt.STS && want.Level != starttls.Dane
				if want.Result == "" && decides {
					t.Errorf("reported: %s %s %q", o.Policy.Type, f.Type, f.Reason)
				}
				found = found || f.Type == want.Result && f.Reason == want.Reason && o.Policy.Type == want.Policy
			}
		}
	}
	if !found {
		t.Errorf("not reported: %s; %+v", want, s.told[d.Name])
	}
}

// arrived checks what came of a message, and that the level demanded was what it must be.
func (s *sender) arrived(t *testing.T, d lab.Domain) {
	t.Helper()
	want := d.Outcome
	if want.Reply != "" {
		if n := s.lab.Count(d.Name); n != 0 {
			t.Errorf("%d messages have arrived all the same", n)
		}
		return
	}
	_, owner, _ := strings.Cut(want.Host, ".")
	if n := s.lab.Count(d.Name) + s.lab.Count(owner); n != 1 && owner != d.Name || n == 0 {
		t.Fatalf("%d messages have arrived", n)
	}
	m := append(s.lab.Messages(d.Name), s.lab.Messages(owner)...)[0]
	if m.Host != want.Host || (m.TLS == 0) != want.Clear || m.From != "a@sender.test" || !strings.HasSuffix(string(m.Data), "hello\r\n") {
		t.Errorf("want %s, got %+v", want, m)
	}
	for _, a := range s.plan(t.Context(), d.Name, relay.Message{}).Attempts {
		if a.Host == want.Host && a.Level != want.Level {
			t.Errorf("the plan demands %v of it, want %v", a.Level, want.Level)
		}
	}
}
