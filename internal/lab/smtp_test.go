package lab

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// A talk is a conversation with a mail server, of which every answer is compared.
type talk struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func newTalk(t *testing.T, l *Lab, host string) *talk {
	t.Helper()
	conn, err := dialHost(t, l, host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	return &talk{t, conn, bufio.NewReader(conn)}
}

// say sends text as it is, and expects replies that begin so, one after the other: "" is the end of the
// connection.
func (c *talk) say(text string, replies ...string) (last string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); text != "" && err != nil {
		c.t.Fatal(err)
	}
	for _, want := range replies {
		last = c.reply()
		if want == "" && last != "" || !strings.HasPrefix(last, want) {
			c.t.Fatalf("after %.60q: %q, want %q", text, last, want)
		}
	}
	return last
}

// reply reads a whole reply, "" at the end of the connection.
func (c *talk) reply() (text string) {
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return ""
		}
		text += line
		if len(line) < 4 || line[3] != '-' {
			return text
		}
	}
}

// upgrade goes on in TLS.
func (c *talk) upgrade() {
	c.t.Helper()
	c.say("STARTTLS\r\n", "220 ")
	conn := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	if err := conn.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	c.conn, c.r = conn, bufio.NewReader(conn)
}

const begin = "EHLO client.test\r\n"

