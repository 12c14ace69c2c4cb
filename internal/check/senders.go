package check

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net/netip"
	"slices"

	"starttls"
	"starttls/dane"
	"starttls/internal/finding"
	"starttls/internal/policy"
	"starttls/mtasts"
)

// senders are the kinds of senders that mail comes from, by what they look at.
var senders = []struct {
	kind      string
	dane, sts bool
}{
	{"opportunistic", false, false},
	{"dane", true, false},
	{"mta-sts", false, true},
	{"careful", true, true},
}

// judgeSenders says what each kind of sender would do with a message now, by what the visits have shown.
func (a *audit) judgeSenders(e *policy.Evidence) {
	for _, s := range senders {
		seen := *e
		if !s.sts {
			seen.STS = mtasts.State{}
		}
		if seen.Hosts = slices.Clone(e.Hosts); !s.dane {
			for i := range seen.Hosts {
				without := &seen.Hosts[i].DANE
				without.Outcome, without.Records, without.All = dane.Absent, nil, nil
			}
		}
		sender := a.sends(policy.Decide(&seen, policy.Options{}))
		sender.Kind = s.kind
		a.out.Domain.Senders = append(a.out.Domain.Senders, sender)
		if s.dane && s.sts {
			a.judgeSender(sender)
		}
	}
}

// sends walks a plan as a sender does, host by host and address by address.
func (a *audit) sends(p *policy.Plan) (s finding.Sender) {
	s.Knows = true
	if p.Refusal != nil {
		s.Reply = p.Refusal.Text
		return s
	}
	var refusals []*policy.Refusal
	for i := range p.Attempts {
		at := &p.Attempts[i]
		if at.Refusal != nil {
			refusals = append(refusals, at.Refusal)
			continue
		}
		for _, addr := range at.Addrs {
			v := a.visits[addr]
			if v == nil || v.service.Outcome == finding.Busy {
				s.Knows = false
				continue
			}
			if v.service.Outcome == finding.Unreachable {
				refusals = append(refusals, &policy.Refusal{Code: 451, Enhanced: "4.4.1", Text: v.service.Why})
				continue
			}
			session := a.sessionAs(at, v, addr)
			refusal := at.Judge(session, a.base()).Refusal
			if refusal == nil {
				s.Delivers, s.Host, s.Level, s.TLS = true, at.Host, at.Level.String(), session.TLS != nil
				s.Verified = s.TLS && at.Level >= starttls.Verify
				return s
			}
			refusals = append(refusals, refusal)
		}
	}
	if len(refusals) > 0 {
		s.Reply = p.Conclude(refusals).Text
	}
	return s
}

// sessionAs is the session that a sender would have under an attempt: not one with a version of TLS that it
// does not speak.
func (a *audit) sessionAs(at *policy.Attempt, v *visit, addr netip.Addr) policy.Session {
	s := sessionOf(v, addr)
	if s.TLS == nil {
		return s
	}
	if least := cmp.Or(at.TLSConfig(a.base()).MinVersion, tls.VersionTLS12); s.TLS.Version < least {
		s.TLS, s.Err = nil, fmt.Errorf("%w: %s at most", starttls.ErrTLS, tls.VersionName(s.TLS.Version))
	}
	return s
}

func (a *audit) judgeSender(s finding.Sender) {
	const id = "mail.sender"
	switch {
	case !s.Delivers && !s.Knows:
		a.say(id, finding.NotTestable, "no host could be tested")
	case !s.Delivers && a.allDown():
		a.say(id, finding.NotTestable, "no host could be reached: %s", s.Reply)
	case !s.Delivers && len(a.plan.Attempts) == 0 && !a.plan.Refusal.Temporary():
		a.say(id, finding.NotApplicable, "%s", s.Reply)
	case !s.Delivers && a.plan.Evidence.MXErr != nil && !a.forged(a.plan.Evidence.MXErr):
		a.say(id, finding.NotTestable, "%s", s.Reply)
	case !s.Delivers:
		a.say(id, a.failed(), "nothing is delivered: %s", s.Reply)
	case !s.TLS:
		a.say(id, finding.Insufficient, "mail goes to %s in the clear", s.Host)
	case !s.Verified:
		a.say(id, finding.Sufficient, "mail goes to %s with TLS, and nobody knows whether it is that host", s.Host)
	default:
		a.say(id, finding.Good, "mail goes to %s, which is authenticated (%s)", s.Host, s.Level)
	}
}

// allDown reports whether there are hosts, and none of them could be reached.
func (a *audit) allDown() bool {
	for _, v := range a.visits {
		if v.service.Outcome != finding.Unreachable {
			return false
		}
	}
	return len(a.visits) > 0
}
