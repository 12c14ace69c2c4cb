package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"github.com/miekg/dns"

	"starttls/internal/zone"
)

// Ports are those at which the lab's hosts listen, all hosts at the same, but the crowd.
type Ports struct {
	DNS   uint16 `json:"dns"`
	Mail  uint16 `json:"mail"` // SMTP
	Web   uint16 `json:"web"`  // HTTPS
	Crowd uint16 `json:"crowd,omitempty"`
}

// RealPorts are those that the world uses. They want privileges, and that nobody listens there on all
// addresses of the machine.
var RealPorts = Ports{DNS: 53, Mail: 25, Web: 443}

// Free ports are taken from below those that the kernel hands out to clients.
const firstFree, lastFree = 20_000, 32_000

// onPort opens something at a port or, if that is zero, at one by chance that is free.
func onPort(port uint16, open func(at uint16) error) (at uint16, err error) {
	if port != 0 {
		return port, open(port)
	}
	const tries = 100
	for range tries {
		at = uint16(firstFree + rand.IntN(lastFree-firstFree))
		if err = open(at); !errors.Is(err, syscall.EADDRINUSE) {
			return at, err
		}
	}
	return 0, err
}

// listenAll opens a port at all addresses, or at none.
func listenAll(addrs []netip.Addr, port uint16) (all []net.Listener, at uint16, err error) {
	at, err = onPort(port, func(at uint16) error {
		all = nil
		for _, addr := range addrs {
			ln, err := net.Listen("tcp4", netip.AddrPortFrom(addr, at).String())
			if err != nil {
				closeAll(all)
				return err
			}
			all = append(all, ln)
		}
		return nil
	})
	return all, at, err
}

// listenDNS serves faces of the tree, each at its address, all at the same port.
func listenDNS(faces map[netip.Addr]dns.Handler, port uint16) (all []*zone.Server, at uint16, err error) {
	at, err = onPort(port, func(at uint16) error {
		all = nil
		for addr, face := range faces {
			s, err := zone.Listen(netip.AddrPortFrom(addr, at).String(), face)
			if err != nil {
				closeAll(all)
				return err
			}
			all = append(all, s)
		}
		return nil
	})
	return all, at, err
}

func closeAll[T io.Closer](all []T) {
	for _, c := range all {
		c.Close()
	}
}

// Dial connects to a host of the lab or its crowd, by the address and port that the DNS names: the ports
// 53, 25 and 443 become those of the lab. Every other address is refused: there is no Internet.
func (l *Lab) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addr, err := netip.ParseAddr(host)
	ports := map[string]uint16{"53": l.ports.DNS, "25": l.ports.Mail, "443": l.ports.Web}
	switch addr = addr.Unmap(); {
	case err == nil && l.net.Contains(addr):
	case err == nil && l.crowd != nil && l.crowd.net.Contains(addr):
		ports = map[string]uint16{"25": l.ports.Crowd}
	default:
		return nil, fmt.Errorf("dial %s: not in the lab (%s), and there is no Internet here", address, l.net)
	}
	if at, ok := ports[port]; ok {
		port = strconv.Itoa(int(at))
	}
	var d net.Dialer
	return d.DialContext(ctx, network, net.JoinHostPort(addr.String(), port))
}
