package check

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"starttls"
	"starttls/dialect"
	"starttls/internal/finding"
	"starttls/internal/tryout"
)

// zoo has, for each finding, an animal that has the flaw. The animal without flaws is the other side.
var zoo = []struct {
	id      string
	scheme  string
	verdict finding.Verdict
	animal  animal
}{
	{"clear.offer", "smtp", finding.Insufficient, animal{ehlo: []string{"mx.example.org"}, answers: map[string]string{"STARTTLS": "502 5.5.1 Unknown"}}},
	{"clear.offer-unlisted", "smtp", finding.Insufficient, animal{ehlo: []string{"mx.example.org", "SIZE"}}},
	{"clear.upgrade-works", "smtp", finding.Insufficient, animal{answers: map[string]string{"STARTTLS": "454 4.7.0 TLS not available"}}},
	{"clear.login-before-tls", "submission", finding.Insufficient, animal{work: true}},
	{"clear.login-before-tls", "smtp", finding.Insufficient, animal{work: true}}, // AUTH is taken
	{"clear.mechanisms-before-tls", "submission", finding.Insufficient, animal{ehlo: []string{"mx", "AUTH LOGIN PLAIN", "STARTTLS"}}},
	{"clear.command-injection", "smtp", finding.Insufficient, animal{keep: true}},
	{"clear.command-injection", "smtp", finding.Insufficient, animal{keep: true, inside: []string{"mx.example.org"}}}, // a reply of one line
	{"clear.command-injection", "smtp", finding.Insufficient, animal{keep: true, wrap: torn}},
	{"clear.bytes-after-ready", "smtp", finding.Insufficient, animal{behind: true}},
	{"clear.bytes-after-ready", "smtp", finding.Insufficient, animal{behind: true, wrap: torn}},
	{"clear.state-kept", "smtp", finding.Insufficient, animal{work: true, state: true}},
	{"clear.offer-inside", "smtp", finding.Insufficient, animal{inside: []string{"mx.example.org", "STARTTLS"}}},
	{"clear.second-upgrade", "smtp", finding.Insufficient, animal{again: true}},
	{"clear.capabilities-differ", "smtp", finding.Sufficient, animal{inside: []string{"mx.example.org", "DSN"}}},
	{"clear.word-variants", "smtp", finding.Insufficient, animal{lax: true}},
	{"clear.early-hello", "smtp", finding.Sufficient, animal{drop: true}},

	{"strip.banner-masked", "smtp", finding.Insufficient, animal{greeting: "220 ***************"}},
	{"strip.keyword-masked-a", "smtp", finding.Insufficient, animal{ehlo: []string{"mx.example.org", "SIZE", "XXXXXXXA"}}},
	{"strip.keyword-masked", "smtp", finding.Insufficient, animal{ehlo: []string{"mx.example.org", "SIZE", "XXXXXXXX"}}},
	{"strip.command-masked", "smtp", finding.Insufficient, animal{answers: map[string]string{"STARTTLS": "500 #5.5.1 command not recognized"}}},
	{"strip.upgrade-refused", "smtp", finding.Insufficient, animal{answers: map[string]string{"STARTTLS": "454 4.7.0 TLS not available"}}},
	{"strip.upgrade-refused", "smtp", finding.Insufficient, animal{answers: map[string]string{"STARTTLS": "200 ready"}}},
	{"strip.plain-after-ready", "smtp", finding.Insufficient, animal{answers: map[string]string{"STARTTLS": "220 go\r\n250 mx.example.org"}}},
	{"strip.blackhole", "smtp", finding.Insufficient, animal{cut: true}},
	{"strip.hello-refused", "smtp", finding.Insufficient, animal{answers: map[string]string{"EHLO": "502 5.5.1 Unknown", "HELO": "250 mx.example.org"}}},
}

// runs is how often each must be right.
const runs = 10

func TestEveryFlawIsFound(t *testing.T) {
	for i, row := range zoo {
		t.Run(fmt.Sprintf("%s/%d", row.id, i), func(t *testing.T) {
			t.Parallel()
			addr := served(t, row.animal.serve)
			for range runs {
				if f := checked(t, row.scheme+"://"+addr, clearOnly, row.animal.patience)[row.id]; f.Verdict != row.verdict {
					t.Fatalf("%q: %s", f.Verdict, f.Evidence)
				}
			}
		})
	}
}

func TestAServerWithoutFlawsHasNone(t *testing.T) {
	for name, a := range map[string]animal{"whole": {}, "torn": {wrap: torn}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := served(t, a.serve)
			for range runs {
				found := checked(t, "submission://"+addr)
				for id, f := range found {
					if f.Verdict.Bad() && !certificates[id] || f.Verdict == finding.NotTestable {
						t.Errorf("%s %s: %s", f.Verdict, id, f.Evidence)
					}
				}
				for _, row := range zoo {
					if f, ok := found[row.id]; row.id[:5] == "clear" && (!ok || f.Verdict != finding.Good) {
						t.Errorf("%s: %q %s", row.id, f.Verdict, f.Evidence)
					}
				}
			}
		})
	}
}

