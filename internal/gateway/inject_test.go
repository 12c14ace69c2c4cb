package gateway_test

import (
	"fmt"
	"strings"
	"testing"
)

// A timing is how the bytes behind an upgrade arrive.
type timing struct {
	name string
	say  func(c *peer, upgrade, payload string)
}

var (
	together  = timing{"same segment", func(c *peer, upgrade, payload string) { c.say(upgrade + payload) }}
	apart     = timing{"second segment", func(c *peer, upgrade, payload string) { c.say(upgrade); c.say(payload) }} // CI-9
	dripping  = timing{"byte by byte", func(c *peer, upgrade, payload string) { drip(c, upgrade+payload) }}
	pipelined = timing{"CI-10 all in one segment", together.say} // with what comes before the upgrade
	timings   = []timing{together, apart, dripping, pipelined}
)

func drip(c *peer, s string) {
	for _, b := range []byte(s) {
		c.say(string([]byte{b}))
	}
}

// open says what comes before the upgrade, and the upgrade with payload behind it.
func (c *peer) open(when timing, payload string) error {
	if when.name == pipelined.name {
		when.say(c, c.p.hello+c.p.upgrade, payload)
	} else if c.p.hello != "" {
		c.say(c.p.hello)
	}
	if c.p.hello != "" {
		if _, err := c.hear(); err != nil {
			return err
		}
	}
	if when.name != pipelined.name {
		when.say(c, c.p.upgrade, payload)
	}
	return nil
}

// evil is in every payload that is long enough.
const evil = "evil"

// injection says payload in the clear behind the upgrade, and finds out whether anybody takes it for
// more than noise: it must never be answered, in the clear or inside TLS, and must not come through.
func injection(tg *target, when timing, payload string) error {
	c, err := tg.call()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.open(when, payload); err != nil {
		return err
	}
	if err := behind(c); err != nil {
		return err
	}
	c.Close()
	if tg.injected != nil {
		n := 1
		if when.name == together.name || when.name == pipelined.name {
			n = len(payload)
		}
		if err := tg.injected(n); err != nil {
			return err
		}
	}
	return unseen(tg, tg.p.hello)
}

// behind hears the go-ahead, and then there must be TLS or nothing.
func behind(c *peer) error {
	if c.p.acknowledged() {
		answer, err := c.hear()
		if isTimeout(err) {
			return err
		} else if err != nil {
			return nil // closed at once
		}
		if !c.p.ready(answer) {
			return fmt.Errorf("the upgrade is answered with %s", show(answer))
		}
	}
	before := len(c.wire.all()) - len(c.buf)
	err := c.shake(credulousTLS())
	if err != nil {
		if isTimeout(err) {
			return fmt.Errorf("the handshake hangs: %w", err)
		}
		c.Conn = c.wire
		c.rest()
		return onlyTLS(c.wire.all()[before:], true)
	}
	if answer, err := c.ask(c.p.probe); err != nil || answer != c.p.polite()(c.p.probe) {
		return fmt.Errorf("inside TLS, %s is answered with %s, %v", show(c.p.probe), show(answer), err)
	}
	c.closeWrite()
	if late := c.rest(); late != "" {
		return fmt.Errorf("inside TLS and late: %s", show(late))
	}
	return nil
}

// unseen checks that who executes commands has heard what was said before the upgrade at most, and
// besides it nothing but goodbyes.
func unseen(tg *target, before string) error {
	seen := tg.seen()
	rest := strings.TrimPrefix(seen, before)
	if rest != "" && (len(rest) > len(tg.p.bye)+5 || !strings.HasSuffix(rest, tg.p.bye)) {
		return fmt.Errorf("the server behind has heard %s", show(seen))
	}
	return nil
}

// injections are the payloads of the attack table.
var injections = []struct {
	name    string // with its number
	protos  []*proto
	payload string
}{
	{"CI-1", named("imap"), "evil NOOP\r\n"},
	{"CI-2", named("pop3"), "CAPA\r\n"},
	{"CI-2 a name", named("pop3"), "USER evil\r\n"},
	{"CI-3", named("smtp"), "EHLO evil\r\n"},
	{"CI-3 HELO", named("smtp"), "HELO evil\r\n"},
	{"CI-5", named("smtp"), "RSET\r\nMAIL FROM:<evil@x>\r\nRCPT TO:<evil@x>\r\nDATA\r\n"},
	{"CI-6 a fragment", textual, "XYZ"},
	{"CI-7 LF", textual, "\n"},
	{"CI-7 CR", textual, "\r"},
	{"CI-7 CRLF", textual, "\r\n"},
	{"CI-7 space", textual, " "},
	{"CI-7 NUL", protos, "\x00"},
	{"CI-17 bind", named("ldap"), ldapBind(3, evil)},
	{"CI-17 search", named("ldap"), ldapSearch(3, evil, "cn")},
	{"CI-18", named("postgres"), pgStartup(evil) + pgMessage('Q', "SELECT 'evil'\x00")},
	{"CI-20 SSLRequest again", named("postgres"), pgSSLRequest},
	{"CI-20 SSL then GSS", named("postgres"), pgGSSRequest},
	{"CI-20 CancelRequest", named("postgres"), pgCancel},
	{"CI-21", named("mysql"), mysqlLogin(2, mysqlSecure, evil)},
	{"CI-21 numbered as without TLS", named("mysql"), mysqlLogin(1, mysqlClear, evil)},
	{"CI-25", named("lmtp"), "LHLO evil\r\n"},
	{"CI-25 NOOP", named("lmtp"), "NOOP\r\n"},
}

var textual = named("smtp", "lmtp", "imap", "pop3")

// TestNothingBehindTheUpgradeIsRead is the heart of the matter: CI-1 to CI-7, CI-9, CI-10, CI-17, CI-18,
// CI-20, CI-21, CI-25.
func TestNothingBehindTheUpgradeIsRead(t *testing.T) {
	for _, row := range injections {
		for _, p := range row.protos {
			for _, when := range timings {
				t.Run(row.name+" "+p.Name+" "+when.name, func(t *testing.T) {
					t.Parallel()
					for _, tg := range targets(t, p) {
						if err := injection(tg, when, row.payload); err != nil {
							t.Errorf("%s: %v", tg.name, err)
						}
					}
					finds(t, injection(villain(t, p, flaws{executes: true}), when, row.payload))
				})
			}
		}
	}
}
