//go:build linux

package main

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// A meter stands before a server and counts connections.
type meter struct {
	addr  string
	count atomic.Int64
	ln    net.Listener
	conns sync.WaitGroup
}

func listen(to string) (*meter, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &meter{addr: ln.Addr().String(), ln: ln}
	m.conns.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			m.count.Add(1)
			m.conns.Go(func() { pass(conn, to) })
		}
	})
	return m, nil
}

func (m *meter) close() { m.ln.Close() }

// pass copies both ways to the end.
func pass(client net.Conn, to string) {
	defer client.Close()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	ended := make(chan struct{}, 2)
	go func() {
		io.Copy(server, client)
		server.(*net.TCPConn).CloseWrite()
		ended <- struct{}{}
	}()
	go func() {
		io.Copy(client, server)
		client.(*net.TCPConn).CloseWrite()
		ended <- struct{}{}
	}()
	<-ended
	<-ended
}
