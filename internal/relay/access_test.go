package relay

import (
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"starttls"
	"starttls/dialect"
)

// from is a connection that says it comes from elsewhere.
type from struct {
	net.Conn
	addr net.Addr
}

func (c from) RemoteAddr() net.Addr { return c.addr }

// TestNeverAnOpenRelay: only this machine and declared networks may hand mail in. Everybody else hears
// one line, and no command of theirs is read.
func TestNeverAnOpenRelay(t *testing.T) {
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 25} }
	allow := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	for _, row := range []struct {
		name  string
		peer  net.Addr
		allow []netip.Prefix
		may   bool
	}{
		{"loopback", tcp("127.0.0.1"), nil, true},
		{"loopback, other address", tcp("127.8.8.8"), nil, true},
		{"loopback, IPv6", tcp("::1"), nil, true},
		{"unix socket", &net.UnixAddr{Net: "unix"}, nil, true},
		{"stranger", tcp("203.0.113.1"), nil, false},
		{"stranger, IPv6", tcp("2001:db8::1"), nil, false},
		{"private network is not declared", tcp("10.0.0.1"), nil, false},
		{"declared", tcp("192.0.2.77"), allow, true},
		{"declared, IPv6", tcp("2001:db8:1::1"), allow, true},
		{"declared, mapped", tcp("::ffff:192.0.2.77"), allow, true},
		{"stranger beside declared", tcp("192.0.3.1"), allow, false},
		{"unspecified", tcp("0.0.0.0"), nil, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := New(Config{Dialect: &dialect.SMTP, Allow: row.allow})
			ours, theirs := net.Pipe()
			go r.accepted(from{theirs, row.peer})
			words := make([]byte, 512)
			n, err := ours.Read(words)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.HasPrefix(string(words[:n]), "220 "); got != row.may {
				t.Errorf("greeted with %q", words[:n])
			}
			if !row.may {
				if _, err := ours.Read(words); err != io.EOF {
					t.Errorf("the connection stays open: %v", err)
				}
			}
			ours.Close()
		})
	}
}

// TestLimits: clients beyond the limit hear why, and room is made when one leaves.
func TestLimits(t *testing.T) {
	b := newBench(t, &dialect.SMTP, func(c *Config) { c.MaxConns = 1 })
	b.to("example.org", starttls.May, newMX(t, nil))
	c := b.client(t)
	conn, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if words, _ := io.ReadAll(conn); !strings.HasPrefix(string(words), "421 4.3.2") {
		t.Errorf("got %q", words)
	}
	c.ask("QUIT", "221")
	io.ReadAll(c.conn)
	for b.Live() > 0 {
		runtime.Gosched()
	}
	b.client(t).ask("QUIT", "221")
}
