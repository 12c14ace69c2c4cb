package relay

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"starttls"
	"starttls/dialect"
)

// notTheEnd are sequences that some server takes for the end of a message (G-12). None of them is.
var notTheEnd = []string{
	"\n.\n", "\n.\r\n", "\r.\r", "\r.\r\n", "\r.\n", "\n.\r", "\r\n.\n", "\r\n.\r", "\r\n\x00.\r\n", "\r\n.\x00\r\n",
	"\r\n.\r\r\n", "\r\r\n.\r\r\n", "\r\n\r.\r\n", "\n\n.\r\n", "\r\n.\r.\r\n",
}

const smuggled = "MAIL FROM:<admin@b.test>\r\nRCPT TO:<x@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\nhello\r\n"

// TestNoSmuggling: a message with such a sequence goes nowhere, is told so once, and nothing of it is
// read as commands, here or at the next hop. Once as DATA, once as BDAT, which has no end to be mistaken.
func TestNoSmuggling(t *testing.T) {
	b := newBench(t, &dialect.SMTP, nil)
	m := newMX(t, nil)
	b.to("example.org", starttls.May, m)
	for i, sequence := range notTheEnd {
		content := "Subject: first\r\n\r\nhello" + sequence + smuggled
		t.Run(fmt.Sprintf("G-12/%d/DATA %q", i, sequence), func(t *testing.T) {
			c := b.hello(t)
			if _, told := c.message("", "x@example.org", content); !strings.HasPrefix(told, "550 5.6.0") {
				t.Errorf("told %q", told)
			}
			c.ask("NOOP", "250") // and nothing stands between
		})
		t.Run(fmt.Sprintf("G-12/%d/BDAT %q", i, sequence), func(t *testing.T) {
			c := b.hello(t)
			c.ask("MAIL FROM:<a@b.test>", "250")
			c.ask("RCPT TO:<x@example.org>", "250")
			c.send("BDAT %d LAST\r\n%s", len(content), content)
			c.want("550 5.6.0")
			c.ask("NOOP", "250")
		})
	}
	if got := m.letters(); len(got) != 0 {
		t.Errorf("taken: %+v", got)
	}
}

// TestDotsStayContent: a lone dot in BDAT is content, and arrives as such after DATA.
func TestDotsStayContent(t *testing.T) {
	b := newBench(t, &dialect.SMTP, nil)
	m := newMX(t, nil)
	b.to("example.org", starttls.May, m)
	c := b.hello(t)
	c.ask("MAIL FROM:<a@b.test>", "250")
	c.ask("RCPT TO:<x@example.org>", "250")
	content := "Subject: first\r\n\r\n.\r\n..\r\n" + smuggled + ".\r\nno line end"
	for i := range len(content) { // chunks of one octet: no state is lost between them
		c.send("BDAT 1\r\n%s", content[i:i+1])
		c.want("250")
	}
	c.ask("BDAT 0 LAST", "250 2.0.0 taken")
	got := m.letters()
	if len(got) != 1 || got[0].data != content+"\r\n" {
		t.Fatalf("taken: %+v", got)
	}
}

// TestSecondMessagePipelined: what stands behind the real end is the next transaction.
func TestSecondMessagePipelined(t *testing.T) {
	b := newBench(t, &dialect.SMTP, nil)
	m := newMX(t, nil)
	b.to("example.org", starttls.May, m)
	c := b.hello(t)
	c.ask("MAIL FROM:<a@b.test>", "250")
	c.ask("RCPT TO:<x@example.org>", "250")
	c.send("DATA\r\n%s.\r\n%s.\r\n", text, smuggled)
	for _, want := range []string{"354", "250 2.0.0 taken", "250", "250", "354", "250 2.0.0 taken"} {
		c.want(want)
	}
	if got := m.letters(); len(got) != 2 || strings.Contains(got[0].data, "smuggled") {
		t.Fatalf("taken: %+v", got)
	}
}

// TestCommandLines: commands end in CRLF and hold nothing that somebody takes for a line end.
func TestCommandLines(t *testing.T) {
	b := newBench(t, &dialect.SMTP, nil)
	m := newMX(t, nil)
	b.to("example.org", starttls.May, m)
	for _, line := range []string{"NOOP\rNOOP", "NOOP\x00"} {
		c := b.hello(t)
		c.ask(line, "500 5.5.2")
		c.ask("NOOP", "250")
	}
	for _, line := range []string{"NOOP\nNOOP", "MAIL FROM:<a@b.test>\nRCPT TO:<x@example.org>"} {
		c := b.hello(t)
		c.ask(line, "500 5.5.2")
		if rest, _ := io.ReadAll(c.r); len(rest) > 0 {
			t.Errorf("%q: what stands behind was answered: %q", line, rest)
		}
	}
	for line, want := range map[string]string{
		"MAIL FROM:<a b@c.test>":                                     "501",
		"MAIL FROM:<a@c.test":                                        "501",
		"MAIL FROM:a@c.test":                                         "501",
		"MAIL FROM:<a@c.test>SIZE=1":                                 "501",
		"MAIL FROM:<a@c.test> SIZE=-1":                               "501",
		"MAIL FROM:<a@c.test> SIZE=1 SIZE=1":                         "501",
		"MAIL FROM:<a@c.test> BODY=9BIT":                             "501",
		"MAIL FROM:<a@c.test> X=1":                                   "555",
		"MAIL FROM:<ä@c.test>":                                       "553 5.6.7",
		"MAIL FROM:<\"a>b\"@c.test>":                                 "250",
		"MAIL FROM:<@r.test,@s.test:a@c.test>":                       "250",
		"mail from: <a@c.test>  size=1":                              "250",
		"MAIL FROM:<" + strings.Repeat("a", 480) + "@c.test> SIZE=1": "250", // R08
		"MAIL FROM:<" + strings.Repeat("a", 5000) + ">":              "500 5.5.6",
		"RCPT TO:<x@example.org>":                                    "503",
		"DATA":                                                       "503",
		"GET / HTTP/1.1":                                             "421",
		"BDAT x":                                                     "421",
		"STARTTLS":                                                   "502",
	} {
		c := b.hello(t)
		c.ask(line, want)
	}
}

// FuzzDataReader: however content arrives, pieces put together are what stands before the first
// CRLF . CRLF, and nothing behind it is touched.
func FuzzDataReader(f *testing.F) {
	for _, s := range notTheEnd {
		f.Add([]byte("hello"+s+"x\r\n.\r\nrest"), uint8(1))
	}
	f.Add([]byte(".\r\nrest"), uint8(2))
	f.Fuzz(fuzzDataReader)
}
