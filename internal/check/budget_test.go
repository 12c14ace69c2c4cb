package check

import (
	"testing"

	"starttls/dialect"
	"starttls/internal/finding"
)

// TestTheUsualBudgetIsEnough: of a server such as our own gateway, which has a suite with CBC and the newest groups,
// everything but the complete lists is found out.
func TestTheUsualBudgetIsEnough(t *testing.T) {
	for _, d := range []*dialect.Dialect{&dialect.IMAP, &dialect.SMTP, &dialect.POP3} {
		r := result(t, d.Name+"://"+served(t, front{Dialect: d}.serve), func(c *Config) { c.Budget = 0 })
		for s, f := range r.All {
			if f.ID == "tls.resumption" && f.Verdict == finding.NotTestable {
				t.Errorf("%s: %s: %s, after %d connections", d.Name, f.Verdict, f.Evidence, s.Connections)
			}
		}
	}
}
