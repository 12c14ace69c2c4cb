//go:build linux

package faults

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"starttls"
	"starttls/dialect"
)

// A backend is a mail server that can be killed, and started again at the same place. What it does with a
// client that has named a sender is the sender's name: "echo", "flood", "deaf".
type backend struct {
	t    *testing.T
	path string
	tls  *tls.Config // if it has TLS, from the first byte

	mu    sync.Mutex
	ln    net.Listener
	conns map[net.Conn]bool
}

func newBackend(t *testing.T, path string) *backend { return newSecureBackend(t, path, nil) }

func newSecureBackend(t *testing.T, path string, config *tls.Config) *backend {
	b := &backend{t: t, path: path, tls: config, conns: make(map[net.Conn]bool)}
	b.start()
	t.Cleanup(b.kill)
	return b
}

func (b *backend) start() {
	b.t.Helper()
	os.Remove(b.path)
	ln, err := net.Listen("unix", b.path)
	if err != nil {
		b.t.Fatal(err)
	}
	if b.tls != nil {
		ln = tls.NewListener(ln, b.tls)
	}
	b.mu.Lock()
	b.ln = ln
	b.mu.Unlock()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			b.mu.Lock()
			b.conns[conn] = true
			b.mu.Unlock()
			go b.serve(conn)
		}
	}()
}

// kill closes the listener and all connections, as the kernel does for a process that is killed.
func (b *backend) kill() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ln.Close()
	for conn := range b.conns {
		conn.Close()
	}
	clear(b.conns)
}

func (b *backend) serve(conn net.Conn) {
	defer func() {
		conn.Close()
		b.mu.Lock()
		delete(b.conns, conn)
		b.mu.Unlock()
	}()
	r := bufio.NewReader(conn)
	io.WriteString(conn, "220 back.test ESMTP\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		io.WriteString(conn, "250 back.test\r\n")
		_, sender, _ := strings.Cut(line, "<")
		switch sender, _, _ = strings.Cut(sender, "@"); sender {
		case "echo":
			io.Copy(conn, r)
			return
		case "flood":
			for block := make([]byte, 64<<10); ; {
				if _, err := conn.Write(block); err != nil {
					return
				}
			}
		case "deaf":
			<-b.t.Context().Done()
			return
		}
	}
}

// ours accepts whichever certificate the gateway has: who it is is no matter here.
var ours = &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}

// dial opens a session through TLS, up to a sender's name.
func dial(network, addr, sender string) (*starttls.Conn, error) {
	return dialWith(ours, network, addr, sender)
}

func dialWith(config *tls.Config, network, addr, sender string) (conn *starttls.Conn, err error) {
	raw, err := net.DialTimeout(network, addr, patience)
	if err != nil {
		return nil, err
	}
	raw.SetDeadline(time.Now().Add(patience))
	if conn, err = upgrade(raw, config); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	for _, line := range []string{"EHLO client.test", "MAIL FROM:<" + sender + "@client.test>"} {
		if err == nil {
			err = ask(conn, line, "250 ")
		}
	}
	raw.SetDeadline(time.Time{})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// upgrade begins TLS.
func upgrade(raw net.Conn, config *tls.Config) (*starttls.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return starttls.Client(ctx, raw, &dialect.SMTP, &starttls.Config{TLS: config})
}

// ask says a line and hears one, which must begin so. It reads no byte of what is behind it.
func ask(conn net.Conn, line, want string) error {
	if _, err := io.WriteString(conn, line+"\r\n"); err != nil {
		return err
	}
	var got []byte
	for b := make([]byte, 1); !bytes.HasSuffix(got, []byte("\n")); got = append(got, b...) {
		if _, err := io.ReadFull(conn, b); err != nil {
			return fmt.Errorf("to %s heard %q: %w", line, got, err)
		}
	}
	if !strings.HasPrefix(string(got), want) {
		return fmt.Errorf("to %s heard %q", line, got)
	}
	return nil
}

// A session of somebody else says and hears a little all the time, and knows each byte.
type session struct {
	net.Conn
	seed   uint64
	stop   chan struct{}
	ended  chan struct{}
	turns  chan struct{} // one for each turn that somebody waits for
	failed error         // when ended
}

// turn is what a session says in one turn.
func (s *session) turn(n uint64) []byte {
	r := rand.New(rand.NewPCG(s.seed, n))
	block := make([]byte, 1+r.IntN(4096))
	for i := range block {
		block[i] = byte(r.Uint32())
	}
	return binary.BigEndian.AppendUint64(block, n)
}

func (s *session) run() {
	defer close(s.ended)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n := uint64(0); ; n++ {
		said := s.turn(n)
		heard := make([]byte, len(said))
		s.SetDeadline(time.Now().Add(patience))
		_, err := s.Write(said)
		if err == nil {
			_, err = io.ReadFull(s, heard)
		}
		if err == nil && !bytes.Equal(said, heard) {
			err = errors.New("other bytes came back")
		}
		if err != nil {
			s.failed = fmt.Errorf("turn %d: %w", n, err)
			return
		}
		select {
		case s.turns <- struct{}{}:
		case <-tick.C:
		case <-s.stop:
			return
		}
	}
}

func begin(conn net.Conn) *session {
	s := &session{Conn: conn, seed: rand.Uint64(), stop: make(chan struct{}), ended: make(chan struct{}), turns: make(chan struct{})}
	go s.run()
	return s
}

// goesOn waits for two turns: one of them began after now.
func (s *session) goesOn() error {
	for range 2 {
		select {
		case <-s.turns:
		case <-s.ended:
			return fmt.Errorf("a session of another: %w", s.failed)
		}
	}
	return nil
}

// end hangs up.
func (s *session) end() error {
	close(s.stop)
	<-s.ended
	s.Close()
	return s.failed
}

// others are sessions of others.
type others []*session

// with is what is held when there are these sessions besides: each has two connections and two goroutines.
func (h held) with(all others) held {
	return held{h.goroutines + 2*len(all), h.descriptors + 2*len(all)}
}

// beginOthers begins n of them at a listener.
func beginOthers(t *testing.T, n int, addr string) (all others) {
	t.Helper()
	for range n {
		conn, err := dial("unix", addr, "echo")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, begin(conn))
	}
	return all
}

// undisturbed fails the test if one of them does not go on.
func (all others) undisturbed(t *testing.T) {
	t.Helper()
	for _, s := range all {
		if err := s.goesOn(); err != nil {
			t.Error(err)
		}
	}
}

// end ends them; until then no byte was wrong.
func (all others) end(t *testing.T) {
	t.Helper()
	for _, s := range all {
		if err := s.end(); err != nil {
			t.Errorf("a session of another: %v", err)
		}
	}
}
