package peers

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"starttls/internal/proxyproto"
	"starttls/test/peers/peer"
)

// TestPostfixIsToldTheClient: what a proxy in front has told reaches a real server behind.
func TestPostfixIsToldTheClient(t *testing.T) {
	pki := peer.NewPKI(t)
	postfix := peer.StartPostfix(t, peer.PostfixOptions{})
	told := proxyproto.Header{
		Source:      netip.MustParseAddrPort("192.0.2.7:41800"),
		Destination: netip.MustParseAddrPort("198.51.100.25:25"),
	}
	for _, version := range []string{"1", "2"} {
		g := begin(t, pki, "smtp://127.0.0.1:0?proxy=127.0.0.0/8", "smtp://"+postfix.Proxy+"?proxy="+version)
		conn, err := net.Dial("tcp", g.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		conn.Write(told.AppendV2(nil))
		buf := make([]byte, 512)
		if n, err := conn.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "220 ") {
			t.Fatalf("version %s: got %q, %v", version, buf[:n], err)
		}
		conn.Write([]byte("QUIT\r\n"))
		conn.Read(buf)
	}
	log, err := os.ReadFile(postfix.Log)
	if err != nil || strings.Count(string(log), "connect from unknown[192.0.2.7]") < 2 {
		t.Errorf("Postfix's log, %v:\n%s", err, log)
	}
}
