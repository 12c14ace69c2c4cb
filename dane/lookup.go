package dane

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"starttls/resolver"
)

// maxName is the longest domain name (RFC 1035 §2.3.4), as text without the last dot.
const maxName = 253

// Lookup asks for the addresses of a host and, where these allow it, for the TLSA records of the service
// at port. It asks at most six questions. host is a name as [resolver.Name] returns it; a name from DNS
// that is none has the outcome Failed.
func Lookup(ctx context.Context, r resolver.Resolver, host string, port uint16) Result {
	l := lookup{ctx: ctx, r: r, Result: Result{Outcome: Absent, Base: host, Canonical: host}}
	l.addresses(host)
	if len(l.Addrs) == 0 {
		if l.AddrErr != nil {
			l.fail("its addresses could not be looked up", l.AddrErr)
		} else {
			l.Why = "it has no address"
		}
		return l.Result
	}
	for _, base := range l.candidates(host) {
		if l.Outcome == Failed || l.tlsa(base, port) {
			break
		}
	}
	return l.Result
}

// A lookup is one in progress.
type lookup struct {
	ctx context.Context
	r   resolver.Resolver
	Result
}

// ask asks one question and keeps the step.
func (l *lookup) ask(name string, t resolver.Type) (*resolver.Answer, error) {
	a, err := l.r.Lookup(l.ctx, name, t)
	l.Steps = append(l.Steps, Step{name, t, a, err})
	return a, err
}

func (l *lookup) fail(why string, err error) {
	l.Outcome, l.Why, l.Err = Failed, why, err
}

// addresses asks for A and AAAA, before TLSA: load balancers that know no TLSA fail such questions, and
// nobody is to ask them (RFC 7672 §2.2.2). One family that fails does not take the other's addresses away.
func (l *lookup) addresses(host string) {
	steps := []Step{{Name: host, Type: resolver.A}, {Name: host, Type: resolver.AAAA}}
	var both sync.WaitGroup
	for i := range steps {
		both.Go(func() { steps[i].Answer, steps[i].Err = l.r.Lookup(l.ctx, host, steps[i].Type) })
	}
	both.Wait()
	for _, s := range steps {
		l.Steps = append(l.Steps, s)
		if s.Err != nil {
			l.AddrErr = cmp.Or(l.AddrErr, s.Err)
			continue
		}
		if len(s.Answer.Addrs) == 0 {
			continue
		}
		// The chain of CNAMEs is the same in both families; what is secure is what was proved.
		if secure := s.Answer.Status == resolver.Secure; secure || len(l.Addrs) == 0 {
			l.Secure, l.Canonical = secure, s.Answer.Canonical
		}
		l.Addrs = append(l.Addrs, s.Answer.Addrs...)
	}
}

// candidates returns the names under which TLSA records may be, the preferred one first. Names between
// the first and the last of a chain of CNAMEs are never among them (RFC 7672 §2.2.3).
func (l *lookup) candidates(host string) []string {
	alias := l.Canonical != host
	switch {
	case l.Secure && alias:
		return []string{l.Canonical, host}
	case l.Secure:
		return []string{host}
	case !alias:
		l.Why = "its address is not secure"
		return nil
	}
	// The target is insecure, and the alias may be secure: only a question for the CNAME itself tells
	// (RFC 7672 §2.1.3).
	a, err := l.ask(host, resolver.CNAME)
	if err != nil {
		l.fail("whether the alias is secure could not be found out", err)
		return nil
	}
	if a.Status == resolver.Secure && a.CNAME != "" {
		return []string{host}
	}
	l.Why = "it is an alias that is not secure"
	return nil
}

// tlsa asks for the records at base and reports whether the search is over. An error ends it: the next
// name is for records that are proved not to be here (RFC 7672 §2.1.2).
func (l *lookup) tlsa(base string, port uint16) bool {
	name := fmt.Sprintf("_%d._tcp.%s", port, base)
	if len(name) > maxName {
		l.Why = "its name leaves no room for TLSA records"
		return false
	}
	a, err := l.ask(name, resolver.TLSA)
	switch {
	case err != nil:
		l.fail("the lookup of its TLSA records failed", err)
		return true
	case len(a.TLSA) == 0:
		l.Why = "it has no TLSA records"
		return false
	case a.Status != resolver.Secure:
		l.Why = "its TLSA records are not secure"
		return false
	}
	l.Base, l.All = base, a.TLSA
	l.Records, l.Dropped = Select(a.TLSA)
	if len(l.Records) == 0 {
		l.Outcome, l.Why = Unusable, "none of its TLSA records is usable"
		return true
	}
	l.Outcome, l.Why = Usable, "it has TLSA records"
	return true
}
