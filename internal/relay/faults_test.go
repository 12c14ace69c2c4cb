package relay

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"starttls"
	"starttls/dialect"
	"starttls/internal/policy"
)

// quick are times for messages that fail, by somebody who hangs or otherwise.
func quick(c *Config) {
	const soon = 300 * time.Millisecond
	c.Times = Times{Connect: soon, TLS: soon, Command: soon, Block: soon, Stall: soon, Final: soon}
}

// patient are times for messages that are to arrive although somebody hangs.
func patient(c *Config) {
	c.Times = Times{Connect: 2 * time.Second, TLS: 2 * time.Second, Command: 2 * time.Second, Stall: time.Second}
}

// TestNextHopFails: a server that goes away, hangs or talks nonsense, once, in every phase. The client is
// told to come again, and does: the message has arrived once. Where the server took it and did not say so,
// it has arrived twice: nobody in between can know (RFC 1047).
func TestNextHopFails(t *testing.T) {
	cert, _ := selfSigned(t, "mx1.example.org")
	for _, front := range []*dialect.Dialect{&dialect.SMTP, &dialect.LMTP} {
		for _, phase := range []string{"banner", "EHLO", "STARTTLS", "HANDSHAKE", "MAIL", "RCPT", "DATA", "body", ".", ".taken"} {
			for _, fault := range []string{"close", "hang", "421 4.3.2 going down", "nonsense"} {
				if phase == "body" && fault != "close" && fault != "hang" {
					continue // what a server says there is heard as the answer to the message, which it takes
				}
				t.Run(fmt.Sprintf("%s/%s/%s", front.Name, phase, strings.Fields(fault)[0]), func(t *testing.T) {
					t.Parallel()
					failsOnce(t, front, newMX(t, cert), phase, fault)
				})
			}
		}
	}
}

func failsOnce(t *testing.T, front *dialect.Dialect, m *mx, phase, fault string) {
	b := newBench(t, front, quick)
	b.to("example.org", starttls.Encrypt, m)
	m.when(in(phase, fault))
	c := b.client(t)
	hello := map[string]string{"smtp": "EHLO c", "lmtp": "LHLO c"}[front.Name]
	c.ask(hello, "250")
	told, data := c.message("", "x@example.org", text)
	if data != "" {
		told = data
	}
	if told[0] != '4' || !strings.Contains(told, "mx1.example.org") && !strings.HasPrefix(told, "451 4.3.2") {
		t.Fatalf("told %q", told)
	}
	m.when(nil)
	b = newBench(t, front, nil)
	b.to("example.org", starttls.Encrypt, m)
	c = b.client(t)
	c.ask(hello, "250")
	if rcpt, told := c.message("", "x@example.org", text); rcpt[0] != '2' || told[0] != '2' {
		t.Fatalf("told %q and %q the second time", rcpt, told)
	}
	want := 1
	if phase == ".taken" {
		want = 2
	}
	if got := len(m.letters()); got != want {
		t.Errorf("%d messages, want %d", got, want)
	}
}

// TestNextHostIsTried: whatever the first host does before it has taken a recipient, the second is asked
// before the client is told anything.
func TestNextHostIsTried(t *testing.T) {
	cert, _ := selfSigned(t, "mx")
	for _, phase := range []string{"banner", "EHLO", "STARTTLS", "HANDSHAKE", "MAIL", "RCPT"} {
		for _, fault := range []string{"close", "hang", "451 4.3.0 later"} {
			t.Run(phase+"/"+fault, func(t *testing.T) {
				t.Parallel()
				b := newBench(t, &dialect.SMTP, patient)
				m1, m2 := newMX(t, cert), newMX(t, cert)
				m1.when(in(phase, fault))
				b.to("example.org", starttls.Encrypt, m1, m2)
				if _, told := b.hello(t).message("", "x@example.org", text); !strings.HasPrefix(told, "250 2.0.0 taken") {
					t.Fatalf("told %q", told)
				}
				if len(m1.letters()) != 0 || len(m2.letters()) != 1 {
					t.Errorf("%d and %d messages", len(m1.letters()), len(m2.letters()))
				}
			})
		}
	}
}

// TestNoSecondHostAfterTheDot: once the message may have been taken, nobody else is given it.
func TestNoSecondHostAfterTheDot(t *testing.T) {
	for _, phase := range []string{"DATA", "body", ".", ".taken"} {
		b := newBench(t, &dialect.SMTP, nil)
		m1, m2 := newMX(t, nil), newMX(t, nil)
		m1.when(in(phase, "close"))
		b.to("example.org", starttls.May, m1, m2)
		if _, told := b.hello(t).message("", "x@example.org", text); !strings.HasPrefix(told, "451 4.4.2") {
			t.Errorf("%s: told %q", phase, told)
		}
		if len(m2.letters()) != 0 {
			t.Errorf("%s: the second host has it as well", phase)
		}
	}
}

// TestForGood: a refusal for good is the server's own, and asked of no other host.
func TestForGood(t *testing.T) {
	for phase, at := range map[string]string{"MAIL": "RCPT", "RCPT": "RCPT", "DATA": "DATA", ".": "DATA"} {
		b := newBench(t, &dialect.SMTP, nil)
		m1, m2 := newMX(t, nil), newMX(t, nil)
		m1.when(in(phase, "554-5.7.1 not from you\r\n554 5.7.1 ever"))
		b.to("example.org", starttls.May, m1, m2)
		rcpt, data := b.hello(t).message("", "x@example.org", text)
		told := map[string]string{"RCPT": rcpt, "DATA": data}[at]
		if told != "554-5.7.1 not from you\n554 5.7.1 ever" {
			t.Errorf("%s: told %q", phase, told)
		}
		if m2.count() != 0 {
			t.Errorf("%s: the second host was asked", phase)
		}
	}
}

