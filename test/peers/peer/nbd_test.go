package peer_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"starttls/test/peers/peer"
)

func TestNBD(t *testing.T) {
	for name, start := range map[string]func(peer.T, peer.NBDOptions) *peer.NBD{
		"nbdkit": peer.StartNbdkit, "qemu-nbd": peer.StartQemuNBD,
	} {
		for _, mode := range []peer.Mode{peer.ModeTLS, peer.ModePlain, peer.ModeRequired} {
			serve(t, name+" "+mode.String(), func(t *testing.T) (string, []string) {
				creds := peer.NewPKI(t).QemuCreds(t)
				n := start(t, peer.NBDOptions{Mode: mode})
				size := fmt.Sprint(peer.NBDSize)
				upgraded := "nbds://localhost:" + portOf(n.Addr) + "?tls-certificates=" + creds
				clear := "nbd://localhost:" + portOf(n.Addr)
				qemu := []string{"info", "--object", "tls-creds-x509,id=peer,endpoint=client,dir=" + creds,
					"--image-opts", "driver=nbd,host=localhost,port=" + portOf(n.Addr) + ",tls-creds=peer"}
				if mode == peer.ModePlain {
					refused(t, nil, "nbdinfo", "--size", upgraded)
					refused(t, nil, "qemu-img", qemu...)
				} else {
					client(t, size, nil, "nbdinfo", "--size", upgraded)
					client(t, "starttls disk", nil, "nbdcopy", upgraded, "-")
					client(t, size, nil, "qemu-img", qemu...)
				}
				if mode == peer.ModeRequired || mode == peer.ModeTLS && name == "qemu-nbd" {
					refused(t, nil, "nbdinfo", "--size", clear)
				} else {
					client(t, size, nil, "nbdinfo", "--size", clear)
				}
				return n.Log, []string{n.Addr}
			})
		}
	}
}

// nats asks the server for a PONG, after TLS or without, and returns what it
// says.
func nats(t *testing.T, addr string, config *tls.Config) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(limit))
	info, _ := bufio.NewReader(c).ReadString('\n') // nothing comes after it unasked
	if config != nil {
		if !strings.Contains(info, `"tls_required":true`) && !strings.Contains(info, `"tls_available":true`) {
			return info
		}
		c = tls.Client(c, config)
	}
	fmt.Fprintf(c, "CONNECT {\"verbose\":false,\"user\":%q,\"pass\":%q}\r\nPING\r\n", peer.User, peer.Password)
	answer, _ := bufio.NewReader(c).ReadString('\n')
	return answer
}

func TestNATS(t *testing.T) {
	for _, mode := range []peer.Mode{peer.ModeTLS, peer.ModePlain, peer.ModeRequired} {
		serve(t, mode.String(), func(t *testing.T) (string, []string) {
			n := peer.StartNATS(t, peer.NATSOptions{Mode: mode})
			config := &tls.Config{RootCAs: peer.NewPKI(t).Pool, ServerName: "localhost"}
			if got, want := nats(t, n.Addr, config), mode != peer.ModePlain; (got == "PONG\r\n") != want {
				t.Errorf("with TLS: %q", got)
			}
			if got, want := nats(t, n.Addr, nil), mode != peer.ModeRequired; (got == "PONG\r\n") != want {
				t.Errorf("in the clear: %q", got)
			}
			return n.Log, []string{n.Addr}
		})
	}
}
