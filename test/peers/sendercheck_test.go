package peers

import (
	"slices"
	"strings"
	"testing"

	"starttls/internal/finding"
	"starttls/internal/villain"
)

// A senderRow is a real program that sends mail, and what "starttls check --client mx:" must say of it: the
// findings that do not hold, and those that will do. All others must hold.
type senderRow struct {
	name  string
	start func(*testing.T, *world) (try func(t *testing.T, domain string))
	bad   []string
	fair  []string
	only  map[string]string // findings that hold but at one domain
}

// What senders do that know nothing of MTA-STS, and of DANE.
var (
	noSTS  = []string{"client.sts-clear", "client.sts-host", "client.sts-mx"}
	noDANE = []string{"client.dane-clear", "client.dane-host", "client.dane-dns"}
)

var senderRows = []senderRow{
	{"Postfix, policy serve", postfixByPolicy, nil, []string{"client.injected"},
		map[string]string{"client.sts-host": "sts-name-pattern.test"}}, // its language cannot say that
	{"Postfix, dane", postfixAs("dane"), noSTS, []string{"client.injected"}, nil},
	{"Postfix, may", postfixAs("may"), both(noSTS, noDANE...), []string{"client.injected"}, nil},
	{"Exim, hosts_try_dane", eximAs, noSTS, nil, map[string]string{
		"client.dane-host": "dane-agility.test",          // any record that matches will do
		"client.injected":  "injected-response-sts.test", // it comes back in the clear
	}},
}

func postfixAs(level string) func(*testing.T, *world) func(*testing.T, string) {
	return func(t *testing.T, w *world) func(*testing.T, string) {
		postfix := labPostfix(t, w.Lab, w.dir, w.resolver, "security_level = dane", "security_level = "+level)
		return func(t *testing.T, domain string) { deliver(t, postfix, domain) }
	}
}

func postfixByPolicy(t *testing.T, w *world) func(*testing.T, string) {
	table, _ := w.policyServe(t)
	postfix := w.sender(t, table)
	return func(t *testing.T, domain string) { deliver(t, postfix, domain) }
}

func eximAs(t *testing.T, w *world) func(*testing.T, string) {
	exim := labExim(t, w.dir, w.resolver)
	return func(t *testing.T, domain string) { eximTries(t, exim, domain) }
}

// TestSendersUnderTest has real mail servers send to the domains that a sender is checked with, each once:
// what one does that comes back after a failure is not waited for.
func TestSendersUnderTest(t *testing.T) {
	for _, row := range senderRows {
		t.Run(row.name, row.check)
	}
}

func (row senderRow) check(t *testing.T) {
	w := &world{}
	w.Lab, w.dir, w.resolver = realLab(t)
	watch := villain.Watch(w.Lab)
	try := row.start(t, w)
	t.Run("sends", func(t *testing.T) {
		for _, domain := range villain.MailDomains() {
			t.Run(domain, func(t *testing.T) {
				t.Parallel()
				try(t, domain)
			})
		}
	})
	r := watch.Result()
	for service, f := range r.All {
		if domain := row.only[f.ID]; domain != "" {
			bad := f.Verdict == finding.Insufficient
			if bad != strings.HasSuffix(service.URL, ":"+domain) {
				t.Errorf("%s is %s: %s", f.ID, f.Verdict, f.Evidence)
			}
		}
	}
	for _, f := range villain.Summary(r).Services[0].Findings {
		want := finding.Good
		switch {
		case slices.Contains(row.bad, f.ID), row.only[f.ID] != "":
			want = finding.Insufficient
		case slices.Contains(row.fair, f.ID):
			want = finding.Sufficient
		}
		if f.Verdict != want {
			t.Errorf("%s is %s, want %s: %s", f.ID, f.Verdict, want, f.Evidence)
		}
	}
}
