package starttls_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"

	"starttls"
	"starttls/dialect"
)

// A client of IMAP with a URL. Without TLS in its configuration the system's certificates are trusted.
func ExampleDial() {
	ln := serve("imap://127.0.0.1:0", "a1 OK NOOP\r\n")
	defer ln.Close()

	conn, err := starttls.Dial(context.Background(), "imap://"+ln.Addr().String(), clientConfig())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	fmt.Fprint(conn, "a1 NOOP\r\n")
	answer, err := bufio.NewReader(conn).ReadString('\n')
	fmt.Printf("%q %v\n", answer, err)
	fmt.Println("TLS was", conn.Heard.Offer)
	// Output:
	// "a1 OK NOOP\r\n" <nil>
	// TLS was required
}

// A client on a connection of its own that decides what to do about a server without TLS.
func ExampleClient() {
	conn, server := net.Pipe()
	go func() { // a server that has no TLS, or somebody on the path who says so
		r := bufio.NewReader(server)
		fmt.Fprint(server, "220 mx.example.org ESMTP\r\n")
		r.ReadString('\n')
		fmt.Fprint(server, "250 mx.example.org\r\n")
	}()

	_, err := starttls.Client(context.Background(), conn, &dialect.SMTP, clientConfig())
	switch {
	case errors.Is(err, starttls.ErrNotOffered):
		fmt.Println("no TLS there, so no password either:", err)
	case err != nil:
		fmt.Println(err)
	}
	// Output:
	// no TLS there, so no password either: smtp: caps: TLS is not offered
}

// A server of SMTP that speaks to nobody without TLS.
func ExampleServer() {
	conn, client := net.Pipe()
	go func() {
		secured, err := starttls.Client(context.Background(), client, &dialect.SMTP, clientConfig())
		if err == nil {
			fmt.Fprint(secured, "EHLO client.example.org\r\n")
		}
	}()

	secured, err := starttls.Server(context.Background(), conn, &dialect.SMTP, serverConfig())
	if err != nil {
		log.Fatal(err)
	}
	line, err := bufio.NewReader(secured).ReadString('\n')
	fmt.Printf("inside TLS: %q %v\n", line, err)
	// Output:
	// inside TLS: "EHLO client.example.org\r\n" <nil>
}

// A listener in the place of one of package net.
func ExampleListen() {
	ln, err := starttls.Listen("pop3://127.0.0.1:0", serverConfig())
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	go func() {
		conn, err := starttls.Dial(context.Background(), "pop3://"+ln.Addr().String(), clientConfig())
		if err == nil {
			fmt.Fprint(conn, "USER joe\r\n")
			conn.Close()
		}
	}()

	conn, err := ln.Accept()
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	all, err := io.ReadAll(conn) // STLS and TLS come first
	fmt.Printf("%q %v\n", all, err)
	// Output:
	// "USER joe\r\n" <nil>
}

// serve runs a server that answers the first thing it hears inside TLS.
func serve(url, answer string) net.Listener {
	ln, err := starttls.Listen(url, serverConfig())
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				conn.Read(make([]byte, 100))
				io.WriteString(conn, answer)
			}()
		}
	}()
	return ln
}
