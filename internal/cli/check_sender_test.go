package cli

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/smtp"
	"os"

	"starttls/internal/villain"
)

// mailer is a program that sends mail, for scripts: "mailer DNS PORT" sends to all domains that a sender is
// checked with, in one process. It does TLS with anybody where that is offered, and knows no policy.
func mailer() {
	for _, domain := range villain.MailDomains() {
		if err := mail(os.Args[1], os.Args[2], domain); err != nil {
			fmt.Println(domain, err)
		}
	}
}

func mail(server, port, domain string) error {
	ctx := context.Background()
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, server)
	}}
	mx, err := r.LookupMX(ctx, domain)
	if err != nil {
		return err
	}
	addrs, err := r.LookupHost(ctx, mx[0].Host)
	if err != nil {
		return err
	}
	c, err := smtp.Dial(net.JoinHostPort(addrs[0], port))
	if err != nil {
		return err
	}
	defer c.Close()
	if offered, _ := c.Extension("STARTTLS"); offered {
		if err := c.StartTLS(&tls.Config{InsecureSkipVerify: true}); err != nil {
			return err
		}
	}
	if err := c.Mail("a@sender.test"); err != nil {
		return err
	}
	if err := c.Rcpt("b@" + domain); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte("hello\r\n")); err != nil {
		return err
	}
	return w.Close()
}
