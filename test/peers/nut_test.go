package peers

import (
	"testing"

	"starttls/test/peers/peer"
)

// upsc asks for the charge. It takes TLS where there is some, and any certificate.
func upsc(port string) client {
	return cmd("upsc", peer.NUTDevice+"@localhost:"+port, "battery.charge")
}

func TestNUTGetsTLSInFront(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	server := peer.StartNUT(t, peer.NUTOptions{Mode: peer.ModePlain})
	for _, level := range []string{"may", "encrypt"} {
		g := begin(t, pki, "nut://127.0.0.1:0?tls="+level, "nut://"+server.Addr)
		contains(t, upsc(g.Port).works(t, "87"), "SSL handshake done successfully")
		if says, in := peer.Upsmon(t, limit, pki, g.Addr); !in { // verifies, and logs in
			t.Errorf("upsmon did not get in:\n%s", says)
		}
		g.logged("outcome=tls", "dialect=nut")
		g.quiet()
	}
}

func TestNUTClientsWithoutTLS(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	server := peer.StartNUT(t, peer.NUTOptions{Mode: peer.ModePlain})
	const question, answer = "GET VAR " + peer.NUTDevice + " battery.charge\n", "VAR " + peer.NUTDevice + ` battery.charge "87"`
	t.Run("are served where it may be", func(t *testing.T) {
		g := begin(t, pki, "nut://127.0.0.1:0", "nut://"+server.Addr)
		c := dialLines(t, g.Addr)
		c.say(question)
		c.until(answer)
		c.say("LOGOUT\n")
		c.until("OK Goodbye")
		c.ended()
		g.logged("outcome=clear", "dialect=nut")
		g.quiet()
	})
	t.Run("are refused where it is demanded", func(t *testing.T) {
		g := begin(t, pki, "nut://127.0.0.1:0?tls=encrypt", "nut://"+server.Addr)
		c := dialLines(t, g.Addr)
		for _, line := range []string{question, "USERNAME " + peer.User + "\n", "PASSWORD " + peer.Password + "\n"} {
			c.say(line)
			if got := c.until(""); got != "ERR ACCESS-DENIED\n" {
				t.Errorf("%q got %q", line, got)
			}
		}
		c.say("LOGOUT\n")
		c.until("OK Goodbye")
		c.ended()
		g.logged("outcome=refused", "dialect=nut")
	})
}

func TestNUTBehindAClientWithoutTLS(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	server := peer.StartNUT(t, peer.NUTOptions{})
	g := begin(t, pki, "nut://127.0.0.1:0?tls=none", "nut://"+server.Addr+"?tls=secure", "--ca", pki.CAFile)
	lacks(t, upsc(g.Port).works(t, "87"), "SSL handshake done successfully")
	g.logged("back_tls=\"TLS 1.3\"", "outcome=clear") // it has asked for TLS, and went on without
	g.quiet()
}
