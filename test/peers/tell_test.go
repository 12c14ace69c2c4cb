package peers

import (
	"bufio"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"starttls/internal/proxyproto"
	"starttls/test/peers/peer"
)

// A told client comes through a proxy that says where from.
type told struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func comeAs(t *testing.T, g *gateway, addr string) *told {
	t.Helper()
	conn, err := net.Dial("tcp", g.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(limit))
	source := netip.MustParseAddr(addr)
	destination := netip.MustParseAddr("198.51.100.25")
	if source.Is6() {
		destination = netip.MustParseAddr("2001:db8::25")
	}
	h := proxyproto.Header{Source: netip.AddrPortFrom(source, 41800), Destination: netip.AddrPortFrom(destination, 25)}
	conn.Write(h.AppendV2(nil))
	return &told{t, conn, bufio.NewReader(conn)}
}

// hears reads up to a line that begins with one of the words, which it returns.
func (c *told) hears(words ...string) string {
	c.t.Helper()
	for all := ""; ; {
		line, err := c.r.ReadString('\n')
		all += line
		for _, word := range words {
			if strings.HasPrefix(line, word) {
				return all
			}
		}
		if err != nil {
			c.t.Fatalf("no %q: %v in\n%s", words, err, all)
		}
	}
}

// says one line, and hears.
func (c *told) says(line string, words ...string) string {
	c.t.Helper()
	c.Write([]byte(line + "\r\n"))
	return c.hears(words...)
}

// reads waits until a log has the words.
func reads(t *testing.T, file, words string) {
	t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		log, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(log), words) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("no %q in the log, %v:\n%s", words, err, log)
		}
	}
}

// TestPostfixIsToldTheClientByXCLIENT, in the clear and inside TLS, and takes it from nobody else.
func TestPostfixIsToldTheClientByXCLIENT(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	p := peer.StartPostfix(t, peer.PostfixOptions{Main: []string{"inet_protocols = all"}})
	for addr, backend := range map[string]string{
		"192.0.2.7": "smtp://" + p.Plain, "192.0.2.8": "smtp://" + p.StartTLS + "?tls=encrypt", "2001:db8::9": "smtps://" + p.SMTPS,
	} {
		option := "?client=xclient"
		if strings.Contains(backend, "?") {
			option = "&client=xclient"
		}
		g := begin(t, pki, "smtp://127.0.0.1:0?proxy=127.0.0.0/8", backend+option)
		c := comeAs(t, g, addr)
		c.hears("220 ")
		if caps := c.says("EHLO client.test", "250 "); strings.Contains(caps, "XCLIENT") || strings.Contains(caps, "CHUNKING") || !strings.Contains(caps, "STARTTLS") {
			t.Errorf("%s: a client is shown\n%s", backend, caps)
		}
		c.says("MAIL FROM:<a@client.test>", "250 ")
		c.says("RCPT TO:<a@elsewhere.test>", "454 ", "554 ") // a relay for loopback alone
		c.says("RCPT TO:<joe@example.test>", "250 ")
		c.says("DATA", "354 ")
		c.says("Subject: told "+addr+"\r\n\r\nText.\r\n.", "250 ")
		c.says("XCLIENT ADDR=127.0.0.1", "421 ")
		g.logged("outcome=broken", "says itself who it is")
		reads(t, p.Log, "client=unknown["+addr+"]")
	}
	arrived(t, p.Maildir, "told 192.0.2.7", "told 192.0.2.8", "told 2001:db8::9")
}

// TestPostfixThatDoesNotTrustUsIsNotUsed: it would take every client for the gateway.
func TestPostfixThatDoesNotTrustUsIsNotUsed(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	p := peer.StartPostfix(t, peer.PostfixOptions{Main: []string{"smtpd_authorized_xclient_hosts ="}})
	g := begin(t, pki, "smtp://127.0.0.1:0?proxy=127.0.0.0/8", "smtp://"+p.Plain+"?client=xclient")
	comeAs(t, g, "192.0.2.7").hears("421 ")
	g.logged("outcome=backend-failed", "does not take it from us")
}

