package check

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"starttls"
	"starttls/dane"
	"starttls/internal/finding"
	"starttls/internal/policy"
	"starttls/mtasts"
	"starttls/resolver"
)

// An audit is the check of a mail domain: the evidence and the plan of a careful sender, and a visit to
// every address of every host.
type audit struct {
	*Checker
	*ledger
	plan   *policy.Plan
	visits map[netip.Addr]*visit
	out    *finding.Result
	unfit  error // why DNSSEC does not work here
}

// domain checks a mail domain.
func (c *Checker) domain(ctx context.Context, t Target, r *finding.Result) {
	evidence := c.config.Mail.Gather(ctx, *t.Domain)
	a := &audit{Checker: c, plan: policy.Decide(evidence, policy.Options{}), visits: map[netip.Addr]*visit{}, out: r}
	a.ledger = c.whole(t, r)
	if c.config.Unfit != nil {
		a.unfit = c.config.Unfit(ctx)
	}
	a.describe(evidence)
	a.judgeMX(evidence)
	a.judgeSTS(evidence)
	a.judgeReports(ctx, evidence)
	a.settle("mail.mx", "mail.dnssec", "mail.sts", "mail.tlsrpt")
	for i := range a.plan.Attempts {
		a.visitHost(ctx, t, &a.plan.Attempts[i])
	}
	a.judgeHosts()
	a.judgeSenders(evidence)
	for _, at := range a.plan.Attempts {
		c.judgeCAA(ctx, a.ledger, at.Host)
	}
	a.settle("mail.addresses", "mail.dane", "mail.sts-hosts", "mail.sender", "cert.caa")
}

// describe fills in what the evidence says.
func (a *audit) describe(e *policy.Evidence) {
	d := &finding.Domain{Name: a.plan.Domain, Secure: e.MX != nil && e.MX.Status == resolver.Secure}
	if p := e.STS.Policy; p != nil {
		d.STS = string(p.Mode)
	}
	for i, at := range a.plan.Attempts {
		mx := finding.MX{Host: at.Host, Pref: at.Pref, Level: at.Level.String(), Source: string(at.Source), Why: at.Why, Secure: e.Hosts[i].DANE.Secure}
		for _, addr := range at.Addrs {
			mx.Addresses = append(mx.Addresses, addr.String())
		}
		for _, record := range e.Hosts[i].DANE.All {
			mx.TLSA = append(mx.TLSA, record.String())
		}
		d.MX = append(d.MX, mx)
	}
	a.out.Domain = d
}

// judgeMX judges the DNS.
func (a *audit) judgeMX(e *policy.Evidence) {
	switch {
	case a.forged(e.MXErr):
		a.signed("strip.mx-forged", e.MXErr.Error())
		a.say("mail.mx", finding.Insufficient, "%v", e.MXErr)
	case e.MXErr != nil:
		a.say("mail.mx", finding.NotTestable, "%v", e.MXErr)
	case e.MX != nil && len(e.MX.MX) == 1 && e.MX.MX[0].Host == "":
		a.say("mail.mx", finding.NotApplicable, "the domain says that it takes no mail (null MX)")
	case a.plan.Refusal != nil && !a.plan.Refusal.Temporary():
		a.say("mail.mx", finding.Insufficient, "%s", a.plan.Refusal.Text)
	case len(a.plan.Attempts) == 1:
		a.say("mail.mx", finding.Good, "one host")
	default:
		a.say("mail.mx", finding.Good, "%d hosts", len(a.plan.Attempts))
	}
	if e.MX == nil || len(e.Hosts) == 0 {
		return
	}
	if e.MX.Status != resolver.Secure {
		a.say("mail.dnssec", finding.Sufficient, "the MX records of %s are not signed: %s", e.Domain, e.MX.Why)
	}
	for _, h := range e.Hosts {
		switch {
		case h.DANE.AddrErr != nil:
			a.say("mail.dnssec", a.failed(), "%v", h.DANE.AddrErr)
		case !h.DANE.Secure:
			a.say("mail.dnssec", finding.Sufficient, "the addresses of %s are not signed", h.Name)
		}
	}
	a.say("mail.dnssec", finding.Good, "MX records and the addresses of all hosts are signed")
}

// forged reports whether an answer was bogus, and not for want of DNSSEC here.
func (a *audit) forged(err error) bool {
	failed, ok := errors.AsType[*resolver.Error](err)
	return ok && failed.Status == resolver.Bogus && a.unfit == nil
}

// failed is the verdict of a lookup that has.
func (a *audit) failed() finding.Verdict {
	if a.unfit != nil {
		return finding.NotTestable
	}
	return finding.Insufficient
}

