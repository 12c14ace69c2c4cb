package check_test

import (
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
		{"dane-no-tls.test", "strip.policy-contradicted", finding.Insufficient},
		{"sts-enforce.test", "mail.sts-hosts", finding.Good},
		{"dane-ee.test", "mail.sts-hosts", finding.NotApplicable},
		{"dane-ee.test", "mail.sts", finding.Sufficient},
		{"dane-ee.test", "mail.addresses", finding.Good},
	} {
		t.Run(row.domain+"/"+row.id, func(t *testing.T) {
			t.Parallel()
			r := audited(t, c, row.domain)
			for _, f := range r.All {
				if f.ID == row.id {
					if f.Verdict != row.want {
						t.Errorf("%s: %s", f.Verdict, f.Evidence)
					}
					return
				}
			}
			if row.want.Bad() || !strings.HasPrefix(row.id, "strip.") {
				t.Error("not found")
			}
		})
	}
}
