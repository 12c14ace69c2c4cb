package lab

import (
	"crypto/tls"
	"net"
	"net/netip"
	"net/smtp"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func start(t *testing.T, c Config) *Lab {
	t.Helper()
	l, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// lookup asks the lab's resolver.
func lookup(t *testing.T, l *Lab, name string, qtype uint16) *dns.Msg {
	t.Helper()
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype)
	m, _, err := (&dns.Client{Net: "tcp"}).Exchange(q, l.Resolver().String())
	if err != nil {
		t.Fatalf("%s %s: %v", name, dns.TypeToString[qtype], err)
	}
	return m
}

// dialHost connects to a mail server by its name.
func dialHost(t *testing.T, l *Lab, host string) (net.Conn, error) {
	t.Helper()
	for _, rr := range lookup(t, l, host, dns.TypeA).Answer {
		if a, ok := rr.(*dns.A); ok {
			return l.Dial(t.Context(), "tcp", net.JoinHostPort(a.A.String(), "25"))
		}
	}
	t.Fatalf("%s has no address", host)
	return nil, nil
}

// TestEveryHost: what the table says of a host is true of the server that runs.
func TestEveryHost(t *testing.T) {
	l := start(t, Config{})
	for _, r := range rows() {
		for _, m := range r.mx {
			if m.attack != "" || len(m.faults) > 0 {
				continue // told by the tests of faults and attacks
			}
			host := m.fqdn(r.fqdn())
			t.Run(host, func(t *testing.T) {
				conn, err := dialHost(t, l, host)
				if err != nil || m.down {
					if m.down != (err != nil) {
						t.Errorf("down is %v, and dialling says %v", m.down, err)
					}
					return
				}
				defer conn.Close()
				c, err := smtp.NewClient(conn, host)
				if err != nil {
					t.Fatal(err)
				}
				if offered, _ := c.Extension("STARTTLS"); offered == m.clear {
					t.Fatalf("STARTTLS offered: %v", offered)
				}
				if m.clear {
					return
				}
				config := &tls.Config{ServerName: host, RootCAs: l.Roots()}
				if m.old {
					config.MaxVersion, config.MinVersion = tls.VersionTLS11, tls.VersionTLS11
				}
				good := m.leaf == leaf{}
				if err := c.StartTLS(config); good != (err == nil) {
					t.Fatalf("certificate %+v: %v", m.leaf, err)
				}
				if !good {
					return
				}
				if offered, _ := c.Extension("REQUIRETLS"); offered != m.requireTLS {
					t.Errorf("REQUIRETLS offered: %v", offered)
				}
			})
		}
	}
}

// TestEveryDomain: names that outcomes speak of are there, and MX leads to the hosts.
func TestEveryDomain(t *testing.T) {
	l := start(t, Config{})
	for _, d := range l.Domains() {
		if d.Name == "mx-silent.test" {
			continue
		}
		m := lookup(t, l, d.Name, dns.TypeMX)
		if d.Name == "nowhere.test" {
			if m.Rcode != dns.RcodeNameError {
				t.Errorf("%s: %v", d.Name, m)
			}
			continue
		}
		var named []string
		for _, rr := range m.Answer {
			if mx, ok := rr.(*dns.MX); ok {
				named = append(named, strings.TrimSuffix(mx.Mx, "."))
			}
		}
		if o := d.Outcome; o.Reply == "" {
			if o.Host == "" || len(named) > 0 && !slices.Contains(named, o.Host) && !strings.Contains(d.About, "alias") {
				t.Errorf("%s: delivered to %q, and MX are %q", d.Name, o.Host, named)
			}
			if o.Clear && o.Level > 1 {
				t.Errorf("%s: in the clear under %v", d.Name, o.Level)
			}
		} else if !strings.ContainsAny(o.Reply[:1], "45") || len(o.Reply) < 9 {
			t.Errorf("%s: reply %q", d.Name, o.Reply)
		}
		if d.About == "" || d.Outcome.Why == "" || d.DANEOnly.Why == "" {
			t.Errorf("%s: %+v", d.Name, d)
		}
	}
}

func TestDial(t *testing.T) {
	l := start(t, Config{Only: []string{"tls.test"}})
	for _, addr := range []string{"192.0.2.1:25", "[::1]:25", "127.0.0.1:25", "mx.tls.test:25", "nonsense"} {
		if conn, err := l.Dial(t.Context(), "tcp", addr); err == nil {
			conn.Close()
			t.Errorf("%s was dialled", addr)
		}
	}
	if _, err := Start(Config{Net: netip.MustParsePrefix("10.0.0.0/16")}); err == nil {
		t.Error("a lab outside of loopback")
	}
	if _, err := Start(Config{Only: []string{"unknown.test"}}); err == nil {
		t.Error("a lab with a domain that there is not")
	}
}

// TestCrowd: every address of it answers, like the server that Like says.
func TestCrowd(t *testing.T) {
	network := netip.MustParsePrefix("127.64.0.0/10")
	l := start(t, Config{Only: []string{"tls.test", "clear.test", "down-second.test"}, Crowd: network})
	names := map[string]int{}
	for i, addr := 0, network.Addr(); i < 30; i, addr = i+1, addr.Next() {
		if i == 15 {
			addr = netip.MustParseAddr("127.127.255.200")
		}
		d, host, ok := l.Like(addr)
		if !ok {
			t.Fatalf("%s is not of the crowd", addr)
		}
		conn, err := l.Dial(t.Context(), "tcp", net.JoinHostPort(addr.String(), "25"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := smtp.NewClient(conn, host)
		if err != nil {
			t.Fatal(err)
		}
		if offered, _ := c.Extension("STARTTLS"); offered != (d.Name != "clear.test") {
			t.Errorf("%s is like %s, and STARTTLS offered is %v", addr, d.Name, offered)
		}
		c.Close()
		names[host]++
	}
	if names["mx.tls.test"] != 10 || names["mx.clear.test"] != 10 || names["mx2.down-second.test"] != 10 {
		t.Errorf("got %v", names)
	}
	if _, _, ok := l.Like(netip.MustParseAddr("127.25.0.1")); ok {
		t.Error("the lab itself is of the crowd")
	}
	for _, wrong := range []string{"127.0.0.0/8", "10.0.0.0/8", "0.0.0.0/0", "127.25.1.0/24"} {
		if l, err := Start(Config{Only: []string{"tls.test"}, Crowd: netip.MustParsePrefix(wrong)}); err == nil {
			l.Close()
			t.Errorf("a crowd at %s", wrong)
		}
	}
}
