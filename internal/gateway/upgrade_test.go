package gateway_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"testing"
)

// eager is a connection of a client that sends its ClientHello with the upgrade, without waiting for the
// go-ahead, which is taken off what comes back.
type eager struct {
	*peer
	when timing
	err  error // what came in place of the go-ahead
}

func (e *eager) Write(b []byte) (int, error) {
	if e.when.say == nil {
		return e.wire.Write(b)
	}
	when := e.when
	e.when.say = nil
	return len(b), e.open(when, string(b))
}

func (e *eager) Read(b []byte) (int, error) {
	if e.p.acknowledged() && e.err == nil {
		answer, err := e.hear()
		if err == nil && !e.p.ready(answer) {
			err = fmt.Errorf("the upgrade is answered with %s", show(answer))
		}
		if err != nil {
			return 0, err
		}
		e.err = io.EOF // it was there
	}
	if e.buf != "" {
		n := copy(b, e.buf)
		e.buf = e.buf[n:]
		return n, nil
	}
	return e.wire.Read(b)
}

// earlyHello sends a real ClientHello behind the upgrade: it is not injected, and must not get lost.
func earlyHello(tg *target, when timing) error {
	c, err := tg.call()
	if err != nil {
		return err
	}
	defer c.Close()
	conn := tls.Client(&eager{peer: c, when: when}, credulousTLS())
	if err := conn.Handshake(); err != nil {
		return fmt.Errorf("no TLS: %w", err)
	}
	c.Conn = conn
	return c.expect(c.p.probe, "probe")
}

func TestAnEarlyClientHelloIsHeard(t *testing.T) { // CI-8
	for _, p := range protos {
		for _, when := range timings {
			t.Run("CI-8 "+p.Name+" "+when.name, func(t *testing.T) {
				t.Parallel()
				for _, tg := range targets(t, p) {
					if err := earlyHello(tg, when); err != nil {
						t.Errorf("%s: %v", tg.name, err)
					}
				}
				finds(t, earlyHello(villain(t, p, flaws{deaf: true}), when))
			})
		}
	}
}

// noUpgrade says something that is no upgrade, or one that must be refused, and then there must be no
// go-ahead.
func noUpgrade(tg *target, words string) error {
	c, err := tg.call()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.say(words); err != nil {
		return err
	}
	c.closeWrite()
	return notReady(c, c.rest())
}

// notReady checks that no go-ahead is among answers.
func notReady(c *peer, answers string) error {
	for _, line := range strings.SplitAfter(answers, "\n") {
		_, rest, _ := strings.Cut(line, " ")
		if c.p.ready(line) || c.p.Name == "imap" && strings.HasPrefix(rest, "OK ") && !strings.HasPrefix(line, "*") {
			return fmt.Errorf("a go-ahead: %s", show(answers))
		}
	}
	return nil
}

// notUpgrades are words that a lax reader takes for an upgrade.
var notUpgrades = map[string][]string{
	"CI-11 imap": {
		"a* STARTTLS\r\n", "\"a\" STARTTLS\r\n", "+ STARTTLS\r\n", "* STARTTLS\r\n",
		strings.Repeat("a", 10<<10) + " STARTTLS\r\n", "{5} STARTTLS\r\n", "{5+}\r\na STA STARTTLS\r\n",
		"u UID STARTTLS\r\n", "u STARTTLS \r\n", "u\tSTARTTLS\r\n", "u  STARTTLS\r\n", " u STARTTLS\r\n",
		"u STARTTLS now\r\n", "u STARTTLS\n", "u STARTTLS\x00\r\n", "STARTTLS\r\n", "u STARTTLS {3+}\r\nabc\r\n",
		"u STARTTLS\r\r\n", "\x00u STARTTLS\r\n", "ü STARTTLS\r\n", "u STARTTLſ\r\n",
	},
	"CI-12 smtp": {
		"STARTTLS junk\r\n", "STARTTLSX\r\n", "STARTTLSX junk\r\n", "STARTTLS\n", "STARTTLS\x00\r\n",
		" STARTTLS\r\n", "XSTARTTLS\r\n", "STARTTLS\r\r\n", "STARTTLſ\r\n",
	},
	"CI-12 lmtp": {"STARTTLS junk\r\n", "STARTTLS\n", "STARTTLS\x00\r\n"},
	"CI-12 pop3": {
		"STLS now\r\n", "STLSX\r\n", "STLS\n", "STLS\x00\r\n", " STLS\r\n", "\x00STLS\r\n", "STLſ\r\n",
	},
}

func TestWhatIsNoUpgradeIsNone(t *testing.T) { // CI-11, CI-12
	for row, all := range notUpgrades {
		p := only(row[len("CI-11 "):])
		t.Run(row, func(t *testing.T) {
			t.Parallel()
			for _, words := range all {
				for _, tg := range targets(t, p) {
					if err := noUpgrade(tg, words); err != nil {
						t.Errorf("%s, on %s: %v", tg.name, show(words), err)
					}
				}
			}
			finds(t, noUpgrade(villain(t, p, flaws{lax: true}), all[0]))
		})
	}
}