// TestBannerBouncesNothing: what is said in the clear, by whomever, puts mail off at most.
func TestBannerBouncesNothing(t *testing.T) {
	cert, _ := selfSigned(t, "mx")
	for _, phase := range []string{"banner", "EHLO", "STARTTLS"} {
		b := newBench(t, &dialect.SMTP, nil)
		m := newMX(t, cert)
		m.when(in(phase, "554 5.7.1 go away"))
		b.to("example.org", starttls.Encrypt, m)
		told, data := b.hello(t).message("", "x@example.org", text)
		if data != "" { // the message could have said that it does without TLS
			told = data
		}
		if told[0] != '4' {
			t.Errorf("%s: told %q", phase, told)
		}
	}
}

// TestClientVanishes: a client that goes away before it has ended the message has sent none; one that
// goes away behind the end has.
func TestClientVanishes(t *testing.T) {
	for _, row := range []struct {
		name, last string
		want       int
	}{
		{"before DATA", "RCPT TO:<x@example.org>\r\n", 0},
		{"in the message", "DATA\r\n" + text, 0},
		{"in the message, after what looks like an end", "DATA\r\n" + text + ".\r", 0},
		{"in a chunk", "BDAT 100 LAST\r\n" + text, 0},
		{"between chunks", fmt.Sprintf("BDAT %d\r\n%s", len(text), text), 0},
		{"behind the end", "DATA\r\n" + text + ".\r\n", 1},
		{"behind the last chunk", fmt.Sprintf("BDAT %d LAST\r\n%s", len(text), text), 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t, &dialect.SMTP, nil)
			m := newMX(t, nil)
			b.to("example.org", starttls.May, m)
			c := b.hello(t)
			c.ask("MAIL FROM:<a@b.test>", "250")
			c.ask("RCPT TO:<x@example.org>", "250")
			c.send("%s", row.last)
			c.conn.(*net.TCPConn).CloseWrite()
			for b.Live() > 0 {
				time.Sleep(time.Millisecond)
			}
			if got := len(m.letters()); got != row.want {
				t.Errorf("%d messages, want %d", got, row.want)
			}
		})
	}
}

// TestStopped: a relay that is stopped while a message comes in has sent none of it, and one that is
// stopped while the server thinks about it has told the client nothing.
func TestStopped(t *testing.T) {
	for _, end := range []string{"", ".\r\n"} {
		b := newBench(t, &dialect.SMTP, nil)
		m := newMX(t, nil)
		at := make(chan string, 10)
		m.when(func(phase, _ string) string {
			if phase == "body" || phase == "." {
				at <- phase
			}
			if phase == "." {
				return "hang"
			}
			return ""
		})
		b.to("example.org", starttls.May, m)
		c := b.hello(t)
		c.ask("MAIL FROM:<a@b.test>", "250")
		c.ask("RCPT TO:<x@example.org>", "250")
		c.ask("DATA", "354")
		c.send("%s%s", text, end)
		for phase := range at {
			if (phase == ".") == (end != "") {
				break
			}
		}
		now, cancel := context.WithCancel(t.Context())
		cancel()
		if b.Drain(now) != 1 {
			t.Error("no session was broken")
		}
		if rest, err := c.r.ReadString('\n'); err == nil && rest[0] == '2' {
			t.Errorf("told %q", rest)
		}
		if len(m.letters()) != 0 {
			t.Error("the message was taken")
		}
	}
}

// TestOneStallsOthersDoNot: LMTP to three next hops, one of which takes nothing anymore: the others have
// the message, and what is held meanwhile is bounded.
func TestOneStallsOthersDoNot(t *testing.T) {
	b := newBench(t, &dialect.LMTP, patient)
	good, stuck, slow := newMX(t, nil), newMX(t, nil), newMX(t, nil)
	stuck.when(in("body", "hang"))
	slow.when(in("EHLO", "hang"))
	b.to("good.test", starttls.May, good)
	b.to("stuck.test", starttls.May, stuck)
	b.to("slow.test", starttls.May, slow)
	c := b.client(t)
	c.ask("LHLO c", "250")
	c.ask("MAIL FROM:<a@b.test>", "250")
	for _, domain := range []string{"stuck", "good", "slow"} {
		c.ask("RCPT TO:<x@"+domain+".test>", "250")
	}
	c.ask("DATA", "354")
	c.send("%s", text)
	line := strings.Repeat("0123456789", 7) + "\r\n"
	for range 20 {
		c.send("%s", strings.Repeat(line, 8<<10))
	}
	c.send(".\r\n")
	c.want("451 4.4.2")
	c.want("250 2.0.0 taken")
	c.want("451 4.4.2")
	if got := good.letters(); len(got) != 1 || len(got[0].data) < 10<<20 {
		t.Errorf("%d messages", len(got))
	}
}

// TestNothingIsKnown: without DNS, without anything, mail waits and the text says for what.
func TestNothingIsKnown(t *testing.T) {
	p := &Planner{Gatherer: &policy.Gatherer{Resolver: hanging{}}}
	b := newBench(t, &dialect.SMTP, func(c *Config) {
		c.Plan = p.Plan
		c.Times.Walk = 100 * time.Millisecond
	})
	if told, _ := b.hello(t).message("", "x@example.org", text); !strings.HasPrefix(told, "451 4.4.3") || !strings.Contains(told, "example.org") {
		t.Errorf("told %q", told)
	}
}
