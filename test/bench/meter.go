//go:build linux

package main

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A meter stands before a server and counts connections and replies. However busy the machine is, these are the
// same each time.
type meter struct {
	addr    string
	late    time.Duration // how long what the server says is held
	count   atomic.Int64
	replies atomic.Int64 // what the server has said first, or after the client: each is waited for
	ln      net.Listener
	conns   sync.WaitGroup
}

func listen(to string, late time.Duration) (*meter, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &meter{addr: ln.Addr().String(), late: late, ln: ln}
	m.conns.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			m.count.Add(1)
			m.conns.Go(func() { m.pass(conn, to) })
		}
	})
	return m, nil
}

func (m *meter) close() { m.ln.Close() }

// pass copies both ways to the end.
func (m *meter) pass(client net.Conn, to string) {
	defer client.Close()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	var due atomic.Bool // what the server says next is a reply
	due.Store(true)
	ended := make(chan struct{}, 2)
	go func() {
		io.Copy(server, told{client, &due})
		server.(*net.TCPConn).CloseWrite()
		ended <- struct{}{}
	}()
	go func() {
		m.reply(client, server, &due)
		client.(*net.TCPConn).CloseWrite()
		ended <- struct{}{}
	}()
	<-ended
	<-ended
}

// told is a client of whose words the server is told: a reply is due for them.
type told struct {
	net.Conn
	due *atomic.Bool
}

func (t told) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if n > 0 {
		t.due.Store(true)
	}
	return n, err
}

// reply copies what the server says, each piece when it is time.
func (m *meter) reply(client io.Writer, server io.Reader, due *atomic.Bool) {
	type piece struct {
		at   time.Time
		text []byte
	}
	held := make(chan piece, 64)
	go func() {
		defer close(held)
		for {
			text := make([]byte, 16<<10)
			n, err := server.Read(text)
			if err != nil {
				return
			}
			if due.Swap(false) {
				m.replies.Add(1)
			}
			held <- piece{time.Now().Add(m.late), text[:n]}
		}
	}()
	for p := range held {
		time.Sleep(time.Until(p.at))
		client.Write(p.text) // whoever does not read any more has hung up, and his end is copied as well
	}
}
