package gateway_test

import (
	"fmt"
	"strings"
	"testing"

	"starttls/internal/gateway"
)

// An exchange is what a client says and what must be found in the answer.
type exchange struct{ say, want string }

// follow runs exchanges.
func (c *peer) follow(all ...exchange) error {
	for _, e := range all {
		if err := c.expect(e.say, e.want); err != nil {
			return err
		}
	}
	return nil
}

// offering is a polite server that offers TLS of its own, and has none.
func offering(p *proto) *proto {
	q := *p
	q.polite = func() func(string) string {
		answer := p.polite()
		return func(request string) string {
			said := answer(request)
			said = strings.Replace(said, "250-PIPELINING", "250-STARTTLS\r\n250-PIPELINING", 1)
			said = strings.Replace(said, "IMAP4rev1", "IMAP4rev1 STARTTLS", 1)
			return strings.Replace(said, "TOP\r\n", "STLS\r\nTOP\r\n", 1)
		}
	}
	return &q
}

// forgets begins a mail in the clear, and then TLS: of the mail, the name and the login nothing may be
// left (RFC 3207 §4.2).
func forgets(tg *target) error {
	c, err := tg.call()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.follow(exchange{c.p.hello, "250"}, exchange{"MAIL FROM:<evil@x>\r\n", "250"}); err != nil {
		return err
	}
	answer, err := c.ask(c.p.upgrade)
	if err != nil || !c.p.ready(answer) {
		return err // it stays in the clear
	}
	if err := c.shake(credulousTLS()); err != nil {
		return err
	}
	return c.follow(exchange{"RCPT TO:<evil@x>\r\n", "503"}, exchange{"AUTH PLAIN x\r\n", "503"}, exchange{c.p.probe, "250"})
}

func TestAMailBegunInTheClearIsForgotten(t *testing.T) { // CI-14
	for _, p := range named("smtp", "lmtp") {
		t.Run("CI-14 "+p.Name, func(t *testing.T) {
			must(t, forgets(gatewayTarget(t, p, "may")))
			b := newBackend(t, offering(p))
			must(t, forgets(&target{p: p, addr: start(t, p, to(b)).addr}))
			finds(t, forgets(villain(t, p, flaws{})))
		})
	}
}

// refusesInState gets a session into a state, and asks for TLS there.
func refusesInState(tg *target, way []exchange) error {
	c, err := tg.call()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.follow(way...); err != nil {
		return err
	}
	answer, err := c.ask(c.p.upgrade)
	if err == nil && c.p.ready(answer) {
		err = fmt.Errorf("in that state, the upgrade is answered with %s", show(answer))
	}
	return err
}

var badStates = []struct {
	name, proto string
	way         []exchange
}{
	{"CI-15 AUTHENTICATE half done", "imap", []exchange{{"a AUTHENTICATE PLAIN\r\n", "+"}}},
	{"CI-15 a literal half said", "imap", []exchange{{"a AUTHENTICATE {5}\r\n", "+"}}},
	{"CI-15 USER without PASS", "pop3", []exchange{{"USER evil\r\n", "+OK"}}},
	{"CI-16 logged in", "imap", []exchange{{"a LOGIN evil evil\r\n", "OK"}}},
	{"CI-16 logged in, capabilities known", "imap", []exchange{{"h CAPABILITY\r\n", "OK"}, {"a LOGIN evil evil\r\n", "OK"}}},
	{"CI-16 logged in", "pop3", []exchange{{"USER evil\r\n", "+OK"}, {"PASS evil\r\n", "+OK"}}},
}

func TestNoTLSInTheMiddleOfALogin(t *testing.T) { // CI-15, CI-16
	for _, row := range badStates {
		t.Run(row.name+" "+row.proto, func(t *testing.T) {
			p := only(row.proto)
			must(t, refusesInState(gatewayTarget(t, p, "may"), row.way))
			b := newBackend(t, offering(p))
			must(t, refusesInState(&target{p: p, addr: start(t, p, to(b)).addr}, row.way))
			finds(t, refusesInState(villain(t, p, flaws{}), row.way))
		})
	}
}