// judgeSTS judges the record and the policy of MTA-STS.
func (a *audit) judgeSTS(e *policy.Evidence) {
	switch s := e.STS; {
	case len(e.Hosts) == 0:
	case s.Policy == nil && s.Err == nil:
		a.say("mail.sts", finding.Sufficient, "there is no MTA-STS record")
	case s.Err != nil:
		a.say("mail.sts", finding.Insufficient, "%v", s.Err)
	case s.Policy.Mode != mtasts.Enforce:
		a.say("mail.sts", finding.Sufficient, "the policy says mode: %s, and stops nobody", s.Policy.Mode)
	case s.Policy.MaxAge.Hours() < 24*7:
		// "a value of several weeks or more" (RFC 8461 §3.2)
		a.say("mail.sts", finding.Sufficient, "max_age is %s, and weeks are recommended", s.Policy.MaxAge)
	default:
		a.say("mail.sts", finding.Good, "mode: enforce, max_age %s, id %s", s.Policy.MaxAge, s.ID)
	}
}

// judgeReports looks for the record that asks for reports (RFC 8460 §3).
func (a *audit) judgeReports(ctx context.Context, e *policy.Evidence) {
	const id = "mail.tlsrpt"
	if len(e.Hosts) == 0 || e.Domain == "" {
		return
	}
	answer, err := a.config.Mail.Resolver.Lookup(ctx, "_smtp._tls."+e.Domain, resolver.TXT)
	if err != nil {
		a.say(id, finding.NotTestable, "%v", err)
		return
	}
	records := slices.DeleteFunc(slices.Clone(answer.TXT), func(text string) bool { return !strings.HasPrefix(text, "v=TLSRPTv1") })
	switch {
	case len(records) == 0:
		a.say(id, finding.Sufficient, "there is no TLS-RPT record")
	case len(records) > 1: // "senders MUST assume" that there is none
		a.say(id, finding.Insufficient, "there are %d records, which counts as none", len(records))
	case !strings.Contains(records[0], "rua=mailto:") && !strings.Contains(records[0], "rua=https:"):
		a.say(id, finding.Insufficient, "no address in %s", finding.Quote([]byte(records[0])))
	default:
		a.say(id, finding.Good, "%s", finding.Quote([]byte(records[0])))
	}
}

// visitHost visits every address of a host, each once.
func (a *audit) visitHost(ctx context.Context, t Target, at *policy.Attempt) {
	if len(at.Addrs) == 0 {
		why := "it has no address"
		if at.Refusal != nil {
			why = at.Refusal.Text
		}
		a.say("mail.addresses", a.failed(), "%s: %s", at.Host, why)
	}
	for _, addr := range at.Addrs {
		if a.visits[addr] != nil {
			continue
		}
		service := Target{Text: t.Text, Match: at.SNI}
		if service.Match == "" {
			service.Match = at.Host
		}
		port := strconv.Itoa(int(at.Port))
		address := net.JoinHostPort(addr.String(), port)
		var err error
		if service.Endpoint, err = starttls.ParseEndpoint(mailScheme + "://" + net.JoinHostPort(cmp.Or(at.Host, addr.String()), port)); err != nil {
			panic(err) // a name or an address, and a port
		}
		v := a.visit(ctx, service, address)
		a.visits[addr] = v
		add(a.out, v.service)
		if v.service.Outcome == finding.Unreachable {
			a.say("mail.addresses", finding.PhaseOut, "%s at %s: %s", at.Host, addr, v.service.Why)
		} else {
			a.say("mail.addresses", finding.Good, "all answer")
		}
	}
}

// judgeHosts holds what every host showed against what its policies demand.
func (a *audit) judgeHosts() {
	for i := range a.plan.Attempts {
		at := &a.plan.Attempts[i]
		a.judgeLookup(at, a.plan.Evidence.Hosts[i].DANE)
		for _, addr := range at.Addrs {
			v := a.visits[addr]
			if v.honest == nil {
				continue
			}
			promised := at.Level >= starttls.Encrypt && (at.Source == policy.FromDANE || at.Source == policy.FromSTS)
			if promised && policy.NoOffer(sessionOf(v, addr).Err) {
				a.signed("strip.policy-contradicted", fmt.Sprintf("%s at %s: %s, and %s", at.Host, addr, cmp.Or(v.service.Why, starttls.ErrNotOffered.Error()), at.Why))
			}
			a.judgeDANE(at, addr, v)
			a.judgePolicyHost(at, addr, v)
		}
	}
	if a.plan.Evidence.STS.Policy == nil {
		a.say("mail.sts-hosts", finding.NotApplicable, "there is no policy")
	}
}

