package relay

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"starttls"
	"starttls/dialect"
	"starttls/internal/policy"
	"starttls/tlsrpt"
)

// A bench is a relay with a plan for each destination.
type bench struct {
	*Relay
	addr string
	log  *lines

	mu       sync.Mutex
	plans    map[string]*policy.Plan
	made     map[string]func(Message) *policy.Plan
	sessions []tlsrpt.Session
	alarms   []Alarm
}

// lines is a log that may be read while it is written.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func logTo(l *lines) *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newBench starts a relay. change, if not nil, has the last word on its configuration.
func newBench(t *testing.T, d *dialect.Dialect, change func(*Config)) *bench {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{addr: ln.Addr().String(), log: &lines{}, plans: map[string]*policy.Plan{}, made: map[string]func(Message) *policy.Plan{}}
	c := Config{
		Name: "relay.test", Dialect: d, Plan: b.plan, Tally: b.tally,
		Alarm: func(a Alarm) {
			b.mu.Lock()
			b.alarms = append(b.alarms, a)
			b.mu.Unlock()
		},
		Log: logTo(b.log),
	}
	if change != nil {
		change(&c)
	}
	b.Relay = New(c)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- b.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		now, stop := context.WithTimeout(context.Background(), time.Second)
		defer stop()
		b.Drain(now)
	})
	return b
}

// message names a recipient and hands a message in, and returns the answers to both; that to the message
// is empty if the recipient was refused.
func (c *client) message(mailParams, to, content string) (rcpt, data string) {
	c.t.Helper()
	c.ask("MAIL FROM:<a@b.test>"+mailParams, "250")
	c.send("RCPT TO:<%s>\r\n", to)
	if rcpt = c.hear(); rcpt[0] != '2' {
		c.ask("RSET", "250")
		return rcpt, ""
	}
	c.ask("DATA", "354")
	c.send("%s.\r\n", content)
	return rcpt, c.hear()
}

// hello connects and says EHLO.
func (b *bench) hello(t *testing.T) *client {
	t.Helper()
	c := b.client(t)
	c.ask("EHLO client.test", "250")
	return c
}

