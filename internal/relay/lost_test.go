package relay

import (
	"context"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"starttls"
	"starttls/dialect"
	"starttls/internal/policy"
)

// TestTakenBeforeItWasSent: a server that says yes to DATA has no message, and no client hears that it has.
func TestTakenBeforeItWasSent(t *testing.T) {
	for _, front := range []*dialect.Dialect{&dialect.SMTP, &dialect.LMTP} {
		b := newBench(t, front, nil)
		m := newMX(t, nil)
		m.when(in("DATA", "250 2.0.0 queued"))
		b.to("example.org", starttls.May, m)
		c := b.client(t)
		c.ask(map[string]string{"smtp": "EHLO c", "lmtp": "LHLO c"}[front.Name], "250")
		if _, told := c.message("", "x@example.org", text); told[0] != '4' {
			t.Errorf("%s: told %q, and there are %d messages", front.Name, told, len(m.letters()))
		}
	}
}

// TestARefusedDomainIsNoWayBack: recipients of two domains in one transaction, the first one's refused. One
// answer to the message cannot speak for both.
func TestARefusedDomainIsNoWayBack(t *testing.T) {
	b := newBench(t, &dialect.SMTP, nil)
	m1, m2 := newMX(t, nil), newMX(t, nil)
	m1.when(func(phase, line string) string {
		switch {
		case phase == "RCPT" && strings.Contains(line, "nobody"):
			return "550 5.1.1 nobody of that name"
		case phase == "DATA":
			return "451 4.3.0 not now"
		}
		return ""
	})
	b.to("one.test", starttls.May, m1)
	b.to("two.test", starttls.May, m2)
	c := b.hello(t)
	c.ask("MAIL FROM:<a@b.test>", "250")
	c.ask("RCPT TO:<nobody@one.test>", "550")
	c.ask("RCPT TO:<x@two.test>", "250")
	c.ask("RCPT TO:<x@one.test>", "452 4.5.3")
	c.ask("DATA", "354")
	c.ask(text+".", "250 2.0.0 taken")
	if got := m2.letters(); len(got) != 1 || len(got[0].to) != 1 {
		t.Errorf("got %+v", got)
	}
}

// TestAnswerThatComesLate: the client hears of a message that took longer than it may be silent, and so does
// not send it again.
func TestAnswerThatComesLate(t *testing.T) {
	const silence = 100 * time.Millisecond
	for _, front := range []*dialect.Dialect{&dialect.SMTP, &dialect.LMTP} {
		b := newBench(t, front, func(c *Config) { c.Times.Idle = silence })
		m := newMX(t, nil)
		m.when(func(phase, _ string) string {
			if phase == "." {
				time.Sleep(3 * silence)
			}
			return ""
		})
		b.to("example.org", starttls.May, m)
		c := b.client(t)
		c.ask(map[string]string{"smtp": "EHLO c", "lmtp": "LHLO c"}[front.Name], "250")
		if _, told := c.message("", "x@example.org", text); !strings.HasPrefix(told, "250 2.0.0 taken") {
			t.Errorf("%s: told %q", front.Name, told)
		}
	}
}

// A slow connection takes nothing until it is let, and is not closed before the test says so: whoever closes
// it has only asked for that.
type slow struct {
	net.Conn
	let chan struct{}
}

func (s slow) Write(p []byte) (int, error) { <-s.let; return s.Conn.Write(p) }
func (slow) Close() error                  { return nil }

// TestNoHoleInAMessage: a next hop for which a piece was given up does not get the rest, and the end, as if
// there had been none.
func TestNoHoleInAMessage(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	heard := make(chan string, 1)
	go func() {
		buf, all := make([]byte, 64<<10), ""
		for !strings.HasSuffix(all, "\r\n.\r\n") {
			n, err := theirs.Read(buf)
			if all += string(buf[:n]); err != nil {
				break
			}
			if all == "DATA\r\n" {
				theirs.Write([]byte("354 go on\r\n"))
			}
		}
		if strings.HasSuffix(all, "\r\n.\r\n") {
			theirs.Write([]byte("250 taken\r\n"))
		}
		heard <- all
	}()
	r := New(Config{Dialect: &dialect.SMTP})
	let := make(chan struct{}, 1)
	let <- struct{}{} // DATA
	h := &hop{relay: r, attempt: &policy.Attempt{Host: "mx"}}
	h.on(slow{ours, let})
	rcpt := &recipient{addr: "x@example.org", reply: rcptTaken}
	d := r.newDelivery("example.org", &envelope{})
	d.hop, d.rcpts = h, []*recipient{rcpt}

	in := newIntake(d.env, []*delivery{d}, &r.Config)
	in.stall = 10 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	d.start(ctx, in)
	in.write([]byte("Subject: t\r\n\r\n"))
	piece := []byte(strings.Repeat("x", 20<<10) + "\r\n")
	for range window + 3 { // one is being written, window wait, and one is given up
		in.write(piece)
	}
	close(let)
	in.end(true)
	<-d.done
	ours.Close()
	if all := <-heard; strings.HasSuffix(all, "\r\n.\r\n") || rcpt.reply.ok() {
		t.Errorf("%d of %d bytes are a message, told %s", len(all), in.size, rcpt.reply)
	}
}

// TestAbandonedBeforeItsHeaderEnds: a delivery that ends while the header comes reads nothing of it. This is for
// the race detector.
func TestAbandonedBeforeItsHeaderEnds(t *testing.T) {
	for range 50 {
		r := New(Config{Dialect: &dialect.SMTP})
		ours, theirs := net.Pipe()
		h := &hop{relay: r, attempt: &policy.Attempt{Host: "mx"}}
		h.on(ours)
		rcpt := &recipient{addr: "x@example.org", reply: rcptTaken}
		d := r.newDelivery("example.org", &envelope{})
		d.hop, d.rcpts = h, []*recipient{rcpt}
		in := newIntake(d.env, []*delivery{d}, &r.Config)
		d.start(t.Context(), in)
		runtime.Gosched()
		d.cancel(errStalled)
		in.write([]byte("Received: here\r\n\r\n"))
		in.end(false)
		if <-d.done; rcpt.reply.ok() {
			t.Fatalf("told %s", rcpt.reply)
		}
		theirs.Close()
	}
}
