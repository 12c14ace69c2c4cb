package lab

import (
	"context"
	"errors"
	"fmt"
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

// listenAll opens a port at all addresses; if it is zero, one that is free at all of them.
func listenAll(addrs []netip.Addr, port uint16) ([]net.Listener, uint16, error) {
	const tries = 100
	var err error
	for range tries {
		at := port
		if at == 0 {
			at = uint16(firstFree + rand.IntN(lastFree-firstFree))
		}
		var all []net.Listener
		if all, err = listenAt(addrs, at); err == nil || port != 0 || !errors.Is(err, syscall.EADDRINUSE) {
			return all, at, err
		}
	}
	return nil, 0, err
}

func listenAt(addrs []netip.Addr, port uint16) (all []net.Listener, err error) {
	for _, addr := range addrs {
		ln, err := net.Listen("tcp4", netip.AddrPortFrom(addr, port).String())
		if err != nil {
			closeAll(all)
			return nil, err
		}
		all = append(all, ln)
	}
	return all, nil
}

func closeAll(all []net.Listener) {
	for _, ln := range all {
		ln.Close()
	}
}

// listenDNS serves faces of the tree, each at its address, all at the same port.
func listenDNS(faces map[netip.Addr]dns.Handler, port uint16) (all []*zone.Server, at uint16, err error) {
	const tries = 100
	for range tries {
		at = port
		if at == 0 {
			at = uint16(firstFree + rand.IntN(lastFree-firstFree))
		}
		all = nil
		for addr, face := range faces {
			var s *zone.Server
			if s, err = zone.Listen(netip.AddrPortFrom(addr, at).String(), face); err != nil {
				break
			}
			all = append(all, s)
		}
		if err == nil {
			return all, at, nil
		}
		for _, s := range all {
			s.Close()
		}
		if port != 0 || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return nil, 0, err
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
