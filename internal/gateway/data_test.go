package gateway_test

import (
	"fmt"
	"strings"
	"testing"
)

// The ends of mail data that are none, from the table and from the probes for SMTP smuggling (G-12).
var noEnds = []string{
	"\n.\n", "\n.\r\n", "\r.\r", "\r.\n", "\n.\r", "\r.\r\n", "\r\n.\n", "\r\n.\r", "\r\n\x00.\r\n",
	"\r\n.\x00\r\n", "\r\n.\r\r\n", "\r\r\n.\r\r\n", "\r\n..\r\n", "\n\n.\r\r", strings.Repeat("x", 1023) + "\r\n..\r\n",
	strings.Repeat("x", 1024) + ".\r\n", strings.Repeat("\r", 2000) + "\n.\n", strings.Repeat("x", 1022) + "\n.\r\n",
	strings.Repeat("a long mail\r\n", 3000), strings.Repeat("a mail without lines", 30_000),
}

const smuggled = "MAIL FROM:<evil@x>\r\nSTARTTLS\r\nDATA\r\n.hidden\r\n"

// mail is a mail with text in it, and a second one in the same segment as its end.
func mail(text string) []string {
	return []string{"MAIL FROM:<a@x>\r\n", "RCPT TO:<b@x>\r\n", "DATA\r\n",
		"Subject: x\r\n\r\nSTARTTLS\r\n" + text + smuggled + "\r\n.\r\nMAIL FROM:<second@x>\r\n", "RSET\r\n", "QUIT\r\n"}
}

// delivered says a mail and compares what the server has heard to it, byte for byte.
func delivered(addr string, b *backend, secure bool, says []string) error {
	c, err := greeted(addr, b.p)
	if err != nil {
		return err
	}
	defer c.Close()
	before := ""
	if secure {
		if err := c.honestly(); err != nil {
			return err
		}
		before = b.p.hello
	}
	says = append([]string{b.p.probe}, says...)
	for _, s := range says {
		if answer, err := c.ask(s); err != nil || answer[0] > '3' {
			return fmt.Errorf("%s is answered with %s, %v", show(s), show(answer), err)
		}
	}
	c.closeWrite()
	c.rest()
	if want, got := strings.Join(says, ""), b.seen(); strings.TrimPrefix(got, before) != want {
		return fmt.Errorf("the server heard %s, and not %s", show(got), show(want))
	}
	return nil
}

func TestMailDataPassesByteForByte(t *testing.T) { // G-12
	for i, text := range noEnds {
		for _, p := range append(named("smtp", "lmtp"), offering(only("smtp")), offering(only("lmtp"))) {
			for _, secure := range []bool{false, true} {
				t.Run(fmt.Sprintf("G-12 %s %d TLS %t", p.Name, i, secure), func(t *testing.T) {
					t.Parallel()
					b := newBackend(t, p)
					must(t, delivered(start(t, p, to(b)).addr, b, secure, mail(text)))
				})
			}
		}
	}
}

// TestMailDataVillain: a server that takes a bare LF for the end of a line runs what is smuggled.
func TestMailDataVillain(t *testing.T) {
	p := *only("smtp")
	p.polite = func() func(string) string {
		answer := only("smtp").polite()
		return func(request string) string {
			if request == ".\n" {
				request = ".\r\n"
			}
			return answer(request)
		}
	}
	b := newBackend(t, &p)
	finds(t, delivered(b.addr, b, false, mail("\r\n.\n")))
}

// TestChunksPass: octets of BDAT are no commands (RFC 3030), whatever stands in them.
func TestChunksPass(t *testing.T) {
	chunk := "STARTTLS\r\nQUIT\r\n.\r\nEHLO evil\r\n"
	steps := []exchange{
		{"EHLO me\r\n", "250-mx.test\r\n250-STARTTLS\r\n250 CHUNKING\r\n"},
		{"MAIL FROM:<a@x>\r\n", "250 ok\r\n"}, {"RCPT TO:<b@x>\r\n", "250 ok\r\n"},
		{fmt.Sprintf("BDAT %d\r\n", len(chunk)) + chunk, "250 more\r\n"},
		{fmt.Sprintf("BDAT %d LAST\r\n", len(chunk)) + chunk, "250 ok\r\n"},
		{"BDAT 0 LAST\r\n", "503 no\r\n"}, {"QUIT\r\n", "221 bye\r\n"},
	}
	p := only("smtp")
	b := scripted(t, p, func(c *peer) {
		c.say(p.greeting)
		for _, step := range steps {
			n := len(step.say)
			c.take(func(buf string) int {
				if len(buf) < n {
					return 0
				}
				return n
			})
			c.say(step.want)
		}
	})
	c, err := greeted(start(t, p, to(b)).addr, p)
	must(t, err)
	for _, step := range steps {
		if answer, err := c.ask(step.say); err != nil || answer != step.want {
			t.Fatalf("%s is answered with %s, %v", show(step.say), show(answer), err)
		}
	}
}
