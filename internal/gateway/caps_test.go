package gateway_test

import (
	"fmt"
	"strings"
	"testing"

	"starttls/internal/gateway"
)

// A list is what a server says of itself, and what of it a client must see, in capitals.
type list struct {
	name, proto       string
	greeting          string   // if not the usual one
	asks, says        string   // where the list is
	clear, inside     []string // must be there
	notClear, notHere []string // must not: in the clear, inside TLS
	notEncrypt        []string // must not be in the clear where TLS is demanded
}

var lists = []list{
	{
		name: "G-4", proto: "smtp", asks: "EHLO x\r\n",
		says:       "250-mx.test\r\n250-starttls\r\n250-STARTTLS\r\n250-REQUIRETLS\r\n250-AUTH SCRAM-SHA-1-PLUS PLAIN\r\n250 SIZE 10\r\n",
		clear:      []string{"250-STARTTLS", "250 SIZE 10"},
		inside:     []string{"250-REQUIRETLS", "250-AUTH PLAIN", "250 SIZE 10"},
		notClear:   []string{"REQUIRETLS"},
		notHere:    []string{"STARTTLS", "-PLUS"},
		notEncrypt: []string{"AUTH"},
	},
	{
		name: "G-5 the offer last", proto: "smtp", asks: "EHLO x\r\n",
		says:   "250-mx.test\r\n250-SIZE 10\r\n250 STARTTLS\r\n",
		clear:  []string{"STARTTLS", "SIZE 10"},
		inside: []string{"250 SIZE 10"}, notHere: []string{"STARTTLS"},
	},
	{
		name: "G-5 nothing but the offer", proto: "lmtp", asks: "LHLO x\r\n",
		says:   "250-mx.test\r\n250 STARTTLS\r\n",
		clear:  []string{"250 STARTTLS"},
		inside: []string{"250 MX.TEST"}, notHere: []string{"STARTTLS"},
	},
	{
		name: "G-4", proto: "imap", asks: "x CAPABILITY\r\n",
		says:       "* CAPABILITY IMAP4rev1 starttls STARTTLS LOGINDISABLED AUTH=SCRAM-SHA-1-PLUS AUTH=PLAIN IDLE\r\nx OK\r\n",
		clear:      []string{" STARTTLS", "IDLE"},
		inside:     []string{"AUTH=PLAIN", "IDLE"},
		notHere:    []string{"STARTTLS", "-PLUS"},
		notEncrypt: []string{"AUTH="},
	},
	{
		name: "G-5 in the greeting", proto: "imap", asks: "x NOOP\r\n", says: "x OK\r\n",
		greeting:   "* OK [capability IMAP4rev1 StartTLS STARTTLS AUTH=PLAIN] hi\r\n",
		clear:      []string{" STARTTLS", "]"},
		notEncrypt: []string{"AUTH="},
		notHere:    []string{"STARTTLS"},
	},
	{
		name: "G-5 unasked", proto: "imap", asks: "x NOOP\r\n",
		says:    "* CAPABILITY IMAP4rev1 STARTTLS IDLE\r\nx OK\r\n",
		inside:  []string{"IDLE"},
		notHere: []string{"STARTTLS"},
	},
	{
		name: "G-5 behind OK", proto: "imap", asks: "x NOOP\r\n",
		says:    "x OK [CAPABILITY IMAP4rev1 STARTTLS IDLE] done\r\n",
		inside:  []string{"IDLE"},
		notHere: []string{"STARTTLS"},
	},
	{
		name: "G-4", proto: "pop3", asks: "CAPA\r\n",
		says:     "+OK Capability\r\nSTLS\r\nstls\r\nSASL SCRAM-SHA-1-PLUS PLAIN\r\nUSER\r\nTOP\r\n.\r\n",
		clear:    []string{"STLS", "TOP\r\n.\r\n"},
		inside:   []string{"SASL PLAIN", "USER", "TOP\r\n.\r\n"},
		notHere:  []string{"STLS", "-PLUS"},
		notClear: nil, notEncrypt: []string{"USER", "SASL"},
	},
}

// TestListsAreEdited: in the clear TLS is offered once, and inside it not at all; what is for the other
// side of TLS only is not seen on this one (G-4, G-5).
func TestListsAreEdited(t *testing.T) {
	for _, row := range lists {
		for _, level := range []string{"may", "encrypt"} {
			t.Run(row.name+" "+row.proto+" "+level, func(t *testing.T) {
				t.Parallel()
				testList(t, row, level)
			})
		}
	}
}

func testList(t *testing.T, row list, level string) {
	p := *only(row.proto)
	if row.greeting != "" {
		p.greeting = row.greeting
	}
	p.polite = func() func(string) string {
		answer := only(row.proto).polite()
		return func(request string) string {
			if request == row.asks {
				return row.says
			}
			return answer(request)
		}
	}
	g := start(t, &p, levels[level], func(r *gateway.Route) { r.Back.Early = true })
	must(t, listed(g.addr, &p, row, level))
	finds(t, listed(villain(t, &p, flaws{}).addr, &p, row, level))
}

func listed(addr string, p *proto, row list, level string) error {
	c, err := call(addr, p)
	if err != nil {
		return err
	}
	defer c.Close()
	greeting, _ := c.hear()
	answer, err := c.ask(row.asks)
	if err != nil {
		return err
	}
	clear := strings.ToUpper(greeting + answer)
	offer := strings.TrimSpace(p.upgrade[strings.IndexByte(p.upgrade, ' ')+1:])
	if n := strings.Count(clear, offer); n != 1 {
		return fmt.Errorf("%d offers in %s", n, show(clear))
	}
	if err := wants(clear, row.clear, row.notClear); err != nil {
		return err
	}
	if level == "encrypt" {
		if err := wants(clear, nil, row.notEncrypt); err != nil {
			return err
		}
	}
	if ready, err := c.ask(p.upgrade); err != nil || !p.ready(ready) {
		return fmt.Errorf("no go-ahead but %s, %v", show(ready), err)
	}
	if err := c.shake(credulousTLS()); err != nil {
		return err
	}
	if answer, err = c.ask(row.asks); err != nil {
		return err
	}
	return wants(strings.ToUpper(answer), row.inside, row.notHere)
}

func wants(said string, all, none []string) error {
	for _, want := range all {
		if !strings.Contains(said, want) {
			return fmt.Errorf("no %s in %s", show(want), show(said))
		}
	}
	for _, bad := range none {
		if strings.Contains(said, bad) {
			return fmt.Errorf("%s in %s", show(bad), show(said))
		}
	}
	return nil
}

// TestTheServersSaltIsHeard: what a login needs of the greeting is the server's, at every level.
func TestTheServersSaltIsHeard(t *testing.T) {
	for level, edit := range levels {
		for p, salt := range map[*proto]string{mysql: "saltsaltsalt", pop3: "<1@pop.test>"} {
			c, err := call(start(t, p, edit).addr, p)
			must(t, err)
			if greeting, err := c.hear(); err != nil || !strings.Contains(greeting, salt) {
				t.Errorf("%s %s: no %s in %s, %v", p.Name, level, salt, show(greeting), err)
			}
		}
	}
}
