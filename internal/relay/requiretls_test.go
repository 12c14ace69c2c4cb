package relay

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"

	"starttls"
	"starttls/dialect"
	"starttls/mtasts"
)

// inFront makes a listener offer TLS with a certificate, and trust roots behind.
func inFront(cert *tls.Certificate, roots *x509.CertPool) func(*Config) {
	return func(c *Config) {
		c.Front = Front{Level: starttls.May, TLS: &tls.Config{Certificates: []tls.Certificate{*cert}}}
		c.TLS = &tls.Config{RootCAs: roots}
	}
}

// secured connects and says hello inside TLS.
func (b *bench) secured(t *testing.T) *client {
	t.Helper()
	c := b.hello(t)
	c.startTLS()
	c.ask("EHLO client.test", "250")
	return c
}

// TestRequireTLSInFront: R01 to R08 of RFC 8689.
func TestRequireTLSInFront(t *testing.T) {
	cert, roots := selfSigned(t, "relay.test")
	b := newBench(t, &dialect.SMTP, inFront(cert, roots))
	t.Run("R01 before TLS it is not listed", func(t *testing.T) {
		if got := b.client(t).ask("EHLO c", "250"); strings.Contains(got, "REQUIRETLS") || !strings.Contains(got, "STARTTLS") {
			t.Error(got)
		}
	})
	t.Run("R02 inside TLS it is", func(t *testing.T) {
		c := b.hello(t)
		c.startTLS()
		if got := c.ask("EHLO c", "250"); !strings.Contains(got, "\n250 REQUIRETLS") || strings.Contains(got, "STARTTLS") {
			t.Error(got)
		}
	})
	t.Run("R03 it is taken inside TLS", func(t *testing.T) {
		c := b.secured(t)
		c.ask("MAIL FROM:<> REQUIRETLS", "250")
		c.ask("RSET", "250")
		c.ask("MAIL FROM:<a@b.test> requiretls", "250")
	})
	t.Run("R04 it is refused in the clear", func(t *testing.T) {
		b.hello(t).ask("MAIL FROM:<a@b.test> REQUIRETLS", "530 5.7.0")
	})
	t.Run("R05 it has no value", func(t *testing.T) {
		b.secured(t).ask("MAIL FROM:<a@b.test> REQUIRETLS=yes", "501 5.5.4")
	})
	t.Run("R06 not twice", func(t *testing.T) {
		b.secured(t).ask("MAIL FROM:<a@b.test> REQUIRETLS REQUIRETLS", "501")
	})
	t.Run("R07 it is not known where there is no TLS", func(t *testing.T) {
		newBench(t, &dialect.SMTP, nil).hello(t).ask("MAIL FROM:<a@b.test> REQUIRETLS", "555 5.5.4")
	})
	t.Run("R08 MAIL is longer by it", func(t *testing.T) {
		line := "MAIL FROM:<" + strings.Repeat("a", 484) + "@b.test> SIZE=1" // 510 octets, and CRLF
		b.secured(t).ask(line+" REQUIRETLS", "250")
	})
}

