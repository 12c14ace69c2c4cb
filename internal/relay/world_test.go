package relay

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"strings"
	"time"

	"starttls/dane"
	"starttls/internal/policy"
	"starttls/mtasts"
	"starttls/resolver"
	"starttls/tlsrpt"
)

// A host is what is known of one MX host.
type host struct {
	*mx         // nil: nothing listens there
	tlsa string // "", "match", "wrong", "unusable", "failed"
	seen bool   // it gave TLS before
}

// A world is what is known of a destination.
type world struct {
	secure bool // the MX records are
	sts    mtasts.Mode
	stsMX  []string // if nil, the hosts
	hosts  []host
	strip  policy.Reaction
	// override is what the operator demands, nil if nothing.
	override *policy.Override
}

// dead is an address at which nothing listens.
var dead = netip.MustParseAddrPort("127.0.0.99:9")

// elsewhere is an address of another machine.
var elsewhere = netip.MustParseAddrPort("192.0.2.1:587")

// know makes plans for a domain out of what is known of it, by the rules of package policy.
func (b *bench) know(domain string, w world) {
	e := &policy.Evidence{
		Domain: domain, At: time.Now(), Port: 25,
		MX: &resolver.Answer{Name: domain, Canonical: domain, Status: resolver.Insecure, TTL: time.Hour}, Override: w.override,
	}
	if w.secure {
		e.MX.Status = resolver.Secure
	}
	var ports []uint16
	for i, h := range w.hosts {
		name := "mx" + string(rune('1'+i)) + "." + domain
		at := dead
		if h.mx != nil {
			at = h.mx.addr()
		}
		ports = append(ports, at.Port())
		found := policy.Host{Name: name, Pref: uint16(i), DANE: h.tlsaResult(name)}
		found.DANE.Addrs = []netip.Addr{at.Addr()}
		if h.seen {
			found.Seen = &policy.Seen{Last: time.Now().Add(-time.Hour)}
		}
		e.Hosts = append(e.Hosts, found)
		if w.stsMX == nil {
			w.stsMX = []string{"*." + domain}
		}
	}
	if w.sts != "" {
		e.STS = mtasts.State{Domain: domain, Fetched: time.Now(), ID: "1", Policy: &mtasts.Policy{
			Mode: w.sts, MaxAge: time.Hour, MX: w.stsMX, Text: "version: STSv1\nmode: " + string(w.sts),
		}}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.made[domain] = func(m Message) *policy.Plan {
		p := policy.Decide(e, policy.Options{RequireTLS: m.RequireTLS, TLSOptional: m.TLSOptional, Stripped: w.strip})
		for i := range p.Attempts {
			p.Attempts[i].Port = ports[i]
		}
		return p
	}
}

// tlsaResult is what a lookup of TLSA records would have found.
func (h host) tlsaResult(name string) dane.Result {
	r := dane.Result{Outcome: dane.Absent, Base: name, Canonical: name, Secure: true, Why: "none"}
	record := resolver.TLSARecord{Usage: 3, Selector: 1, Matching: 1, Data: make([]byte, 32)}
	switch h.tlsa {
	case "match":
		digest := sha256.Sum256(h.cert.Leaf.RawSubjectPublicKeyInfo)
		record.Data = digest[:]
		fallthrough
	case "wrong":
		r.Outcome, r.Records, r.All = dane.Usable, []resolver.TLSARecord{record}, []resolver.TLSARecord{record}
	case "unusable":
		r.Outcome = dane.Unusable
	case "failed":
		r.Outcome, r.Why = dane.Failed, "lookup failed"
		r.Err = &resolver.Error{Name: name, Type: resolver.TLSA, Status: resolver.Bogus, Code: 6}
	}
	return r
}

// plan is the bench's Config.Plan.
func (b *bench) plan(_ context.Context, next string, m Message) *policy.Plan {
	b.mu.Lock()
	make, fixed := b.made[next], b.plans[next]
	b.mu.Unlock()
	switch {
	case make != nil:
		return make(m)
	case fixed != nil:
		return fixed
	}
	return &policy.Plan{Domain: next, Refusal: &policy.Refusal{Code: 550, Enhanced: "5.1.2", Text: "no such domain"}}
}

// tally is the bench's Config.Tally.
func (b *bench) tally(s tlsrpt.Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sessions = append(b.sessions, s)
}

// counted are the outcomes of all sessions so far, in words.
func (b *bench) counted() (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.sessions {
		for _, o := range s.Outcomes {
			word := string(o.Policy.Type) + " ok"
			if o.Failed {
				word = string(o.Policy.Type) + " failed"
			}
			for _, f := range o.Failures {
				word += " " + string(f.Type)
				if f.Reason != "" {
					word += "/" + f.Reason
				}
			}
			all = append(all, word)
		}
	}
	return all
}

// sessionsOf are the sessions that were counted for a domain.
func (b *bench) sessionsOf(domain string) (all []tlsrpt.Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.sessions {
		if s.Domain == domain {
			all = append(all, s)
		}
	}
	return all
}

// alarmed is how many alarms there were for a domain, in the log and told.
func (b *bench) alarmed(domain string) (n int) {
	for line := range strings.SplitSeq(b.log.String(), "\n") {
		if strings.Contains(line, "msg=alarm") && strings.Contains(line, "domain="+domain) {
			n++
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.alarms {
		if a.Domain == domain {
			n--
		}
	}
	if n != 0 {
		return -1 // told and logged differ
	}
	for _, a := range b.alarms {
		if a.Domain == domain {
			n++
		}
	}
	return n
}
