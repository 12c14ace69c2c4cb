package check_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"starttls/internal/check"
	"starttls/internal/finding"
	"starttls/internal/lab"
	"starttls/internal/policy"
	"starttls/mtasts"
	"starttls/resolver"
)

// onLab returns a checker of the lab's mail domains.
func onLab(t *testing.T, l *lab.Lab, depth check.Depth) *check.Checker {
	t.Helper()
	v := &resolver.Validator{Servers: []string{l.Resolver().String()}, Anchors: l.Anchor(), Timeout: 3 * time.Second}
	sts := &mtasts.Client{Resolver: v, Roots: l.Roots(), Dial: l.Dial, Allow: func(netip.Addr) bool { return true }}
	return check.New(check.Config{
		Depth: depth, Dial: l.Dial, Roots: l.Roots(), Mail: &policy.Gatherer{Resolver: v, STS: sts},
		Timeout: 3 * time.Second, Patience: -1,
	})
}

func startLab(t *testing.T) *lab.Lab {
	t.Helper()
	l, err := lab.Start(lab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func audited(t *testing.T, c *check.Checker, domain string) *finding.Result {
	t.Helper()
	target, err := check.ParseTarget(domain)
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Check(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// beyond are domains whose mail fails after TLS, where no checker comes that sends none.
var beyond = map[string]bool{
	"greylist.test": true, "reject.test": true, "reject-message.test": true, "full.test": true,
	"drops-data.test": true, "drops-body.test": true,
}

// otherwise are domains whose lab names the host otherwise than the MX record does, or one of many.
var otherwise = map[string]bool{"alias-mx.test": true, "dane-alias.test": true, "many-mx.test": true}

// TestSendersOfTheLab: what the checker says that a sender would do is what the lab says a delivery must
// end in.
func TestSendersOfTheLab(t *testing.T) {
	l := startLab(t)
	c := onLab(t, l, check.Quick)
	for _, d := range l.Domains() {
		if d.Slow || beyond[d.Name] {
			continue
		}
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			r := audited(t, c, d.Name)
			for kind, want := range map[string]lab.Outcome{"careful": d.Outcome, "dane": d.DANEOnly} {
				i := slices.IndexFunc(r.Domain.Senders, func(s finding.Sender) bool { return s.Kind == kind })
				if i < 0 {
					t.Fatalf("no sender is %s", kind)
				}
				got := r.Domain.Senders[i]
				if want.Deferrable {
					continue // both are right
				}
				switch {
				case got.Delivers != (want.Reply == ""):
					t.Errorf("%s: %+v, want %s", kind, got, want)
				case kind == "careful" && got.Delivers && got.Host != want.Host && !otherwise[d.Name]:
					t.Errorf("to %s, want %s", got.Host, want)
				case got.Delivers && (got.TLS == want.Clear || got.Level != want.Level.String()):
					t.Errorf("%s: %+v, want %s", kind, got, want)
				}
			}
		})
	}
}

// TestFindingsOfTheLab: each finding about a mail domain has one in the lab that has the flaw and one that
// has not.
func TestFindingsOfTheLab(t *testing.T) {
	l := startLab(t)
	c := onLab(t, l, check.Full)
	for _, row := range []struct {
		domain, id string
		want       finding.Verdict
	}{
		{"dane-ee.test", "mail.dane", finding.Good},
		{"dane-wrong.test", "mail.dane", finding.Insufficient},
		{"dane-rolled.test", "mail.dane", finding.Insufficient},
		{"dane-rollover.test", "mail.dane", finding.Good},
		{"dane-unusable.test", "mail.dane", finding.PhaseOut},
		{"sts-enforce.test", "mail.dane", finding.Sufficient},
		{"dane-ee.test", "mail.dnssec", finding.Good},
		{"sts-enforce.test", "mail.dnssec", finding.Sufficient},
		{"dane-ee.test", "mail.mx", finding.Good},
		{"dane-ee.test", "mail.sender", finding.Good},
		{"dane-wrong.test", "mail.sender", finding.Insufficient},
		{"dane-unusable.test", "mail.sender", finding.Sufficient},
		{"down.test", "mail.sender", finding.NotTestable},
		{"dane-no-tls.test", "strip.policy-contradicted", finding.Insufficient},
		{"sts-enforce.test", "mail.sts-hosts", finding.Good},
		{"dane-ee.test", "mail.sts-hosts", finding.NotApplicable},
		{"dane-ee.test", "mail.sts", finding.Sufficient},
		{"dane-ee.test", "mail.addresses", finding.Good},
		{"sts-down-second.test", "mail.addresses", finding.PhaseOut},
		{"no-address.test", "mail.addresses", finding.Insufficient},
		{"bogus.test", "strip.mx-forged", finding.Insufficient},
		{"bogus.test", "mail.mx", finding.Insufficient},
		{"mx-servfail.test", "mail.mx", finding.NotTestable},
		{"null-mx.test", "mail.mx", finding.NotApplicable},
		{"bogus-host.test", "mail.dnssec", finding.Insufficient},
		{"sts-testing.test", "mail.sts", finding.Sufficient},
		{"sts-404.test", "mail.sts", finding.Insufficient},
		{"sts-redirect.test", "mail.sts", finding.Insufficient},
		{"sts-mismatch.test", "mail.sts-hosts", finding.Insufficient},
		{"sts-testing-mismatch.test", "mail.sts-hosts", finding.PhaseOut},
		{"sts-expired.test", "mail.sts-hosts", finding.Insufficient},
		{"capability-removed-sts.test", "strip.policy-contradicted", finding.Insufficient},
		{"capability-removed-dane.test", "strip.policy-contradicted", finding.Insufficient},
		{"ehlo-keyword-x-a-dane.test", "strip.policy-contradicted", finding.Insufficient},
		{"ehlo-keyword-x-a-may.test", "strip.keyword-masked-a", finding.Insufficient},
		{"banner-masked-asterisk-may.test", "strip.banner-masked", finding.Insufficient},
		{"starttls-454-may.test", "strip.upgrade-refused", finding.Insufficient},
		{"starttls-reset-may.test", "strip.blackhole", finding.Insufficient},
		{"starttls-then-plain-may.test", "strip.plain-after-ready", finding.Insufficient},
		{"command-x-may.test", "strip.command-masked", finding.Insufficient},
		{"ehlo-x-may.test", "strip.hello-refused", finding.Insufficient},
		{"tls.test", "strip.blackhole", ""},
	} {
		t.Run(row.domain+"/"+row.id, func(t *testing.T) {
			t.Parallel()
			r := audited(t, c, row.domain)
			for _, f := range r.All {
				if f.ID == row.id {
					if f.Verdict != row.want || strings.Contains(f.Evidence, ": ,") {
						t.Errorf("%s: %s", f.Verdict, f.Evidence)
					}
					return
				}
			}
			if row.want != "" {
				t.Error("not found")
			}
		})
	}
}

// TestWhatIsReached: whether there is something to be told, for the exit status.
func TestWhatIsReached(t *testing.T) {
	l := startLab(t)
	c := onLab(t, l, check.Quick)
	for domain, want := range map[string]bool{
		"dane-ee.test": true, "null-mx.test": true, "bogus.test": true, "nowhere.test": true,
		"mx-servfail.test": false, "down.test": false, "busy.test": false,
	} {
		r := audited(t, c, domain)
		if r.Reached != want {
			t.Errorf("%s: reached %v, %s: %+v", domain, r.Reached, r.Verdict, r.Findings)
		}
	}
}

// TestWithoutDNSSECNobodyIsAccused: where the resolver is not fit, a bogus answer is no forgery.
func TestWithoutDNSSECNobodyIsAccused(t *testing.T) {
	l := startLab(t)
	v := &resolver.Validator{Servers: []string{l.Resolver().String()}, Anchors: l.Anchor(), Timeout: 3 * time.Second}
	c := check.New(check.Config{
		Depth: check.Quick, Dial: l.Dial, Roots: l.Roots(), Patience: -1, Mail: &policy.Gatherer{Resolver: v},
		Unfit: func(context.Context) error { return errors.New("it does not pass on CD") },
	})
	for _, domain := range []string{"bogus.test", "bogus-host.test"} {
		r := audited(t, c, domain)
		for _, f := range r.All {
			if f.Verdict == finding.Insufficient {
				t.Errorf("%s: %s: %s", domain, f.ID, f.Evidence)
			}
		}
		if r.Reached {
			t.Errorf("%s: reached", domain)
		}
	}
}

// published is a resolver that also knows records of its own.
type published struct {
	resolver.Resolver
	txt map[string][]string
	caa map[string]string
}

func (p published) Lookup(ctx context.Context, name string, t resolver.Type) (*resolver.Answer, error) {
	answer := &resolver.Answer{Name: name, Type: t, Status: resolver.Insecure, Canonical: name}
	if text, ok := p.txt[name]; ok && t == resolver.TXT {
		answer.TXT = text
		return answer, nil
	}
	if issuer, ok := p.caa[name]; ok && t == resolver.CAA {
		answer.CAA = []resolver.CAARecord{{Tag: "issue", Value: issuer}}
		return answer, nil
	}
	return p.Resolver.Lookup(ctx, name, t)
}

// TestRecordsOfADomain: those that no mail server has to do with.
func TestRecordsOfADomain(t *testing.T) {
	l := startLab(t)
	for _, row := range []struct {
		name string
		txt  []string
		caa  string
		id   string
		want finding.Verdict
	}{
		{"good", []string{"v=TLSRPTv1; rua=mailto:tls@example.org"}, "", "mail.tlsrpt", finding.Good},
		{"https", []string{"v=TLSRPTv1;rua=https://example.org/tls"}, "", "mail.tlsrpt", finding.Good},
		{"other records", []string{"v=spf1 -all", "v=TLSRPTv1; rua=mailto:tls@example.org"}, "", "mail.tlsrpt", finding.Good},
		{"none", nil, "", "mail.tlsrpt", finding.Sufficient},
		{"two", []string{"v=TLSRPTv1; rua=mailto:a@example.org", "v=TLSRPTv1; rua=mailto:b@example.org"}, "", "mail.tlsrpt", finding.Insufficient},
		{"no address", []string{"v=TLSRPTv1; rua=ftp://example.org"}, "", "mail.tlsrpt", finding.Insufficient},
		{"at the host", nil, "mx.dane-ee.test", "cert.caa", finding.Good},
		{"above it", nil, "dane-ee.test", "cert.caa", finding.Good},
		{"nowhere", nil, "other.test", "cert.caa", finding.Sufficient},
	} {
		t.Run(row.id+"/"+row.name, func(t *testing.T) {
			v := &resolver.Validator{Servers: []string{l.Resolver().String()}, Anchors: l.Anchor(), Timeout: 3 * time.Second}
			c := check.New(check.Config{Depth: check.Quick, Dial: l.Dial, Roots: l.Roots(), Patience: -1, Mail: &policy.Gatherer{Resolver: published{
				v, map[string][]string{"_smtp._tls.dane-ee.test": row.txt}, map[string]string{row.caa: "ca.example"},
			}}})
			for _, f := range audited(t, c, "dane-ee.test").All {
				if f.ID == row.id {
					if f.Verdict != row.want {
						t.Errorf("%s: %s", f.Verdict, f.Evidence)
					}
					return
				}
			}
			t.Error("not found")
		})
	}
}

// TestWhoMayIssueForAService: it is looked up for a name, and not for an address.
func TestWhoMayIssueForAService(t *testing.T) {
	l := startLab(t)
	for url, want := range map[string]finding.Verdict{
		"smtp://mx.dane-ee.test": finding.Good, "smtp://mx.sts-enforce.test": finding.Sufficient, "smtp://127.0.0.1:1": "",
	} {
		v := &resolver.Validator{Servers: []string{l.Resolver().String()}, Anchors: l.Anchor(), Timeout: 3 * time.Second}
		c := check.New(check.Config{Dial: l.Dial, Roots: l.Roots(), Patience: -1, Budget: 1, Mail: &policy.Gatherer{Resolver: published{
			v, nil, map[string]string{"dane-ee.test": "ca.example"},
		}}, Addresses: func(context.Context, string) ([]string, error) { return nil, errors.New("no address") }})
		var got finding.Verdict
		for _, f := range audited(t, c, url).All {
			if f.ID == "cert.caa" {
				got = f.Verdict
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", url, got, want)
		}
	}
}
