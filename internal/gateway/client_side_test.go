package gateway_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"starttls"
)

// A crook is a hostile server. Its script is what it says, one segment a line, but for these words:
//
//	<      hear a message
//	...    hear something
//	drip:  say the rest byte by byte
//	tls    shake hands, and be polite inside
//
// In what it says in IMAP, $ stands for the tag of the last message. At its end it listens on in silence.
type crook struct {
	name   string
	proto  string
	script []string
	want   []error // one of them, of starttls.Client. If nil, TLS begins and what was said before is forgotten
	may    bool    // the server has said that it has no TLS: where TLS is optional, it goes on in the clear
}

// A heist is a crook at work.
type heist struct {
	*backend
	inside atomic.Bool // TLS has begun
}

func (row crook) run(t testing.TB, p *proto, cert tls.Certificate, polite bool) *heist {
	h := &heist{}
	h.backend = scripted(t, p, func(c *peer) {
		for _, line := range row.script {
			h.step(c, line, cert)
		}
		if h.inside.Load() || polite {
			serveOn(c, p.polite())
			return
		}
		c.rest()
	})
	return h
}

func (h *heist) step(c *peer, line string, cert tls.Certificate) {
	switch {
	case line == "<":
		request, _ := c.heard()
		c.tag, _, _ = strings.Cut(request, " ")
	case line == "...":
		c.take(func(buf string) int { return len(buf) })
	case line == "tls":
		conn := tls.Server(&spilled{Conn: c.wire, rest: c.buf}, &tls.Config{Certificates: []tls.Certificate{cert}})
		if c.buf = ""; conn.Handshake() == nil {
			c.Conn = conn
			h.inside.Store(true)
		}
	case strings.HasPrefix(line, "drip:"):
		drip(c, line[len("drip:"):])
	case c.p == imap:
		c.say(strings.ReplaceAll(line, "$", c.tag))
	default:
		c.say(line)
	}
}

// A mark is a client that is put to the test on a crook. It says the protocol's work in the end, inside
// TLS. heard is what it takes for the server's words after that.
type mark struct {
	name string
	run  func(addr string, p *proto, timeout time.Duration) (heard string, err error)
	// fails says how a failed session must look.
	fails func(p *proto, heard string, err error, want []error) error
	work  func(p *proto) string
}

// hasty is how long a silent server is waited for.
const hasty = 500 * time.Millisecond

func (row crook) timeout() time.Duration {
	if slices.Contains(row.want, context.DeadlineExceeded) {
		return hasty
	}
	return patience
}

// libraryMark is starttls.Client.
var libraryMark = mark{
	name: "library",
	work: func(p *proto) string { return p.probe },
	run: func(addr string, p *proto, timeout time.Duration) (string, error) {
		c, err := call(addr, p)
		if err != nil {
			return "", err
		}
		defer c.Close()
		conn, err := starttls.Client(bg, c.wire.Conn, p.Dialect, &starttls.Config{TLS: clientTLS(), Timeout: timeout})
		if err != nil {
			return "", err
		}
		c.Conn = conn
		return c.ask(p.probe)
	},
	fails: func(_ *proto, _ string, err error, want []error) error {
		for _, w := range want {
			if errors.Is(err, w) {
				return nil
			}
		}
		return fmt.Errorf("the error is %v, and none of %v", err, want)
	},
}

// gatewayMark is the gateway's back leg, for a client in the clear.
func gatewayMark(t testing.TB, level starttls.Level) mark {
	return mark{
		name: "gateway " + level.String(),
		work: func(p *proto) string { return p.work },
		run: func(addr string, p *proto, timeout time.Duration) (heard string, err error) {
			g := start(t, p, frontNone, backTo(addr, level), within(4*timeout))
			c, err := call(g.addr, p)
			if err != nil {
				return "", err
			}
			defer c.Close()
			if p.serverFirst() {
				heard, err = c.hear()
			}
			if err == nil && !strings.Contains(heard, p.sorry) {
				if strings.Contains(heard, evil) {
					return heard, errors.New("the client hears this for a greeting")
				}
				heard, err = c.ask(p.work)
			}
			c.closeWrite()
			return heard + c.rest(), err
		},
		fails: func(p *proto, heard string, _ error, _ []error) error {
			if !strings.Contains(heard, p.sorry) || strings.Contains(heard, evil) {
				return fmt.Errorf("the client hears %s", show(heard))
			}
			return nil
		},
	}
}

