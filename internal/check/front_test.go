package check

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"

	"starttls"
	"starttls/dialect"
	"starttls/internal/finding"
	"starttls/internal/tryout"
)

// A front offers TLS before a try-out server, which has none: the session goes on behind it over the upgrade,
// so that it is known what was said before. What speaks inside knows nothing of package dialect.
type front struct {
	*dialect.Dialect
	keep  bool // hands the server what stood behind the upgrade: CVE-2011-0411
	fresh bool // the session behind it begins anew with TLS
}

func (f front) serve(conn net.Conn) {
	server, _ := tryout.New(f.Name)
	back, err := server.Dial(context.Background())
	if err != nil {
		return
	}
	defer back.Close()
	in := starttls.NewLeg(conn, f.Dialect, dialect.Server, false)
	out := starttls.NewLeg(back, f.Dialect, dialect.Client, false)
	if f.Script.ServerFirst() && !pass(out, in) {
		return
	}
	for {
		m, err := in.Hear()
		if err != nil {
			return
		}
		if m.Kind != dialect.Upgrade || m.Why != dialect.Unknown && m.Why != dialect.NotNow {
			if out.Say(m) != nil || !pass(out, in) {
				return
			}
			continue
		}
		in.Say(m.Reply(dialect.Ready, dialect.Unknown))
		if f.fresh {
			if back, err = server.Dial(context.Background()); err != nil {
				return
			}
			defer back.Close()
			if f.Script.ServerFirst() {
				bufio.NewReader(back).ReadString('\n')
			}
		}
		f.through(conn, back, in.Rest())
		return
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

func (f front) through(conn, back net.Conn, rest []byte) {
	wire := conn
	if !f.keep {
		wire = &restConn{Conn: conn, rest: rest}
	}
	secured := tls.Server(wire, serverTLS())
	if secured.Handshake() != nil {
		return
	}
	if f.keep {
		back.Write(rest)
	}
	go func() {
		io.Copy(back, secured)
		back.(interface{ CloseWrite() error }).CloseWrite()
	}()
	io.Copy(secured, bufio.NewReader(back))
	secured.CloseWrite()
}

// fronts keep what was said in the clear, or do not.
func fronts() (all []specimen) {
	for _, d := range []*dialect.Dialect{
		&dialect.SMTP, &dialect.LMTP, &dialect.IMAP, &dialect.POP3, &dialect.NNTP, &dialect.FTP, &dialect.LDAP, &dialect.Postgres, &dialect.NUT,
	} {
		finds := sightings{"clear.command-injection": finding.Insufficient}
		all = append(all, serving("kept/"+d.Name, urlOf(d), finds, front{d, true, false}.serve, clearOnly))
	}
	// Transactions, and logins in two steps.
	for _, d := range []*dialect.Dialect{&dialect.SMTP, &dialect.LMTP, &dialect.POP3, &dialect.NNTP, &dialect.FTP} {
		for fresh, want := range map[bool]finding.Verdict{false: finding.Insufficient, true: finding.Good} {
			name := fmt.Sprintf("clear.state-kept/%s/%v", d.Name, fresh)
			all = append(all, serving(name, urlOf(d), sightings{"clear.state-kept": want}, front{d, false, fresh}.serve, func(c *Config) { c.Budget = 12 }))
		}
	}
	return all
}
