package accept

import (
	"net"
	"sync"
)

// AtMost returns ln as a listener of which no more than n connections are open at once. Who comes then waits in the
// kernel's queue until one of them is closed.
func AtMost(ln net.Listener, n int) net.Listener {
	return &bounded{Listener: ln, places: make(chan struct{}, n), closed: make(chan struct{})}
}

type bounded struct {
	net.Listener
	places chan struct{} // taken
	once   sync.Once
	closed chan struct{}
}

func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.places <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	conn, err := b.Listener.Accept()
	if err != nil {
		<-b.places
		return nil, err
	}
	return &placed{Conn: conn, leave: sync.OnceFunc(func() { <-b.places })}, nil
}

func (b *bounded) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Listener.Close()
}

// A placed connection has one of the places until it is closed.
type placed struct {
	net.Conn
	leave func()
}

func (p *placed) Close() error {
	defer p.leave()
	return p.Conn.Close()
}
