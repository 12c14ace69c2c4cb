//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"starttls"
)

// maxGarbage bounds how many clients of this kind there are at once.
const maxGarbage = 40

// throwGarbage sends clients that do what no client does, until ctx ends, and waits for them. Nobody
// counts on how they are served; all that matters is what becomes of the others.
func (w *world) throwGarbage(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	places := make(chan struct{}, maxGarbage)
	for pause(ctx, w.pace.garbage) {
		g := w.gateways[rand.IntN(len(w.gateways))]
		r := w.routes[rand.IntN(len(w.routes))]
		what := garbage[rand.IntN(len(garbage))]
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			conn, err := net.DialTimeout("tcp", address(g.ports[r.name]), patience)
			if err != nil {
				return // the route is removed just now
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(rand.N(w.pace.stay)))
			what.do(w, r, conn)
			w.tally.did(what.name)
		})
	}
}

// garbage are clients that are no clients. Each ends with its connection's deadline at the latest.
var garbage = []struct {
	name string
	do   func(w *world, r *route, conn net.Conn)
}{
	{"clients: noise", func(_ *world, _ *route, conn net.Conn) {
		conn.Write(noise())
		io.Copy(io.Discard, conn)
	}},
	{"clients: silent", func(_ *world, _ *route, conn net.Conn) { io.Copy(io.Discard, conn) }},
	{"clients: words and noise", func(_ *world, r *route, conn net.Conn) {
		s := scripts[r.dialect.Name]
		for _, one := range append(append(s.open[:len(s.open):len(s.open)], s.round...), s.bye...) {
			said := []byte(one.say)
			if len(said) > 0 && rand.IntN(2) == 0 {
				said[rand.IntN(len(said))] ^= byte(1 + rand.IntN(255))
			}
			conn.Write(said)
		}
		io.Copy(io.Discard, conn)
	}},
	{"clients: half a ClientHello", func(_ *world, _ *route, conn net.Conn) {
		conn.Write(clientHello()[:rand.IntN(200)])
		io.Copy(io.Discard, conn)
	}},
	{"clients: upgrade, then noise", func(w *world, r *route, conn net.Conn) {
		starttls.Client(context.Background(), noisyConn{conn}, r.dialect, &starttls.Config{TLS: w.pki.client(), Timeout: w.pace.stay})
	}},
	{"clients: TLS, then noise inside", func(w *world, r *route, conn net.Conn) {
		secured, err := starttls.Client(context.Background(), conn, r.dialect, &starttls.Config{TLS: w.pki.client(), Timeout: w.pace.stay})
		if err != nil {
			return
		}
		secured.Write(noise())
		if rand.IntN(2) == 0 {
			secured.CloseWrite()
		}
		io.Copy(io.Discard, secured)
	}},
	{"clients: TLS, then gone without a word", func(w *world, r *route, conn net.Conn) {
		starttls.Client(context.Background(), conn, r.dialect, &starttls.Config{TLS: w.pki.client(), Timeout: w.pace.stay})
		if tcp, ok := conn.(*net.TCPConn); ok {
			tcp.SetLinger(0) // an RST
		}
	}},
}

func noise() []byte {
	buf := make([]byte, 1+rand.IntN(4000))
	for i := range buf {
		buf[i] = byte(rand.Uint32())
	}
	return buf
}

// noisyConn sends noise in the place of the ClientHello.
type noisyConn struct {
	net.Conn
}

func (c noisyConn) Write(p []byte) (int, error) {
	if len(p) > 0 && p[0] == 0x16 { // a TLS handshake
		c.Conn.Write(noise())
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// clientHello is what a client begins TLS with.
func clientHello() []byte {
	var said recorder
	tls.Client(&said, &tls.Config{ServerName: serverName}).Handshake()
	return []byte(said.String())
}

// A recorder is a connection on which nobody answers.
type recorder struct {
	net.Conn
	strings.Builder
}

func (r *recorder) Write(p []byte) (int, error)      { return r.Builder.Write(p) }
func (r *recorder) Read([]byte) (int, error)         { return 0, io.EOF }
func (r *recorder) Close() error                     { return nil }
func (r *recorder) SetWriteDeadline(time.Time) error { return nil }