// judgeLookup judges TLSA records before any connection.
func (a *audit) judgeLookup(at *policy.Attempt, d dane.Result) {
	switch {
	case d.Outcome == dane.Failed:
		a.say("mail.dane", a.failed(), "%s: %s: %v", at.Host, d.Why, d.Err)
	case d.Outcome == dane.Unusable:
		a.say("mail.dane", finding.PhaseOut, "%s: no TLSA record is usable: %s", at.Host, d.Why)
	case d.Outcome == dane.Absent:
		a.say("mail.dane", finding.Sufficient, "%s: %s", at.Host, d.Why)
	}
	for _, dropped := range d.Dropped {
		if d.Outcome == dane.Usable {
			a.say("mail.dane", finding.Sufficient, "%s: %s does not count: %s", at.Host, dropped.Record, dropped.Why)
		}
	}
}

// judgeDANE matches both chains of a host with its records.
func (a *audit) judgeDANE(at *policy.Attempt, addr netip.Addr, v *visit) {
	if len(at.TLSA) == 0 {
		return
	}
	if v.honest.state == nil {
		a.say("mail.dane", finding.Insufficient, "%s at %s: %s", at.Host, addr, v.service.Why)
		return
	}
	chains := [][]*x509.Certificate{v.honest.state.PeerCertificates}
	if other, err := parseChain(v.other); err == nil && len(other) > 0 {
		chains = append(chains, other)
	}
	for _, chain := range chains {
		record, err := dane.Verify(at.TLSA, at.Names, chain, a.now())
		if err != nil {
			a.say("mail.dane", finding.Insufficient, "%s at %s, %s: %v", at.Host, addr, keyName(chain[0]), err)
			continue
		}
		a.say("mail.dane", finding.Good, "%s at %s matches %.20s…", at.Host, addr, record)
	}
}

func parseChain(ders [][]byte) (chain []*x509.Certificate, err error) {
	for _, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
	return chain, nil
}

// judgePolicyHost holds a host against the MTA-STS policy, in force or testing.
func (a *audit) judgePolicyHost(at *policy.Attempt, addr netip.Addr, v *visit) {
	p := a.plan.Evidence.STS.Policy
	if p == nil || p.Mode == mtasts.None {
		return
	}
	bad := finding.Insufficient
	if p.Mode == mtasts.Testing {
		bad = finding.PhaseOut
	}
	if !p.Matches(at.Host) {
		a.say("mail.sts-hosts", bad, "%s is not in the policy, which lists %s", at.Host, strings.Join(p.MX, ", "))
		return
	}
	secure := policy.Attempt{Host: at.Host, Level: starttls.Secure, Names: []string{at.Host}, Source: policy.FromSTS}
	if refusal := secure.Judge(sessionOf(v, addr), a.base()).Refusal; refusal != nil {
		a.say("mail.sts-hosts", bad, "%s", refusal.Text)
		return
	}
	a.say("mail.sts-hosts", finding.Good, "%s is in the policy, and its certificate passes", at.Host)
}

// judgeCAA looks for who may issue certificates for a host: at its name, else at the next one above that
// has a record (RFC 8659 §3).
func (c *Checker) judgeCAA(ctx context.Context, l *ledger, host string) {
	const id = "cert.caa"
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	for name := host; name != ""; _, name, _ = strings.Cut(name, ".") {
		answer, err := c.config.Mail.Resolver.Lookup(ctx, name, resolver.CAA)
		switch {
		case err != nil:
			l.say(id, finding.NotTestable, "%v", err)
			return
		case len(answer.CAA) > 0:
			l.say(id, finding.Good, "%s: %s %q", name, answer.CAA[0].Tag, answer.CAA[0].Value)
			return
		}
	}
	if host != "" {
		l.say(id, finding.Sufficient, "there is no CAA record for %s", host)
	}
}

// base is what senders trust.
func (c *Checker) base() *tls.Config { return &tls.Config{RootCAs: c.config.Roots, Time: c.config.Now} }

// sessionOf is a visit's honest session, as senders judge it.
func sessionOf(v *visit, addr netip.Addr) policy.Session {
	s := policy.Session{Addr: addr}
	if v.honest == nil {
		s.Err = errors.New(v.service.Why)
		return s
	}
	s.TLS, s.Helo = v.honest.state, v.honest.heard.Name
	switch {
	case errors.Is(v.honest.road, starttls.ErrNotOffered):
		s.TLS, s.Err = nil, v.honest.road // we have asked for it all the same, and a sender does not
	case s.TLS != nil:
	case errors.Is(v.honest.err, errRefused), v.honest.err == nil:
		s.Err = starttls.ErrNotOffered
	default:
		s.Err = v.honest.err
	}
	return s
}
