package relay

import (
	"fmt"
	"strings"
	"testing"

	"starttls"
	"starttls/dialect"
)

// TestExtensions: what a message needs of the next hop, which is not known when the client hears what we
// offer. What cannot be kept gets the RFC's own answer; another host that can is asked before.
func TestExtensions(t *testing.T) {
	all := []string{"PIPELINING", "SIZE 1000", "8BITMIME", "SMTPUTF8", "CHUNKING", "BINARYMIME"}
	const eight = "Subject: test\r\n\r\nh\xc3\xa4llo\r\n"
	const header = "Subject: t\xc3\xa4st\r\n\r\nhello\r\n"
	for _, row := range []struct {
		name    string
		offers  [][]string // of each host
		params  string
		to      string
		content string
		want    string // the answer
		by      int
		said    string // MAIL there, in part
		not     string
	}{
		{"all there is", [][]string{all}, " SIZE=100 BODY=8BITMIME SMTPUTF8", "ä@example.org", header, "250", 1, "SIZE=100 BODY=8BITMIME SMTPUTF8", ""},
		{"nothing there is", [][]string{{"X"}}, " SIZE=100", "x@example.org", text, "250", 1, "", "SIZE"},
		{"SIZE, too large", [][]string{all}, " SIZE=1001", "x@example.org", text, "552 5.3.4", 0, "", ""},
		{"SIZE, the second host takes it", [][]string{all, {"SIZE 2000"}}, " SIZE=1001", "x@example.org", text, "250", 2, "SIZE=1001", ""},
		{"8BITMIME, not there and needed", [][]string{{"X"}}, " BODY=8BITMIME", "x@example.org", eight, "554 5.6.3", 0, "", ""},
		{"8BITMIME, not there and not needed", [][]string{{"X"}}, " BODY=8BITMIME", "x@example.org", text, "250", 1, "", "BODY"},
		{"SMTPUTF8, not there, address", [][]string{{"8BITMIME"}}, " SMTPUTF8", "ä@example.org", text, "553 5.6.7", 0, "", ""},
		{"SMTPUTF8, not there, header", [][]string{{"8BITMIME"}}, " SMTPUTF8", "x@example.org", header, "550 5.6.9", 0, "", ""},
		{"SMTPUTF8, not there and not needed", [][]string{{"8BITMIME"}}, " SMTPUTF8 BODY=8BITMIME", "x@example.org", eight, "250", 1, "BODY=8BITMIME", "SMTPUTF8"},
		{"SMTPUTF8, the second host has it", [][]string{{"X"}, all}, " SMTPUTF8", "ä@example.org", text, "250", 2, "SMTPUTF8", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t, &dialect.SMTP, nil)
			var mxs []*mx
			for _, offers := range row.offers {
				mxs = append(mxs, newMX(t, nil, offers...))
			}
			b.to("example.org", starttls.May, mxs...)
			told, data := b.hello(t).message(row.params, row.to, row.content)
			if data != "" {
				told = data
			}
			if !strings.HasPrefix(told, row.want) {
				t.Errorf("told %q, want %s", told, row.want)
			}
			for i, m := range mxs {
				got := m.letters()
				switch {
				case len(got) > 0 != (i+1 == row.by):
					t.Errorf("host %d has %d messages", i+1, len(got))
				case i+1 == row.by && (!strings.Contains(got[0].params, row.said) || row.not != "" && strings.Contains(got[0].params, row.not)):
					t.Errorf("said %q", got[0].params)
				}
			}
		})
	}
}

// TestBinary: what is no lines passes as it is, by BDAT, to who takes it, and not at all to others.
func TestBinary(t *testing.T) {
	content := "Subject: b\r\n\r\n\x00\n.\n\r.\r" + strings.Repeat("\xff", 100_000)
	for offers, want := range map[string]string{"CHUNKING BINARYMIME": "250", "CHUNKING": "554 5.6.3"} {
		b := newBench(t, &dialect.SMTP, nil)
		m := newMX(t, nil, strings.Fields(offers)...)
		b.to("example.org", starttls.May, m)
		c := b.hello(t)
		c.ask("MAIL FROM:<a@b.test> BODY=BINARYMIME", "250")
		if got := c.ask("RCPT TO:<x@example.org>", want[:3]); want != "250" {
			if !strings.HasPrefix(got, want) {
				t.Error(got)
			}
			continue
		}
		c.ask("DATA", "503")
		c.send("BDAT %d\r\n%s", 50_000, content[:50_000])
		c.want("250")
		c.send("BDAT %d LAST\r\n%s", len(content)-50_000, content[50_000:])
		c.want("250 2.0.0 taken")
		if got := m.letters(); len(got) != 1 || got[0].data != content {
			t.Errorf("%d messages", len(got))
		}
	}
}

// TestMaxSize: a limit of our own is announced, and holds for who announces nothing.
func TestMaxSize(t *testing.T) {
	b := newBench(t, &dialect.SMTP, func(c *Config) { c.MaxSize = 1000 })
	m := newMX(t, nil)
	b.to("example.org", starttls.May, m)
	c := b.client(t)
	if got := c.ask("EHLO c", "250"); !strings.Contains(got, "SIZE 1000") {
		t.Error(got)
	}
	c.ask("MAIL FROM:<a@b.test> SIZE=1001", "552 5.3.4")
	if _, told := c.message("", "x@example.org", text+strings.Repeat("x\r\n", 400)); !strings.HasPrefix(told, "552 5.3.4") {
		t.Errorf("told %q", told)
	}
	if _, told := c.message(fmt.Sprintf(" SIZE=%d", len(text)), "x@example.org", text); told[0] != '2' {
		t.Errorf("told %q", told)
	}
	if len(m.letters()) != 1 {
		t.Errorf("%d messages", len(m.letters()))
	}
}

// TestDSNIsNotOffered: see docs/relay.md.
func TestDSNIsNotOffered(t *testing.T) {
	b := newBench(t, &dialect.SMTP, nil)
	c := b.client(t)
	if got := c.ask("EHLO c", "250"); strings.Contains(got, "DSN") {
		t.Error(got)
	}
	c.ask("MAIL FROM:<a@b.test> RET=HDRS", "555 5.5.4")
}

// TestLMTPChunks: the last chunk has an answer for each recipient (RFC 3030 §2, RFC 2033 §4.2), and a
// transaction that is reset in between comes to nothing.
func TestLMTPChunks(t *testing.T) {
	b := newBench(t, &dialect.LMTP, nil)
	m1, m2 := newMX(t, nil), newMX(t, nil)
	b.to("one.test", starttls.May, m1)
	b.to("two.test", starttls.May, m2)
	c := b.client(t)
	c.ask("LHLO c", "250")
	for _, last := range []bool{false, true} {
		c.ask("MAIL FROM:<a@b.test>", "250")
		c.send("BDAT 3\r\nxyz")
		c.want("503 5.5.1 No valid recipients")
		c.ask("RCPT TO:<x@one.test>", "250")
		c.ask("RCPT TO:<x@two.test>", "250")
		c.send("BDAT %d\r\n%s", len(text), text)
		c.want("250")
		c.ask("RCPT TO:<y@two.test>", "503")
		if !last {
			c.ask("RSET", "250")
			continue
		}
		c.ask("BDAT 0 LAST", "250 2.0.0 taken")
		c.want("250 2.0.0 taken")
	}
	c.ask("NOOP", "250")
	if len(m1.letters()) != 1 || len(m2.letters()) != 1 {
		t.Errorf("%d and %d messages", len(m1.letters()), len(m2.letters()))
	}
}
