package lab

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"starttls/internal/zone"
)

// build makes all that there is and starts it.
func (l *Lab) build(chosen []row) error {
	var b builder
	b.records.configs = make(map[string]*zone.Config)
	b.lab = l
	for i, r := range slices.Concat(hosters, chosen) {
		if err := b.host(i+1, r); err != nil {
			return err
		}
		if i >= len(hosters) {
			l.domains = append(l.domains, r.domain())
		}
	}
	return b.start()
}

// A builder builds a lab. Servers come first, because records name their ports.
type builder struct {
	lab     *Lab
	records records
	mail    []site
	web     []site
	rows    []row
}

// A site is a server to be.
type site struct {
	row    row
	mx     mx
	pref   int
	name   string
	addr   netip.Addr
	cert   *tls.Certificate
	listen bool
}

// host makes the servers of a row.
func (b *builder) host(n int, r row) error {
	domain := r.fqdn()
	b.rows = append(b.rows, r)
	if !r.absent {
		c := r.zone
		c.Origin = domain
		b.records.configs[domain] = &c
	}
	for i, m := range r.mx {
		name := m.fqdn(domain)
		cert, err := b.lab.pki.certificate(name, m.leaf)
		if err != nil {
			return err
		}
		b.mail = append(b.mail, site{r, m, 10 * (i + 1), name, b.lab.address(n, i+2), cert, !m.down})
	}
	if r.sts == nil {
		return nil
	}
	name := "mta-sts." + domain
	cert, err := b.lab.pki.certificate(name, r.sts.leaf)
	b.web = append(b.web, site{r, mx{}, 0, name, b.lab.address(n, 1), cert, r.sts.host != policyDown && r.sts.host != policyNowhere})
	return err
}

// open opens the port of all sites that listen, and sets it if it is zero.
func (l *Lab) open(sites []site, port *uint16) (map[netip.Addr]net.Listener, error) {
	var addrs []netip.Addr
	for _, s := range sites {
		if s.listen {
			addrs = append(addrs, s.addr)
		}
	}
	all, at, err := listenAll(addrs, *port)
	if err != nil {
		return nil, err
	}
	*port = at
	l.stop = append(l.stop, func() { closeAll(all) })
	byAddr := make(map[netip.Addr]net.Listener)
	for i, ln := range all {
		byAddr[addrs[i]] = ln
	}
	return byAddr, nil
}

// start opens the ports, makes the zones, and serves.
func (b *builder) start() error {
	l := b.lab
	mail, err := l.open(b.mail, &l.ports.Mail)
	if err != nil {
		return err
	}
	web, err := l.open(b.web, &l.ports.Web)
	if err != nil {
		return err
	}
	b.records.ports = l.ports
	for _, s := range b.mail {
		domain := s.row.fqdn()
		h := l.newHost(domain, s.name, s.addr, s.mx, s.cert)
		l.hosts = append(l.hosts, h)
		var tlsa []string
		for _, word := range s.mx.tlsa {
			data, err := l.pki.tlsa(word, s.cert.Leaf)
			if err != nil {
				return err
			}
			tlsa = append(tlsa, data)
		}
		b.records.mail(domain, s.mx, s.pref, s.name, s.addr, tlsa)
		if ln := mail[s.addr]; ln != nil {
			l.accept(ln, h.meet)
		}
	}
	for _, s := range b.web {
		b.records.policy(s.row.fqdn(), s.row.sts, s.addr)
		if ln := web[s.addr]; ln != nil {
			l.servePolicies(ln, s.row.fqdn(), s.row.sts, s.cert)
		}
	}
	return b.zones()
}

// zones fills the tree and serves it.
func (b *builder) zones() error {
	l := b.lab
	l.tree.Now, l.tree.Server = l.now, l.address(0, 2)
	above := fmt.Sprintf("@ NS ns\nns A %s\n", l.address(0, 1))
	configs := []zone.Config{{Origin: ".", Text: above}, {Origin: top, Text: above}}
	var origins []string
	for origin, c := range b.records.configs {
		configs = append(configs, *c)
		origins = append(origins, origin)
	}
	if err := l.tree.Set(configs...); err != nil {
		return err
	}
	for _, r := range b.rows {
		for _, lie := range r.lies {
			l.tree.Lie(whole(lie.name, r.fqdn())+".", lie.qtype, lie.tell)
		}
		for _, m := range r.mx {
			if m.attack != "" {
				if err := l.Attack(r.fqdn(), m.attack); err != nil {
					return err
				}
			}
		}
	}
	servers, port, err := listenDNS(map[netip.Addr]dns.Handler{
		l.address(0, 1): l.watched(l.tree.Authority(".", top)),
		l.address(0, 2): l.watched(l.tree.Authority(origins...)),
		l.address(0, 3): l.watched(l.tree.Recursor()),
	}, l.ports.DNS)
	if err != nil {
		return err
	}
	l.ports.DNS = port
	l.stop = append(l.stop, func() { closeAll(servers) })
	return nil
}
