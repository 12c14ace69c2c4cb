// Package lab is a small Internet on loopback, in the process: a signed root and zones, HTTPS hosts with
// MTA-STS policies and an authority for their certificates, mail servers good and bad, and somebody on
// the path to some of them.
//
// # Where to start
//
// [Start] starts it. [Lab.Domains] says what there is, and what a delivery to each must end in. A sender
// under test needs a resolver ([Lab.Resolver], [Lab.Anchor]), whom to trust ([Lab.Roots]) and a way
// there ([Lab.Dial]); with [RealPorts] it needs no way, and may be a program like Postfix. What arrives is
// counted ([Lab.Count]) and kept ([Lab.Messages]).
//
// The domains are data: tables in domains_*.go. Tests change single things with [Lab.Fault],
// [Lab.Attack] and, in the DNS, [Lab.Zones].
//
// # What it is not
//
// There is no IPv6: loopback has one address of it, and each host here has its own. Other systems than
// Linux have 127.0.0.1 alone unless they are told of more. Nothing here is for the world: it takes
// everybody's mail and keeps it in memory.
package lab

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"

	"starttls/internal/zone"
)

// A Config says what the lab is like.
type Config struct {
	// Net is where its hosts are, a /16 within 127.0.0.0/8. If zero, 127.25.0.0/16.
	Net netip.Prefix
	// Ports at which all hosts listen. Those that are zero become free ones, to which Dial leads.
	Ports Ports
	// Crowd is a network within 127.0.0.0/8 of which every address answers at Ports.Crowd, in turn like the
	// mail servers of the domains: millions of hosts to be scanned. If zero, there is none.
	Crowd netip.Prefix
	// Only are the names of the domains that there are to be, "dane-ee.test". If empty, all.
	Only []string
	// Now is the clock. If nil, time.Now.
	Now func() time.Time
	// Keep is how many messages are kept of each domain; more are counted. If zero, 100; if negative,
	// none.
	Keep int
	// Delivered, if not nil, is told of each message that arrives, in the goroutine of its session.
	Delivered func(Message)
}

var loopback = netip.MustParsePrefix("127.0.0.0/8")

// top is the zone above all domains. It is set aside for tests (RFC 6761 §6.2).
const top = "test"

// evil is the mail server of whoever forges MX records.
const evil = "mx.evil." + top

// hosters are the zones of mail servers that are not in their domains' own, and the attacker's.
var hosters = []row{
	{name: "signed-hosts"},
	{name: "unsigned-hosts", zone: unsigned},
	{name: "bogus-hosts", zone: zone.Config{Spoiled: true}},
	{name: "evil", zone: unsigned, mx: []mx{{}}},
}

// rows are all domains, in the order in which they are told.
func rows() []row {
	return slices.Concat(daneRows, stsRows, plainRows, dnsRows, serverRows, pathRows())
}

// A Lab is a running lab.
type Lab struct {
	net       netip.Prefix
	ports     Ports
	now       func() time.Time
	keep      int
	delivered func(Message)

	pki     *pki
	tree    zone.Tree
	domains []Domain
	hosts   []*host
	crowd   *crowd // nil if there is none

	mu     sync.Mutex
	boxes  map[string]*mailbox
	sights map[string]*Sight
	conns  map[net.Conn]bool // nil when closed

	closing chan struct{}
	serving sync.WaitGroup
	stop    []func()
}

// Start starts a lab. [Lab.Close] ends it.
func Start(c Config) (*Lab, error) {
	l := &Lab{net: c.Net, ports: c.Ports, now: c.Now, keep: c.Keep, delivered: c.Delivered,
		boxes: make(map[string]*mailbox), sights: make(map[string]*Sight), conns: make(map[net.Conn]bool), closing: make(chan struct{})}
	if !l.net.IsValid() {
		l.net = netip.MustParsePrefix("127.25.0.0/16")
	}
	if l.net.Bits() != 16 || !loopback.Contains(l.net.Addr()) {
		return nil, fmt.Errorf("lab: %s is not a /16 within %s", l.net, loopback)
	}
	if l.now == nil {
		l.now = time.Now
	}
	if l.keep == 0 {
		l.keep = 100
	}
	chosen, err := choose(c.Only)
	if err != nil {
		return nil, err
	}
	if l.pki, err = newPKI(l.now()); err != nil {
		return nil, err
	}
	err = l.build(chosen)
	if err == nil && c.Crowd.IsValid() {
		err = l.gather(c.Crowd)
	}
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("lab: %w", err)
	}
	return l, nil
}

// choose returns the rows of these names, or all.
func choose(only []string) (chosen []row, err error) {
	chosen = rows()
	if len(only) == 0 {
		return chosen, nil
	}
	for _, name := range only {
		if !slices.ContainsFunc(chosen, func(r row) bool { return r.fqdn() == name }) {
			return nil, fmt.Errorf("lab: no domain is called %q", name)
		}
	}
	return slices.DeleteFunc(chosen, func(r row) bool { return !slices.Contains(only, r.fqdn()) }), nil
}