// to makes a plan for a domain: the mxs in their order, all at one level.
func (b *bench) to(domain string, level starttls.Level, mxs ...*mx) *policy.Plan {
	p := &policy.Plan{Domain: domain}
	for i, m := range mxs {
		p.Attempts = append(p.Attempts, policy.Attempt{
			Host: "mx" + string(rune('1'+i)) + "." + domain, Port: m.addr().Port(),
			Addrs: []netip.Addr{m.addr().Addr()}, Level: level, Source: policy.FromDefault,
		})
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.plans[domain] = p
	return p
}

// client connects and hears the greeting.
func (b *bench) client(t *testing.T) *client {
	t.Helper()
	conn, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &client{t, conn, bufio.NewReader(conn)}
	c.want("220 relay.test")
	return c
}

const text = "Subject: test\r\n\r\nhello\r\n..dot\r\n"

func TestMessageGoesThrough(t *testing.T) {
	cert, _ := selfSigned(t, "mx1.example.org")
	for _, level := range []starttls.Level{starttls.None, starttls.May, starttls.Encrypt} {
		t.Run(level.String(), func(t *testing.T) {
			b := newBench(t, &dialect.SMTP, nil)
			m := newMX(t, cert)
			b.to("example.org", level, m)
			c := b.client(t)
			c.ask("EHLO client", "250")
			c.ask("MAIL FROM:<a@b.test>", "250 2.1.0")
			c.ask("RCPT TO:<x@Example.ORG>", "250 2.1.5 recipient ok")
			c.ask("DATA", "354")
			c.ask(text+".", "250 2.0.0 taken")
			c.ask("QUIT", "221")
			got := m.letters()
			if len(got) != 1 || got[0].data != "Subject: test\r\n\r\nhello\r\n.dot\r\n" || got[0].to[0] != "x@Example.ORG" {
				t.Fatalf("got %+v", got)
			}
			if got[0].secured != (level > starttls.None) {
				t.Errorf("secured: %v", got[0].secured)
			}
		})
	}
}

// TestPipelined: all commands of a message in one segment, answered in order (RFC 2920).
func TestPipelined(t *testing.T) {
	b := newBench(t, &dialect.SMTP, nil)
	m := newMX(t, nil)
	b.to("example.org", starttls.May, m)
	c := b.client(t)
	c.send("EHLO c\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<x@example.org>\r\nRCPT TO:<y@example.org>\r\nDATA\r\n")
	for _, want := range []string{"250", "250", "250", "250", "354"} {
		c.want(want)
	}
	c.send("%s.\r\nQUIT\r\n", text)
	c.want("250")
	c.want("221")
	if got := m.letters(); len(got) != 1 || len(got[0].to) != 2 {
		t.Fatalf("got %+v", got)
	}
}

// TestOneDomainForEachTransaction: one answer to a message cannot speak for two next hops.
func TestOneDomainForEachTransaction(t *testing.T) {
	b := newBench(t, &dialect.SMTP, nil)
	m1, m2 := newMX(t, nil), newMX(t, nil)
	b.to("one.test", starttls.May, m1)
	b.to("two.test", starttls.May, m2)
	c := b.client(t)
	c.ask("EHLO c", "250")
	c.ask("MAIL FROM:<>", "250")
	c.ask("RCPT TO:<x@one.test>", "250")
	c.ask("RCPT TO:<x@two.test>", "452 4.5.3")
	c.ask("DATA", "354")
	c.ask(text+".", "250")
	c.ask("MAIL FROM:<>", "250")
	c.ask("RCPT TO:<x@two.test>", "250")
	c.ask("DATA", "354")
	c.ask(text+".", "250")
	if len(m1.letters()) != 1 || len(m2.letters()) != 1 {
		t.Fatalf("%d and %d", len(m1.letters()), len(m2.letters()))
	}
}

// TestLMTPAnswersForEach: recipients of three domains, an answer for each, none for those refused before
// the message (RFC 2033 §4.2).
func TestLMTPAnswersForEach(t *testing.T) {
	b := newBench(t, &dialect.LMTP, nil)
	m1, m2 := newMX(t, nil), newMX(t, nil)
	m2.when(func(phase, line string) string {
		if phase == "RCPT" && strings.Contains(line, "nobody") {
			return "550 5.1.1 nobody of that name"
		}
		return ""
	})
	b.to("one.test", starttls.May, m1)
	b.to("two.test", starttls.May, m2)
	c := b.client(t)
	c.ask("EHLO c", "500")
	c.ask("LHLO c", "250")
	c.ask("MAIL FROM:<a@b.test>", "250")
	c.ask("RCPT TO:<x@one.test>", "250")
	c.ask("RCPT TO:<nobody@two.test>", "250")
	c.ask("RCPT TO:<broken", "501")
	c.ask("RCPT TO:<x@two.test>", "250")
	c.ask("RCPT TO:<x@none.test>", "250")
	c.ask("DATA", "354")
	c.send("%s.\r\n", text)
	c.want("250 2.0.0 taken")
	c.want("550 5.1.1 nobody")
	c.want("250 2.0.0 taken")
	c.want("550 5.1.2 no such domain")
	c.ask("NOOP", "250")
	if len(m1.letters()) != 1 || len(m2.letters()) != 1 || len(m2.letters()[0].to) != 1 {
		t.Fatalf("%+v %+v", m1.letters(), m2.letters())
	}
}

// TestSameSession: a next hop is asked for one session for all recipients of a message.
func TestSameSession(t *testing.T) {
	b := newBench(t, &dialect.SMTP, nil)
	m := newMX(t, nil)
	b.to("example.org", starttls.May, m)
	c := b.hello(t)
	c.ask("MAIL FROM:<a@b.test>", "250")
	for range 3 {
		c.ask("RCPT TO:<x@example.org>", "250")
	}
	c.ask("DATA", "354")
	c.ask(text+".", "250")
	if m.count() != 1 {
		t.Errorf("%d sessions", m.count())
	}
}
