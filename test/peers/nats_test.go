package peers

import (
	"bufio"
	"crypto/tls"
	"strings"
	"testing"

	"starttls/test/peers/peer"
)

// pubsub logs in, subscribes, and gets its own message. With trust it begins TLS behind the greeting,
// as clients of NATS do.
func pubsub(t *testing.T, addr string, trust *tls.Config) {
	t.Helper()
	c := dialLines(t, addr)
	info := c.until("INFO {")
	if trust != nil {
		contains(t, info, `"tls_`)
		secure := tls.Client(c.Conn, trust)
		if err := secure.Handshake(); err != nil {
			t.Fatal(err)
		}
		c.Conn, c.in = secure, bufio.NewReader(secure)
	}
	c.say(`CONNECT {"verbose":false,"pedantic":false,"user":"` + peer.User + `","pass":"` + peer.Password + `"}` + "\r\nPING\r\n")
	c.until("PONG")
	body := strings.Repeat("six by seven ", 5000)
	c.say("SUB answers 1\r\nPUB answers 65000\r\n" + body + "\r\n")
	c.until("MSG answers 1 65000")
	if got := c.until("six by seven"); got != body+"\r\n" {
		t.Errorf("%d bytes came back", len(got))
	}
	c.Close()
}

func natsTrust(pki *peer.PKI) *tls.Config {
	return &tls.Config{RootCAs: pki.Pool, ServerName: "localhost"}
}

func TestNATSGetsTLSInFront(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	server := peer.StartNATS(t, peer.NATSOptions{Mode: peer.ModePlain})
	for _, level := range []string{"may", "encrypt"} {
		g := begin(t, pki, "nats://127.0.0.1:0?tls="+level, "nats://"+server.Addr)
		pubsub(t, g.Addr, natsTrust(pki))
		g.logged("outcome=tls", "dialect=nats")
		g.quiet()
	}
}

func TestNATSClientsWithoutTLS(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	server := peer.StartNATS(t, peer.NATSOptions{Mode: peer.ModePlain})
	t.Run("are served where it may be", func(t *testing.T) {
		g := begin(t, pki, "nats://127.0.0.1:0", "nats://"+server.Addr)
		pubsub(t, g.Addr, nil)
		g.logged("outcome=clear", "dialect=nats")
		g.quiet()
	})
	t.Run("are refused where it is demanded", func(t *testing.T) {
		g := begin(t, pki, "nats://127.0.0.1:0?tls=encrypt", "nats://"+server.Addr)
		c := dialLines(t, g.Addr)
		contains(t, c.until("INFO {"), `"tls_required":true`)
		c.say("CONNECT {}\r\n")
		c.until("-ERR 'Secure Connection - TLS Required'")
		c.ended()
		g.logged("outcome=refused", "dialect=nats")
	})
}

func TestNATSBehindAClientWithoutTLS(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	for _, mode := range []peer.Mode{peer.ModeTLS, peer.ModeRequired} {
		t.Run(mode.String(), func(t *testing.T) {
			server := peer.StartNATS(t, peer.NATSOptions{Mode: mode})
			g := begin(t, pki, "nats://127.0.0.1:0?tls=none", "nats://"+server.Addr+"?tls=secure", "--ca", pki.CAFile)
			pubsub(t, g.Addr, nil)
			g.logged("back_tls=\"TLS 1.3\"", "outcome=clear")
			g.quiet()
		})
	}
}