// address returns an address of the lab. Those of domain n are n.1, its policy host, and n.2 on, its
// mail servers; 0.1 is the name server of root and top, 0.2 that of all other zones, 0.3 the resolver.
func (l *Lab) address(domain, host int) netip.Addr {
	base := l.net.Addr().As4()
	return netip.AddrFrom4([4]byte{base[0], base[1], byte(domain), byte(host)})
}

// Resolver returns the address of a resolver that does not validate, for who does; it passes DO and CD.
func (l *Lab) Resolver() netip.AddrPort { return netip.AddrPortFrom(l.address(0, 3), l.ports.DNS) }

// Root returns that of the root's name server.
func (l *Lab) Root() netip.AddrPort { return netip.AddrPortFrom(l.address(0, 1), l.ports.DNS) }

// Anchor returns the DS records of the root's keys, as lines of a zone file.
func (l *Lab) Anchor() string { return l.tree.Anchor() }

// Zones returns the DNS, for tests that change it.
func (l *Lab) Zones() *zone.Tree { return &l.tree }

// Roots returns the authorities that everybody in the lab trusts.
func (l *Lab) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(l.pki.root.cert)
	return pool
}

// RootsPEM returns the same as PEM.
func (l *Lab) RootsPEM() []byte { return l.pki.pem() }

// Ports returns those at which the hosts listen.
func (l *Lab) Ports() Ports { return l.ports }

// Domains returns what there is, in an order for reading.
func (l *Lab) Domains() []Domain { return slices.Clone(l.domains) }

// Domain returns one of them.
func (l *Lab) Domain(name string) (d Domain, ok bool) {
	i := slices.IndexFunc(l.domains, func(d Domain) bool { return d.Name == name })
	if i < 0 {
		return d, false
	}
	return l.domains[i], true
}

// List returns the domains of a lab without starting it.
func List() (all []Domain) {
	for _, r := range rows() {
		all = append(all, r.domain())
	}
	return all
}

// Count returns how many messages the servers of a domain have taken.
func (l *Lab) Count(domain string) int {
	n, _ := l.box(domain).get()
	return n
}

// Messages returns those of them that are kept.
func (l *Lab) Messages(domain string) []Message {
	_, kept := l.box(domain).get()
	return kept
}

func (l *Lab) box(domain string) *mailbox {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.boxes[domain] == nil {
		l.boxes[domain] = &mailbox{}
	}
	return l.boxes[domain]
}

// Fault has a mail server, by its name, fail in these ways and no others, from its next command on.
func (l *Lab) Fault(name string, all ...Fault) error {
	for _, h := range l.hosts {
		if h.name == name {
			h.faults.set(all)
			return nil
		}
	}
	return fmt.Errorf("lab: no mail server is called %q", name)
}

// Attack puts an attacker on the path to all mail servers of a domain, for connections from now on;
// with "" it goes away. Resolvers may remember what was there before.
func (l *Lab) Attack(domain string, attack Attack) error {
	found := false
	for _, h := range l.hosts {
		if h.domain != domain {
			continue
		}
		found = true
		if attack == "" || attack == ForgeMX {
			h.attack.Store(nil)
		} else {
			h.attack.Store(&attack)
		}
	}
	if !found {
		return fmt.Errorf("lab: no mail server belongs to %q", domain)
	}
	var lie zone.Lie
	if attack == ForgeMX {
		lie = zone.Replace(fmt.Sprintf("%s. 300 IN MX 10 %s.", domain, evil))
	}
	l.tree.Lie(domain+".", dns.TypeMX, lie)
	return nil
}

// Close ends the lab, its sessions too, and waits for them.
func (l *Lab) Close() error {
	l.mu.Lock()
	conns := l.conns
	l.conns = nil
	l.mu.Unlock()
	if conns == nil {
		return errors.New("lab: closed already")
	}
	close(l.closing)
	for _, stop := range l.stop {
		stop()
	}
	for conn := range conns {
		conn.Close()
	}
	l.serving.Wait()
	return nil
}

// accept has every connection to a listener met, until that is closed.
func (l *Lab) accept(ln net.Listener, meet func(net.Conn)) {
	l.serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				if !l.sleep(10 * time.Millisecond) { // no file descriptors: they may come back
					return
				}
				continue
			}
			l.serving.Go(func() { l.tracked(conn, meet) })
		}
	})
}

// tracked has a connection met, and closed when the lab ends before it does.
func (l *Lab) tracked(conn net.Conn, meet func(net.Conn)) {
	l.mu.Lock()
	open := l.conns != nil
	if open {
		l.conns[conn] = true
	}
	l.mu.Unlock()
	defer conn.Close()
	if !open {
		return
	}
	meet(conn)
	l.mu.Lock()
	delete(l.conns, conn)
	l.mu.Unlock()
}
