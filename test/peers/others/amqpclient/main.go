// Command amqpclient sends a message to an AMQP 1.0 server at the address in its first argument and waits
// until it is accepted. Further arguments: a file of certificates to trust, and then TLS is begun in-band.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"os"
	"time"

	"pack.ag/amqp"
)

func main() {
	log.SetFlags(0)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// With an idle time of its own the library may miss its turn to begin TLS, and wait for it.
	options := []amqp.ConnOption{amqp.ConnSASLPlain("joe", "secret"), amqp.ConnConnectTimeout(10 * time.Second), amqp.ConnIdleTimeout(0)}
	if len(os.Args) > 2 {
		pem, err := os.ReadFile(os.Args[2])
		check(err)
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		options = append(options, amqp.ConnTLSConfig(&tls.Config{RootCAs: roots, ServerName: "localhost"}))
	}
	client, err := amqp.Dial("amqp://"+os.Args[1], options...)
	check(err)
	session, err := client.NewSession()
	check(err)
	sender, err := session.NewSender(amqp.LinkTargetAddress("/queue/try"), amqp.LinkSenderSettle(amqp.ModeUnsettled))
	check(err)
	check(sender.Send(ctx, amqp.NewMessage([]byte("Hello"))))
	check(client.Close())
	fmt.Println("the message was accepted")
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
