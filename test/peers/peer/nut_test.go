package peer_test

import (
	"testing"
	"time"

	"starttls/test/peers/peer"
)

func TestNUT(t *testing.T) {
	for _, mode := range []peer.Mode{peer.ModeTLS, peer.ModePlain} {
		serve(t, mode.String(), func(t *testing.T) (string, []string) {
			pki := peer.NewPKI(t)
			n := peer.StartNUT(t, peer.NUTOptions{Mode: mode})
			status := []string{peer.NUTDevice + "@localhost:" + portOf(n.Addr), "battery.charge"}
			client(t, "87", nil, "upsc", status...)
			if mode == peer.ModePlain {
				if says, in := peer.Upsmon(t, time.Second, pki, n.Addr); in {
					t.Errorf("upsmon went on without TLS:\n%s", says)
				}
				return n.Log, []string{n.Addr}
			}
			if says, in := peer.Upsmon(t, limit, pki, n.Addr); !in {
				t.Errorf("upsmon did not get in:\n%s", says)
			}
			// upsc takes TLS where it is offered, and any certificate.
			client(t, "SSL handshake done successfully", nil, "upsc", status...)
			return n.Log, []string{n.Addr}
		})
	}
	serve(t, "self-signed", func(t *testing.T) (string, []string) {
		pki := peer.NewPKI(t)
		n := peer.StartNUT(t, peer.NUTOptions{Cert: pki.SelfSigned})
		if says, in := peer.Upsmon(t, time.Second, pki, n.Addr); in {
			t.Errorf("upsmon took a certificate of nobody:\n%s", says)
		}
		return n.Log, []string{n.Addr}
	})
}
