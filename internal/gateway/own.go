package gateway

import (
	"net"
	"sync"
)

// Own are the connections that a program has opened, so that it knows them when they come back to it.
type Own struct{ all sync.Map }

// ends are the addresses of who opened a connection and of who accepted it. One of them alone names no
// connection: the kernel gives a client's port to a connection of ours too, if that goes elsewhere.
type ends struct{ opened, accepted string }

// Add notes a connection that we have opened.
func (o *Own) Add(conn net.Conn) { o.all.Store(opened(conn), true) }

// Forget is for when it is closed.
func (o *Own) Forget(conn net.Conn) { o.all.Delete(opened(conn)) }

// Made reports whether a connection that was accepted is one of them.
func (o *Own) Made(accepted net.Conn) bool {
	_, ours := o.all.Load(ends{accepted.RemoteAddr().String(), accepted.LocalAddr().String()})
	return ours
}

func opened(conn net.Conn) ends { return ends{conn.LocalAddr().String(), conn.RemoteAddr().String()} }
