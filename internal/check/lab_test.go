package check

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"starttls/internal/finding"
	"starttls/internal/lab"
	"starttls/internal/policy"
	"starttls/mtasts"
	"starttls/resolver"
)

// theLab is one lab for all tests. closeLab is called when they are done.
var (
	theLab = sync.OnceValue(func() *lab.Lab {
		l, err := lab.Start(lab.Config{})
		if err != nil {
			panic(err)
		}
		started.Store(l)
		return l
	})
	started atomic.Pointer[lab.Lab]
)

func closeLab() {
	if l := started.Load(); l != nil {
		l.Close()
	}
}

// onLab makes a configuration one for the lab's mail domains.
func onLab(c *Config) {
	l := theLab()
	r := &resolver.Validator{Servers: []string{l.Resolver().String()}, Anchors: l.Anchor(), Timeout: 20 * time.Second}
	sts := &mtasts.Client{Resolver: r, Roots: l.Roots(), Dial: l.Dial, Allow: func(netip.Addr) bool { return true }}
	c.Dial, c.Roots, c.Mail, c.Patience = l.Dial, l.Roots(), &policy.Gatherer{Resolver: r, STS: sts}, -1
}

func quickly(c *Config) { c.Depth = Quick }

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
	for _, d := range theLab().Domains() {
		if d.Slow || beyond[d.Name] {
			continue
		}
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			r := result(t, d.Name, onLab, quickly)
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

// TestWhatIsReached: whether there is something to be told, for the exit status.
func TestWhatIsReached(t *testing.T) {
	for domain, want := range map[string]bool{
		"dane-ee.test": true, "null-mx.test": true, "bogus.test": true, "nowhere.test": true,
		"mx-servfail.test": false, "down.test": false, "busy.test": false,
	} {
		r := result(t, domain, onLab, quickly)
		if r.Reached != want {
			t.Errorf("%s: reached %v, %s: %+v", domain, r.Reached, r.Verdict, r.Findings)
		}
	}
}

// TestWithoutDNSSECNobodyIsAccused: where the resolver is not fit, a bogus answer is no forgery.
func TestWithoutDNSSECNobodyIsAccused(t *testing.T) {
	unfit := func(c *Config) {
		c.Unfit = func(context.Context) error { return errors.New("it does not pass on CD") }
	}
	for _, domain := range []string{"bogus.test", "bogus-host.test"} {
		r := result(t, domain, onLab, quickly, unfit)
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
