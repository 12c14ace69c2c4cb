package relay

import (
	"crypto/tls"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"starttls/dialect"
	"starttls/internal/lab"
	"starttls/internal/policy"
	"starttls/mtasts"
	"starttls/resolver"
)

// labTimes are short: in the lab nothing is far.
var labTimes = Times{Connect: 2 * time.Second, TLS: 2 * time.Second, Command: 2 * time.Second, Walk: 100 * time.Second}

// newLab starts a lab, and a relay that knows no other Internet.
func newLab(t *testing.T, d *dialect.Dialect, c lab.Config, change func(*Planner, *Config)) (*bench, *lab.Lab) {
	t.Helper()
	l, err := lab.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	names := &resolver.Validator{Servers: []string{l.Resolver().String()}, Anchors: l.Anchor(), Probe: "test", Timeout: 3 * time.Second}
	sts := &mtasts.Client{Resolver: names, Roots: l.Roots(), Dial: l.Dial, Allow: func(netip.Addr) bool { return true }}
	p := &Planner{Gatherer: &policy.Gatherer{Resolver: names, STS: sts, Memory: &memory{}}}
	return newBench(t, d, func(c *Config) {
		c.Plan, c.Again, c.Remember = p.Plan, p.Again, p.Remember
		c.Dial, c.TLS, c.Times = l.Dial, &tls.Config{RootCAs: l.Roots()}, labTimes
		if soaking() {
			c.Times = Times{Walk: 2 * time.Minute} // for those who are slow and not broken
		}
		if change != nil {
			change(p, c)
		}
	}), l
}

// soaking reports whether there is time for what takes minutes.
func soaking() bool { return os.Getenv("STARTTLS_SOAK") != "" }

// TestEveryLabDomain: a message to each domain of the lab ends where the lab says that it must, and is
// counted as it says.
func TestEveryLabDomain(t *testing.T) {
	b, l := newLab(t, &dialect.SMTP, lab.Config{}, nil)
	var all sync.WaitGroup
	slots := make(chan struct{}, 8)
	for _, d := range l.Domains() {
		if d.Slow && !soaking() {
			continue
		}
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			checkDomain(t, b, l, d)
		})
	}
	all.Wait()
}

// checkDomain sends a message to a domain.
func checkDomain(t *testing.T, b *bench, l *lab.Lab, d lab.Domain) {
	c := b.hello(t)
	told, data := c.message("", "someone@"+d.Name, text)
	if data != "" {
		told = data
	}
	c.ask("QUIT", "221")
	want := d.Outcome
	kept := l.Messages(d.Name)
	switch {
	case want.Deferrable && told[0] == '4' && len(kept) == 0:
	case want.Reply != "":
		if !strings.HasPrefix(told, want.Reply) || len(kept) > 0 {
			t.Errorf("%s: %q and %d messages, want %s (%s)", d.Name, told, len(kept), want.Reply, want.Why)
		}
	case told[0] != '2':
		t.Errorf("%s: %q, want %s (%s)", d.Name, told, want, want.Why)
	case want.Host == "mx.evil.test": // keeps it for itself
	case len(kept) != 1 || kept[0].Host != want.Host || (kept[0].TLS == 0) != want.Clear:
		t.Errorf("%s: %+v, want %s (%s)", d.Name, kept, want, want.Why)
	}
	if want.Result == "" {
		return
	}
	for _, s := range b.sessionsOf(d.Name) {
		for _, o := range s.Outcomes {
			for _, f := range o.Failures {
				if o.Policy.Type == want.Policy && f.Type == want.Result && f.Reason == want.Reason {
					return
				}
			}
		}
	}
	t.Errorf("%s: counted %+v, want %s %s %q", d.Name, b.sessionsOf(d.Name), want.Policy, want.Result, want.Reason)
}

// TestPolicyAndAttack is the table policy × attack × memory: what goes over in the clear is what nothing
// forbids, and wherever something that was proved is contradicted the log has an alarm.
func TestPolicyAndAttack(t *testing.T) {
	for _, stripped := range []policy.Reaction{policy.Delay, policy.Deliver} {
		b, l := newLab(t, &dialect.SMTP, lab.Config{}, func(p *Planner, _ *Config) { p.Options.Stripped = stripped })
		var all sync.WaitGroup
		for _, attack := range lab.Attacks {
			for _, policy := range []string{"may", "sts", "dane"} {
				all.Go(func() { attackOnce(t, b, l, attack, policy, stripped) })
			}
		}
		all.Wait()
	}
}

// attackOnce sends a message to a host that is attacked, one when the attacker is away, and another when
// it is back: that one goes past a memory.
func attackOnce(t *testing.T, b *bench, l *lab.Lab, attack lab.Attack, by string, stripped policy.Reaction) {
	domain := string(attack) + "-" + by + ".test"
	d, _ := l.Domain(domain)
	send := func() string {
		c := b.hello(t)
		defer c.ask("QUIT", "221")
		rcpt, data := c.message("", "someone@"+domain, text)
		if data != "" {
			return data
		}
		return rcpt
	}
	clear := func() (n int) {
		for _, m := range l.Messages(domain) {
			if m.TLS == 0 {
				n++
			}
		}
		return n
	}
	send()
	if got := clear(); got > 0 != d.Outcome.Clear && !d.Outcome.Deferrable {
		t.Errorf("%s: %d in the clear", domain, got)
	}
	contradicted := by != "may" && attack != lab.MaskBanner
	if got := b.alarmed(domain); got > 0 != contradicted {
		t.Errorf("%s: %d alarms", domain, got)
	}
	if attack == lab.ForgeMX {
		return // what was in the DNS is remembered, there is no other host to be had
	}
	if err := l.Attack(domain, ""); err != nil {
		t.Fatal(err)
	}
	before := clear()
	if told := send(); told[0] != '2' || clear() != before {
		t.Errorf("%s: without an attacker: %s", domain, told)
	}
	alarms := b.alarmed(domain)
	l.Attack(domain, attack)
	told := send()
	if clear() > before && (by != "may" || stripped == policy.Delay) {
		t.Errorf("%s: in the clear past a memory: %s", domain, told)
	}
	// A handshake that anybody could have had is what memory does not speak of: only that there is none.
	contradicted = attack != lab.MaskBanner && (by != "may" || attack != lab.Intercept)
	if got := b.alarmed(domain) > alarms; got != contradicted {
		t.Errorf("%s: past a memory an alarm: %v, and %s", domain, got, told)
	}
}
