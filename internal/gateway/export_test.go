package gateway

import (
	"net"
	"sync/atomic"
	"time"
)

var (
	NewSocket = newSocket
	Await     = await
)

// Copy is what a session does in one direction once it is spliced.
func Copy(to, from net.Conn, count *atomic.Int64) error {
	return (&session{begun: time.Now()}).copy(to, from, count)
}
