package gateway_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"starttls"
	"starttls/dialect"
	"starttls/internal/gateway"
)

// asks is how a client names a host: its first words in the clear, and what it says by SNI.
type asks struct {
	scheme, opening, sni string
}

// stream opens an XMPP stream.
func stream(to string) string {
	return "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='" + to + "' version='1.0'>"
}

// startup is a StartupMessage of PostgreSQL.
func startup(parameters ...string) string {
	body := "\x00\x03\x00\x00" + strings.Join(parameters, "\x00") + "\x00\x00"
	return "\x00\x00\x00" + string(rune(4+len(body))) + body
}

// TestGSSENCRequestWaitsForTheChoice: it would be for a server that is not known yet, at every level.
func TestGSSENCRequestWaitsForTheChoice(t *testing.T) {
	dialled := make(chan string, 10)
	back := func(which string) *gateway.Back {
		return &gateway.Back{Name: which, Dial: func(context.Context) (net.Conn, error) {
			dialled <- which
			return nil, errors.New("nobody is there")
		}}
	}
	g := start(t, only("postgres"), func(r *gateway.Route) {
		r.Back, r.Backs = *back("usual"), map[string]*gateway.Back{"database:shop": back("other")}
	})
	conn, err := net.Dial("tcp", g.addr)
	must(t, err)
	defer conn.Close()
	io.WriteString(conn, "\x00\x00\x00\x08\x04\xd2\x16\x30")
	answer := make([]byte, 1)
	if _, err := io.ReadFull(conn, answer); err != nil || answer[0] != 'N' {
		t.Fatalf("%q, %v", answer, err)
	}
	io.WriteString(conn, startup("user", "x", "database", "shop"))
	if which := <-dialled; which != "other" {
		t.Errorf("%s was dialled", which)
	}
}

// chosen returns which backend is dialled for a client.
func chosen(d *dialect.Dialect, front gateway.Front, client asks) (string, error) {
	dialled := make(chan string, 10)
	back := func(which string) gateway.Back {
		return gateway.Back{Name: which, Dial: func(context.Context) (net.Conn, error) {
			dialled <- which
			return nil, errors.New("nobody is there")
		}}
	}
	front.TLS = serverTLS()
	other := back("other")
	g := gateway.New(gateway.Route{Name: "test", Dialect: d, Front: front, Back: back("usual"),
		Backs: map[string]*gateway.Back{"b.example.test": &other, "database:shop": &other, "user:Joe": &other}})
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	go g.Serve(ctx, door)
	defer g.Drain(ctx)
	if client.scheme == "" {
		conn, err := net.Dial("tcp", door.Addr().String())
		if err != nil {
			return "", err
		}
		defer conn.Close()
		io.WriteString(conn, client.opening)
	} else {
		conn, err := starttls.Dial(ctx, client.scheme+"://"+door.Addr().String(), &starttls.Config{
			Name: client.sni, TLS: &tls.Config{InsecureSkipVerify: true, ServerName: client.sni}})
		if err != nil {
			return "", err
		}
		defer conn.Close()
		io.WriteString(conn, client.opening)
	}
	select {
	case which := <-dialled:
		return which, nil
	case <-ctx.Done():
		return "", errors.New("nobody is dialled")
	}
}

// TestTheBackendIsChosenByName: by SNI where the backend is dialled late, and by the protocol's own words.
func TestTheBackendIsChosenByName(t *testing.T) {
	t.Parallel()
	may, encrypt := gateway.Front{Level: starttls.May}, gateway.Front{Level: starttls.Encrypt}
	implicit := gateway.Front{Level: starttls.Encrypt, Implicit: true}
	for name, row := range map[string]struct {
		d      *dialect.Dialect
		front  gateway.Front
		client asks
		want   string
	}{
		"SNI, in-band":              {&dialect.IMAP, encrypt, asks{scheme: "imap", sni: "B.example.test"}, "other"},
		"SNI, implicit":             {&dialect.IMAP, implicit, asks{scheme: "imaps", sni: "b.example.test"}, "other"},
		"SNI that nobody has":       {&dialect.IMAP, implicit, asks{scheme: "imaps", sni: "c.example.test"}, "usual"},
		"the client speaks first":   {&dialect.LDAP, may, asks{scheme: "ldap", sni: "b.example.test", opening: "\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00"}, "other"},
		"database, in TLS":          {&dialect.Postgres, encrypt, asks{scheme: "postgres", sni: "a.example.test", opening: startup("user", "x", "database", "shop")}, "other"},
		"database, in the clear":    {&dialect.Postgres, may, asks{opening: startup("database", "shop", "user", "x")}, "other"},
		"database that nobody has":  {&dialect.Postgres, may, asks{opening: startup("user", "x", "database", "Shop")}, "usual"},
		"database of the user":      {&dialect.Postgres, may, asks{opening: startup("user", "shop")}, "other"},
		"database said twice":       {&dialect.Postgres, may, asks{opening: startup("user", "x", "database", "shop", "database", "y")}, "usual"},
		"user":                      {&dialect.Postgres, may, asks{opening: startup("user", "Joe", "database", "y")}, "other"},
		"not yet named":             {&dialect.IMAP, may, asks{}, "usual"},
		"its own words":             {&dialect.XMPP, may, asks{opening: stream("b.Example.test.")}, "other"},
		"its own words before SNI":  {&dialect.XMPP, implicit, asks{scheme: "xmpps", sni: "a.example.test", opening: stream("b.example.test")}, "other"},
		"its own words, and others": {&dialect.XMPP, may, asks{opening: stream("a.example.test")}, "usual"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := chosen(row.d, row.front, row.client)
			if err != nil || got != row.want {
				t.Errorf("%q, %v, want %q", got, err, row.want)
			}
		})
	}
}

// TestChooses: on some routes a name always comes too late.
func TestChooses(t *testing.T) {
	for name, row := range map[string]struct {
		d     *dialect.Dialect
		front gateway.Front
		early bool
		want  bool
	}{
		"implicit":                   {d: &dialect.MySQL, front: gateway.Front{Level: starttls.Encrypt, Implicit: true}, want: true},
		"demanded":                   {d: &dialect.SMTP, front: gateway.Front{Level: starttls.Encrypt}, want: true},
		"demanded, dialled early":    {d: &dialect.SMTP, front: gateway.Front{Level: starttls.Encrypt}, early: true},
		"its greeting is needed":     {d: &dialect.POP3, front: gateway.Front{Level: starttls.Encrypt}},
		"offered":                    {d: &dialect.SMTP, front: gateway.Front{Level: starttls.May}},
		"offered, begun anew":        {d: &dialect.Sieve, front: gateway.Front{Level: starttls.May}, want: true},
		"offered, clients first":     {d: &dialect.Postgres, front: gateway.Front{Level: starttls.May}, want: true},
		"in the clear":               {d: &dialect.Postgres, front: gateway.Front{Level: starttls.None}},
		"in the clear, by own words": {d: &dialect.XMPP, front: gateway.Front{Level: starttls.None}, want: true},
	} {
		r := gateway.Route{Dialect: row.d, Front: row.front, Back: gateway.Back{Early: row.early}}
		if got := r.Chooses(); got != row.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
