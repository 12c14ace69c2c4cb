package socketmap

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"starttls/resolver"
)

// A Destination is where Postfix is about to deliver to.
type Destination struct {
	Host string // A-labels, as resolver.Name returns them
	Port uint16
	// Fixed says that Host is the host itself and no domain with MX records: "[mail.example.org]".
	Fixed bool
}

// String returns the destination as Postfix writes next hops.
func (d Destination) String() string {
	s := d.Host
	if d.Fixed {
		s = "[" + s + "]"
	}
	if d.Port != relayPort {
		s += ":" + strconv.Itoa(int(d.Port))
	}
	return s
}

const relayPort = 25

// ParseKey reads a key of smtp_tls_policy_maps: "example.org", "example.org:587", "[mail.example.org]",
// "[mail.example.org]:submission". A domain may be written in U-labels: Postfix does not convert what it
// asks this table for. None is returned, with ok false, for keys under which there is never anything:
// the parents of a domain (".org"), which have no say in the policy of a domain below them, and
// addresses, for which there is neither DANE nor MTA-STS. The error is of a key that names no
// destination.
func ParseKey(key string) (d Destination, ok bool, err error) {
	host, service := key, ""
	switch {
	case strings.HasPrefix(key, "."):
		return Destination{}, false, nil
	case strings.HasPrefix(key, "["):
		end := strings.IndexByte(key, ']')
		if end < 0 {
			return Destination{}, false, fmt.Errorf("%q has no ]", key)
		}
		d.Fixed, host, service = true, key[1:end], key[end+1:]
		if service != "" && service[0] != ':' {
			return Destination{}, false, fmt.Errorf("%q has more behind the ] than a port", key)
		}
	case isAddr(key):
		return Destination{}, false, nil
	default:
		if i := strings.IndexByte(key, ':'); i >= 0 {
			host, service = key[:i], key[i:]
		}
	}
	if isAddr(host) {
		return Destination{}, false, nil
	}
	if d.Host, err = resolver.Name(host); err != nil {
		return Destination{}, false, err
	}
	if d.Host == "" {
		return Destination{}, false, fmt.Errorf("%q: nothing is delivered to the root", key)
	}
	if d.Port, err = parsePort(service); err != nil {
		return Destination{}, false, fmt.Errorf("%q: %w", key, err)
	}
	return d, true, nil
}

// isAddr reports whether a host is an address, in one of Postfix's ways: "192.0.2.1", "ipv6:2001:db8::1".
func isAddr(host string) bool {
	const v6 = "ipv6:"
	if len(host) > len(v6) && strings.EqualFold(host[:len(v6)], v6) {
		host = host[len(v6):]
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

// parsePort reads ":587" or ":submission"; nothing is SMTP's own port.
func parsePort(service string) (uint16, error) {
	service = strings.TrimPrefix(service, ":")
	if service == "" {
		return relayPort, nil
	}
	port, err := net.LookupPort("tcp", service)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("%q is no port", service)
	}
	return uint16(port), nil
}