// TestPostgresOpenings: each packet of the opening has one defined answer (CI-20).
func TestPostgresOpenings(t *testing.T) {
	for name, row := range map[string]struct {
		edit  func(*gateway.Route)
		says  []exchange
		after string // what the server hears
	}{
		"CI-20 GSS then SSL":           {says: []exchange{{pgGSSRequest, "N"}, {pgSSLRequest, "S"}}, after: pgGSSRequest},
		"CI-20 GSS where TLS must be":  {edit: frontEncrypt, says: []exchange{{pgGSSRequest, "N"}, {pgSSLRequest, "S"}}},
		"CI-20 GSS twice":              {edit: frontEncrypt, says: []exchange{{pgGSSRequest, "N"}, {pgGSSRequest, "C08P01"}}},
		"CI-20 SSL twice, no TLS here": {edit: frontNone, says: []exchange{{pgSSLRequest, "N"}, {pgSSLRequest, "C08P01"}}},
		"CI-20 startup, TLS demanded":  {edit: frontEncrypt, says: []exchange{{pgStartup(evil), "C28000"}}},
		"CI-20 startup, TLS optional":  {says: []exchange{{pgStartup(evil), evil}}, after: pgStartup(evil)},
		"CI-20 1+7 bytes":              {says: []exchange{{"\x00", ""}, {pgSSLRequest[1:], "S"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if row.edit == nil {
				row.edit = levels["may"]
			}
			g := start(t, postgres, row.edit)
			c, err := call(g.addr, postgres)
			must(t, err)
			for _, e := range row.says {
				if e.want == "" {
					must(t, c.say(e.say))
					continue
				}
				must(t, c.expect(e.say, e.want))
			}
			c.Close()
			if _, err := g.ended(); err != nil {
				t.Fatal(err)
			}
			if seen := g.backend.seen(); strings.TrimSuffix(seen, pgMessage('X', "")) != row.after {
				t.Errorf("the server has heard %s", show(seen))
			}
		})
	}
}

// TestPostgresCancelPasses: a CancelRequest has no answer and no name; libpq before version 17 never
// sends it through TLS. It passes in the clear and inside TLS.
func TestPostgresCancelPasses(t *testing.T) {
	for name, edit := range map[string]func(*gateway.Route){"may": levels["may"], "encrypt": frontEncrypt, "none": frontNone} {
		for _, secure := range []bool{false, name != "none"} {
			g := start(t, postgres, edit)
			c, err := call(g.addr, postgres)
			must(t, err)
			if secure {
				must(t, c.honestly())
			}
			must(t, c.say(pgCancel))
			g.backend.next(t)
			c.closeWrite()
			if got := g.backend.seen(); got != pgCancel {
				t.Errorf("%s: the server has heard %s", name, show(got))
			}
			c.Close()
		}
	}
}

// TestMySQLOpenings: CI-21, an SSLRequest of the wrong length or number is neither an upgrade nor a login.
func TestMySQLOpenings(t *testing.T) {
	body := mysql.upgrade[4:]
	for name, words := range map[string]string{
		"CI-21 too long":      mysqlPacket(1, body+"\x00"),
		"CI-21 too short":     mysqlPacket(1, body[:31]),
		"CI-21 wrong number":  mysqlPacket(2, body),
		"CI-21 a login":       mysqlLogin(1, mysqlSecure, evil),
		"CI-21 nothing":       mysqlPacket(1, ""),
		"CI-21 16 megabytes":  "\xff\xff\xff\x01",
		"CI-21 a command":     mysqlPacket(0, "\x03SELECT 1"),
		"CI-21 a ClientHello": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for level := range levels {
				tg := gatewayTarget(t, mysql, level)
				c, err := tg.call()
				must(t, err)
				c.say(words)
				c.closeWrite()
				if answers := c.rest(); strings.Contains(answers, evil) || strings.Contains(answers, "\x00\x00\x02\x00\x00\x00") {
					t.Errorf("answered with %s", show(answers))
				}
				must(t, unseen(tg, ""))
			}
		})
	}
}

// TestLDAPWaitsForItsAnswers: StartTLS is not begun while another operation is outstanding (RFC 4511
// §4.14.1, CI-17).
func TestLDAPWaitsForItsAnswers(t *testing.T) {
	for level, edit := range levels {
		release := make(chan struct{})
		b := scripted(t, ldap, func(c *peer) {
			c.heard()
			<-release
			c.say(ldap.polite()(ldap.hello))
			serveOn(c, ldap.polite())
		})
		g := start(t, ldap, edit, to(b))
		c, err := call(g.addr, ldap)
		must(t, err)
		must(t, c.say(ldap.hello+ldap.upgrade))
		b.next(t)
		if said := c.wire.all(); said != "" {
			t.Errorf("%s: StartTLS is answered before the search, with %s", level, show(said))
		}
		close(release)
		answer, err := c.hear()
		if err != nil || !strings.Contains(answer, startTLSOID) {
			t.Errorf("%s: the search is answered with %s, %v", level, show(answer), err)
		}
		if answer, err = c.hear(); err != nil || !ldap.ready(answer) {
			t.Errorf("%s: no go-ahead but %s, %v", level, show(answer), err)
		}
		c.Close()
	}
}