// TestRequireTLSOnward: what a message with REQUIRETLS, or with "TLS-Required: No", meets.
func TestRequireTLSOnward(t *testing.T) {
	cert, roots := selfSigned(t, "relay.test", "mx1.example.org", "mx2.example.org")
	other, _ := selfSigned(t, "other.test")
	with := func(cert *tls.Certificate, requireTLS bool) *mx {
		m := newMX(t, cert)
		m.requireTLS = requireTLS
		return m
	}
	breaks := func(m *mx) *mx { m.when(in("HANDSHAKE", "close")); return m }
	const no = "TLS-Required: No\r\n"
	for _, row := range []struct {
		name    string
		world   world
		sender  string // MAIL's rest; if empty, <a@b.test>
		header  string
		rcpt    string // the answer to RCPT, if it is no 250
		data    string // the answer to the message
		by      int    // the host that takes it, from 1
		clear   bool   // in the clear
		params  string // of MAIL there, in part
		without string // what must not be among them
		counted string
	}{
		{name: "R09 DANE matches and the keyword is there", sender: "<a@b.test> REQUIRETLS", data: "250", by: 1, params: "REQUIRETLS",
			world: world{secure: true, hosts: []host{{mx: with(other, true), tlsa: "match"}}}},
		{name: "R10 MTA-STS enforce, PKIX and the keyword", sender: "<a@b.test> REQUIRETLS", data: "250", by: 1, params: "REQUIRETLS",
			world: world{sts: mtasts.Enforce, hosts: []host{{mx: with(cert, true)}}}},
		{name: "secure MX, PKIX and the keyword", sender: "<a@b.test> REQUIRETLS", data: "250", by: 1, params: "REQUIRETLS",
			world: world{secure: true, hosts: []host{{mx: with(cert, true)}}}},
		{name: "R11 MTA-STS testing is not enough", sender: "<a@b.test> REQUIRETLS", rcpt: "550 5.7.10",
			world: world{sts: mtasts.Testing, hosts: []host{{mx: with(cert, true)}}}},
		{name: "R12 insecure MX and a good certificate is not enough", sender: "<a@b.test> REQUIRETLS", rcpt: "550 5.7.10",
			world: world{hosts: []host{{mx: with(cert, true)}}}},
		{name: "R13 TLSA records that are all unusable are not enough", sender: "<a@b.test> REQUIRETLS", rcpt: "550 5.7.10",
			world: world{secure: true, hosts: []host{{mx: with(other, true), tlsa: "unusable"}}}},
		{name: "R14 no keyword anywhere", sender: "<a@b.test> REQUIRETLS", rcpt: "550 5.7.30",
			world: world{secure: true, hosts: []host{{mx: with(other, false), tlsa: "match"}, {mx: with(other, false), tlsa: "match"}}}},
		{name: "R15 no STARTTLS anywhere", sender: "<a@b.test> REQUIRETLS", rcpt: "550 5.7.10",
			world: world{secure: true, hosts: []host{{mx: with(nil, true)}, {mx: with(nil, true)}}}},
		{name: "R16 the second host has the keyword", sender: "<a@b.test> REQUIRETLS", data: "250", by: 2, params: "REQUIRETLS",
			world: world{secure: true, hosts: []host{{mx: with(other, false), tlsa: "match"}, {mx: with(other, true), tlsa: "match"}}}},
		{name: "R17 the first is down, the second has no keyword", sender: "<a@b.test> REQUIRETLS", rcpt: "451 4.7.10",
			world: world{secure: true, hosts: []host{{}, {mx: with(other, false), tlsa: "match"}}}},
		{name: "R18 there is no relaxed mode", sender: "<a@b.test> REQUIRETLS", rcpt: "550 5.7.30",
			world: world{sts: mtasts.Enforce, hosts: []host{{mx: with(cert, false)}}}},
		{name: "R19 No, and DANE does not match", header: no, data: "250", by: 1,
			world:   world{secure: true, hosts: []host{{mx: with(other, false), tlsa: "wrong"}}},
			counted: "tlsa failed validation-failure/dane-no-match"},
		{name: "R20 No, and the handshake fails", header: no, data: "250", by: 1, clear: true,
			world: world{secure: true, hosts: []host{{mx: breaks(with(other, false)), tlsa: "match"}}}},
		{name: "R20 No, and TLS is not offered", header: no, data: "250", by: 1, clear: true,
			world: world{sts: mtasts.Enforce, hosts: []host{{mx: with(nil, false)}}}},
		{name: "No, and TLSA cannot be looked up", header: no, data: "250", by: 1,
			world: world{secure: true, hosts: []host{{mx: with(other, false), tlsa: "failed"}}}},
		{name: "No, and the host is not in the policy", header: no, data: "250", by: 1,
			world: world{sts: mtasts.Enforce, stsMX: []string{"elsewhere.test"}, hosts: []host{{mx: with(cert, false)}}}},
		{name: "R21 no, in small letters and folded", header: "tls-required:\r\n  no\r\n", data: "250", by: 1,
			world: world{secure: true, hosts: []host{{mx: with(other, false), tlsa: "wrong"}}}},
		{name: "R22 twice is ignored", header: no + no, data: "451 4.7.5",
			world: world{secure: true, hosts: []host{{mx: with(other, false), tlsa: "wrong"}}}},
		{name: "R22 Yes is ignored", header: "TLS-Required: Yes\r\n", data: "451 4.7.5",
			world: world{secure: true, hosts: []host{{mx: with(other, false), tlsa: "wrong"}}}},
		{name: "R22 in the body it is ignored", header: "X: y\r\n\r\n" + no, data: "451 4.7.5",
			world: world{secure: true, hosts: []host{{mx: with(other, false), tlsa: "wrong"}}}},
		{name: "behind a header without end it is ignored", header: strings.Repeat("X: y\r\n", maxHeader/6+1) + no, data: "451 4.7.5",
			world: world{secure: true, hosts: []host{{mx: with(other, false), tlsa: "wrong"}}}},
		{name: "R23 the parameter goes before the header", sender: "<a@b.test> REQUIRETLS", header: no, rcpt: "550 5.7.10",
			world: world{secure: true, hosts: []host{{mx: with(other, true), tlsa: "wrong"}}}},
		{name: "R24 a bounce goes without the keyword", sender: "<> REQUIRETLS", data: "250", by: 1, without: "REQUIRETLS",
			world: world{secure: true, hosts: []host{{mx: with(other, false), tlsa: "match"}}}},
		{name: "R25 No, and the server wants TLS that cannot be had", header: no, data: "530 5.7.0",
			world: world{hosts: []host{{mx: wantsTLS(with(nil, false))}}}},
		{name: "R25 No, and a server that wants TLS breaks the handshake", header: no, data: "530 5.7.0",
			world: world{secure: true, hosts: []host{{mx: wantsTLS(with(other, false)), tlsa: "match"}}}},
		{name: "R27 No, and DANE matches", header: no, data: "250", by: 1, counted: "tlsa ok",
			world: world{secure: true, hosts: []host{{mx: with(other, false), tlsa: "match"}}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t, &dialect.SMTP, inFront(cert, roots))
			b.know("example.org", row.world)
			c := b.secured(t)
			if row.sender == "" {
				row.sender = "<a@b.test>"
			}
			c.ask("MAIL FROM:"+row.sender, "250")
			if row.rcpt != "" {
				c.ask("RCPT TO:<x@example.org>", row.rcpt)
				return
			}
			c.ask("RCPT TO:<x@example.org>", "250")
			c.ask("DATA", "354")
			c.send("%s", row.header+text+".\r\n")
			c.want(row.data)
			for i, h := range row.world.hosts {
				if h.mx == nil {
					continue
				}
				got := h.mx.letters()
				if len(got) > 0 != (i+1 == row.by) {
					t.Errorf("host %d has %d messages", i+1, len(got))
				}
				if i+1 == row.by {
					if got[0].secured == row.clear || !strings.Contains(got[0].params, row.params) || row.without != "" && strings.Contains(got[0].params, row.without) {
						t.Errorf("taken: %+v", got[0])
					}
				}
			}
			if got := strings.Join(b.counted(), "; "); row.counted != "" && got != row.counted {
				t.Errorf("counted %q, want %q", got, row.counted)
			}
		})
	}
}

