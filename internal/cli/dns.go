package cli

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"starttls/resolver"
)

// dnsFlags say how names are looked up, the same for every command that does.
type dnsFlags struct {
	servers              []string
	mode, anchors, probe string
	bogus                string
}

func (f *dnsFlags) add(fs *pflag.FlagSet) {
	fs.StringArrayVar(&f.servers, "dns-server", nil, "ask the resolver at `ADDRESS`[:PORT], or tls://ADDRESS#NAME; may be said again (default: those of /etc/resolv.conf)")
	fs.StringVar(&f.mode, "dns-mode", "validate", "validate: by DNSSEC, here; trust-ad: believe resolvers that validate, on this machine or over TLS")
	fs.StringVar(&f.anchors, "dns-anchors", "", "`FILE` of trust anchors, DS or DNSKEY records (default: the keys of the root)")
	fs.StringVar(&f.probe, "dns-probe", "org", "a signed `ZONE`, by which it is proved that DNSSEC works")
	fs.StringVar(&f.bogus, "dns-bogus", "", "with trust-ad: a `NAME` with wrong signatures, which the resolver must not answer for")
}

// A names is a resolver that can prove that it is fit to be relied on.
type names interface {
	resolver.Resolver
	Check(ctx context.Context) error
}

// resolver returns what the flags ask for.
func (f *dnsFlags) resolver() (names, error) {
	switch f.mode {
	case "", "validate":
	case "trust-ad":
		return &resolver.TrustAD{Servers: f.servers, Bogus: f.bogus}, nil
	default:
		return nil, fmt.Errorf("unknown --dns-mode %q; the modes are validate, trust-ad", f.mode)
	}
	v := &resolver.Validator{Servers: f.servers, Probe: f.probe}
	if f.anchors == "" {
		return v, nil
	}
	anchors, err := resolver.ReadAnchors(f.anchors)
	if err != nil {
		return nil, failed(fmt.Errorf("--dns-anchors: %w", err))
	}
	v.Anchors = anchors
	return v, nil
}
