package peers

import (
	"testing"

	"starttls/test/peers/peer"
)

// sendsAMQP sends a message with a client of AMQP 1.0, which begins TLS in-band if it is given authorities
// to trust, and waits until the server has accepted it.
func sendsAMQP(t *testing.T, g *gateway, client string, authorities ...string) {
	t.Helper()
	out, status := peer.Run(t, limit, nil, client, append([]string{g.Addr}, authorities...)...)
	if status != 0 {
		t.Errorf("status %d", status)
	}
	contains(t, out, "the message was accepted")
}

func TestAMQP(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	client := peer.AMQPClient(t)
	broker := "amqp://" + peer.StartRabbitMQ(t)
	for name, backend := range map[string][]string{"try-out": nil, "RabbitMQ": {broker}} {
		t.Run("in front of "+name, func(t *testing.T) {
			for _, options := range []string{"", "?tls=encrypt"} {
				g := begin(t, pki, append([]string{"amqp://127.0.0.1:0" + options}, backend...)...)
				sendsAMQP(t, g, client, pki.CAFile)
				g.logged("outcome=tls", "dialect=amqp")
				g.quiet()
			}
			g := begin(t, pki, append([]string{"amqp://127.0.0.1:0"}, backend...)...)
			sendsAMQP(t, g, client)
			g.logged("outcome=clear")
		})
	}
	t.Run("behind a client without TLS", func(t *testing.T) { // no broker begins TLS in-band: a gateway of ours does
		server := begin(t, pki, "amqp://127.0.0.1:0?tls=encrypt", broker)
		g := begin(t, pki, "amqp://127.0.0.1:0?tls=none", "amqp://"+server.Addr+"?tls=secure&match=localhost", "--ca", pki.CAFile)
		sendsAMQP(t, g, client)
		g.logged("outcome=clear", "back_tls=\"TLS 1.3\"")
		server.logged("outcome=tls")
		g.quiet()
		server.quiet()
	})
}
