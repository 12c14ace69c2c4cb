package check

import (
	"context"
	"crypto/x509"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"starttls/internal/finding"
)

// TestMain lets more tests run at the same time than there are processors: most of them wait.
func TestMain(m *testing.M) {
	flag.Set("test.parallel", "16")
	code := m.Run()
	closeLab()
	os.Exit(code)
}

// A specimen is a server, or a mail domain with its servers, and what is to be found of it.
type specimen struct {
	name  string
	finds sightings
	house func(*testing.T) look // puts it up
}

// A look is one check of a specimen.
type look func(*testing.T, way) *finding.Result

// sightings are verdicts by the finding's id. "" is for what must not be told.
type sightings map[string]finding.Verdict

// zoo has them all.
func zoo() []specimen {
	return slices.Concat(animals(), beasts(), openSSLs(), dialects(), fronts(), domains(), records(), compared(), logins(), networks(), staples(), implicitPorts())
}

// serving is a specimen that listens on loopback. %s in the URL is its address.
func serving(name, url string, finds sightings, serve func(net.Conn), edits ...func(*Config)) specimen {
	return specimen{name, finds, func(t *testing.T) look { return lookingAt(fmt.Sprintf(url, served(t, serve)), edits...) }}
}

// lookingAt checks a target that is there.
func lookingAt(target string, edits ...func(*Config)) look {
	return func(t *testing.T, w way) *finding.Result {
		return result(t, target, append(slices.Clone(edits), w.over)...)
	}
}

// A way is how packets come and go. What the checker says is never cut: an attack that is cut on its way is
// another one.
type way struct {
	name  string
	piece int           // the most that is read at once, if it is not zero
	late  time.Duration // the most that a read or a write is late
}

// In split packets whatever can come apart does; what is late comes with what follows.
var ways = []way{{name: "whole"}, {name: "split", piece: 1}, {name: "late", late: 2 * time.Millisecond}}

// over has a checker's connections go this way.
func (w way) over(c *Config) {
	dial := c.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &wayConn{conn, w}, nil
	}
}

type wayConn struct {
	net.Conn
	way
}

func (c *wayConn) linger() {
	if c.late > 0 {
		time.Sleep(rand.N(c.late))
	}
}

func (c *wayConn) Read(p []byte) (int, error) {
	if c.linger(); c.piece > 0 {
		p = p[:min(c.piece, len(p))]
	}
	return c.Conn.Read(p)
}

func (c *wayConn) Write(p []byte) (int, error) {
	c.linger()
	return c.Conn.Write(p)
}

func (c *wayConn) CloseWrite() error { return c.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// opened is the time in the zoo, so that evidence with a time in it is the same each time.
var opened = time.Now()

// soaking is with time for everything.
var soaking = os.Getenv("STARTTLS_SOAK") != ""

// runs is how often each specimen is looked at in each way.
func runs() int {
	if soaking {
		return 10
	}
	return 1
}

// waysOf are the ways of a run: all of them, or the plain one and another.
func waysOf(run int) []way {
	if soaking {
		return ways
	}
	return []way{ways[0], ways[1+run%2]}
}

// TestZoo looks at each specimen again and again, over whole, split and late packets. What is found must be
// right, and everything that is told must be the same each time, to the word.
func TestZoo(t *testing.T) {
	for i, s := range zoo() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			first, look := "", s.house(t)
			for run := range runs() {
				for _, w := range waysOf(run + i) {
					r := look(t, w)
					s.judge(t, w, r)
					if all := told(r); first == "" {
						first = all
					} else if all != first {
						t.Errorf("%s: it is not told the same each time\n%s", w.name, difference(first, all))
					}
					if t.Failed() {
						return
					}
				}
			}
		})
	}
}

func (s specimen) judge(t *testing.T, w way, r *finding.Result) {
	t.Helper()
	for id, want := range s.finds {
		var found finding.Finding
		for _, f := range r.All {
			if f.ID == id && (found.ID == "" || f.Verdict.Worse(found.Verdict)) {
				found = f
			}
		}
		if found.Verdict != want {
			t.Errorf("%s: %s is %q, want %q: %s", w.name, id, found.Verdict, want, found.Evidence)
		}
		if family, _, _ := strings.Cut(id, "."); family == "strip" && want != "" && found.Grade == "" {
			t.Errorf("%s: %s has no grade", w.name, id)
		}
	}
}

// byChance are names that a server makes up anew for each session.
var byChance = regexp.MustCompile(`id='[^'"]*`)

// told is all that a result says.
func told(r *finding.Result) string {
	var lines []string
	for s, f := range r.All {
		at := ""
		if s != nil {
			at = s.Address + " "
		}
		lines = append(lines, fmt.Sprintf("%s%s is %s: %s\n", at, f.ID, f.Verdict, byChance.ReplaceAllString(f.Evidence, "id='")))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// difference has the lines of the one and of the other that are not in both.
func difference(a, b string) string {
	only := func(sign, a, b string) (lines string) {
		for line := range strings.Lines(a) {
			if !strings.Contains(b, line) {
				lines += sign + line
			}
		}
		return lines
	}
	return only("- ", a, b) + only("+ ", b, a)
}

// notInTheZoo are findings that cannot be had there, each with its reason.
var notInTheZoo = map[string]string{}

// TestEveryFindingIsInTheZoo: whoever adds a finding adds a server that has the flaw, and one that has not.
// The flaw is whatever is less than good; who has no signature of stripping is told of none.
func TestEveryFindingIsInTheZoo(t *testing.T) {
	flawed, whole := map[string]bool{}, map[string]bool{}
	for _, s := range zoo() {
		for id, verdict := range s.finds {
			flawed[id] = flawed[id] || verdict.Worse(finding.Good)
			whole[id] = whole[id] || verdict == finding.Good || verdict == "" && strings.HasPrefix(id, "strip.")
		}
	}
	for _, e := range finding.Catalogue() {
		ofClients := strings.HasPrefix(e.ID, "client.") // their villains are in internal/villain
		if ofClients || notInTheZoo[e.ID] != "" {
			continue
		}
		if !flawed[e.ID] {
			t.Errorf("%s: nobody in the zoo has the flaw", e.ID)
		}
		if !whole[e.ID] {
			t.Errorf("%s: nobody in the zoo is without the flaw", e.ID)
		}
	}
	for id := range notInTheZoo {
		if flawed[id] && whole[id] {
			t.Errorf("%s is in the zoo after all", id)
		}
	}
}

// checked checks a URL and returns its findings by id. Nothing is waited for but answers.
func checked(t *testing.T, url string, edits ...func(*Config)) map[string]finding.Finding {
	t.Helper()
	byID := map[string]finding.Finding{}
	for _, f := range result(t, url, edits...).All {
		byID[f.ID] = f
	}
	return byID
}

func result(t *testing.T, url string, edits ...func(*Config)) *finding.Result {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(ownCertificate().Leaf)
	config := Config{Timeout: 30 * time.Second, Patience: time.Millisecond, Roots: roots, Now: func() time.Time { return opened }}
	for _, edit := range edits {
		edit(&config)
	}
	target, err := ParseTarget(url)
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(config).Check(context.Background(), target)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
