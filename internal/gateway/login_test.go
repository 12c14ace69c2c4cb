package gateway_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"

	"starttls"
	"starttls/dialect"
	"starttls/internal/gateway"
)

// TestNoOfferAfterLogin: the list that comes with the answer to a login says nothing of TLS, though the
// client may still begin it before (RFC 9051 §6.2.1).
func TestNoOfferAfterLogin(t *testing.T) {
	ln, err := starttls.Listen("imap://127.0.0.1:0", &starttls.Config{TLS: &tls.Config{Certificates: []tls.Certificate{good()}}})
	must(t, err)
	defer ln.Close()
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		for in := bufio.NewScanner(conn); in.Scan(); {
			tag, command, _ := strings.Cut(in.Text(), " ")
			if strings.HasPrefix(command, "CAPABILITY") {
				fmt.Fprint(conn, "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n")
			}
			fmt.Fprintf(conn, "%s OK [CAPABILITY IMAP4rev1 IDLE] done\r\n", tag)
		}
	}()
	g := gateway.New(gateway.Route{
		Name: "test", Dialect: &dialect.IMAP,
		Front: gateway.Front{Level: starttls.May, TLS: &tls.Config{Certificates: []tls.Certificate{good()}}},
		Back: gateway.Back{Name: "test", Level: starttls.Encrypt, TLS: &tls.Config{InsecureSkipVerify: true},
			Dial: func(ctx context.Context) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", ln.Addr().String())
			}},
	})
	door, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go g.Serve(ctx, door)
	conn, err := net.Dial("tcp", door.Addr().String())
	must(t, err)
	defer conn.Close()
	in := bufio.NewReader(conn)
	_, err = in.ReadString('\n') // the greeting
	must(t, err)
	fmt.Fprint(conn, "a LOGIN u p\r\n")
	answer, err := in.ReadString('\n')
	must(t, err)
	if strings.Contains(answer, "STARTTLS") || !strings.Contains(answer, "IDLE") {
		t.Errorf("the login is answered with %q", answer)
	}
}
