package peers

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"starttls/test/peers/peer"
)

// A SQL server in the clear that knows one answer: there is no free server of TDS.

// startTDS starts it.
func startTDS(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serveTDS(c)
		}
	}()
	return l.Addr().String()
}

// serveTDS answers each message of a client by its kind (MS-TDS §2.2.3.1.1).
func serveTDS(c net.Conn) {
	defer c.Close()
	done := "\xfd\x00\x00\x00\x00" + "\x01\x00\x00\x00\x00\x00\x00\x00"
	answers := map[byte]string{
		// Behind the two options and the end of the list: version 16, no encryption.
		0x12: "\x00\x00\x0b\x00\x06" + "\x01\x00\x11\x00\x01" + "\xff" + "\x10\x00\x00\x00\x00\x00" + "\x02",
		// LOGINACK: SQL, TDS 7.4, "sql", 16.0.0.0.
		0x10: "\xad\x10\x00\x01\x74\x00\x00\x04\x03s\x00q\x00l\x00\x10\x00\x00\x00" + done,
		// COLMETADATA: one INT4 "x". ROW: 42.
		0x01: "\x81\x01\x00" + "\x00\x00\x00\x00\x00\x00\x38\x01x\x00" + "\xd1\x2a\x00\x00\x00" + "\xfd\x10\x00\xc1\x00" + "\x01\x00\x00\x00\x00\x00\x00\x00",
	}
	head := make([]byte, 8)
	for {
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint16(head[2:]))-8)
		answer, ok := answers[head[0]]
		if head[1]&1 == 0 {
			continue // more of the message follows
		}
		if !ok {
			answer = done
		}
		out := binary.BigEndian.AppendUint16([]byte{4, 1}, uint16(8+len(answer)))
		c.Write(append(append(out, 0, 0, 1, 0), answer...))
	}
}

// tsql asks the one question. encryption is FreeTDS's word: off, request, require.
func tsql(t *testing.T, pki *peer.PKI, g *gateway, encryption string) (string, int) {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "freetds.conf")
	text := fmt.Sprintf("[peer]\nhost = localhost\nport = %s\ntds version = 7.4\nencryption = %s\nca file = %s\ncheck certificate hostname = yes\n",
		g.Port, encryption, pki.CAFile)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return peer.RunInput(t, limit, []string{"FREETDSCONF=" + conf, "LC_ALL=C.UTF-8"}, "select 6*7 as x\ngo\nexit\n",
		"tsql", "-S", "peer", "-U", peer.User, "-P", peer.Password, "-o", "q")
}

func TestTDSGetsTLSInFront(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	addr := startTDS(t)
	for _, options := range []string{"", "?tls=encrypt"} {
		for _, encryption := range []string{"require", "request"} {
			t.Run(encryption+options, func(t *testing.T) {
				g := begin(t, pki, "tds://127.0.0.1:0"+options, "tds://"+addr)
				out, status := tsql(t, pki, g, encryption)
				if status != 0 {
					t.Errorf("status %d", status)
				}
				contains(t, out, "42")
				g.logged("outcome=tls", "dialect=tds")
				g.quiet()
			})
		}
	}
	t.Run("in the clear", func(t *testing.T) {
		g := begin(t, pki, "tds://127.0.0.1:0", "tds://"+addr)
		out, _ := tsql(t, pki, g, "off")
		contains(t, out, "42")
		g.logged("outcome=clear", "dialect=tds")
		g.quiet()
	})
	t.Run("demanded", func(t *testing.T) {
		g := begin(t, pki, "tds://127.0.0.1:0?tls=encrypt", "tds://"+addr)
		out, _ := tsql(t, pki, g, "off") // it would encrypt the login alone, and does as it is told
		contains(t, out, "42")
		g.logged("outcome=tls")
		// A client that says it cannot, and logs in all the same.
		says(t, g.Addr, "\x12\x01\x00\x1a\x00\x00\x01\x00"+"\x00\x00\x0b\x00\x06\x01\x00\x11\x00\x01\xff"+"\x10\x00\x00\x00\x00\x00\x02", "\x03",
			"\x10\x01\x00\x10\x00\x00\x01\x00\x08\x00\x00\x00\x04\x00\x00\x74", "\xaa\x70\x00\xab\x45\x00\x00\x01\x14") // ERROR 17835, state 1, class 20
		g.logged("outcome=refused", "refused=tls-required")
	})
}

// Two gateways, and TLS between them alone.
func TestClearTDSClientsReachServersThroughTLS(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	server := begin(t, pki, "tds://127.0.0.1:0?tls=encrypt", "tds://"+startTDS(t))
	g := begin(t, pki, "tds://127.0.0.1:0?tls=none", "tds://"+server.Addr+"?tls=secure", "--ca", pki.CAFile)
	out, _ := tsql(t, pki, g, "off")
	contains(t, out, "42")
	g.logged("outcome=clear", "back_tls=\"TLS 1.", "dialect=tds")
	g.quiet()
	server.quiet()
}
