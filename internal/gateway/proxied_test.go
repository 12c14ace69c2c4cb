package gateway_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"starttls/internal/gateway"
	"starttls/internal/proxyproto"
)

var (
	toldClient = netip.MustParseAddrPort("192.0.2.7:41800")
	toldServer = netip.MustParseAddrPort("198.51.100.25:25")
	told       = proxyproto.Header{Source: toldClient, Destination: toldServer}
)

// proxied makes loopback a declared proxy.
func proxied(r *gateway.Route) {
	r.Front.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// come connects and says header, then a hello, and returns the last line of what was answered.
func come(t *testing.T, addr, header string) (answer string, conn net.Conn) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	conn.Write([]byte(header))
	r := bufio.NewReader(conn)
	if first, _ := r.ReadString('\n'); !strings.HasPrefix(first, "220") {
		return first, conn
	}
	conn.Write([]byte("EHLO client.test\r\n"))
	for !strings.HasPrefix(answer, "250 ") {
		if answer, err = r.ReadString('\n'); err != nil {
			break
		}
	}
	return answer, conn
}

func TestDeclaredProxyTellsTheClient(t *testing.T) {
	for version, header := range map[string][]byte{"1": told.AppendV1(nil), "2": told.AppendV2(nil)} {
		g := start(t, only("smtp"), proxied)
		answer, conn := come(t, g.addr, string(header))
		if !strings.HasPrefix(answer, "250") {
			t.Errorf("version %s: got %q", version, answer)
		}
		conn.Close()
		record, err := g.ended()
		if must(t, err); record["peer"] != toldClient.String() {
			t.Errorf("version %s: the log has %v", version, record["peer"])
		}
	}
}

// TestProxyThatSpeaksForItself: a health check.
func TestProxyThatSpeaksForItself(t *testing.T) {
	g := start(t, only("smtp"), proxied)
	answer, conn := come(t, g.addr, string(proxyproto.Header{}.AppendV2(nil)))
	if !strings.HasPrefix(answer, "250") {
		t.Errorf("got %q", answer)
	}
	local := conn.LocalAddr().String()
	conn.Close()
	record, err := g.ended()
	if must(t, err); record["peer"] != local {
		t.Errorf("the log has %v and not %s", record["peer"], local)
	}
}

// TestDeclaredProxyMustTell: without its header nothing reaches the backend. If one that is left out were
// let pass, clients of the proxy could write their own.
func TestDeclaredProxyMustTell(t *testing.T) {
	for name, header := range map[string]string{
		"the protocol itself": "EHLO client.test\r\n",
		"a header that lies":  "PROXY TCP4 192.0.2.7 198.51.100.25 99999 25\r\n",
		"half a header":       "PROXY TCP4 192.0.2",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t, only("smtp"), proxied, within(200*time.Millisecond))
			if answer, _ := come(t, g.addr, header); answer != "" {
				t.Errorf("got %q", answer)
			}
			record, err := g.ended()
			if must(t, err); record["outcome"] != "broken" {
				t.Errorf("the log has %v", record)
			}
			if g.backend.dialed != 0 {
				t.Error("the backend was dialled")
			}
		})
	}
}

// TestUndeclaredSourceIsAClient: a header from it is its protocol, and nothing is believed.
func TestUndeclaredSourceIsAClient(t *testing.T) {
	g := start(t, only("smtp"), func(r *gateway.Route) {
		r.Front.Proxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	})
	_, conn := come(t, g.addr, string(told.AppendV1(nil)))
	local := conn.LocalAddr().String()
	conn.Close()
	record, err := g.ended()
	if must(t, err); record["peer"] != local {
		t.Errorf("the log has %v and not %s", record["peer"], local)
	}
}

