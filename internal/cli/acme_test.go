package cli

import (
	"crypto/tls"
	"log/slog"
	"net"
	"syscall"
	"testing"
	"time"

	"starttls/internal/acme"
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
