package lab

import (
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// A host is a mail server.
type host struct {
	lab    *Lab
	domain string
	name   string
	addr   netip.Addr
	down   bool // nothing listens

	tls        *tls.Config // nil if it knows no TLS
	requireTLS bool
	grey       *greylist
	faults     faults
	attack     atomic.Pointer[Attack]
	box        *mailbox
}

// newHost makes the server of a row.
func (l *Lab) newHost(domain, name string, addr netip.Addr, m mx, cert *tls.Certificate) *host {
	h := &host{lab: l, domain: domain, name: name, addr: addr, down: m.down, requireTLS: m.requireTLS, box: l.box(domain)}
	if !m.clear {
		h.tls = &tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS12, Time: l.now}
		if m.old {
			h.tls.MinVersion, h.tls.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		}
	}
	if m.greylist {
		h.grey = &greylist{}
	}
	h.faults.set(m.faults)
	return h
}

// meet has a connection served, by the host or by who is on the path.
func (h *host) meet(conn net.Conn) {
	h.lab.see(h.domain, func(s *Sight) { s.Met++; s.Open++ })
	defer h.lab.see(h.domain, func(s *Sight) { s.Open-- })
	if attack := h.attack.Load(); attack != nil {
		h.attacked(conn, *attack)
		return
	}
	h.serve(conn)
}

// A greylist refuses whom it has not seen.
type greylist struct {
	mu   sync.Mutex
	seen map[[2]string]bool
}

// greylisted is how many pairs of sender and recipient are remembered.
const greylisted = 100_000

// again reports whether somebody comes for the second time.
func (g *greylist) again(from, to string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	who := [2]string{from, to}
	if g.seen[who] {
		return true
	}
	if g.seen == nil || len(g.seen) >= greylisted {
		g.seen = make(map[[2]string]bool)
	}
	g.seen[who] = true
	return false
}

// sleep waits, and reports whether the lab goes on.
func (l *Lab) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.closing:
		return false
	}
}
