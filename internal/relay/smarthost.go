package relay

import (
	"context"
	"net"
	"net/netip"
	"time"

	"starttls/dane"
	"starttls/internal/policy"
)

// Smarthost returns what [Config].Plan is for a single host that takes all mail. It is looked up as any
// program on this machine looks names up, /etc/hosts included: nothing that is demanded of it comes from
// the DNS.
func Smarthost(host string, port uint16, demand policy.Override) func(context.Context, string, Message) *policy.Plan {
	return func(ctx context.Context, next string, m Message) *policy.Plan {
		e := &policy.Evidence{Domain: host, At: time.Now(), Port: port, Fixed: true, Override: &demand}
		found := dane.Result{Outcome: dane.Absent, Base: host, Canonical: host}
		found.Addrs, found.AddrErr = lookUp(ctx, host)
		if ip, err := netip.ParseAddr(host); err == nil {
			e.Domain, e.Addr = "", ip
		}
		e.Hosts = []policy.Host{{Name: e.Domain, DANE: found}}
		return policy.Decide(e, policy.Options{RequireTLS: m.RequireTLS, TLSOptional: m.TLSOptional})
	}
}

func lookUp(ctx context.Context, host string) ([]netip.Addr, error) {
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	for i, ip := range all {
		all[i] = ip.Unmap()
	}
	return all, err
}
