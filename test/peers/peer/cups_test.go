package peer_test

import (
	"testing"

	"starttls/test/peers/peer"
)

func TestCUPS(t *testing.T) {
	const up, down = "scheduler is running", "scheduler is not running"
	// lpstat asks whether the server runs, with TLS first if -E is given. It
	// takes every failure for "not running".
	lpstat := func(t *testing.T, want string, c *peer.CUPS, more ...string) {
		t.Helper()
		client(t, want, nil, "lpstat", append(more, "-h", "localhost:"+portOf(c.Addr), "-r")...)
	}
	serve(t, "tls", func(t *testing.T) (string, []string) {
		c := peer.StartCUPS(t, peer.CUPSOptions{})
		lpstat(t, up, c, "-E")
		lpstat(t, up, c)
		logged(t, c.Log, "Connection now encrypted.")
		return c.Log, []string{c.Addr}
	})
	serve(t, "plain", func(t *testing.T) (string, []string) {
		c := peer.StartCUPS(t, peer.CUPSOptions{Mode: peer.ModePlain})
		lpstat(t, down, c, "-E")
		lpstat(t, up, c)
		return c.Log, []string{c.Addr}
	})
}
