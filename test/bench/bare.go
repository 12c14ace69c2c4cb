//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
)

// bareEnv, if set, makes this program a bare server: the least that crypto/tls can do here. It names the
// protocol.
const bareEnv = "STARTTLS_BENCH_BARE"

// A bare server knows the words up to TLS by heart and checks nothing. Inside TLS it answers by itself, or,
// if it has a backend, dials that and copies.
type bare struct {
	protocol, backend string
	config            *tls.Config
}

// runBare serves until SIGTERM. Its arguments are the files of certificate and key, and the backend.
func runBare(protocol string, args []string) int {
	pair, err := tls.LoadX509KeyPair(args[0], args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	b := &bare{protocol, args[2], &tls.Config{Certificates: []tls.Certificate{pair}, DynamicRecordSizingDisabled: true}}
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	stop, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	context.AfterFunc(stop, func() { ln.Close() })
	fmt.Printf("listening  %s://%s (bare)\n", protocol, ln.Addr())
	accept(ln, b.serve)
	return 0
}

// bareWords are what is said before TLS: the greeting, and then an answer to each line.
var bareWords = map[string][]string{
	"smtp": {"220 bare.test ESMTP\r\n", "250-bare.test\r\n250 STARTTLS\r\n", "220 2.0.0 Ready to start TLS\r\n"},
	"imap": {"* OK bare.test ready\r\n", "* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\na OK done\r\n", "a OK Begin TLS\r\n"},
}

func (b *bare) serve(t *talk) error {
	for i, words := range bareWords[b.protocol] {
		if i > 0 {
			if _, err := t.line(); err != nil {
				return err
			}
		}
		if err := t.say(words); err != nil {
			return err
		}
	}
	secured := tls.Server(t.Conn, b.config)
	defer secured.Close()
	if err := secured.Handshake(); err != nil {
		return err
	}
	if b.backend != "" {
		return b.pass(secured)
	}
	inside := newTalk(secured)
	if b.protocol == "smtp" {
		return answerSMTP(inside)
	}
	return answerIMAP(inside)
}

// pass dials the backend, drops its greeting, and copies.
func (b *bare) pass(secured *tls.Conn) error {
	back, err := net.Dial("tcp4", b.backend)
	if err != nil {
		return err
	}
	defer back.Close()
	t := newTalk(back)
	if _, err := t.line(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		io.Copy(secured, t.Conn)
		secured.CloseWrite()
		close(ended)
	}()
	io.Copy(t.Conn, secured)
	back.(*net.TCPConn).CloseWrite()
	<-ended
	return nil
}

// startBare starts this program as a bare server.
func (b *bench) startBare(s *scope, p *proxy, at place, backend string) {
	self, err := os.Executable()
	s.check(err)
	cert := b.cert(at)
	b.startChild(s, p, at, self, append(b.profiles("bare-"+at.protocol), bareEnv+"="+at.protocol), cert.CertFile, cert.KeyFile, backend)
}

// backendOf returns the backend's address for a protocol.
func (b *bench) backendOf(at place) string {
	if at.protocol == "smtp" {
		return b.back.smtp
	}
	return b.back.imap
}
