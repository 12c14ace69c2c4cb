package check

import (
	"fmt"
	"strings"
	"testing"

	"starttls/dialect"
	"starttls/internal/finding"
	"starttls/internal/tryout"
)

// inTheClear serves a dialect without TLS.
func inTheClear(t *testing.T, scheme string) string {
	d, _ := dialect.ByScheme(scheme)
	server, ok := tryout.New(d.Name)
	if !ok {
		t.Fatal(scheme)
	}
	return served(t, server.Serve)
}

// TestAServerWithoutTLSIsAccusedOfNothingElse: where TLS was never on offer, nobody has taken it away, and
// what shows nothing is not said to be good.
func TestAServerWithoutTLSIsAccusedOfNothingElse(t *testing.T) {
	for _, scheme := range []string{"imap", "irc", "nats", "nbd", "mysql"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			r := result(t, scheme+"://"+inTheClear(t, scheme))
			s := r.Services[0]
			if s.Outcome != finding.NoTLS {
				t.Errorf("%s, %s", s.Outcome, s.Why)
			}
			offer := false
			for _, f := range s.Findings {
				offer = offer || f.ID == "clear.offer" && f.Verdict == finding.Insufficient && !strings.Contains(f.Evidence, "not the protocol")
				wrong := strings.HasPrefix(f.ID, "strip.") || f.ID == "clear.upgrade-works" || f.ID == "clear.bytes-after-ready" && f.Verdict.Bad()
				if wrong || f.ID == "clear.login-before-tls" && f.Verdict == finding.Good {
					t.Errorf("%s %s: %s", f.Verdict, f.ID, f.Evidence)
				}
			}
			if !offer {
				t.Errorf("the want of TLS is not told: %+v", s.Findings)
			}
		})
	}
}

// TestAnotherProtocolIsNotTestable: who speaks another protocol has said nothing of TLS.
func TestAnotherProtocolIsNotTestable(t *testing.T) {
	for _, row := range [][2]string{{"smtp", "imap"}, {"imap", "smtp"}, {"pop3", "nntp"}, {"mysql", "pop3"}} {
		t.Run(fmt.Sprintf("%s of %s", row[0], row[1]), func(t *testing.T) {
			t.Parallel()
			r := result(t, row[0]+"://"+inTheClear(t, row[1]))
			s := r.Services[0]
			if s.Outcome != finding.Busy || !strings.Contains(s.Why, "does not speak "+row[0]) || r.Reached || len(s.Findings) == 0 {
				t.Errorf("%s, %s", s.Outcome, s.Why)
			}
			for _, f := range s.Findings {
				if f.Verdict != finding.NotTestable {
					t.Errorf("%s %s: %s", f.Verdict, f.ID, f.Evidence)
				}
			}
		})
	}
}

// TestALateALPNIsSeen: a server that wants another key share says so before it looks at ALPN.
func TestALateALPNIsSeen(t *testing.T) {
	d, _ := dialect.ByScheme("imap")
	addr := beast{}.start(t)
	if d.ALPN == nil {
		t.Fatal("IMAP has an ALPN id")
	}
	if f := checked(t, "imaps://"+addr)["tls.alpn"]; f.Verdict != finding.Good {
		t.Errorf("%q: %s", f.Verdict, f.Evidence)
	}
}
