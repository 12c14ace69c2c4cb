package peers

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"starttls/test/peers/peer"
)

// An xmppServer is one of the two that there are.
type xmppServer struct {
	client, server, domain string // two addresses
}

func prosody(t *testing.T, mode peer.Mode) xmppServer {
	p := peer.StartProsody(t, peer.ProsodyOptions{Mode: mode})
	return xmppServer{p.Client, p.Server, p.Domain}
}

func ejabberd(t *testing.T, mode peer.Mode) xmppServer {
	e := peer.StartEjabberd(t, peer.EjabberdOptions{Mode: mode})
	return xmppServer{e.Client, e.Server, e.Domain}
}

var xmppServers = map[string]func(*testing.T, peer.Mode) xmppServer{"prosody": prosody, "ejabberd": ejabberd}

// trusting is the environment of a client that is written in Go.
func trusting(pki *peer.PKI) []string {
	return []string{"SSL_CERT_DIR=/nonexistent", "SSL_CERT_FILE=" + pki.CAFile}
}

// xmppSends has the account of a domain send a message to another address: by STARTTLS, or in the clear.
func xmppSends(t *testing.T, pki *peer.PKI, inTLS bool, addr, domain, to, text string) (string, int) {
	t.Helper()
	if inTLS {
		return peer.RunInput(t, limit, trusting(pki), text, "go-sendxmpp",
			"-u", peer.User+"@"+domain, "-j", addr, "-p", peer.Password, to)
	}
	return peer.RunInput(t, limit, nil, text, "sendxmpp", "-u", peer.User, "-o", domain, "-j", addr, "-p", peer.Password, to)
}

// xmppSent is the same, and it must go well.
func xmppSent(t *testing.T, pki *peer.PKI, inTLS bool, addr, domain, to, text string) {
	t.Helper()
	if out, status := xmppSends(t, pki, inTLS, addr, domain, to, text); status != 0 {
		t.Errorf("sending %q: status %d:\n%s", text, status, out)
	}
}

// xmppReceived logs in by STARTTLS, as the account of the domain, and waits for a message.
func xmppReceived(t *testing.T, pki *peer.PKI, addr, domain, text string) {
	t.Helper()
	xmppReceives(t, pki, addr, domain, text, func() {})
}

// xmppReceives is the same, with something to do again and again meanwhile.
func xmppReceives(t *testing.T, pki *peer.PKI, addr, domain, text string, again func()) {
	t.Helper()
	got := make(chan bool)
	var out string
	go func() {
		var ok bool
		out, ok = peer.RunUntil(t, limit, trusting(pki), func(out string) bool { return strings.Contains(out, text) },
			"go-sendxmpp", "-u", peer.User+"@"+domain, "-j", addr, "-p", peer.Password, "-l")
		got <- ok
	}()
	for {
		select {
		case ok := <-got:
			if !ok {
				t.Errorf("no message %q in:\n%s", text, out)
			}
			return
		case <-time.After(10 * time.Millisecond):
			again()
		}
	}
}

// xmppExchanges has one client listen and another one send, both by STARTTLS. A message that comes before
// somebody listens may go back to who sent it.
func xmppExchanges(t *testing.T, pki *peer.PKI, addr, domain, text string) {
	t.Helper()
	xmppReceives(t, pki, addr, domain, text, func() { xmppSent(t, pki, true, addr, domain, peer.User+"@"+domain, text) })
}

// until polls until the condition holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("no %s in %v", what, limit)
			return
		}
	}
}

// xmppUpgrades has OpenSSL start TLS as an XMPP client or, protocol xmpp-server, as a server.
func xmppUpgrades(t *testing.T, pki *peer.PKI, g *gateway, protocol, domain string) {
	t.Helper()
	cmd("openssl", "s_client", "-connect", g.Addr, "-starttls", protocol, "-xmpphost", domain,
		"-CAfile", pki.CAFile, "-verify_return_error", "-verify_hostname", domain).works(t, "Verification: OK")
}

func TestXMPPGetsTLSInFront(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	for name, start := range xmppServers {
		t.Run(name, func(t *testing.T) {
			s := start(t, peer.ModePlain)
			me := peer.User + "@" + s.domain
			t.Run("offered", func(t *testing.T) {
				g := begin(t, pki, "xmpp://127.0.0.1:0", "xmpp://"+s.client)
				xmppUpgrades(t, pki, g, "xmpp", s.domain)
				xmppExchanges(t, pki, g.Addr, s.domain, "by STARTTLS")
				xmppSent(t, pki, false, g.Addr, s.domain, me, "in the clear")
				xmppReceived(t, pki, g.Addr, s.domain, "in the clear")
				g.logged("outcome=tls", "dialect=xmpp")
				g.logged("outcome=clear", "dialect=xmpp")
				g.quiet()
			})
			t.Run("demanded", func(t *testing.T) {
				g := begin(t, pki, "xmpp://127.0.0.1:0?tls=encrypt", "xmpp://"+s.client)
				xmppExchanges(t, pki, g.Addr, s.domain, "as demanded")
				g.quiet()
				out, status := xmppSends(t, pki, false, g.Addr, s.domain, me, "refused")
				if status == 0 {
					t.Errorf("a clear client was served:\n%s", out)
				}
				contains(t, out, "The server requires us to use TLS")
				out = says(t, g.Addr, "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='"+s.domain+"' version='1.0'>",
					"</stream:features>", "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGpvZQBzZWNyZXQ=</auth>", "</stream:stream>")
				contains(t, out, "<required/>", "<policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>")
				lacks(t, out, "mechanism>")
				g.logged("outcome=refused")
			})
		})
	}
}

