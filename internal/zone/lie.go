package zone

import (
	"slices"

	"github.com/miekg/dns"
)

// A Lie changes an answer that is otherwise right, and returns it; with nil there is none, and the
// client waits. The message is the lie's own, its records are not: a record is copied before it is
// changed.
type Lie func(*dns.Msg) *dns.Msg

// A question is what a lie is told to. Type ANY stands for every type.
type question struct {
	name string
	t    uint16
}

// Lie has answers to questions for a name and type changed, from now on; type ANY stands for all types,
// and a lie of nil ends it. Resolvers in front may remember the truth.
func (t *Tree) Lie(name string, qtype uint16, lie Lie) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lies == nil {
		t.lies = make(map[question]Lie)
	}
	t.lies[question{dns.CanonicalName(name), qtype}] = lie
}

// lieAbout returns the lie for a question, nil if the truth is told.
func (t *Tree) lieAbout(name string, qtype uint16) Lie {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if lie := t.lies[question{name, qtype}]; lie != nil {
		return lie
	}
	return t.lies[question{name, dns.TypeANY}]
}

// Silence gives no answer.
func Silence(*dns.Msg) *dns.Msg { return nil }

// Servfail, Refused and NotImplemented are answers with nothing but that code.
var (
	Servfail       = Code(dns.RcodeServerFailure)
	Refused        = Code(dns.RcodeRefused)
	NotImplemented = Code(dns.RcodeNotImplemented)
)

// Code answers with a response code and nothing else.
func Code(rcode int) Lie {
	return func(m *dns.Msg) *dns.Msg {
		m.Rcode, m.Authoritative, m.Answer, m.Ns = rcode, false, nil, nil
		m.Extra = slices.DeleteFunc(m.Extra, func(rr dns.RR) bool { return rr.Header().Rrtype != dns.TypeOPT })
		return m
	}
}

// Without leaves records of the types out of all sections: signatures, proofs.
func Without(types ...uint16) Lie {
	return func(m *dns.Msg) *dns.Msg {
		for _, section := range []*[]dns.RR{&m.Answer, &m.Ns, &m.Extra} {
			*section = slices.DeleteFunc(slices.Clone(*section), func(rr dns.RR) bool { return slices.Contains(types, rr.Header().Rrtype) })
		}
		return m
	}
}

// Replace puts other records, lines of a zone file, in place of those in the answer that are of the same
// type as any of them: what a forger does who has no key. Lines that are wrong panic.
func Replace(lines ...string) Lie {
	var forged []dns.RR
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil || rr == nil {
			panic("zone: not a record: " + line)
		}
		forged = append(forged, rr)
	}
	return func(m *dns.Msg) *dns.Msg {
		m.Rcode = dns.RcodeSuccess
		kept := slices.DeleteFunc(slices.Clone(m.Answer), func(rr dns.RR) bool {
			return slices.ContainsFunc(forged, func(f dns.RR) bool { return f.Header().Rrtype == rr.Header().Rrtype })
		})
		m.Answer = append(kept, forged...)
		return m
	}
}
