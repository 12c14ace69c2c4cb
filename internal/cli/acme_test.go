package cli

import (
	"crypto/tls"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"starttls/internal/acme"
	"starttls/internal/config"
)

// A poor listener has no descriptors for its first client.
type poor struct {
	net.Listener
	rich bool
}

func (l *poor) Accept() (net.Conn, error) {
	if !l.rich {
		l.rich = true
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

// TestProofsGoOnAfterALackOfDescriptors: a certificate is not lost for a moment in which there were none.
func TestProofsGoOnAfterALackOfDescriptors(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go proveByTLS(t.Context(), &poor{Listener: ln}, new(acme.TLSALPN01).Config(), slog.New(slog.DiscardHandler))
	dialer := &net.Dialer{Timeout: patience, Deadline: time.Now().Add(patience)}
	_, err = tls.DialWithDialer(dialer, "tcp", ln.Addr().String(), &tls.Config{ServerName: "mx.example.org", NextProtos: []string{"acme-tls/1"}})
	if err == nil || err.Error() != "remote error: tls: internal error" {
		t.Errorf("got %v, want an alert: there is no challenge for that name", err)
	}
}

// TestWhoIsAskedForNameServers: of the DNS servers of the configuration, one that can be asked in the clear.
func TestWhoIsAskedForNameServers(t *testing.T) {
	for servers, want := range map[string]string{
		"192.0.2.1":                           "192.0.2.1:53",
		"192.0.2.1:5353":                      "192.0.2.1:5353",
		"2001:db8::1":                         "[2001:db8::1]:53",
		"[2001:db8::1]":                       "[2001:db8::1]:53",
		"[2001:db8::1]:5353":                  "[2001:db8::1]:5353",
		"tls://192.0.2.53#dns.test,192.0.2.1": "192.0.2.1:53",
		"tls://192.0.2.53#dns.test":           "",
	} {
		tasks := &acmeTasks{file: &config.File{DNS: config.DNS{Servers: strings.Split(servers, ",")}}}
		if got, err := tasks.resolver(); got != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q, %v; want %q", servers, got, err, want)
		}
	}
}