// dupe is a villain: a client that answers to whatever it hears, takes words in the clear for words
// inside TLS, believes every certificate, and goes on in the clear when there is no TLS.
var dupe = mark{
	name: "villain",
	work: libraryMark.work,
	run: func(addr string, p *proto, _ time.Duration) (string, error) {
		c, err := call(addr, p)
		if err != nil {
			return "", err
		}
		defer c.Close()
		wait := func() { c.SetDeadline(time.Now().Add(hasty)) }
		if wait(); p.serverFirst() {
			c.hear()
		}
		if wait(); p.hello != "" && p != ldap {
			c.ask(p.hello)
		}
		wait()
		c.say(p.upgrade)
		answer, ready := "", p.ready
		if ready == nil {
			ready = func(string) bool { return true }
		} else {
			answer, _ = c.hear()
		}
		wait()
		kept := c.buf
		c.buf = ""
		if !ready(answer) || c.shake(credulousTLS()) != nil {
			wait()
			c.wire.Write([]byte(p.work))
			c.wire.CloseWrite()
			return c.rest(), nil
		}
		c.buf = kept
		answer, err = c.ask(p.probe)
		return c.wire.all()[:4] + answer, err // of the words in the clear, some are remembered
	},
	fails: func(_ *proto, _ string, err error, want []error) error { return nil },
}

// lawful finds what may be said in the clear where TLS is demanded.
var lawful = map[string]func(string) bool{
	"smtp":     regexp.MustCompile(`^(EHLO [\w.]+\r\n(STARTTLS\r\n)?)?(QUIT\r\n)?$`).MatchString,
	"lmtp":     regexp.MustCompile(`^(LHLO [\w.]+\r\n(STARTTLS\r\n)?)?(QUIT\r\n)?$`).MatchString,
	"imap":     regexp.MustCompile(`^(\w+ CAPABILITY\r\n)?(\w+ STARTTLS\r\n)?(\w+ LOGOUT\r\n)?$`).MatchString,
	"pop3":     regexp.MustCompile(`^(CAPA\r\n(STLS\r\n)?)?(QUIT\r\n)?$`).MatchString,
	"ldap":     regexp.MustCompile(`(?s)^(0\x1d\x02\x01.w.{25}(0\x05\x02\x01.B\x00)?)?$`).MatchString,
	"postgres": func(s string) bool { return s == "" || s == pgSSLRequest },
	"mysql":    func(s string) bool { return s == "" || len(s) == len(mysql.upgrade) },
}

// inClear returns what was heard but for the records of TLS.
func inClear(heard string) string {
	clear, rest, begun := strings.Cut(heard, "\x16\x03")
	if !begun {
		return heard
	}
	for rest = "\x16\x03" + rest; onlyTLS(rest[:min(2, len(rest))], false) == nil && len(rest) > 5; {
		rest = rest[min(len(rest), 5+int(rest[3])<<8+int(rest[4])):]
	}
	return clear + rest
}

// rob runs a crook on a mark: no secret and no command may be said in the clear, and no word of the
// crook may be taken for one that was said inside TLS.
func rob(t testing.TB, row crook, m mark) error {
	return robWith(t, row, m, good())
}

func robWith(t testing.TB, row crook, m mark, cert tls.Certificate) error {
	p := only(row.proto)
	h := row.run(t, p, cert, false)
	heard, err := m.run(h.addr, p, row.timeout())
	h.mu.Lock()
	h.dialed = 1
	h.mu.Unlock()
	clear := inClear(h.seen())
	if !lawful[p.Name](clear) {
		return fmt.Errorf("in the clear is said %s", show(clear))
	}
	if row.want != nil {
		if err == nil && m.name == "library" || h.inside.Load() && m.name == "villain" {
			return fmt.Errorf("TLS has begun, and the server's words are %s", show(heard))
		}
		return m.fails(p, heard, err, row.want)
	}
	if want := p.polite()(m.work(p)); err != nil || heard != want {
		return fmt.Errorf("the server's words inside TLS are %s and not %s, %v", show(heard), show(want), err)
	}
	return nil
}

