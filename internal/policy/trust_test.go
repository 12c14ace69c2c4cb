package policy_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"starttls/internal/lab"
	"starttls/internal/policy"
	"starttls/resolver"
)

// TestTrust: where nothing is proved, nothing is taken for insecure: mail waits, and the check of the DNS
// says so.
func TestTrust(t *testing.T) {
	l, err := lab.Start(lab.Config{Only: []string{"dane-ee.test"}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	asked := errors.New("it was asked")
	for _, c := range []struct {
		name  string
		names interface {
			resolver.Resolver
			Check(context.Context) error
		}
	}{
		{"D71 a resolver elsewhere is not believed", &resolver.TrustAD{Servers: []string{"192.0.2.53"},
			Dial: func(context.Context, string, string) (net.Conn, error) { return nil, asked }}},
		{"D72 a resolver that never says AD is not believed", &resolver.TrustAD{Servers: []string{l.Resolver().String()}}},
		{"D72 a chain that leads to no trust anchor", &resolver.Validator{Servers: []string{l.Resolver().String()}, Probe: "test"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.names.Check(t.Context()); err == nil || errors.Is(err, asked) {
				t.Errorf("the check says %v", err)
			}
			g := &policy.Gatherer{Resolver: c.names}
			p := policy.Decide(g.Gather(t.Context(), policy.Destination{Domain: "dane-ee.test"}), policy.Options{})
			if p.Refusal == nil || p.Refusal.Code != 451 {
				t.Errorf("got %+v", p)
			}
		})
	}
}