// The server's own offer is not taken: on this machine that is the default.
func TestXMPPGetsTLSInFrontOfAServerThatHasItsOwn(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	for name, start := range xmppServers {
		t.Run(name, func(t *testing.T) {
			s := start(t, peer.ModeTLS)
			g := begin(t, pki, "xmpp://127.0.0.1:0", "xmpp://"+s.client+"?tls=none")
			xmppExchanges(t, pki, g.Addr, s.domain, "past an offer")
			g.logged("outcome=tls", "dialect=xmpp")
			g.quiet()
		})
	}
}

func TestClearXMPPClientsReachServersThroughTLS(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	for name, start := range xmppServers {
		for _, mode := range []peer.Mode{peer.ModeTLS, peer.ModeRequired} {
			t.Run(name+" "+mode.String(), func(t *testing.T) {
				s := start(t, mode)
				g := begin(t, pki, "xmpp://127.0.0.1:0?tls=none", "xmpp://"+s.client+"?tls=secure&match="+s.domain, "--ca", pki.CAFile)
				xmppSent(t, pki, false, g.Addr, s.domain, peer.User+"@"+s.domain, "from the printer")
				xmppReceived(t, pki, s.client, s.domain, "from the printer")
				g.logged("outcome=clear", "back_tls=\"TLS 1.3\"", "dialect=xmpp")
				g.quiet()
				turned := begin(t, pki, "xmpp://127.0.0.1:0?tls=none", "xmpp://"+s.client+"?tls=secure&match=other.test", "--ca", pki.CAFile)
				if out, status := xmppSends(t, pki, false, turned.Addr, s.domain, peer.User+"@"+s.domain, "lost"); status == 0 {
					t.Errorf("served by a server of another name:\n%s", out)
				}
				turned.logged("outcome=backend-failed", "not other.test")
			})
		}
	}
}

// A link is two gateways on the way to a server: what comes to the first in the clear goes to the second
// by STARTTLS, and from there to the server in the clear.
type link struct{ out, in *gateway }

func linkTo(t *testing.T, pki *peer.PKI, addr, domain string) link {
	t.Helper()
	in := begin(t, pki, "xmpp-server://127.0.0.1:0?tls=encrypt", "xmpp-server://"+addr, "--idle", "3s")
	out := begin(t, pki, "xmpp-server://127.0.0.1:0?tls=none", "xmpp-server://"+in.Addr+"?tls=secure&match="+domain,
		"--ca", pki.CAFile, "--idle", "3s")
	return link{out, in}
}

// carried checks that the link was used, with TLS in the middle and nothing wrong. Sessions of servers
// last; the log tells of them when they have been idle.
func (l link) carried() {
	l.out.t.Helper()
	l.out.quiet()
	l.in.quiet()
	l.out.logged("dialect=xmpp-server", "back_tls=\"TLS 1.3\"")
	l.in.logged("dialect=xmpp-server", " tls=\"TLS 1.3\"")
}

func TestXMPPServersTalkThroughTwoGateways(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	t.Run("prosody and prosody", func(t *testing.T) {
		a := peer.StartProsody(t, peer.ProsodyOptions{Mode: peer.ModePlain})
		b := peer.StartProsody(t, peer.ProsodyOptions{Mode: peer.ModePlain, Domain: "chat.example.test"})
		toA, toB := linkTo(t, pki, a.Server, a.Domain), linkTo(t, pki, b.Server, b.Domain)
		a.Route(t, b.Domain, toB.out.Addr)
		b.Route(t, a.Domain, toA.out.Addr)
		xmppSent(t, pki, false, a.Client, a.Domain, peer.User+"@"+b.Domain, "over the hills")
		until(t, "message", func() bool { return strings.Contains(b.Messages(), "over the hills") })
		xmppSent(t, pki, false, b.Client, b.Domain, peer.User+"@"+a.Domain, "and back")
		until(t, "answer", func() bool { return strings.Contains(a.Messages(), "and back") })
		toA.carried()
		toB.carried()
		xmppUpgrades(t, pki, toB.in, "xmpp-server", b.Domain)
	})
	t.Run("ejabberd and prosody", func(t *testing.T) {
		p := peer.StartProsody(t, peer.ProsodyOptions{Mode: peer.ModePlain, Domain: "chat.example.test"})
		toP := linkTo(t, pki, p.Server, p.Domain)
		e := peer.StartEjabberd(t, peer.EjabberdOptions{Mode: peer.ModePlain, Routes: map[string]string{p.Domain: toP.out.Addr}})
		toE := linkTo(t, pki, e.Server, e.Domain)
		p.Route(t, e.Domain, toE.out.Addr)
		xmppSent(t, pki, false, e.Client, e.Domain, peer.User+"@"+p.Domain, "from Erlang")
		until(t, "message", func() bool { return strings.Contains(p.Messages(), "from Erlang") })
		xmppSent(t, pki, false, p.Client, p.Domain, peer.User+"@"+e.Domain, "to Erlang")
		front := begin(t, pki, "xmpp://127.0.0.1:0", "xmpp://"+e.Client)
		xmppReceived(t, pki, front.Addr, e.Domain, "to Erlang")
		toP.carried()
		toE.carried()
	})
}

// says speaks to addr by hand: what it is told, then after each text that it waits for, the next. The
// words are by turns ours and the server's. It returns all that the server has said.
func says(t *testing.T, addr string, words ...string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(limit))
	said, buf := "", make([]byte, 4096)
	for i, w := range words {
		if i%2 == 0 {
			io.WriteString(c, w)
			continue
		}
		for at := len(said); !strings.Contains(said[at:], w); {
			n, err := c.Read(buf)
			if said += string(buf[:n]); err != nil {
				t.Errorf("%v, and no %q in:\n%q", err, w, said)
				return said
			}
		}
	}
	return said
}
