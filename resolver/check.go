package resolver

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/miekg/dns"
)

// Check finds out whether the servers are fit to validate by: each must pass on DO and CD, and give the
// DNSKEY set of the trust anchors and the way to the zone of Probe. Its error tells of every server that
// does not, in words for who runs it. Nothing is kept.
func (v *Validator) Check(ctx context.Context) error {
	if err := v.setup(); err != nil {
		return err
	}
	var faults []error
	for _, server := range v.client.servers {
		one := &Validator{
			Servers: []string{server.String()}, Anchors: v.Anchors, SHA1: v.SHA1, Skew: v.Skew,
			Timeout: v.Timeout, RootCAs: v.RootCAs, Dial: v.Dial, Now: v.Now,
		}
		err := one.setup()
		if err == nil {
			err = one.checkServer(ctx, cmp.Or(v.Probe, "org"))
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("the DNS server %s is not fit to validate by: %w", server, err))
		}
	}
	return errors.Join(faults...)
}

func (v *Validator) checkServer(ctx context.Context, probe string) error {
	ctx, cancel := context.WithTimeout(ctx, v.lookups.timeout)
	defer cancel()
	s := v.search()
	for apex := range v.anchors {
		r, err := s.ask(ctx, apex, dns.TypeDNSKEY)
		if err != nil {
			return err
		}
		keys := r.set(apex, dns.TypeDNSKEY)
		switch {
		case !r.checkingDisabled: // RFC 4035 §3.2.2: it is copied
			return errors.New("it does not pass on CD")
		case keys == nil:
			return fmt.Errorf("it has no DNSKEY records for %s", apex)
		case len(keys.sigs) == 0:
			return errors.New("it does not pass on DO: there are no signatures")
		}
		if _, err := s.anchored(ctx, apex); err != nil {
			return fmt.Errorf("the keys that it has for %s: %w", apex, err)
		}
	}
	if v.anchors["."] == nil {
		return nil // the names that we trust ourselves on may have nothing below them
	}
	name, err := Name(probe)
	if err != nil {
		return err
	}
	z, err := s.descend(ctx, dns.CanonicalName(name), dns.CountLabel(name))
	switch {
	case err != nil:
		return fmt.Errorf("the way to %s: %w", probe, err)
	case z.why != "" || plain(z.apex) != name:
		return fmt.Errorf("%s is no signed zone by what it says (%s)", probe, cmp.Or(z.why, "there is no such zone"))
	}
	return nil
}
