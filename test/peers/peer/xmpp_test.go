package peer_test

import (
	"strings"
	"testing"
	"time"

	"starttls/test/peers/peer"
)

// sendXMPP has User of the domain send a message: a client that insists on
// STARTTLS and checks the certificate, or one that does without.
func sendXMPP(t *testing.T, mode peer.Mode, server, domain, to, text string) {
	t.Helper()
	env := []string{"SSL_CERT_DIR=/nonexistent", "SSL_CERT_FILE=" + peer.NewPKI(t).CAFile}
	sender, args := "go-sendxmpp", []string{"-u", peer.User + "@" + domain, "-j", server}
	if mode == peer.ModePlain {
		out, status := peer.RunInput(t, limit, env, text, sender, append(args, "-p", peer.Password, to)...)
		if status <= 0 || !strings.Contains(out, "unencrypted") {
			t.Fatalf("%s: status %d, want a failure:\n%s", sender, status, out)
		}
		sender, args = "sendxmpp", []string{"-u", peer.User, "-o", domain, "-j", server}
	}
	if out, status := peer.RunInput(t, limit, env, text, sender, append(args, "-p", peer.Password, to)...); status != 0 {
		t.Fatalf("%s: status %d:\n%s", sender, status, out)
	}
}

// wait polls until the condition holds.
func wait(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", limit, what)
		}
	}
}

// upgradeXMPP has OpenSSL start TLS as a client and as a server.
func upgradeXMPP(t *testing.T, pki *peer.PKI, domain, client, server string) {
	t.Helper()
	for protocol, addr := range map[string]string{"xmpp": client, "xmpp-server": server} {
		upgrade(t, pki, addr, protocol, "-xmpphost", domain, "-verify_hostname", domain)
	}
}

func TestProsody(t *testing.T) {
	for _, mode := range []peer.Mode{peer.ModeTLS, peer.ModePlain, peer.ModeRequired} {
		serve(t, mode.String(), func(t *testing.T) (string, []string) {
			a := peer.StartProsody(t, peer.ProsodyOptions{Mode: mode, Verify: mode != peer.ModePlain})
			b := peer.StartProsody(t, peer.ProsodyOptions{Mode: mode, Domain: "chat.example.test"})
			a.Route(t, b.Domain, b.Server)
			b.Route(t, a.Domain, a.Server)
			if mode != peer.ModePlain {
				upgradeXMPP(t, peer.NewPKI(t), a.Domain, a.Client, a.Server)
			}
			sendXMPP(t, mode, a.Client, a.Domain, peer.User+"@"+b.Domain, "over the hills")
			wait(t, "the message", func() bool { return strings.Contains(b.Messages(), "over the hills") })
			sendXMPP(t, mode, b.Client, b.Domain, peer.User+"@"+a.Domain, "and back")
			wait(t, "the answer", func() bool { return strings.Contains(a.Messages(), "and back") })
			return a.Log, []string{a.Client, a.Server, b.Client, b.Server}
		})
	}
}

func TestEjabberd(t *testing.T) {
	for _, mode := range []peer.Mode{peer.ModeTLS, peer.ModePlain, peer.ModeRequired} {
		serve(t, mode.String(), func(t *testing.T) (string, []string) {
			p := peer.StartProsody(t, peer.ProsodyOptions{Mode: mode, Domain: "chat.example.test"})
			e := peer.StartEjabberd(t, peer.EjabberdOptions{Mode: mode, Routes: map[string]string{p.Domain: p.Server}})
			p.Route(t, e.Domain, e.Server)
			if mode != peer.ModePlain {
				upgradeXMPP(t, peer.NewPKI(t), e.Domain, e.Client, e.Server)
			}
			sendXMPP(t, mode, e.Client, e.Domain, peer.User+"@"+p.Domain, "from Erlang")
			wait(t, "the message", func() bool { return strings.Contains(p.Messages(), "from Erlang") })
			sendXMPP(t, mode, p.Client, p.Domain, peer.User+"@"+e.Domain, "to Erlang")
			wait(t, "the answer's connection", func() bool {
				return strings.Contains(read(p.Log), "Outgoing s2s connection chat.example.test->xmpp.test complete")
			})
			return e.Log, []string{e.Client, e.Server}
		})
	}
}
