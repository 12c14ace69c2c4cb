package store_test

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"testing"
)

// A path to a server can be cut, held up, and mended.
type path struct {
	ln net.Listener

	mu    sync.Mutex
	conns []net.Conn
	cut   bool
	held  chan struct{} // nothing passes until it is closed
	lose  bool          // the answer to the next commit of a failure
}

// newPath returns the URL of a server by way of a path.
func newPath(t *testing.T, url string) (*path, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	_, server, _ := strings.Cut(url, "@")
	server, _, _ = strings.Cut(server, "/")
	p := &path{ln: ln}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			p.join(conn, server)
		}
	}()
	return p, strings.Replace(url, server, ln.Addr().String(), 1)
}

func (p *path) join(client net.Conn, server string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	conn, err := net.Dial("tcp", server)
	if err != nil || p.cut {
		client.Close()
		return
	}
	p.conns = append(p.conns, client, conn)
	go p.pass(client, conn, false)
	go p.pass(conn, client, true)
}

func (p *path) pass(to, from net.Conn, toServer bool) {
	defer to.Close()
	counted := false
	for buf := make([]byte, 4096); ; {
		n, err := from.Read(buf)
		counted = counted || toServer && bytes.Contains(buf[:n], []byte("INTO failure_count"))
		p.mu.Lock()
		held, last := p.held, p.lose && counted && bytes.Contains(buf[:n], []byte("commit"))
		if last {
			from.Close()
			p.lose = false
		}
		p.mu.Unlock()
		if held != nil {
			<-held
		}
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
		if last { // the server does what it was told, and cannot say so
			for err = nil; err == nil; _, err = to.Read(buf) {
			}
			return
		}
	}
}

// hold holds everything up until the test ends.
func (p *path) hold(t *testing.T) {
	held := make(chan struct{})
	t.Cleanup(func() { close(held) })
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = held
}

func (p *path) set(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
	for _, conn := range p.conns {
		conn.Close()
	}
	p.conns = nil
}
