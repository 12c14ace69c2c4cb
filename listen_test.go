package starttls_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starttls"
	"starttls/dialect"
)

func listen(t testing.TB, url string) net.Listener {
	t.Helper()
	ln, err := starttls.Listen(url, serverConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// echo answers on each connection with what it reads.
func echo(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			io.Copy(conn, conn)
		}()
	}
}

// said says something and wants it back.
func said(conn io.ReadWriter) error {
	if _, err := io.WriteString(conn, "hello"); err != nil {
		return err
	}
	buf := make([]byte, 5)
	if _, err := io.ReadFull(conn, buf); err != nil || string(buf) != "hello" {
		return errors.Join(err, errors.New(string(buf)))
	}
	return nil
}

// TestDialReachesListen by each scheme, and by a unix socket.
func TestDialReachesListen(t *testing.T) {
	urls := []string{"smtp+unix:" + filepath.Join(t.TempDir(), "socket"), "imaps+unix:" + filepath.Join(t.TempDir(), "socket")}
	for _, d := range dialect.All {
		for _, s := range d.Schemes {
			urls = append(urls, s.Name+"://127.0.0.1:0")
		}
	}
	for _, url := range urls {
		t.Run(strings.ReplaceAll(url, "/", "_"), func(t *testing.T) {
			t.Parallel()
			ln := listen(t, url)
			go echo(ln)
			scheme, _, _ := strings.Cut(url, ":")
			if ln.Addr().Network() == "unix" {
				url = scheme + ":" + ln.Addr().String()
			} else {
				url = scheme + "://" + ln.Addr().String()
			}
			conn, err := starttls.Dial(t.Context(), url, clientConfig())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := said(conn); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDialVerifiesTheHost of the URL, if no name is given.
func TestDialVerifiesTheHost(t *testing.T) {
	ln := listen(t, "imap://127.0.0.1:0")
	go echo(ln)
	config := clientConfig()
	config.TLS.ServerName = ""
	conn, err := starttls.Dial(t.Context(), "imap://"+ln.Addr().String(), config)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if config.TLS.ServerName != "" {
		t.Error("the caller's configuration was changed")
	}
	if _, err := starttls.Dial(t.Context(), "imap://"+ln.Addr().String(), nil); !errors.Is(err, starttls.ErrTLS) {
		t.Errorf("an unknown certificate: %v", err)
	}
	config.TLS.ServerName = "other.test"
	if _, err := starttls.Dial(t.Context(), "imap://"+ln.Addr().String(), config); !errors.Is(err, starttls.ErrTLS) {
		t.Errorf("a wrong name: %v", err)
	}
}

// TestASlowClientKeepsNobodyWaiting: Accept does not shake hands.
func TestASlowClientKeepsNobodyWaiting(t *testing.T) {
	ln := listen(t, "smtp://127.0.0.1:0")
	go echo(ln)
	slow, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	conn, err := starttls.Dial(t.Context(), "smtp://"+ln.Addr().String(), clientConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := said(conn); err != nil {
		t.Error(err)
	}
}

// accept dials ln without a word of TLS and returns both ends.
func accept(t testing.TB, ln net.Listener) (client net.Conn, server *starttls.ServerConn) {
	t.Helper()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return client, conn.(*starttls.ServerConn)
}

// TestAFailedUpgradeIsRemembered: every Read and Write fails as the first did.
func TestAFailedUpgradeIsRemembered(t *testing.T) {
	client, server := accept(t, listen(t, "smtp://127.0.0.1:0"))
	io.WriteString(client, "GET / HTTP/1.1\r\n")
	for range 2 {
		if _, err := server.Read(make([]byte, 1)); !errors.Is(err, starttls.ErrNoise) {
			t.Errorf("Read: %v", err)
		}
		if _, err := server.Write([]byte("x")); !errors.Is(err, starttls.ErrNoise) {
			t.Errorf("Write: %v", err)
		}
		if _, err := server.Upgrade(t.Context()); !errors.Is(err, starttls.ErrNoise) {
			t.Errorf("Upgrade: %v", err)
		}
	}
	closed(t, client)
	if err := server.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// TestCloseEndsAnUpgrade that is on its way.
func TestCloseEndsAnUpgrade(t *testing.T) {
	client, server := accept(t, listen(t, "smtp://127.0.0.1:0"))
	failed := make(chan error)
	go func() {
		_, err := server.Read(make([]byte, 1))
		failed <- err
	}()
	client.SetReadDeadline(time.Now().Add(patience))
	if _, err := client.Read(make([]byte, 1)); err != nil { // the greeting: the upgrade has begun
		t.Fatal(err)
	}
	server.Close()
	select {
	case err := <-failed:
		if err == nil {
			t.Error("something was read")
		}
	case <-time.After(patience):
		t.Error("Read waits on")
	}
}

// TestUpgradeReturnsTheConn, the same each time.
func TestUpgradeReturnsTheConn(t *testing.T) {
	ln := listen(t, "imaps://127.0.0.1:0")
	go func() {
		conn, err := starttls.Dial(t.Context(), "imaps://"+ln.Addr().String(), clientConfig())
		if err == nil {
			io.WriteString(conn, "x")
		}
	}()
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	server := accepted.(*starttls.ServerConn)
	first, err := server.Upgrade(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again, err := server.Upgrade(t.Context())
	if err != nil || again != first || first.ConnectionState().NegotiatedProtocol != "imap" {
		t.Errorf("%p, then %p, %v", first, again, err)
	}
	if _, err := io.ReadFull(server, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
}

func TestListenNeedsWhatItNeeds(t *testing.T) {
	for url, config := range map[string]*starttls.Config{
		"nonsense":              serverConfig(),
		"smtp://127.0.0.1:0":    {},
		"imap://127.0.0.1:0":    nil,
		"smtp://127.0.0.1:http": serverConfig(),
		"smtp://192.0.2.1:0":    serverConfig(), // not ours (RFC 5737)
	} {
		if ln, err := starttls.Listen(url, config); err == nil {
			t.Errorf("%s is listened at: %v", url, ln.Addr())
		}
	}
}

// TestSessionsResume, whether the protocol has an ALPN id or not: the ticket keys are the listener's and
// not a connection's.
func TestSessionsResume(t *testing.T) {
	for _, scheme := range []string{"smtp", "imap", "imaps", "ftp"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			ln := listen(t, scheme+"://127.0.0.1:0")
			go echo(ln)
			config := clientConfig()
			config.TLS.ClientSessionCache = tls.NewLRUClientSessionCache(4)
			for _, resumes := range []bool{false, true, true} {
				conn, err := starttls.Dial(t.Context(), scheme+"://"+ln.Addr().String(), config)
				if err != nil {
					t.Fatal(err)
				}
				if err := said(conn); err != nil { // with the answer come tickets
					t.Error(err)
				}
				if did := conn.ConnectionState().DidResume; did != resumes {
					t.Errorf("resumed: %t, and not %t", did, resumes)
				}
				conn.Close()
			}
		})
	}
}
