package check

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"

	"starttls"
	"starttls/dialect"
	"starttls/internal/finding"
	"starttls/internal/tryout"
)

// fronted are dialects whose try-out server is put behind a front that keeps its buffer over the upgrade.
var fronted = []*dialect.Dialect{
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
		in := starttls.NewLeg(conn, d, dialect.Server, false)
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

// fronts put TLS before try-out servers.
func fronts() (all []specimen) {
	for _, d := range fronted {
		for keep, want := range map[bool]finding.Verdict{true: finding.Insufficient, false: finding.Good} {
			all = append(all, specimen{fmt.Sprintf("CI/%s/%v", d.Name, keep), sightings{"clear.command-injection": want}, func(t *testing.T) look {
				return lookingAt(d.Schemes[0].Name+"://"+served(t, front(t, d, keep, false)), clearOnly)
			}})
		}
	}
	// Logins in two steps, behind a front that keeps the session and behind one that begins another.
	for _, d := range []*dialect.Dialect{&dialect.POP3, &dialect.NNTP, &dialect.FTP} {
		for fresh, want := range map[bool]finding.Verdict{false: finding.Insufficient, true: finding.Good} {
			all = append(all, specimen{fmt.Sprintf("clear.state-kept/%s/%v", d.Name, fresh), sightings{"clear.state-kept": want}, func(t *testing.T) look {
				return lookingAt(d.Schemes[0].Name+"://"+served(t, front(t, d, false, fresh)), func(c *Config) { c.Budget = 12 })
			}})
		}
	}
	return all
}