func TestHostileServers(t *testing.T) {
	for _, row := range crooks() {
		t.Run(row.name+" "+row.proto, func(t *testing.T) {
			t.Parallel()
			for _, m := range []mark{libraryMark, gatewayMark(t, starttls.Encrypt), gatewayMark(t, starttls.Secure)} {
				if err := rob(t, row, m); err != nil {
					t.Errorf("%s: %v", m.name, err)
				}
			}
			finds(t, rob(t, row, dupe))
		})
	}
}

// TestMayGoesOnInTheClear only where the server has said, in its protocol, that it has no TLS.
func TestMayGoesOnInTheClear(t *testing.T) {
	for _, row := range crooks() {
		if row.want == nil {
			continue
		}
		t.Run(row.name+" "+row.proto, func(t *testing.T) {
			t.Parallel()
			p, m := only(row.proto), gatewayMark(t, starttls.May)
			h := row.run(t, p, good(), row.may)
			heard, err := m.run(h.addr, p, row.timeout())
			h.mu.Lock()
			h.dialed = 1
			h.mu.Unlock()
			seen := h.seen()
			if row.may != strings.Contains(seen, p.work) {
				t.Errorf("the server has heard %s", show(seen))
			}
			if answer := p.polite()(p.work); row.may && (err != nil || heard != answer) {
				t.Errorf("the client heard %s, and not %s, %v", show(heard), show(answer), err)
			}
			if !row.may {
				if err := m.fails(p, heard, err, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// straight is the script of an honest server.
func straight(p *proto) []string {
	switch p.Name {
	case "smtp", "lmtp":
		return []string{p.greeting, "<", "250-x\r\n250 STARTTLS\r\n", "<", "220 go\r\n", "tls"}
	case "imap":
		return []string{p.greeting, "<", "* CAPABILITY IMAP4rev1 STARTTLS\r\n$ OK\r\n", "<", "$ OK go\r\n", "tls"}
	case "pop3":
		return []string{p.greeting, "<", "+OK Capab\r\nSTLS\r\n.\r\n", "<", "+OK go\r\n", "tls"}
	case "ldap":
		return []string{"<", ldapMessage(1, ldapResult(0x78, 0)), "tls"}
	case "postgres":
		return []string{"<", "S", "tls"}
	}
	return []string{mysqlGreeting(mysqlSecure), "<", "tls"}
}

func TestBadCertificatesAreRefused(t *testing.T) { // T_1 to T_4
	for name, issue := range badCertificates {
		for _, p := range protos {
			t.Run(name+" "+p.Name, func(t *testing.T) {
				t.Parallel()
				cert := issue()
				row := crook{name: name, proto: p.Name, script: straight(p), want: []error{starttls.ErrTLS}}
				for _, m := range []mark{libraryMark, gatewayMark(t, starttls.Verify), gatewayMark(t, starttls.Secure)} {
					if err := robWith(t, row, m, cert); err != nil {
						t.Errorf("%s: %v", m.name, err)
					}
				}
				finds(t, robWith(t, row, dupe, cert))
				row.want = nil
				if err := robWith(t, row, gatewayMark(t, starttls.Encrypt), cert); err != nil {
					t.Errorf("encrypt does not verify: %v", err)
				}
			})
		}
	}
}

// TestTheHonestServerIsServed says that the checks above fail for a reason.
func TestTheHonestServerIsServed(t *testing.T) {
	for _, p := range protos {
		row := crook{proto: p.Name, script: straight(p)}
		for _, m := range []mark{libraryMark, gatewayMark(t, starttls.May), gatewayMark(t, starttls.Encrypt), gatewayMark(t, starttls.Secure)} {
			if err := rob(t, row, m); err != nil {
				t.Errorf("%s %s: %v", p.Name, m.name, err)
			}
		}
	}
}
