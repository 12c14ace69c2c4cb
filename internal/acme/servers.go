package acme

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Servers asks the name servers of a zone themselves, each of them.
type Servers struct {
	// Resolver is the address, with port, of the resolver that finds them.
	Resolver string
	// Port is theirs. If empty, 53.
	Port string
}

// maxServers bounds how many addresses are asked for one record.
const maxServers = 32

// Shown reports whether each server shows the record, and the longest TTL of the set in which it does.
// A server that does not answer is an error: what it shows is not known.
func (s Servers) Shown(ctx context.Context, r Record) (longest time.Duration, everywhere bool, err error) {
	want, err := r.rr()
	if err != nil {
		return 0, false, err
	}
	addrs, err := s.of(ctx, r.Name)
	if err != nil {
		return 0, false, err
	}
	everywhere = true
	for _, addr := range addrs {
		answer, err := ask(ctx, addr, r.Name, want.Header().Rrtype, false)
		if err != nil {
			return 0, false, fmt.Errorf("name server %s: %w", addr, err)
		}
		shown := false
		for _, rr := range answer.Answer {
			if dns.IsDuplicate(rr, want) {
				shown = true
			}
			if rr.Header().Rrtype == want.Header().Rrtype {
				longest = max(longest, time.Duration(rr.Header().Ttl)*time.Second)
			}
		}
		everywhere = everywhere && shown
	}
	return longest, everywhere, nil
}

// of returns the addresses of the servers of the zone that a name is in.
func (s Servers) of(ctx context.Context, name string) (addrs []string, err error) {
	for zone := name; zone != ""; {
		answer, err := ask(ctx, s.Resolver, zone, dns.TypeNS, true)
		if err != nil {
			return nil, err
		}
		for _, rr := range answer.Answer {
			if ns, ok := rr.(*dns.NS); ok {
				found, err := s.addresses(ctx, ns.Ns)
				if err != nil {
					return nil, err
				}
				addrs = append(addrs, found...)
			}
		}
		if len(addrs) > maxServers {
			return nil, fmt.Errorf("%s has more than %d name servers", zone, maxServers)
		}
		if len(addrs) > 0 {
			return addrs, nil
		}
		_, zone, _ = strings.Cut(zone, ".")
	}
	return nil, fmt.Errorf("no name servers for %s", name)
}

func (s Servers) addresses(ctx context.Context, host string) (addrs []string, err error) {
	port := s.Port
	if port == "" {
		port = "53"
	}
	for _, t := range []uint16{dns.TypeA, dns.TypeAAAA} {
		answer, err := ask(ctx, s.Resolver, host, t, true)
		if err != nil {
			return nil, err
		}
		for _, rr := range answer.Answer {
			switch rr := rr.(type) {
			case *dns.A:
				addrs = append(addrs, net.JoinHostPort(rr.A.String(), port))
			case *dns.AAAA:
				addrs = append(addrs, net.JoinHostPort(rr.AAAA.String(), port))
			}
		}
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("name server %s has no address", host)
	}
	return addrs, nil
}

// ask asks by TCP: answers with TLSA and their signatures are large, and there are few questions.
func ask(ctx context.Context, server, name string, t uint16, recursive bool) (*dns.Msg, error) {
	m := new(dns.Msg).SetQuestion(dns.Fqdn(name), t)
	m.RecursionDesired = recursive
	client := &dns.Client{Net: "tcp", Timeout: 10 * time.Second}
	answer, _, err := client.ExchangeContext(ctx, m, server)
	switch {
	case err != nil:
		return nil, err
	case answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError:
		return nil, errors.New(dns.RcodeToString[answer.Rcode])
	}
	return answer, nil
}
