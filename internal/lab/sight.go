package lab

import (
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// A Sight is what was seen of senders that have mail for a domain. Who wants to send asks for its MX, be
// it through a resolver, and so is seen also where it must not go any further.
type Sight struct {
	Asked int // questions for the MX
	Met   int // connections to the mail servers
	Open  int // those of them that have not ended
	// Messages are those for addresses in the domain, whichever server has taken them, as far as they are
	// kept.
	Messages []Message
}

// Seen returns what was seen of senders at a domain since the lab's start.
func (l *Lab) Seen(domain string) Sight {
	l.mu.Lock()
	var s Sight
	if seen := l.sights[domain]; seen != nil {
		s = *seen
	}
	l.mu.Unlock()
	for _, at := range []string{domain, hosterOf(evil)} {
		for _, m := range l.Messages(at) {
			if slices.ContainsFunc(m.To, func(to string) bool { return strings.HasSuffix(to, "@"+domain) }) {
				s.Messages = append(s.Messages, m)
			}
		}
	}
	return s
}

// hosterOf returns the domain that a host of the lab belongs to.
func hosterOf(host string) string {
	_, domain, _ := strings.Cut(host, ".")
	return domain
}

// see changes what was seen at a domain.
func (l *Lab) see(domain string, change func(*Sight)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sights[domain] == nil {
		l.sights[domain] = &Sight{}
	}
	change(l.sights[domain])
}

// watched is a name server whose questions for MX are counted.
func (l *Lab) watched(face dns.Handler) dns.Handler {
	return dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		if len(q.Question) == 1 && q.Question[0].Qtype == dns.TypeMX {
			domain := strings.TrimSuffix(dns.CanonicalName(q.Question[0].Name), ".")
			if _, known := l.Domain(domain); known {
				l.see(domain, func(s *Sight) { s.Asked++ })
			}
		}
		face.ServeDNS(w, q)
	})
}
