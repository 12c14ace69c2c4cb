package resolver

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
)

// A server is a resolver that we ask.
type server struct {
	addr netip.AddrPort
	name string // of its certificate; "" is DNS in the clear
}

func (s server) String() string {
	if s.name != "" {
		return fmt.Sprintf("tls://%s#%s", s.addr, s.name)
	}
	return s.addr.String()
}

// parseServers reads what Servers holds. None are those of the system.
func parseServers(texts []string) ([]server, error) {
	if len(texts) == 0 {
		var err error
		if texts, err = SystemServers("/etc/resolv.conf"); err != nil {
			return nil, err
		}
	}
	var servers []server
	for _, text := range texts {
		s, err := parseServer(text)
		if err != nil {
			return nil, fmt.Errorf("%q is no DNS server: %w", text, err)
		}
		servers = append(servers, s)
	}
	return servers, nil
}

// parseServer reads ADDRESS, ADDRESS:PORT, or tls://ADDRESS[:PORT]#NAME. A name cannot be an address
// here: who asks for it would have to ask the DNS.
func parseServer(text string) (s server, err error) {
	port := uint16(53)
	host, isTLS := strings.CutPrefix(text, "tls://")
	if isTLS {
		port = 853 // RFC 7858 §3.1
		if host, s.name, _ = strings.Cut(host, "#"); s.name == "" {
			return s, errors.New("DNS over TLS needs the name in the server's certificate: tls://ADDRESS#NAME")
		}
	}
	if addr, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		s.addr = netip.AddrPortFrom(addr, port)
		return s, nil
	}
	if s.addr, err = netip.ParseAddrPort(host); err != nil {
		return s, errors.New("want an address, with or without a port")
	}
	return s, nil
}

// SystemServers returns the servers that a file such as /etc/resolv.conf names, as for the field Servers
// of a [Validator]. Its other lines mean nothing here: names are never completed, and whether the servers
// can be trusted is not for a file to say that DHCP may have written.
func SystemServers(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var servers []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if addr, err := netip.ParseAddr(fields[1]); err == nil {
			servers = append(servers, net.JoinHostPort(addr.String(), "53"))
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(servers) == 0 {
		return nil, fmt.Errorf("%s names no server", path)
	}
	return servers, nil
}