// certificates are findings about an animal's own certificate, which nobody trusts.
var certificates = map[string]bool{"cert.trusted": true, "cert.name": true}

// tornConn says what it says in small pieces, and is late to listen.
type tornConn struct{ net.Conn }

func torn(conn net.Conn) net.Conn { return &tornConn{conn} }

func (c *tornConn) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = c.Conn.Write(p[n:min(len(p), n+1+n/3)])
		n += m
		if n < 8 {
			time.Sleep(100 * time.Microsecond)
		}
	}
	return n, err
}

func (c *tornConn) Read(p []byte) (int, error) {
	time.Sleep(time.Millisecond)
	return c.Conn.Read(p)
}

// fronts are dialects whose try-out server is put behind a front that keeps its buffer over the upgrade.
var fronts = []*dialect.Dialect{
	&dialect.SMTP, &dialect.LMTP, &dialect.IMAP, &dialect.POP3, &dialect.NNTP, &dialect.FTP, &dialect.LDAP, &dialect.Postgres, &dialect.NUT,
}

// front offers TLS before a server that has none. If keep, it hands the server what stood behind the
// upgrade, and so does what CVE-2011-0411 is about.
// If fresh, the session behind it begins anew with TLS.
func front(t *testing.T, d *dialect.Dialect, keep, fresh bool) func(net.Conn) {
	server, ok := tryout.New(d.Name)
	if !ok {
		t.Fatal(d.Name)
	}
	return func(conn net.Conn) {
		back, err := server.Dial(t.Context())
		if err != nil {
			return
		}
		defer back.Close()
		in := starttls.NewLeg(torn(conn), d, dialect.Server, false)
		out := starttls.NewLeg(back, d, dialect.Client, false)
		if d.Script.ServerFirst() && !pass(out, in) {
			return
		}
		for {
			m, err := in.Hear()
			if err != nil {
				return
			}
			if m.Kind == dialect.Upgrade && (m.Why == dialect.Unknown || m.Why == dialect.NotNow) {
				in.Say(m.Reply(dialect.Ready, dialect.Unknown))
				if fresh {
					back.Close()
					if back, err = server.Dial(t.Context()); err != nil {
						return
					}
					defer back.Close()
					if d.Script.ServerFirst() {
						bufio.NewReader(back).ReadString('\n')
					}
				}
				through(conn, back, in.Rest(), keep)
				return
			}
			if out.Say(m) != nil || !pass(out, in) {
				return
			}
		}
	}
}

// pass passes an answer on, with an offer of TLS in it.
func pass(out, in *starttls.Leg) bool {
	for {
		m, err := out.Hear()
		if err != nil || in.Say(m.Offering(dialect.Offered)) != nil {
			return false
		}
		if !out.Pending() {
			return true
		}
	}
}

func through(conn, back net.Conn, rest []byte, keep bool) {
	wire := conn
	if !keep {
		wire = &restConn{Conn: conn, rest: rest}
	}
	secured := tls.Server(wire, serverTLS())
	if secured.Handshake() != nil {
		return
	}
	if keep {
		back.Write(rest)
	}
	go func() {
		io.Copy(back, secured)
		back.(interface{ CloseWrite() error }).CloseWrite()
	}()
	io.Copy(secured, bufio.NewReader(back))
	secured.CloseWrite()
}

// clearOnly leaves no connection for TLS.
func clearOnly(c *Config) { c.Budget = 8 }

// patience is little for who never answers.
func (a animal) patience(c *Config) {
	if a.drop {
		c.Timeout = 1500 * time.Millisecond
	}
}

func TestInjectionIsFoundInEveryDialect(t *testing.T) {
	for _, d := range fronts {
		for _, keep := range []bool{true, false} {
			t.Run(fmt.Sprintf("CI/%s/%v", d.Name, keep), func(t *testing.T) {
				t.Parallel()
				addr := served(t, front(t, d, keep, false))
				want := finding.Good
				if keep {
					want = finding.Insufficient
				}
				for range runs {
					if f := checked(t, d.Schemes[0].Name+"://"+addr, clearOnly)["clear.command-injection"]; f.Verdict != want {
						t.Fatalf("%q: %s", f.Verdict, f.Evidence)
					}
				}
			})
		}
	}
}

// TestNamesOfTheClearAreForgotten: logins in two steps, behind a front that keeps the session and behind
// one that begins another.
func TestNamesOfTheClearAreForgotten(t *testing.T) {
	for _, d := range []*dialect.Dialect{&dialect.POP3, &dialect.NNTP, &dialect.FTP} {
		for fresh, want := range map[bool]finding.Verdict{false: finding.Insufficient, true: finding.Good} {
			t.Run(fmt.Sprintf("%s/%v", d.Name, fresh), func(t *testing.T) {
				t.Parallel()
				addr := served(t, front(t, d, false, fresh))
				for range runs {
					if f := checked(t, d.Schemes[0].Name+"://"+addr, func(c *Config) { c.Budget = 12 })["clear.state-kept"]; f.Verdict != want {
						t.Fatalf("%q: %s", f.Verdict, f.Evidence)
					}
				}
			})
		}
	}
}
