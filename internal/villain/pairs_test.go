package villain

import (
	"crypto/x509"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"starttls"
	"starttls/dialect"
	"starttls/internal/finding"
)

// pairs are the villains of one scheme, and what was found of two clients at each.
type pairs struct {
	dialect      *dialect.Dialect
	scheme       *dialect.Scheme
	right, wrong *Stage
}

// openFor has the villains of a scheme listen at free ports of loopback. They have all the time that there is:
// every client does something, or leaves.
func openFor(t *testing.T, scheme string) *Stage {
	t.Helper()
	e, err := starttls.ParseEndpoint(scheme + "://127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(Config{Endpoint: e, Hold: limit, Patience: limit, Timeout: 2 * limit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// at returns what has a client with a flaw, or with none, visit a villain.
func (p *pairs) at(t *testing.T, s *Stage, l *Listener, flaw string) func() {
	roots := x509.NewCertPool()
	roots.AddCert(s.CA())
	c := client{p.dialect, p.scheme.Implicit, roots, flaw}
	return func() { c.visit(t.Context(), l) }
}

// visits are those by which everything is found out: a client that is right goes everywhere, and one with
// each flaw to the villain that is there for it.
func (p *pairs) visits(t *testing.T) (all []func()) {
	for i, l := range p.right.Listeners {
		all = append(all, p.at(t, p.right, l, ""), p.at(t, p.wrong, p.wrong.Listeners[i], l.ID))
	}
	return all
}

// returns are those of the clients with a flaw to an honest server, to which it makes no difference.
func (p *pairs) returns(t *testing.T) (all []func()) {
	for _, l := range p.right.Listeners[1:] {
		all = append(all, p.at(t, p.right, p.right.Listeners[0], l.ID))
	}
	return all
}

// judge holds what was found against what is true.
func (p *pairs) judge(t *testing.T) {
	until(t, p.right.Visited)
	until(t, p.wrong.Visited)
	for i, l := range p.right.Listeners {
		t.Run(strings.TrimSpace(p.scheme.Name+"/"+l.Name+" "+caseOf(p.scheme.Name, l.Name)), func(t *testing.T) {
			if f := p.right.told(l); f.Verdict != finding.Good {
				t.Errorf("a right client: %s is %s: %s", f.ID, f.Verdict, f.Evidence)
			}
			if f := p.wrong.told(p.wrong.Listeners[i]); f.Verdict != finding.Insufficient {
				t.Errorf("a client with the flaw: %s is %s: %s", f.ID, f.Verdict, f.Evidence)
			}
		})
	}
}

// judgeReturns is the same for clients that have a flaw and met nobody who would use it.
func (p *pairs) judgeReturns(t *testing.T) {
	until(t, p.right.Visited)
	honest := p.right.Listeners[0]
	if f := p.right.told(honest); f.Verdict != finding.Good || honest.seen.shook != honest.seen.visits {
		t.Errorf("%s: %d of %d clients came to TLS: %s", p.scheme.Name, honest.seen.shook, honest.seen.visits, f.Evidence)
	}
}

// told returns what is known of the client at a villain.
func (s *Stage) told(l *Listener) finding.Finding {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.judge(l)
}

// rounds is how often what must come out the same each time is tried.
func rounds() int {
	if os.Getenv("STARTTLS_SOAK") != "" {
		return 10
	}
	return 1
}

// TestEveryVillainOfEveryDialect: at each villain of each scheme a client that is right is told so, and one
// that has the flaw for which the villain is there, and no other, is told that. All packets are split and
// delayed.
func TestEveryVillainOfEveryDialect(t *testing.T) {
	for range rounds() {
		var rows []*pairs
		for _, d := range dialect.All {
			for i := range d.Schemes {
				name := d.Schemes[i].Name
				rows = append(rows, &pairs{d, &d.Schemes[i], openFor(t, name), openFor(t, name)})
			}
		}
		everyone(t, rows, (*pairs).visits, (*pairs).judge)
		everyone(t, rows, (*pairs).returns, (*pairs).judgeReturns)
	}
}

// everyone makes visits, many at the same time, and judges them.
func everyone(t *testing.T, rows []*pairs, visits func(*pairs, *testing.T) []func(), judge func(*pairs, *testing.T)) {
	var all sync.WaitGroup
	slots := make(chan struct{}, 32)
	for _, p := range rows {
		for _, visit := range visits(p, t) {
			slots <- struct{}{}
			all.Go(func() {
				defer func() { <-slots }()
				visit()
			})
		}
	}
	all.Wait()
	for _, p := range rows {
		judge(p, t)
	}
}

func castOf(t *testing.T, scheme string) []*Villain {
	t.Helper()
	e, err := starttls.ParseEndpoint(scheme + "://127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return cast(e)
}

// TestEveryFindingHasAVillain: no finding on clients is left without somebody who makes them err.
func TestEveryFindingHasAVillain(t *testing.T) {
	var known []string
	for _, d := range dialect.All {
		for _, scheme := range d.Schemes {
			for _, v := range castOf(t, scheme.Name) {
				known = append(known, v.ID)
			}
		}
	}
	for _, c := range mailCases {
		known = append(known, c.id)
	}
	for _, e := range finding.Catalogue() {
		if strings.HasPrefix(e.ID, "client.") != slices.Contains(known, e.ID) {
			t.Errorf("%s: a finding on clients is one that a villain is there for", e.ID)
		}
	}
}