// TestLegalFormsOfTheUpgrade: the verb in lower case is an upgrade, and so is one with trailing blanks
// where servers must bear them (RFC 5321 §4.1.1).
func TestLegalFormsOfTheUpgrade(t *testing.T) {
	for p, all := range map[*proto][]string{
		only("smtp"): {"starttls\r\n", "StartTLS \t\r\n"},
		only("imap"): {"u starttls\r\n"},
		only("pop3"): {"stls\r\n"},
	} {
		for _, tg := range targets(t, p) {
			for _, words := range all {
				c, err := tg.call()
				must(t, err)
				answer, err := c.ask(words)
				if err != nil || !p.ready(answer) {
					t.Errorf("%s: %s is answered with %s, %v", tg.name, show(words), show(answer), err)
				}
				c.Close()
			}
		}
	}
}

// inside begins TLS in the honest way.
func (tg *target) inside() (*peer, error) {
	c, err := tg.call()
	if err != nil {
		return nil, err
	}
	return c, c.honestly()
}

func (c *peer) honestly() error {
	if err := c.open(together, ""); err != nil {
		return err
	}
	if c.p.acknowledged() {
		answer, err := c.hear()
		if err != nil || !c.p.ready(answer) {
			return fmt.Errorf("no go-ahead but %s, %v", show(answer), err)
		}
	}
	return c.shake(credulousTLS())
}

// again is the answer to an upgrade inside TLS.
var again = map[string]string{
	"smtp": "503 5.5.1", "lmtp": "503 5.5.1", "imap": "u BAD", "pop3": "-ERR", "ldap": "\x0a\x01\x01",
	"postgres": "C08P01\x00", "mysql": "\xff\x13\x04",
}

// secondUpgrade asks for TLS inside TLS. Nor may it be offered there (RFC 3207 §4.2).
func secondUpgrade(tg *target) error {
	c, err := tg.inside()
	if err != nil {
		return err
	}
	defer c.Close()
	if p := c.p; p.hello != "" && p.Name != "ldap" {
		if answer, err := c.ask(p.hello); err != nil || strings.Contains(answer, p.offer) {
			return fmt.Errorf("%s is answered with %s, %v", show(p.hello), show(answer), err)
		}
	}
	words := c.p.again
	if words == "" {
		words = c.p.upgrade
	}
	return c.expect(words, again[c.p.Name])
}

func TestNoTLSInsideTLS(t *testing.T) { // CI-13
	for _, p := range protos {
		t.Run("CI-13 "+p.Name, func(t *testing.T) {
			t.Parallel()
			for level := range levels {
				if err := secondUpgrade(gatewayTarget(t, p, level)); err != nil {
					t.Errorf("%s: %v", level, err)
				}
			}
			finds(t, secondUpgrade(villain(t, p, flaws{again: true})))
		})
	}
}

// alertOnly fails the handshake with garbage in place of a ClientHello, after the go-ahead, and checks
// that nothing is written from then on but the alert, and nothing served.
func alertOnly(tg *target, garbage string) error {
	c, err := tg.call()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.open(together, ""); err != nil {
		return err
	}
	if c.p.acknowledged() {
		if answer, err := c.hear(); err != nil || !c.p.ready(answer) {
			return fmt.Errorf("no go-ahead but %s, %v", show(answer), err)
		}
	}
	if err := c.say(garbage); err != nil {
		return err
	}
	c.wire.CloseWrite()
	if err := onlyTLS(c.rest(), true); err != nil {
		return err
	}
	return unseen(tg, tg.p.hello)
}

func TestNothingButAnAlertAfterAFailedHandshake(t *testing.T) { // CI-19, G-3
	for _, p := range protos {
		for name, garbage := range map[string]string{
			"CI-19 the protocol in the clear": p.work,
			"G-3 garbage":                     "\x16\x03\x01\x00\x05evil!",
			"G-3 an alert":                    "\x15\x03\x01\x00\x02\x02\x28",
			"G-3 TLS 1.0":                     "\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x01" + strings.Repeat("r", 32) + "\x00\x00\x04\x00\x2f\x00\x35\x01\x00",
			"G-2 nothing":                     "",
		} {
			t.Run(name+" "+p.Name, func(t *testing.T) {
				t.Parallel()
				for _, tg := range targets(t, p) {
					if err := alertOnly(tg, garbage); err != nil {
						t.Errorf("%s: %v", tg.name, err)
					}
				}
				finds(t, alertOnly(villain(t, p, flaws{chatty: true}), garbage))
				if garbage != "" {
					finds(t, alertOnly(villain(t, p, flaws{falls: true}), garbage))
				}
			})
		}
	}
}
