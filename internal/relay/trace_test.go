package relay

import (
	"net/mail"
	"regexp"
	"strings"
	"testing"

	"starttls"
	"starttls/dialect"
)

// TestTrace: a message says in one line that it came through here, with the id that is in the log, and is
// otherwise as it was handed in.
func TestTrace(t *testing.T) {
	cert, roots := selfSigned(t, "relay.test")
	b := newBench(t, &dialect.SMTP, inFront(cert, roots))
	m := newMX(t, nil)
	b.to("example.org", starttls.May, m)
	c := b.hello(t)
	c.startTLS()
	c.ask("EHLO evil) by\tx", "250")
	c.message("", "x@example.org", text)
	c.message("", "x@example.org", "\r\nno header\r\n")
	got := m.letters()
	want := regexp.MustCompile(`^Received: from evil\?\?by\?x \(\[127\.0\.0\.1\]\)\r\n\tby relay\.test with ESMTPS id (\w+-\d+);\r\n\t.{31}\r\n$`)
	found := want.FindStringSubmatch(got[0].trace)
	if found == nil || !strings.Contains(b.log.String(), "id="+found[1]) {
		t.Errorf("got %q", got[0].trace)
	}
	if parsed, err := mail.ReadMessage(strings.NewReader(got[1].trace + got[1].data)); err != nil || len(parsed.Header) != 1 {
		t.Errorf("%v: %q", err, got[1].trace+got[1].data)
	}
}

// TestLoops: mail that came back to us, by connection or by a long way round, goes no further.
func TestLoops(t *testing.T) {
	t.Run("the next hop is the relay itself", func(t *testing.T) {
		b := newBench(t, &dialect.SMTP, nil)
		self := &mx{ln: fixed(b.addr)}
		b.to("example.org", starttls.May, self)
		if told, _ := b.hello(t).message("", "x@example.org", text); told[0] != '4' || !strings.Contains(told, "loops") {
			t.Errorf("told %q", told)
		}
	})
	t.Run("the next hop is this machine", func(t *testing.T) {
		b := newBench(t, &dialect.SMTP, func(c *Config) { c.NotHere = true })
		m := newMX(t, nil)
		b.to("example.org", starttls.May, m)
		if told, _ := b.hello(t).message("", "x@example.org", text); !strings.HasPrefix(told, "550 5.4.6") || m.count() != 0 {
			t.Errorf("told %q", told)
		}
	})
	for hops, want := range map[int]string{maxHops - 1: "250", maxHops: "554 5.4.6"} {
		b := newBench(t, &dialect.SMTP, nil)
		m := newMX(t, nil)
		b.to("example.org", starttls.May, m)
		if _, told := b.hello(t).message("", "x@example.org", strings.Repeat("received: by x\r\n", hops)+text); !strings.HasPrefix(told, want) {
			t.Errorf("%d hops: told %q", hops, told)
		}
	}
}

// TestManyDomains: one transaction of LMTP is for so many domains and no more, and one of SMTP goes on
// after domains that took nobody.
func TestManyDomains(t *testing.T) {
	b := newBench(t, &dialect.LMTP, nil)
	c := b.client(t)
	c.ask("LHLO c", "250")
	c.ask("MAIL FROM:<a@b.test>", "250")
	for i := range maxNextHops {
		c.ask("RCPT TO:<x@d"+string(rune('a'+i/26))+string(rune('a'+i%26))+".test>", "250")
	}
	c.ask("RCPT TO:<x@more.test>", "452 4.5.3")
	c.ask("RCPT TO:<y@daa.test>", "250")

	b = newBench(t, &dialect.SMTP, nil)
	no, yes := newMX(t, nil), newMX(t, nil)
	no.when(in("RCPT", "550 5.1.1 nobody"))
	b.to("no.test", starttls.May, no)
	b.to("yes.test", starttls.May, yes)
	c = b.hello(t)
	c.ask("MAIL FROM:<a@b.test>", "250")
	c.ask("RCPT TO:<x@no.test>", "550 5.1.1")
	c.ask("RCPT TO:<y@no.test>", "550 5.1.1")
	c.ask("RCPT TO:<x@yes.test>", "250")
	c.ask("DATA", "354")
	c.ask(text+".", "250")
	if got := yes.letters(); len(got) != 1 {
		t.Errorf("%d messages", len(got))
	}
}