// TestSMTP talks to a server of the lab: what is right, and what it must refuse.
func TestSMTP(t *testing.T) {
	l := start(t, Config{Only: []string{"tls.test", "requiretls.test", "clear.test", "greylist.test"}})
	for _, row := range []struct {
		name string
		talk func(*talk)
	}{
		{"a pipelined message", func(c *talk) {
			c.say(begin+"MAIL FROM:<a@b.test> SIZE=10 BODY=8BITMIME\r\nRCPT TO:<x@tls.test>\r\nRCPT TO:<y@tls.test> NOTIFY=NEVER\r\nDATA\r\n", "220 ", "250-", "250 ", "250 ", "250 ", "354 ")
			c.say("one\r\n..two\r\n.\r\n", "250 2.0.0 Taken, 11 bytes")
			c.say("QUIT\r\n", "221 ", "")
		}},
		{"chunks", func(c *talk) {
			c.say(begin+"MAIL FROM:<a@b.test> BODY=BINARYMIME\r\nRCPT TO:<x@tls.test>\r\n", "220 ", "250-", "250 ", "250 ")
			c.say("BDAT 3\r\n.\r\n", "250 ")
			c.say("BDAT 2 LAST\r\n\x00\n", "250 2.0.0 Taken, 5 bytes")
			c.say("BDAT 1 LAST\r\nx", "503 ")
			c.say("BDAT x\r\n", "501 ", "")
		}},
		{"a lone dot is one between CRLFs alone", func(c *talk) {
			c.say(begin+"MAIL FROM:<>\r\nRCPT TO:<x@tls.test>\r\nDATA\r\n", "220 ", "250-", "250 ", "250 ", "354 ")
			c.say("a\n.\r\nb\r\n.\nc\n.\n\r\n.\r\n", "250 2.0.0 Taken, 15 bytes")
		}},
		{"everything is forgotten inside TLS", func(c *talk) {
			c.say(begin+"MAIL FROM:<a@b.test>\r\n", "220 ", "250-", "250 ")
			c.upgrade()
			c.say("RCPT TO:<x@tls.test>\r\n", "503 ")
			c.say("MAIL FROM:<a@b.test>\r\n", "503 ")
			if caps := c.say(begin, "250-"); strings.Contains(caps, "STARTTLS") {
				c.t.Errorf("STARTTLS inside TLS: %q", caps)
			}
			c.say("STARTTLS\r\n", "503 ")
		}},
		{"what stands behind STARTTLS is no command", func(c *talk) {
			c.say(begin+"STARTTLS\r\nRSET\r\n", "220 ", "250-", "220 ", "")
		}},
		{"out of order", func(c *talk) {
			c.say("MAIL FROM:<a@b.test>\r\n", "220 ", "503 ")
			c.say(begin+"RCPT TO:<x@y.test>\r\nDATA\r\n", "250-", "503 ", "503 ")
			c.say("MAIL FROM:a@b.test\r\nMAIL FROM:<a@b.test> NONSENSE\r\nMAIL FROM:<a@b.test> SIZE=99999999999\r\n", "501 ", "555 ", "552 ")
			c.say("MAIL FROM:<a@b.test> REQUIRETLS\r\n", "555 ")
			c.say("MAIL FROM:<a@b.test>\r\nRCPT TO:<>\r\nRCPT TO:<x@y.test> WHATEVER\r\nDATA\r\n", "250 ", "501 ", "555 ", "503 ")
		}},
		{"too many errors", func(c *talk) {
			c.say(strings.Repeat("NONSENSE\r\n", errorLimit), append(append([]string{"220 "}, strings.Split(strings.Repeat("500 ,", errorLimit-1)+"500 ", ",")...), "421 ", "")...)
		}},
		{"a line that does not end", func(c *talk) {
			c.say(strings.Repeat("x", 70<<10), "220 ", "")
		}},
	} {
		t.Run(row.name, func(t *testing.T) { row.talk(newTalk(t, l, "mx.tls.test")) })
	}

	t.Run("REQUIRETLS is offered inside TLS, and taken there", func(t *testing.T) {
		c := newTalk(t, l, "mx.requiretls.test")
		if caps := c.say(begin, "220 ", "250-"); strings.Contains(caps, "REQUIRETLS") {
			t.Error("it is offered in the clear")
		}
		c.say("MAIL FROM:<a@b.test> REQUIRETLS\r\n", "555 ")
		c.upgrade()
		if caps := c.say(begin, "250-"); !strings.Contains(caps, "REQUIRETLS") {
			t.Error("it is not offered inside TLS")
		}
		c.say("MAIL FROM:<a@b.test> REQUIRETLS=yes\r\n", "501 ")
		c.say("MAIL FROM:<a@b.test> REQUIRETLS REQUIRETLS\r\n", "501 ")
		c.say("MAIL FROM:<a@b.test> REQUIRETLS\r\nRCPT TO:<x@y.test>\r\nDATA\r\n", "250 ", "250 ", "354 ")
		c.say(".\r\n", "250 ")
		if m := l.Messages("requiretls.test"); len(m) != 1 || !m[0].RequireTLS || m[0].TLS != tls.VersionTLS13 {
			t.Errorf("got %+v", m)
		}
	})
	t.Run("greylisting", func(t *testing.T) {
		c := newTalk(t, l, "mx.greylist.test")
		c.say(begin+"MAIL FROM:<a@b.test>\r\nRCPT TO:<x@y.test>\r\nRCPT TO:<x@y.test>\r\n", "220 ", "250-", "250 ", "451 ", "250 ")
	})
	t.Run("no STARTTLS", func(t *testing.T) {
		c := newTalk(t, l, "mx.clear.test")
		if caps := c.say(begin, "220 ", "250-"); strings.Contains(caps, "STARTTLS") {
			t.Errorf("got %q", caps)
		}
		c.say("STARTTLS\r\n", "503 ")
	})

	m := l.Messages("tls.test")
	if l.Count("tls.test") != 3 || len(m) != 3 {
		t.Fatalf("%d messages, %d kept", l.Count("tls.test"), len(m))
	}
	if m := m[0]; m.From != "a@b.test" || fmt.Sprint(m.To) != "[x@tls.test y@tls.test]" || string(m.Data) != "one\r\n.two\r\n" || m.TLS != 0 || m.Helo != "client.test" {
		t.Errorf("got %+v", m)
	}
	if string(m[1].Data) != ".\r\n\x00\n" {
		t.Errorf("chunks came as %q", m[1].Data)
	}
}

