//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// The backend speaks as much SMTP and IMAP as the clients and the proxies here need, without TLS. IMAP
// has two commands of its own, after LOGIN: "BULK n" sends n bytes, "SINK n" takes n.
type backend struct{ smtp, imap string }

func startBackend(s *scope) *backend {
	listen := func(serve func(*talk) error) string {
		ln, err := net.Listen("tcp4", "127.0.0.1:0")
		s.check(err)
		s.Cleanup(func() { ln.Close() })
		go accept(ln, serve)
		return ln.Addr().String()
	}
	return &backend{smtp: listen(serveSMTP), imap: listen(serveIMAP)}
}

func accept(ln net.Listener, serve func(*talk) error) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			serve(newTalk(conn)) // how a conversation ends is the client's matter
		}()
	}
}

// A talk is one side of a conversation in lines.
type talk struct {
	net.Conn
	r *bufio.Reader
}

func newTalk(conn net.Conn) *talk { return &talk{conn, bufio.NewReaderSize(conn, 2<<10)} }

func (t *talk) line() (string, error) {
	line, err := t.r.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

func (t *talk) say(text string) error {
	_, err := io.WriteString(t.Conn, text)
	return err
}

func serveSMTP(t *talk) error {
	if err := t.say("220 backend.test ESMTP\r\n"); err != nil {
		return err
	}
	return answerSMTP(t)
}

// answerSMTP answers commands.
func answerSMTP(t *talk) (err error) {
	for err == nil {
		var line string
		if line, err = t.line(); err != nil {
			return err
		}
		verb, _, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			err = t.say("250-backend.test\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250 8BITMIME\r\n")
		case "QUIT":
			return t.say("221 2.0.0 Bye\r\n")
		default:
			err = t.say("250 2.0.0 OK\r\n")
		}
	}
	return err
}

const imapCapabilities = "* CAPABILITY IMAP4rev1 LITERAL+ AUTH=PLAIN IDLE\r\n"

func serveIMAP(t *talk) error {
	if err := t.say("* OK backend.test ready\r\n"); err != nil {
		return err
	}
	return answerIMAP(t)
}

// answerIMAP answers commands.
func answerIMAP(t *talk) (err error) {
	for err == nil {
		var line string
		if line, err = t.line(); err != nil {
			return err
		}
		tag, rest, _ := strings.Cut(line, " ")
		verb, arg, _ := strings.Cut(rest, " ")
		done := tag + " OK done\r\n"
		switch strings.ToUpper(verb) {
		case "CAPABILITY":
			done = imapCapabilities + done
		case "LOGIN":
			err = t.literals(arg)
		case "BULK":
			err = t.bulk(arg)
		case "SINK":
			err = t.sink(arg)
		case "LOGOUT":
			return t.say("* BYE\r\n" + done)
		}
		if err == nil {
			err = t.say(done)
		}
	}
	return err
}

// literals takes the arguments of a login that come one by one: nginx says them so.
func (t *talk) literals(arg string) (err error) {
	for strings.HasSuffix(arg, "}") && err == nil {
		if err = t.say("+ go on\r\n"); err == nil {
			arg, err = t.line()
		}
	}
	return err
}

func (t *talk) bulk(arg string) error {
	left, err := strconv.ParseInt(arg, 10, 64)
	if err == nil {
		err = fill(t.Conn, left)
	}
	return err
}

func (t *talk) sink(arg string) error {
	left, err := strconv.ParseInt(arg, 10, 64)
	if err == nil {
		err = drain(t, left)
	}
	return err
}

const (
	chunk     = 128 << 10
	bulkWords = "nothing to see here, and nothing that compresses matters: no peer compresses\r\n"
)

// fill writes n bytes.
func fill(w io.Writer, n int64) error {
	buf := []byte(strings.Repeat(bulkWords, chunk/len(bulkWords)))
	for n > 0 {
		m, err := w.Write(buf[:min(n, int64(len(buf)))])
		if n -= int64(m); err != nil {
			return err
		}
	}
	return nil
}

// drain reads n bytes: what the line reader holds, and the rest with a larger buffer.
func drain(t *talk, n int64) error {
	held := min(int64(t.r.Buffered()), n)
	if _, err := t.r.Discard(int(held)); err != nil {
		return err
	}
	buf := make([]byte, chunk)
	for n -= held; n > 0; {
		m, err := t.Conn.Read(buf[:min(n, int64(len(buf)))])
		if n -= int64(m); err != nil && n > 0 {
			return fmt.Errorf("%d bytes short: %w", n, err)
		}
	}
	return nil
}