// TestDovecotIsToldTheClient in each of its protocols, and takes it from nobody else.
func TestDovecotIsToldTheClient(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	d := peer.StartDovecot(t, peer.DovecotOptions{Extra: []string{"login_trusted_networks = 127.0.0.0/8"}})
	for _, row := range []struct {
		name, listen, backend string
		villain               func(c *told)
		login                 func(c *told)
	}{
		{"imap", "imap", "imap://" + d.IMAP + "?client=id", func(c *told) {
			c.hears("* OK")
			c.says(`a ID ("name" "x" "x-originating-ip" "127.0.0.9")`, "a OK")
			c.says("b LOGIN joe wrong", "b NO")
			c.says(`c ID ("x-originating-ip" "127.0.0.9")`, "c OK")
		}, func(c *told) { c.says("d LOGIN joe "+peer.Password, "d OK") }},
		{"imap inside TLS", "imap", "imap://" + d.IMAP + "?tls=encrypt&client=id", func(c *told) { c.hears("* OK") },
			func(c *told) { c.says("d LOGIN joe "+peer.Password, "d OK") }},
		{"pop3", "pop3", "pop3://" + d.POP3 + "?client=xclient", func(c *told) { c.hears("+OK") }, loginPOP3},
		{"pop3 inside TLS", "pop3", "pop3://" + d.POP3 + "?tls=encrypt&client=xclient", func(c *told) { c.hears("+OK") }, loginPOP3},
		{"sieve", "sieve", "sieve://" + d.Sieve + "?client=xclient", func(c *told) { c.hears("OK") },
			func(c *told) { c.says(`AUTHENTICATE "PLAIN" "AGpvZQBzZWNyZXQ="`, "OK", "NO") }},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := begin(t, pki, row.listen+"://127.0.0.1:0?proxy=127.0.0.0/8", row.backend)
			addr := "192.0.2." + map[string]string{"imap": "1", "imap inside TLS": "2", "pop3": "3", "pop3 inside TLS": "4", "sieve": "5"}[row.name]
			c := comeAs(t, g, addr)
			row.villain(c)
			row.login(c)
			reads(t, d.Log, "rip="+addr)
			if log, _ := os.ReadFile(d.Log); strings.Contains(string(log), "rip=127.0.0.9") {
				t.Errorf("a client has lied:\n%s", log)
			}
		})
	}
}

// TestDovecotIsToldTheClientByLMTP: an address that is not ours, and then mail.
func TestDovecotIsToldTheClientByLMTP(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	d := peer.StartDovecot(t, peer.DovecotOptions{Extra: []string{"login_trusted_networks = 127.0.0.0/8"}})
	g := begin(t, pki, "lmtp://127.0.0.1:0?proxy=127.0.0.0/8", "lmtp://"+d.LMTP+"?client=xclient")
	c := comeAs(t, g, "2001:db8::9")
	c.hears("220 ")
	c.says("LHLO client.test", "250 ")
	c.says("MAIL FROM:<a@client.test>", "250 ")
	c.says("RCPT TO:<joe@example.test>", "250 ")
	c.says("DATA", "354 ")
	c.says("Subject: told\r\n\r\nText.\r\n.", "250 ")
	c.says("QUIT", "221 ")
	arrived(t, d.Mail("joe"), "told")
	found := ""
	for _, message := range d.Mail("joe").Mailbox() {
		found += message
	}
	if !strings.Contains(found, "2001:db8::9") {
		t.Errorf("the message says that it came from elsewhere:\n%s", found)
	}
}

func loginPOP3(c *told) {
	c.says("USER joe", "+OK")
	c.says("PASS "+peer.Password, "+OK")
}
