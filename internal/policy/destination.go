package policy

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"starttls/resolver"
)

// A Destination is a next hop, as Postfix writes it.
type Destination struct {
	// Domain is as resolver.Name returns it; empty for an address literal.
	Domain string
	Addr   netip.Addr
	// Port is 0 where none was named.
	Port uint16
	// Fixed says that it stood in brackets: its MX records are not asked for.
	Fixed bool
}

// ParseDestination reads a next hop: "example.com", "example.com:587", "[mail.example.com]",
// "[mail.example.com]:submission", "[192.0.2.1]" or "[ipv6:2001:db8::1]". U-labels, capitals and a dot at the
// end are taken for what they mean. An address without brackets is an error, like all else that is no
// domain name.
func ParseDestination(text string) (Destination, error) {
	rest, d := text, Destination{}
	host, port, hasPort := text, "", false
	if inside, ok := strings.CutPrefix(rest, "["); ok {
		d.Fixed = true
		if host, rest, ok = strings.Cut(inside, "]"); !ok {
			return Destination{}, fmt.Errorf("%q: the bracket is not closed", text)
		}
		if port, hasPort = strings.CutPrefix(rest, ":"); !hasPort && rest != "" {
			return Destination{}, fmt.Errorf("%q: %q is behind the bracket, and meant is :port", text, rest)
		}
	} else if strings.Count(text, ":") == 1 {
		host, port, hasPort = strings.Cut(text, ":")
	}
	if hasPort {
		n, err := net.LookupPort("tcp", port)
		if err != nil || n == 0 {
			return Destination{}, fmt.Errorf("%q: port %q is not a number from 1 to 65535, nor a known service", text, port)
		}
		d.Port = uint16(n)
	}
	if d.Fixed {
		if addr, err := literal(host); err == nil {
			d.Addr = addr
			return d, nil
		}
	}
	name, err := resolver.Name(host)
	if err == nil && name == "" {
		err = fmt.Errorf("%q is the root and no domain for mail", text)
	}
	d.Domain = name
	return d, err
}

// literal reads what stands in the brackets of an address literal (RFC 5321 §4.1.3).
func literal(s string) (netip.Addr, error) {
	const tag = "ipv6:"
	if len(s) > len(tag) && strings.EqualFold(s[:len(tag)], tag) {
		s = s[len(tag):]
	}
	addr, err := netip.ParseAddr(s)
	if addr.Zone() != "" {
		err = fmt.Errorf("%q is good on this machine only", s)
	}
	return addr.Unmap(), err
}

// String returns the destination as [ParseDestination] reads it.
func (d Destination) String() string {
	s := d.Domain
	switch {
	case d.Addr.Is6():
		s = "[ipv6:" + d.Addr.String() + "]"
	case d.Addr.IsValid():
		s = "[" + d.Addr.String() + "]"
	case d.Fixed:
		s = "[" + s + "]"
	}
	if d.Port != 0 {
		s += ":" + strconv.Itoa(int(d.Port))
	}
	return s
}
