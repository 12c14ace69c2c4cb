package check

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"starttls/internal/finding"
)

// flaws has, for each finding of the clear phase, an animal that has the flaw. The zero animal is the other
// side.
var flaws = []struct {
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
	{"clear.login-before-tls", "smtp", finding.Sufficient, animal{work: true, answers: map[string]string{"AUTH": "502 5.5.1 Unknown"}}},
	{"clear.mechanisms-before-tls", "submission", finding.Insufficient, animal{ehlo: []string{"mx", "AUTH LOGIN PLAIN", "STARTTLS"}}},
	{"clear.mechanisms-before-tls", "submission", finding.Sufficient, animal{ehlo: []string{"mx", "AUTH SCRAM-SHA-256", "STARTTLS"}}},
	{"clear.command-injection", "smtp", finding.Insufficient, animal{keep: true}},
	{"clear.command-injection", "smtp", finding.Insufficient, animal{keep: true, inside: []string{"mx.example.org"}}}, // a reply of one line
	{"clear.bytes-after-ready", "smtp", finding.Insufficient, animal{behind: true}},
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

func animals() (all []specimen) {
	whole := sightings{"clear.offer-after-login": finding.NotApplicable, "tls.alpn": finding.NotApplicable}
	for i, row := range flaws {
		name := fmt.Sprintf("%s/%d", row.id, i)
		all = append(all, serving(name, row.scheme+"://%s", sightings{row.id: row.verdict}, row.animal.serve, clearOnly))
		if whole[row.id] = finding.Good; strings.HasPrefix(row.id, "strip.") {
			whole[row.id] = ""
		}
	}
	return append(all, serving("whole", "submission://%s?match=mx.example.org", whole, animal{}.serve), preauth(true), preauth(false))
}

// clearOnly leaves no connection for TLS.
func clearOnly(c *Config) { c.Budget = 8 }

// TestAServerWithoutFlawsHasNone: whatever it is asked, nothing else is found either.
func TestAServerWithoutFlawsHasNone(t *testing.T) {
	for id, f := range checked(t, "submission://"+served(t, animal{}.serve)+"?match=mx.example.org") {
		if f.Verdict.Bad() || f.Verdict == finding.NotTestable {
			t.Errorf("%s %s: %s", f.Verdict, id, f.Evidence)
		}
	}
}

// preauth is a session that begins logged in; IMAP alone has it.
func preauth(has bool) specimen {
	greeting, finds := "* OK hello", sightings{"strip.preauth": ""}
	if has {
		greeting, finds["strip.preauth"] = "* PREAUTH welcome back", finding.Insufficient
	}
	return serving(fmt.Sprintf("strip.preauth/%v", has), "imap://%s", finds, func(conn net.Conn) {
		fmt.Fprintf(conn, "%s\r\n", greeting)
		for in := bufio.NewScanner(conn); in.Scan(); {
			tag, _, _ := strings.Cut(in.Text(), " ")
			fmt.Fprintf(conn, "* CAPABILITY IMAP4rev1\r\n%s OK\r\n", tag)
		}
	}, clearOnly)
}

// aFront is an IMAP server with TLS that lets everybody log in, and offers TLS still after that if it offers.
func aFront(offers bool, logins *atomic.Int32) func(net.Conn) {
	return func(conn net.Conn) {
		fmt.Fprint(conn, "* OK hello\r\n")
		offer := " STARTTLS"
		for in := bufio.NewScanner(conn); in.Scan(); {
			tag, command, _ := strings.Cut(in.Text(), " ")
			switch word, _, _ := strings.Cut(strings.ToUpper(command), " "); {
			case word == "CAPABILITY":
				fmt.Fprintf(conn, "* CAPABILITY IMAP4rev1%s\r\n%s OK\r\n", offer, tag)
			case word == "STARTTLS" && offer != "":
				fmt.Fprintf(conn, "%s OK go\r\n", tag)
				secured := tls.Server(conn, serverTLS())
				conn, in, offer = secured, bufio.NewScanner(secured), ""
			case word == "LOGIN" && offer == "":
				if logins.Add(1); offers {
					offer = " STARTTLS"
				}
				fmt.Fprintf(conn, "%s OK in\r\n", tag)
			case word == "LOGOUT":
				fmt.Fprintf(conn, "* BYE\r\n%s OK\r\n", tag)
				return
			default:
				fmt.Fprintf(conn, "%s BAD no\r\n", tag)
			}
		}
	}
}

func withAccount(c *Config) { c.Account, c.Budget = &Account{"joe", `se"cret`}, 30 }

func logins() (all []specimen) {
	for offers, want := range map[bool]finding.Verdict{true: finding.Insufficient, false: finding.Good} {
		finds := sightings{"clear.offer-after-login": want}
		all = append(all, serving(fmt.Sprintf("clear.offer-after-login/%v", offers), "imap://%s", finds, aFront(offers, new(atomic.Int32)), withAccount))
	}
	return all
}

// TestWhoLogsIn: without an account, and to a server that is not verified, nobody does. The password is
// nowhere in what is told.
func TestWhoLogsIn(t *testing.T) {
	for _, row := range []struct {
		name   string
		edits  []func(*Config)
		want   finding.Verdict
		logins int32
	}{
		{"an account", []func(*Config){withAccount}, finding.Insufficient, 1},
		{"no account", nil, finding.NotApplicable, 0},
		{"not verified", []func(*Config){withAccount, func(c *Config) { c.Roots = x509.NewCertPool() }}, finding.NotTestable, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var logins atomic.Int32
			addr := served(t, aFront(true, &logins))
			if f := checked(t, "imap://"+addr, row.edits...)["clear.offer-after-login"]; f.Verdict != row.want || strings.Contains(f.Evidence, "cret") {
				t.Errorf("%s: %s", f.Verdict, f.Evidence)
			}
			if logins.Load() != row.logins {
				t.Errorf("%d logins, want %d", logins.Load(), row.logins)
			}
		})
	}
}
