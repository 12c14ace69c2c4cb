package socketmap

import (
	"net/netip"
	"strings"

	"starttls/internal/policy"
)

// ParseKey reads a key of smtp_tls_policy_maps: a next hop, as policy.ParseDestination reads it. A domain may
// come in U-labels: Postfix does not convert what it asks this table for. There is never anything, and ok
// is false, under the parents of a domain (".org"), which have no say in what is demanded of a domain
// below them, and under addresses, for which there is neither DANE nor MTA-STS. The error is of a key that
// names no destination.
func ParseKey(key string) (d policy.Destination, ok bool, err error) {
	if strings.HasPrefix(key, ".") || isAddr(key) {
		return d, false, nil
	}
	d, err = policy.ParseDestination(key)
	return d, err == nil && !d.Addr.IsValid(), err
}

// isAddr reports whether a key is an address without brackets.
func isAddr(key string) bool {
	_, err := netip.ParseAddr(key)
	_, perr := netip.ParseAddrPort(key)
	return err == nil || perr == nil
}
