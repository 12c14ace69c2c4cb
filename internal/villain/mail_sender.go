package villain

import (
	"crypto/tls"
	"fmt"
	"slices"
	"time"

	"starttls/dialect"
	"starttls/internal/finding"
	"starttls/internal/lab"
)

// A mailCase is what domains of the lab tell of a program that sends mail. Where a message must not go, a
// sender that keeps it has withstood only if it would have sent it otherwise: to control, which has a
// policy of the same kind and fulfils it.
type mailCase struct {
	id      string // of the finding
	control string
	domains []string
}

// mailCases are in the order in which they are told. What each domain must lead to is said by the lab.
var mailCases = []mailCase{
	{"client.honest", "tls", []string{"tls", "signed"}},
	{"client.delivers", "tls", []string{"dane-ee", "dane-ta", "dane-rollover", "dane-no-mx", "sts-enforce", "sts-wildcard", "sts-and-dane"}},
	{"client.dane-clear", "dane-ee", []string{"dane-no-tls", "dane-unusable-no-tls", "capability-removed-dane", "ehlo-keyword-x-a-dane", "ehlo-x-dane",
		"command-x-dane", "starttls-454-dane", "starttls-501-dane", "starttls-reset-dane", "starttls-then-plain-dane"}},
	{"client.dane-host", "dane-ee", []string{"dane-wrong", "dane-rolled", "dane-agility", "dane-name-ta", "dane-expired-ta", "sts-dane-wrong", "tls-intercept-dane"}},
	{"client.dane-dns", "dane-ee", []string{"dane-servfail", "dane-stripped-dns", "dane-denied-dns", "bogus", "mx-forged-dane"}},
	{"client.sts-clear", "sts-enforce", []string{"sts-no-tls", "capability-removed-sts", "ehlo-keyword-x-a-sts", "ehlo-x-sts",
		"command-x-sts", "starttls-454-sts", "starttls-501-sts", "starttls-reset-sts", "starttls-then-plain-sts"}},
	{"client.sts-host", "sts-enforce", []string{"sts-expired", "sts-untrusted", "sts-self-signed", "sts-name", "sts-name-pattern", "sts-old-tls", "tls-intercept-sts"}},
	{"client.sts-mx", "sts-enforce", []string{"sts-mismatch", "mx-forged-sts"}},
	{"client.injected", "dane-ee", []string{"injected-response-dane"}},
	{"client.injected", "sts-enforce", []string{"injected-response-sts"}},
}

// top is the lab's top-level domain.
const top = ".test"

// MailDomains returns the domains of the lab that a sender under test has to send to.
func MailDomains() (all []string) {
	for _, c := range mailCases {
		for _, name := range c.domains {
			all = append(all, name+top)
		}
	}
	return all
}

// A Sender is a program that sends mail, seen from the lab that it sends to.
type Sender struct {
	lab  *lab.Lab
	from time.Time
}

// Watch returns a view of whoever sends mail to a lab that has all [MailDomains].
func Watch(l *lab.Lab) *Sender { return &Sender{l, time.Now()} }

// Progress returns to how many domains somebody was about to send, how many connections are open, and a
// number that grows with all that happens.
func (s *Sender) Progress() (domains, open, events int) {
	for _, name := range MailDomains() {
		seen := s.lab.Seen(name)
		if seen.Asked > 0 {
			domains++
		}
		open += seen.Open
		events += seen.Asked + seen.Met + len(seen.Messages)
	}
	return domains, open, events
}

// Result returns what is known of the sender: a service for each domain, with one finding.
func (s *Sender) Result() *finding.Result {
	r := &finding.Result{Schema: finding.Schema, Target: "mx", Started: s.from.UTC(), Seconds: time.Since(s.from).Seconds(),
		Findings: []finding.Finding{}}
	for _, c := range mailCases {
		for _, name := range c.domains {
			r.Services = append(r.Services, s.service(c, name+top))
		}
	}
	r.Settle()
	return r
}

func (s *Sender) service(c mailCase, name string) finding.Service {
	d, _ := s.lab.Domain(name)
	seen := s.lab.Seen(name)
	service := finding.Service{
		URL: "mx:" + name, Host: d.Hosts[0], Address: s.lab.Resolver().String(), Protocol: dialect.SMTP.Name,
		Outcome: finding.Tested, Connections: seen.Met, Findings: []finding.Finding{s.judge(c, d, seen)},
	}
	if !there(seen) {
		service.Outcome, service.Why = finding.Unreachable, absent
	}
	return service
}

const absent = "the client was not there"

func there(seen lab.Sight) bool { return seen.Asked+seen.Met+len(seen.Messages) > 0 }

// judge holds what has become of the mail for a domain against what must.
func (s *Sender) judge(c mailCase, d lab.Domain, seen lab.Sight) finding.Finding {
	through := len(s.lab.Seen(c.control+top).Messages) > 0
	verdict, did := fate(c, d.Outcome, seen, through)
	evidence := d.Name + ": " + did
	if verdict.Bad() || verdict == finding.Sufficient {
		evidence += fmt.Sprintf("; it must be: %s (%s)", d.Outcome, d.Outcome.Why)
	}
	return finding.New(c.id, verdict, evidence)
}

// fate judges; through says that the sender delivers to the control.
func fate(c mailCase, want lab.Outcome, seen lab.Sight, through bool) (finding.Verdict, string) {
	went := slices.IndexFunc(seen.Messages, func(m lab.Message) bool { return !allowed(m, want) })
	switch {
	case !there(seen):
		return finding.NotTestable, absent
	case went >= 0 && c.id == "client.injected" && seen.Messages[went].TLS != 0:
		return finding.Sufficient, told(seen.Messages[went]) + ", past what stood behind the go-ahead"
	case went >= 0:
		return finding.Insufficient, told(seen.Messages[went])
	case len(seen.Messages) > 0:
		return finding.Good, told(seen.Messages[0])
	case !through:
		return finding.NotTestable, fmt.Sprintf("nothing is delivered, as little as to %s%s: nothing follows", c.control, top)
	case want.Reply == "":
		return finding.Insufficient, "nothing is delivered"
	}
	return finding.Good, "nothing is delivered"
}

// allowed reports whether a message may have gone where it went.
func allowed(m lab.Message, want lab.Outcome) bool {
	return want.Reply == "" && m.Host == want.Host && (m.TLS != 0 || want.Clear)
}

// told says where a message went.
func told(m lab.Message) string {
	if m.TLS == 0 {
		return "delivered in the clear to " + m.Host
	}
	return "delivered over " + tls.VersionName(m.TLS) + " to " + m.Host
}

// Summary returns the same with one service, which has for each finding the gravest of all domains.
func Summary(r *finding.Result) *finding.Result {
	sum := *r
	one := finding.Service{URL: r.Target, Protocol: dialect.SMTP.Name, Outcome: finding.Unreachable, Why: absent}
	for _, s := range r.Services {
		if one.Connections += s.Connections; s.Outcome == finding.Tested {
			one.Outcome, one.Why = s.Outcome, ""
		}
		one.Address = s.Address
		one.Findings = merge(one.Findings, s.Findings...)
	}
	sum.Services = []finding.Service{one}
	sum.Settle()
	return &sum
}
