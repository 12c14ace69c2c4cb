package check

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"starttls/internal/finding"
)

// TestAPasswordIsTheLastResort: a login in the clear is begun without a password where the server knows how, and
// only who refuses that is given one to judge.
func TestAPasswordIsTheLastResort(t *testing.T) {
	const unknown, private, failed = "BAD no such command", "NO [PRIVACYREQUIRED] not now", "NO [AUTHENTICATIONFAILED] no"
	for name, row := range map[string]struct {
		lists, authenticate, login string
		want                       finding.Verdict
		says                       string // in the evidence
		logins                     int32
	}{
		"begun":                       {"", "+ ", failed, finding.Insufficient, "taken in the clear", 0},
		"no AUTHENTICATE, judged":     {"", unknown, failed, finding.Insufficient, "a password was judged", 1},
		"no AUTHENTICATE, taken":      {"", unknown, "OK in", finding.Insufficient, "taken in the clear", 1},
		"no AUTHENTICATE, not LOGIN":  {"", unknown, private, finding.Good, "PRIVACYREQUIRED", 1},
		"neither":                     {"", private, private, finding.Good, "PRIVACYREQUIRED", 1},
		"not AUTHENTICATE, but LOGIN": {"", private, failed, finding.Insufficient, "a password was judged", 1},
		"LOGIN is said to be off":     {" LOGINDISABLED", private, failed, finding.Good, "no login before TLS", 0},
		"hangs up":                    {"", "", failed, finding.Good, "hangs up", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logins atomic.Int32
			addr := served(t, func(conn net.Conn) {
				fmt.Fprint(conn, "* OK hello\r\n")
				for in := bufio.NewScanner(conn); in.Scan(); {
					tag, command, _ := strings.Cut(in.Text(), " ")
					answer := unknown
					switch verb, _, _ := strings.Cut(command, " "); verb {
					case "CAPABILITY":
						fmt.Fprintf(conn, "* CAPABILITY IMAP4rev1 STARTTLS%s\r\n", row.lists)
						answer = "OK"
					case "AUTHENTICATE":
						if answer = row.authenticate; answer == "" {
							return
						}
					case "LOGIN":
						logins.Add(1)
						answer = row.login
					}
					if answer != "+ " {
						answer = tag + " " + answer
					}
					fmt.Fprintf(conn, "%s\r\n", answer)
				}
			})
			f := checked(t, "imap://"+addr)["clear.login-before-tls"]
			if f.Verdict != row.want || !strings.Contains(f.Evidence, row.says) || logins.Load() != row.logins {
				t.Errorf("%q after %d logins: %s", f.Verdict, logins.Load(), f.Evidence)
			}
		})
	}
}
