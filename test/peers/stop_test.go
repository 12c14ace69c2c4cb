package peers

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"starttls/test/peers/peer"
)

// await reads until a line begins with want.
func await(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(limit))
	var got []byte
	for buf := make([]byte, 4096); ; {
		n, err := conn.Read(buf)
		got = append(got, buf[:n]...)
		if bytes.HasSuffix(got, []byte("\n")) && (bytes.HasPrefix(got, []byte(want)) || bytes.Contains(got, []byte("\n"+want))) {
			return
		}
		if err != nil {
			t.Fatalf("no %q: %v, after %q", want, err, got)
		}
	}
}

// refusesConnections checks that nobody listens once the program stops.
func (g *gateway) refusesConnections() {
	g.t.Helper()
	g.logged("msg=stopping", "sessions=1")
	if conn, err := net.Dial("tcp", g.Addr); err == nil {
		conn.Close()
		g.t.Error("a program that stops takes connections")
	}
}

func TestTheFirstSIGTERMLetsSessionsEnd(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	d := peer.StartDovecot(t, peer.DovecotOptions{Mode: peer.ModePlain})
	g := begin(t, pki, "imap://127.0.0.1:0", "imap://"+d.IMAP, "--grace", "1m")
	session := dialIMAP(t, g, &tls.Config{ServerName: "localhost", RootCAs: pki.Pool})
	g.signal(syscall.SIGTERM)
	g.refusesConnections()
	session.says("b NOOP", "b OK")
	session.says("c LOGOUT", "c OK")
	session.Close()
	g.ended()
	g.logged("outcome=tls")
	lacks(t, g.log.String(), "broken off")
}

func TestTheSecondSIGTERMEndsSessions(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	d := peer.StartDovecot(t, peer.DovecotOptions{Mode: peer.ModePlain})
	g := begin(t, pki, "imap://127.0.0.1:0", "imap://"+d.IMAP, "--grace", "5m")
	session := dialIMAP(t, g, &tls.Config{ServerName: "localhost", RootCAs: pki.Pool})
	g.signal(syscall.SIGTERM)
	g.refusesConnections()
	g.signal(syscall.SIGTERM)
	g.ended()
	g.logged("outcome=broken", "the gateway stops")
	g.logged("sessions were broken off", "sessions=1")
	session.SetReadDeadline(time.Now().Add(limit))
	if n, err := session.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Errorf("the session lives")
	}
}

func TestSessionsEndWithTheGraceTime(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	d := peer.StartDovecot(t, peer.DovecotOptions{Mode: peer.ModePlain})
	g := begin(t, pki, "imap://127.0.0.1:0", "imap://"+d.IMAP, "--grace", "100ms")
	dialIMAP(t, g, &tls.Config{ServerName: "localhost", RootCAs: pki.Pool})
	g.signal(syscall.SIGTERM)
	g.ended()
	g.logged("sessions were broken off", "sessions=1")
}

// Bytes glued to the upgrade are never read as if they had come through TLS.
func TestInjectedCommandsReachNoServer(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	d := peer.StartDovecot(t, peer.DovecotOptions{Mode: peer.ModePlain})
	g := begin(t, pki, "imap://127.0.0.1:0", "imap://"+d.IMAP)
	conn, err := net.Dial("tcp", g.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	await(t, conn, "* OK")
	io.WriteString(conn, "a STARTTLS\r\nb LOGIN injected secret\r\n")
	await(t, conn, "a OK")
	g.logged("outcome=injected", "injected_bytes=25")
	s := service{log: d.Log, seen: "injected"}
	if s.reached(t) {
		t.Error("the server has heard it")
	}
}
