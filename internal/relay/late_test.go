package relay

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"starttls"
	"starttls/dialect"
)

// TestLateRefusals: a refusal is given back once, until it is too old, and there are never too many.
func TestLateRefusals(t *testing.T) {
	var l lateRefusals
	now := time.Now()
	told := answer(451, "4.7.5", "no")
	t.Run("once", func(t *testing.T) {
		l.put("a.test", told, now)
		var got []bool
		for range 2 {
			r, ok := l.take("a.test", now.Add(lateKept-1))
			got = append(got, ok && r.String() == told.String())
		}
		if !got[0] || got[1] {
			t.Errorf("got %v", got)
		}
	})
	t.Run("until it is too old", func(t *testing.T) {
		l.put("a.test", told, now)
		if _, ok := l.take("a.test", now.Add(lateKept)); ok {
			t.Error("it is given after its time")
		}
	})
	t.Run("bounded", func(t *testing.T) {
		for i := range maxLate + 10 {
			l.put(fmt.Sprintf("%d.test", i), told, now)
		}
		if len(l.kept) != maxLate {
			t.Errorf("%d are kept", len(l.kept))
		}
		if _, ok := l.take(fmt.Sprintf("%d.test", maxLate+9), now); !ok {
			t.Error("the last is not among them")
		}
	})
}

// failing makes plans for domains whose TLSA records match nothing, and one for well.test.
func failing(t *testing.T, b *bench, domains ...string) (well *mx) {
	t.Helper()
	cert, _ := selfSigned(t, "other.test")
	for _, domain := range domains {
		b.know(domain, world{secure: true, hosts: []host{{mx: newMX(t, cert), tlsa: "wrong"}}})
	}
	well = newMX(t, nil)
	b.to("well.test", starttls.May, well)
	return well
}

// handIn hands a message in as a client does that names its recipients in the same order whatever it hears.
// It returns the codes of the answers to RCPT and to the message.
func (c *client) handIn(content string, to ...string) (codes string) {
	c.t.Helper()
	c.ask("MAIL FROM:<a@b.test>", "250")
	var taken bool
	for _, rcpt := range to {
		c.send("RCPT TO:<x@%s>\r\n", rcpt)
		told := c.hear()
		taken = taken || told[0] == '2'
		codes += told[:3] + " "
	}
	if !taken {
		c.ask("RSET", "250")
		return codes
	}
	c.ask("DATA", "354")
	c.send("%s.\r\n", content)
	return codes + c.hear()[:3]
}

// TestFailingDomainLetsOthersPass: domains whose TLS falls short hold up the one behind them once each, and
// are tried in full every other time, so that a message that does without TLS still goes.
func TestFailingDomainLetsOthersPass(t *testing.T) {
	b := newBench(t, &dialect.SMTP, nil)
	well := failing(t, b, "one.test", "two.test")
	c := b.hello(t)
	for i, want := range []string{"250 452 452 451", "451 250 452 451", "451 451 250 250", "250 452 452 451"} {
		if got := c.handIn(text, "one.test", "two.test", "well.test"); got != want {
			t.Errorf("run %d: %s, want %s", i+1, got, want)
		}
	}
	if len(well.letters()) != 1 {
		t.Errorf("%d messages arrived", len(well.letters()))
	}
	const optional = "TLS-Required: No\r\n" + text
	for i, want := range []string{"451 ", "250 250", "250 250"} {
		if got := c.handIn(optional, "one.test"); got != want {
			t.Errorf("without TLS, run %d: %s, want %s", i+1, got, want)
		}
	}
}

// TestEarlyRefusal: it is what was told at the end of the message, and it is for messages alone that might
// have been told it then.
func TestEarlyRefusal(t *testing.T) {
	cert, roots := selfSigned(t, "relay.test")
	b := newBench(t, &dialect.SMTP, inFront(cert, roots))
	failing(t, b, "one.test")
	c := b.secured(t)
	var told string
	for range 2 { // nobody waits for its end, so there is no reason to refuse it early
		_, told = c.message("", "x@one.test", text)
	}
	c.ask("MAIL FROM:<a@b.test>", "250")
	c.ask("RCPT TO:<x@one.test>", "250")
	c.ask("RCPT TO:<x@well.test>", "452")
	c.ask("DATA", "354")
	told = c.ask(text+".", told[:9])
	c.ask("MAIL FROM:<a@b.test> REQUIRETLS", "250")
	if got := c.ask("RCPT TO:<x@one.test>", "550 5.7"); got == told {
		t.Error(got)
	}
	c.ask("RSET", "250")
	if got, _ := c.message("", "x@one.test", text); got != told {
		t.Errorf("told %q, and before %q", got, told)
	}
}

// TestRefusalsAtRcptAreLogged: each recipient that the next hop refuses has a line, and just one.
func TestRefusalsAtRcptAreLogged(t *testing.T) {
	for _, front := range []*dialect.Dialect{&dialect.SMTP, &dialect.LMTP} {
		t.Run(front.Name, func(t *testing.T) {
			var counted []string
			b := newBench(t, front, func(c *Config) {
				c.Delivered = func(d Delivery) { counted = append(counted, fmt.Sprint(d.Outcome, d.Recipients)) }
			})
			m := newMX(t, nil)
			m.when(func(phase, line string) string {
				switch {
				case phase == "RCPT" && strings.Contains(line, "nobody"):
					return "550 5.1.1 nobody of that name"
				case phase == "RCPT" && strings.Contains(line, "later"):
					return "451 4.7.1 greylisted"
				}
				return ""
			})
			b.to("example.org", starttls.May, m)
			c := b.client(t)
			c.ask(map[string]string{"smtp": "EHLO c", "lmtp": "LHLO c"}[front.Name], "250")
			c.ask("MAIL FROM:<a@b.test>", "250")
			for _, rcpt := range []string{"nobody", "later", "x"} {
				c.send("RCPT TO:<%s@example.org>\r\n", rcpt)
				c.hear()
			}
			c.ask("DATA", "354")
			c.ask(text+".", map[string]string{"smtp": "250", "lmtp": "550"}[front.Name])
			if front == &dialect.LMTP {
				c.want("451")
				c.want("250")
			}
			if got := strings.Join(counted, " "); got != "refused1 deferred1 sent1" {
				t.Errorf("counted %s", got)
			}
			for _, said := range []string{"550 5.1.1 nobody of that name", "451 4.7.1 greylisted"} {
				if n := strings.Count(b.log.String(), `reply="`+said+`"`); n != 1 {
					t.Errorf("%d lines with %q:\n%s", n, said, b.log)
				}
			}
		})
	}
}