// TestClientsOfAProxyAreCountedEach, and not the proxy.
func TestClientsOfAProxyAreCountedEach(t *testing.T) {
	g := start(t, only("smtp"), proxied, func(r *gateway.Route) { r.MaxPerAddr = 1 })
	for _, addr := range []string{"192.0.2.1:1000", "192.0.2.2:1000", "[2001:db8:0:1::1]:1000", "[2001:db8:0:2::1]:1000"} {
		h := proxyproto.Header{Source: netip.MustParseAddrPort(addr), Destination: toldServer}
		if answer, _ := come(t, g.addr, string(h.AppendV2(nil))); !strings.HasPrefix(answer, "250") {
			t.Errorf("%s: got %q", addr, answer)
		}
	}
	for _, addr := range []string{"192.0.2.1:2000", "[2001:db8:0:1::2]:2000"} {
		h := proxyproto.Header{Source: netip.MustParseAddrPort(addr), Destination: toldServer}
		if answer, _ := come(t, g.addr, string(h.AppendV2(nil))); !strings.HasPrefix(answer, "421") {
			t.Errorf("%s, the second from its address: got %q", addr, answer)
		}
	}
}

// readsHeader is a backend that hands on the header that it was told.
func readsHeader(t *testing.T) (dial func(context.Context) (net.Conn, error), headers <-chan proxyproto.Header) {
	t.Helper()
	ln := listen(t)
	told := make(chan proxyproto.Header, 1)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			h, err := proxyproto.Read(conn)
			if err != nil {
				t.Error(err)
			}
			told <- h
			conn.Write([]byte("220 back.test\r\n"))
			go func() {
				defer conn.Close()
				for r := bufio.NewReader(conn); ; {
					if _, err := r.ReadString('\n'); err != nil {
						return
					}
					conn.Write([]byte("250 back.test\r\n"))
				}
			}()
		}
	}()
	return dialer(ln.Addr().String()), told
}

func sendProxy(version int, dial func(context.Context) (net.Conn, error)) func(*gateway.Route) {
	return func(r *gateway.Route) { r.Back.Dial, r.Back.Proxy = dial, version }
}

func TestBackendIsToldTheClient(t *testing.T) {
	for _, version := range []int{1, 2} {
		dial, headers := readsHeader(t)
		g := start(t, only("smtp"), sendProxy(version, dial))
		_, conn := come(t, g.addr, "")
		want := proxyproto.Header{Source: netip.MustParseAddrPort(conn.LocalAddr().String()), Destination: netip.MustParseAddrPort(g.addr)}
		if h := <-headers; h != want {
			t.Errorf("version %d: told %+v, want %+v", version, h, want)
		}
		g = start(t, only("smtp"), proxied, sendProxy(version, dial))
		come(t, g.addr, string(told.AppendV1(nil)))
		if h := <-headers; h != told {
			t.Errorf("version %d, from a proxy: told %+v, want %+v", version, h, told)
		}
	}
}

// TestBackendDialledInsideTLSIsToldOfIt: what is told of TLS is what was negotiated.
func TestBackendDialledInsideTLSIsToldOfIt(t *testing.T) {
	dial, headers := readsHeader(t)
	g := start(t, only("smtp"), frontEncrypt, sendProxy(2, dial))
	_, conn := come(t, g.addr, "")
	conn.Write([]byte("STARTTLS\r\n"))
	if line, _ := bufio.NewReader(conn).ReadString('\n'); !strings.HasPrefix(line, "220") {
		t.Fatalf("got %q", line)
	}
	config := clientTLS()
	config.MaxVersion = tls.VersionTLS12
	secured := tls.Client(conn, config)
	must(t, secured.Handshake())
	secured.Write([]byte("EHLO client.test\r\n"))
	h := <-headers
	state := secured.ConnectionState()
	if h.TLS == nil || h.TLS.Version != "TLSv1.2" || h.TLS.Cipher != tls.CipherSuiteName(state.CipherSuite) || h.TLS.Cert || h.Authority != config.ServerName {
		t.Errorf("told %+v, %+v", h, h.TLS)
	}
}
