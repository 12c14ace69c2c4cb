package peers

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"starttls/test/peers/peer"
)

var nbdServers = map[string]func(peer.T, peer.NBDOptions) *peer.NBD{"nbdkit": peer.StartNbdkit, "qemu-nbd": peer.StartQemuNBD}

// nbdURL is for the clients of libnbd.
func nbdURL(pki *peer.PKI, t *testing.T, g *gateway, inTLS bool) string {
	if inTLS {
		return "nbds://" + g.Host + "?tls-certificates=" + pki.QemuCreds(t)
	}
	return "nbd://" + g.Host
}

// qemuImg runs qemu-img on the disk behind the gateway; the disk comes after the arguments.
func qemuImg(pki *peer.PKI, t *testing.T, g *gateway, inTLS bool, what string, args ...string) client {
	c, disk := cmd("qemu-img", what), "driver=nbd,host=localhost,port="+g.Port
	if inTLS {
		c = c.with("--object", "tls-creds-x509,id=peer,endpoint=client,dir="+pki.QemuCreds(t))
		disk += ",tls-creds=peer"
	}
	return c.with("--image-opts").with(args...).with(disk)
}

// nbdReads has three clients read the disk: its size, all of its content, and its content once more.
func nbdReads(t *testing.T, pki *peer.PKI, g *gateway, inTLS bool) {
	t.Helper()
	url := nbdURL(pki, t, g, inTLS)
	cmd("nbdinfo", "--size", url).works(t, fmt.Sprint(peer.NBDSize))
	cmd("nbdinfo", "--list", url).works(t, "export-size: 1048576")
	cmd("nbdinfo", "--map", url).works(t, "data")
	whole := func(out string) {
		t.Helper()
		if want := peer.NBDText + strings.Repeat("\x00", peer.NBDSize-len(peer.NBDText)); out != want {
			t.Errorf("%d bytes came, want %d; the first are %.40q", len(out), len(want), out)
		}
	}
	whole(cmd("nbdcopy", url, "-").works(t, ""))
	qemuImg(pki, t, g, inTLS, "info").works(t, "1 MiB (1048576 bytes)")
	file := t.TempDir() + "/copy"
	disk := qemuImg(pki, t, g, inTLS, "convert", "-O", "raw")
	disk.with(file).works(t, "")
	whole(cmd("cat", file).works(t, ""))
}

func TestNBDGetsTLSInFront(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	for name, start := range nbdServers {
		n := start(t, peer.NBDOptions{Mode: peer.ModePlain})
		t.Run(name+" offered", func(t *testing.T) {
			g := begin(t, pki, "nbd://127.0.0.1:0", "nbd://"+n.Addr)
			nbdReads(t, pki, g, true)
			nbdReads(t, pki, g, false)
			g.logged("outcome=tls", "dialect=nbd")
			g.logged("outcome=clear", "dialect=nbd")
			g.quiet()
		})
		t.Run(name+" demanded", func(t *testing.T) {
			g := begin(t, pki, "nbd://127.0.0.1:0?tls=encrypt", "nbd://"+n.Addr)
			nbdReads(t, pki, g, true)
			g.quiet()
			cmd("nbdinfo", "--size", nbdURL(pki, t, g, false)).fails(t, "server requires TLS encryption first")
			qemuImg(pki, t, g, false, "info").fails(t, "TLS is required")
			g.logged("outcome=refused")
			const list, required = 3, 1<<31 + 5 // NBD_OPT_LIST, NBD_REP_ERR_TLS_REQD
			out := says(t, g.Addr, "", "IHAVEOPT\x00\x01", "\x00\x00\x00\x01IHAVEOPT\x00\x00\x00\x03\x00\x00\x00\x00", "required")
			at := strings.Index(out, "\x00\x03\xe8\x89\x04\x55\x65\xa9")
			if at < 0 || len(out) < at+16 || binary.BigEndian.Uint32([]byte(out[at+8:])) != list || binary.BigEndian.Uint32([]byte(out[at+12:])) != required {
				t.Errorf("LIST in the clear is answered with %q", out)
			}
		})
	}
}

func TestClearNBDClientsReachServersThroughTLS(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	for name, start := range nbdServers {
		for _, mode := range []peer.Mode{peer.ModeTLS, peer.ModeRequired} {
			t.Run(name+" "+mode.String(), func(t *testing.T) {
				n := start(t, peer.NBDOptions{Mode: mode})
				g := begin(t, pki, "nbd://127.0.0.1:0?tls=none", "nbd://"+n.Addr+"?tls=secure", "--ca", pki.CAFile)
				nbdReads(t, pki, g, false)
				g.logged("outcome=clear", "back_tls=\"TLS 1.3\"", "dialect=nbd")
				g.quiet()
				turned := begin(t, pki, "nbd://127.0.0.1:0?tls=none", "nbd://"+n.Addr+"?tls=secure&match=other.test", "--ca", pki.CAFile)
				cmd("nbdinfo", "--size", nbdURL(pki, t, turned, false)).fails(t)
				turned.logged("outcome=backend-failed", "not other.test")
			})
		}
	}
}
