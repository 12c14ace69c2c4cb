package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// A crowd is a network of which every address answers.
type crowd struct {
	net   netip.Prefix
	hosts []*host // address by address in turn
}

// at returns the server that an address is like.
func (c *crowd) at(addr netip.Addr) *host {
	first, this := c.net.Addr().As4(), addr.Unmap().As4()
	n := binary.BigEndian.Uint32(this[:]) - binary.BigEndian.Uint32(first[:])
	return c.hosts[int(n)%len(c.hosts)]
}

// gather begins to serve the crowd: one listener, which takes connections to all addresses of this machine
// that come over loopback, and to no other.
func (l *Lab) gather(network netip.Prefix) error {
	network = network.Masked()
	if !loopback.Contains(network.Addr()) || network.Bits() < loopback.Bits() || network.Overlaps(l.net) {
		return errors.New("a crowd is a network within 127.0.0.0/8, apart from the lab's own")
	}
	l.crowd = &crowd{net: network}
	for _, h := range l.hosts {
		if d, ok := l.Domain(h.domain); ok && !d.Slow && !h.down {
			l.crowd.hosts = append(l.crowd.hosts, h)
		}
	}
	if len(l.crowd.hosts) == 0 {
		return errors.New("none of the domains has a server for a crowd to be like")
	}
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var bound error
		return errors.Join(raw.Control(func(fd uintptr) { bound = onLoopback(int(fd)) }), bound)
	}}
	ln, err := config.Listen(context.Background(), "tcp4", netip.AddrPortFrom(netip.IPv4Unspecified(), l.ports.Crowd).String())
	if err != nil {
		return err
	}
	l.ports.Crowd = uint16(ln.Addr().(*net.TCPAddr).Port)
	l.stop = append(l.stop, func() { ln.Close() })
	l.accept(ln, func(conn net.Conn) {
		if addr := conn.LocalAddr().(*net.TCPAddr).AddrPort().Addr(); network.Contains(addr.Unmap()) {
			l.crowd.at(addr).meet(conn)
		}
	})
	return nil
}

// Like returns the domain whose mail server an address of the crowd is like, and that server's name. ok
// is false for an address that is not of the crowd.
func (l *Lab) Like(addr netip.Addr) (d Domain, host string, ok bool) {
	if l.crowd == nil || !l.crowd.net.Contains(addr.Unmap()) {
		return d, "", false
	}
	h := l.crowd.at(addr)
	d, ok = l.Domain(h.domain)
	return d, h.name, ok
}