// TestFaults has a server fail in each phase.
func TestFaults(t *testing.T) {
	l := start(t, Config{Only: []string{"tls.test"}})
	const host, message = "mx.tls.test", "MAIL FROM:<a@b.test>\r\nRCPT TO:<x@y.test>\r\nDATA\r\n"
	for at, steps := range map[Phase][][]string{
		AtGreeting:  {{"", ""}},
		AtHello:     {{begin, "220 ", ""}},
		AtUpgrade:   {{begin + "STARTTLS\r\n", "220 ", "250-", ""}},
		AtHandshake: {{begin + "STARTTLS\r\n", "220 ", "250-", "220 ", ""}},
		AtMail:      {{begin + message, "220 ", "250-", ""}},
		AtRcpt:      {{begin + message, "220 ", "250-", "250 ", ""}},
		AtData:      {{begin + message, "220 ", "250-", "250 ", "250 ", ""}},
		AtBody:      {{begin + message, "220 ", "250-", "250 ", "250 ", "354 "}, {"x\r\n", ""}},
		AtDot:       {{begin + message, "220 ", "250-", "250 ", "250 ", "354 "}, {"x\r\n.\r\n", ""}},
		AtQuit:      {{begin + "QUIT\r\n", "220 ", "250-", ""}},
	} {
		before := l.Count("tls.test")
		if err := l.Fault(host, Fault{At: at, Drop: true, Times: 1}); err != nil {
			t.Fatal(err)
		}
		c := newTalk(t, l, host)
		for _, step := range steps {
			c.say(step[0], step[1:]...)
		}
		kept := l.Count("tls.test") - before
		if kept != map[bool]int{true: 1}[at == AtDot] {
			t.Errorf("phase %d: %d messages kept", at, kept)
		}
		again := newTalk(t, l, host)
		again.say(begin+message, "220 ", "250-", "250 ", "250 ", "354 ") // it befalls once
	}

	l.Fault(host, Fault{At: AtBody, Drop: true})
	chunks := newTalk(t, l, host)
	chunks.say(begin+"MAIL FROM:<a@b.test>\r\nRCPT TO:<x@y.test>\r\nBDAT 1 LAST\r\nx", "220 ", "250-", "250 ", "250 ", "")

	l.Fault(host, Fault{At: AtRcpt, Reply: "450 4.2.1 Not now", Times: 2}, Fault{At: AtGreeting, Delay: time.Millisecond})
	c := newTalk(t, l, host)
	rcpt := "RCPT TO:<x@y.test>\r\n"
	c.say(begin+"MAIL FROM:<a@b.test>\r\n"+rcpt+rcpt+rcpt, "220 ", "250-", "250 ", "450 ", "450 ", "250 ")
	l.Fault(host, Fault{At: AtMail, Hang: true})
	c.say("RSET\r\nMAIL FROM:<a@b.test>\r\n", "250 ")
	c.conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	c.say("", "") // nothing comes
	if err := l.Fault("mx.nobody.test"); err == nil {
		t.Error("a fault of a server that is not there")
	}
}

// TestClose ends a lab with clients in all states.
func TestClose(t *testing.T) {
	l, err := Start(Config{Only: []string{"tls.test", "injected-response-may.test"}})
	if err != nil {
		t.Fatal(err)
	}
	newTalk(t, l, "mx.tls.test")
	l.Fault("mx.tls.test", Fault{At: AtGreeting, Delay: time.Hour})
	newTalk(t, l, "mx.tls.test")
	newTalk(t, l, "mx.injected-response-may.test").say(begin, "220 ", "250-")
	done := make(chan error)
	go func() { done <- l.Close() }()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if l.Close() == nil {
		t.Error("closed twice")
	}
}

// TestHalfClosed: a client that ends its half with its last words still hears the answers, on the path to
// a server as well.
func TestHalfClosed(t *testing.T) {
	l := start(t, Config{Only: []string{"tls.test", "capability-removed-may.test"}})
	for _, host := range []string{"mx.tls.test", "mx.capability-removed-may.test"} {
		c := newTalk(t, l, host)
		c.say(begin+"MAIL FROM:<a@b.test>\r\nRCPT TO:<x@y.test>\r\nDATA\r\n", "220 ", "250-", "250 ", "250 ", "354 ")
		io.WriteString(c.conn, "x\r\n.\r\nQUIT\r\n")
		c.conn.(*net.TCPConn).CloseWrite()
		c.say("", "250 ", "221 ", "")
	}
}
