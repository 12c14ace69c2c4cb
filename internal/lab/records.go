package lab

import (
	"fmt"
	"net/netip"
	"strings"

	"starttls/internal/zone"
)

// records collects what the zones say. None of them is below another.
type records struct {
	configs map[string]*zone.Config // by origin
	ports   Ports
}

// of returns the zone that a name is in. There is one.
func (r *records) of(name string) *zone.Config {
	for {
		if c := r.configs[name]; c != nil {
			return c
		}
		_, name, _ = strings.Cut(name, ".")
	}
}

// add adds a record to the zone of its name.
func (r *records) add(name, format string, args ...any) {
	c := r.of(name)
	c.Text += fmt.Sprintf("%s. %s\n", name, fmt.Sprintf(format, args...))
}

// mail adds the records of a mail server, whose preference is pref.
func (r *records) mail(domain string, m mx, pref int, name string, addr netip.Addr, tlsa []string) {
	r.add(name, "A %s", addr)
	if name != domain {
		target := name
		if m.alias != "" {
			target = whole(m.alias, domain)
			r.add(target, "CNAME %s.", name)
		}
		r.add(domain, "MX %d %s.", pref, target)
	}
	if len(tlsa) == 0 {
		return
	}
	ports := []uint16{25}
	if r.ports.Mail != 25 {
		ports = append(ports, r.ports.Mail) // for a client that is told to go there
	}
	if m.tlsaAt != "" {
		at := whole(m.tlsaAt, domain)
		r.tlsa(at, tlsa)
		for _, port := range ports {
			r.add(fmt.Sprintf("_%d._tcp.%s", port, name), "CNAME %s.", at)
		}
		return
	}
	for _, port := range ports {
		r.tlsa(fmt.Sprintf("_%d._tcp.%s", port, name), tlsa)
	}
}

func (r *records) tlsa(name string, all []string) {
	for _, data := range all {
		r.add(name, "TLSA %s", data)
	}
}

// policy adds those of MTA-STS.
func (r *records) policy(domain string, s *sts, addr netip.Addr) {
	texts := s.records
	if texts == nil {
		texts = []string{"v=STSv1; id=20260101;"}
	}
	record, host := "_mta-sts."+domain, "mta-sts."+domain
	if s.hosted {
		there := domain + ".unsigned-hosts." + top
		r.add(record, "CNAME _mta-sts.%s.", there)
		r.add(host, "CNAME mta-sts.%s.", there)
		record, host = "_mta-sts."+there, "mta-sts."+there
	}
	for _, text := range texts {
		r.add(record, "TXT %q", text)
	}
	if s.host != policyNowhere {
		r.add(host, "A %s", addr)
	}
}