// wantsTLS makes a server refuse MAIL in the clear, and break handshakes.
func wantsTLS(m *mx) *mx {
	m.when(func(phase, _ string) string {
		switch phase {
		case "HANDSHAKE":
			return "close"
		case "MAIL":
			return "530 5.7.0 Must issue a STARTTLS command first"
		}
		return ""
	})
	return m
}

// TestReuse: R26, D74. A session is kept for the next message where that would open the same.
func TestReuse(t *testing.T) {
	cert, roots := selfSigned(t, "relay.test", "mx1.example.org")
	m := newMX(t, cert)
	m.requireTLS = true
	b := newBench(t, &dialect.SMTP, inFront(cert, roots))
	b.know("example.org", world{secure: true, hosts: []host{{mx: m}}})
	b.know("example.com", world{secure: true, hosts: []host{{mx: m}}})
	c := b.secured(t)
	sessions := func(want int, params, to string) {
		t.Helper()
		if rcpt, data := c.message(params, to, text); rcpt[0] != '2' || data[0] != '2' {
			t.Fatal(rcpt, data)
		}
		if got := m.count(); got != want {
			t.Errorf("%d sessions, want %d", got, want)
		}
	}
	sessions(1, "", "x@example.org")
	sessions(1, "", "y@example.org")
	sessions(2, " REQUIRETLS", "x@example.org") // R26: the one that is kept was not verified
	sessions(2, " REQUIRETLS", "y@example.org")
	sessions(3, "", "x@example.org")
	sessions(4, "", "x@example.com")                                           // D74: the same host, for another domain
	if got := strings.Join(b.counted(), "; "); strings.Count(got, "ok") != 4 { // T27
		t.Errorf("counted %q", got)
	}
	m.when(in("MAIL", "close")) // a session that has ended meanwhile is made anew, and that one fails as well
	if rcpt, _ := c.message("", "x@example.com", text); !strings.HasPrefix(rcpt, "451 4.4.2") {
		t.Error(rcpt)
	}
	m.when(nil)
	sessions(m.count()+1, "", "x@example.com")
	var once bool
	m.when(func(phase, _ string) string {
		if phase == "MAIL" && !once {
			once = true
			return "421 4.3.2 that was enough"
		}
		return ""
	})
	sessions(m.count()+1, "", "x@example.com")
	sessions(m.count(), "", "x@example.com")
}
