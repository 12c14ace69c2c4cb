package peers

import (
	"testing"

	"starttls/test/peers/peer"
)

// sendsAMQP sends a message with a client of AMQP 1.0, which begins TLS in-band if it is given authorities to
// trust, and waits until the server has accepted it.
func sendsAMQP(t *testing.T, g *gateway, authorities ...string) {
	t.Helper()
	out, status := peer.Run(t, limit, nil, peer.AMQPClient(t), append([]string{g.Addr}, authorities...)...)
	if status != 0 {
		t.Errorf("status %d", status)
	}
	contains(t, out, "the message was accepted")
}

func TestAMQPGetsTLSInFront(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	for name, backend := range map[string][]string{"try-out": nil, "RabbitMQ": {"amqp://" + peer.StartRabbitMQ(t)}} {
		t.Run(name, func(t *testing.T) {
			for _, options := range []string{"", "?tls=encrypt"} {
				g := begin(t, pki, append([]string{"amqp://127.0.0.1:0" + options}, backend...)...)
				sendsAMQP(t, g, pki.CAFile)
				g.logged("outcome=tls", "dialect=amqp")
				g.quiet()
			}
			g := begin(t, pki, append([]string{"amqp://127.0.0.1:0"}, backend...)...)
			sendsAMQP(t, g)
			g.logged("outcome=clear")
		})
	}
}
