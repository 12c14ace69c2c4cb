package socketmap

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"starttls"
	"starttls/internal/policy"
	"starttls/mtasts"
	"starttls/resolver"
	"starttls/tlsrpt"
)

var (
	v34  = Version{3, 4}
	v310 = Version{3, 10}
)

// Short ways to say a plan.
type option func(*policy.Plan)

func plan(options ...option) *policy.Plan {
	p := &policy.Plan{Domain: "example.com", Evidence: &policy.Evidence{
		Domain: "example.com", Port: 25, MX: &resolver.Answer{Status: resolver.Secure},
		STS: mtasts.State{Domain: "example.com"},
	}}
	refused := 0
	for _, o := range options {
		o(p)
	}
	for _, a := range p.Attempts {
		if a.Refusal != nil {
			refused++
		}
	}
	if refused > 0 && refused == len(p.Attempts) { // as Decide has it
		p.Refusal = p.Attempts[0].Refusal
	}
	return p
}

func host(name string, level starttls.Level, source policy.Source) option {
	return func(p *policy.Plan) {
		p.Attempts = append(p.Attempts, policy.Attempt{
			Host: name, Port: 25, Level: level, Source: source,
			Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")},
		})
	}
}

func good(name string) option     { return host(name, starttls.Dane, policy.FromDANE) }
func plain(name string) option    { return host(name, starttls.May, policy.FromDefault) }
func inSTS(name string) option    { return host(name, starttls.Secure, policy.FromSTS) }
func unusable(name string) option { return host(name, starttls.Encrypt, policy.FromDANE) }

// addressless is a host that nobody can reach.
func addressless(name string) option {
	return func(p *policy.Plan) {
		p.Attempts = append(p.Attempts, policy.Attempt{Host: name, Port: 25, Level: starttls.May, Source: policy.FromDefault})
	}
}

// broken is a host whose TLSA records could not be looked up.
func broken(name string) option {
	return func(p *policy.Plan) {
		host(name, starttls.Dane, policy.FromDANE)(p)
		p.Attempts[len(p.Attempts)-1].Refusal = &policy.Refusal{
			Code: 451, Enhanced: "4.7.5", Text: name + ": TLSA lookup failed: bogus",
			Failure: &tlsrpt.Failure{Type: tlsrpt.DNSSECInvalid},
		}
	}
}

// outside is a host that is not in the MTA-STS policy.
func outside(name string) option {
	return func(p *policy.Plan) {
		host(name, starttls.Secure, policy.FromSTS)(p)
		p.Attempts[len(p.Attempts)-1].Refusal = &policy.Refusal{
			Code: 451, Enhanced: "4.7.5", Text: name + " is not in the MTA-STS policy",
			Failure: &tlsrpt.Failure{Type: tlsrpt.ValidationFailure, Reason: tlsrpt.ReasonMXNotInPolicy},
		}
	}
}

func sts(mode mtasts.Mode, mx ...string) option {
	return func(p *policy.Plan) {
		p.Evidence.STS.Policy = &mtasts.Policy{Mode: mode, MX: mx, MaxAge: 604800 * time.Second}
	}
}

func unseen(p *policy.Plan) { p.Evidence.Unseen = 1 }

func insecureMX(p *policy.Plan) { p.Evidence.MX.Status = resolver.Insecure }

func refusal(code int, text string) option {
	return func(p *policy.Plan) { p.Refusal = &policy.Refusal{Code: code, Text: text} }
}

func override(o policy.Override) option { return func(p *policy.Plan) { p.Evidence.Override = &o } }

const (
	stsText    = "OK secure match=mx1.example.com:.example.net servername=hostname"
	stsReports = " policy_type=sts policy_domain=example.com mx_host_pattern=mx1.example.com mx_host_pattern=*.example.net" +
		" { policy_string = version: STSv1 } { policy_string = mode: enforce }" +
		" { policy_string = mx: mx1.example.com } { policy_string = mx: *.example.net } { policy_string = max_age: 604800 }"
)

var enforce = sts(mtasts.Enforce, "mx1.example.com", "*.example.net")

// TestResult is the specification of what Postfix is told.
func TestResult(t *testing.T) {
	for _, row := range []struct {
		name string
		plan *policy.Plan
		v    Version
		want string
	}{
		{"MTA-STS enforced, 3.4", plan(inSTS("mx1.example.com"), enforce), v34, stsText},
		{"MTA-STS enforced, 3.9", plan(inSTS("mx1.example.com"), enforce), Version{3, 9}, stsText},
		{"MTA-STS enforced, 3.10", plan(inSTS("mx1.example.com"), enforce), v310, stsText + stsReports},
		{"MTA-STS in testing", plan(plain("mx1.example.com"), sts(mtasts.Testing, "mx1.example.com")), v310, "NOTFOUND "},
		{"MTA-STS withdrawn", plan(plain("mx1.example.com"), sts(mtasts.None)), v310, "NOTFOUND "},
		{"no policy", plan(plain("mx1.example.com")), v310, "NOTFOUND "},

		{"TLSA at each host", plan(good("a.example"), good("b.example")), v310, "OK dane-only"},
		{"TLSA wins over MTA-STS", plan(good("mx1.example.com"), enforce), v310, "OK dane-only"},
		{"TLSA at each host that has an address", plan(good("a.example"), addressless("b.example")), v310, "OK dane-only"},
		{"TLSA at each host, MX insecure", plan(good("a.example"), insecureMX), v310, "OK dane"},
		{"TLSA at each host, MX insecure, MTA-STS", plan(good("mx1.example.com"), insecureMX, enforce), v34, stsText},
		{"TLSA at some hosts", plan(good("a.example"), plain("b.example")), v310, "OK dane"},
		{"TLSA at some hosts, MTA-STS", plan(good("a.example.net"), inSTS("mx1.example.com"), enforce), v34, stsText},
		{"TLSA at some hosts, MTA-STS in testing", plan(good("a.example"), plain("b.example"), sts(mtasts.Testing, "*.example")), v34, "OK dane"},
		{"unusable TLSA alone", plan(unusable("a.example")), v310, "OK dane"},
		{"usable and unusable TLSA", plan(good("a.example"), unusable("b.example")), v310, "OK dane"},

		{"one host's TLSA lookup fails, others have TLSA", plan(good("a.example"), broken("b.example")), v310, "OK dane-only"},
		{"one host's TLSA lookup fails, others have none", plan(plain("a.example"), broken("b.example")), v310, "OK dane"},
		{"one host's TLSA lookup fails, MTA-STS", plan(inSTS("mx1.example.com"), broken("b.example.net"), enforce), v34,
			"OK secure match=mx1.example.com servername=hostname"},
		{"one host's TLSA lookup fails, it is not in the policy", plan(inSTS("mx1.example.com"), broken("b.example.org"), enforce), v34, stsText},
		{"more hosts than were looked up", plan(plain("a.example"), unseen), v310, "OK dane"},
		{"all TLSA lookups fail", plan(broken("a.example"), broken("b.example")), v310, "TEMP a.example: TLSA lookup failed: bogus"},
		{"all TLSA lookups fail, MTA-STS", plan(broken("mx1.example.com"), enforce), v310, "TEMP mx1.example.com: TLSA lookup failed: bogus"},
		{"some hosts outside the policy", plan(inSTS("mx1.example.com"), outside("evil.example"), enforce), v34, stsText},
		{"all hosts outside the policy", plan(outside("evil.example"), enforce), v34, "TEMP evil.example is not in the MTA-STS policy"},

		{"MX lookup failed", plan(refusal(451, "MX: bogus")), v310, "TEMP MX: bogus"},
		{"MX lookup failed, MTA-STS", plan(refusal(451, "MX: bogus"), enforce), v310, "TEMP MX: bogus"},
		{"no such domain", plan(refusal(550, "no such domain")), v310, "NOTFOUND "},
		{"no such domain, says a DNS that may lie; MTA-STS", plan(refusal(550, "no such domain"), insecureMX, enforce), v34, stsText},
		{"a reason in two lines", plan(refusal(451, "a\nb\x00ü")), v310, "TEMP a?b??"},

		{"memory demands TLS", plan(host("a.example", starttls.Encrypt, policy.FromMemory), plain("b.example")), v310, "OK encrypt"},
		{"memory demands TLS next to TLSA", plan(host("a.example", starttls.Encrypt, policy.FromMemory), good("b.example")), v310, "OK dane-only"},
		{"memory demands TLS, another's TLSA lookup fails", plan(host("a.example", starttls.Encrypt, policy.FromMemory), broken("b.example")), v310, "OK dane-only"},
		{"memory demands TLS, more hosts than were looked up", plan(host("a.example", starttls.Encrypt, policy.FromMemory), unseen), v310, "OK dane-only"},
		{"memory demands TLS, MTA-STS", plan(host("a.example", starttls.Encrypt, policy.FromMemory), enforce), v34, stsText},

		{"override none", plan(enforce, override(policy.Override{})), v310, "OK none"},
		{"override may", plan(good("a.example"), override(policy.Override{Level: starttls.May})), v310, "OK may"},
		{"override encrypt", plan(override(policy.Override{Level: starttls.Encrypt})), v310, "OK encrypt"},
		{"override verify", plan(override(policy.Override{Level: starttls.Verify})), v310, "OK verify servername=hostname"},
		{"override secure", plan(override(policy.Override{Level: starttls.Secure, Names: []string{"a.example", "*.b.example"}})), v310,
			"OK secure match=a.example:.b.example servername=hostname"},
		{"override secure, names that are none", plan(override(policy.Override{Level: starttls.Secure, Names: []string{"a b"}})), v310,
			"TEMP none of the names that are demanded is a host name"},
		{"override secure, names below", plan(override(policy.Override{Level: starttls.Secure, Names: []string{".example", "..b"}})), v310,
			"OK secure match=.example servername=hostname"},
		{"override auto", plan(good("a.example"), override(policy.Override{Level: starttls.Auto})), v310, "OK dane-only"},
		{"override dane", plan(override(policy.Override{Level: starttls.Dane})), v310, "OK dane"},
		{"override dane-only", plan(override(policy.Override{Level: starttls.DaneOnly})), v310, "OK dane-only"},
		{"override fingerprints", plan(override(policy.Override{Fingerprints: [][32]byte{{0xab}, {1}}})), v310,
			"OK fingerprint match=AB" + strings.Repeat(":00", 31) + "|01" + strings.Repeat(":00", 31)},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := Result(row.plan, row.v)
			if got := r.Status.String() + " " + r.Text; got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
			if r.Status == OK {
				if _, err := parsePostfix(r.Text); err != nil {
					t.Errorf("Postfix would defer: %v", err)
				}
			}
		})
	}
}

// Who knows no DANE is told what MTA-STS demands, also where DANE comes first.
func TestSTSResult(t *testing.T) {
	for _, row := range []struct {
		name string
		plan *policy.Plan
		want string
	}{
		{"enforced", plan(inSTS("mx1.example.com"), enforce), stsText},
		{"enforced, TLSA", plan(good("mx1.example.com"), enforce), stsText},
		{"TLSA alone", plan(good("mx1.example.com")), "NOTFOUND "},
		{"testing", plan(plain("mx1.example.com"), sts(mtasts.Testing, "mx1.example.com")), "NOTFOUND "},
		{"all hosts outside", plan(outside("evil.example"), enforce), "TEMP evil.example is not in the MTA-STS policy"},
		{"one host's TLSA lookup fails", plan(inSTS("mx1.example.com"), broken("b.example.net"), enforce), "OK secure match=mx1.example.com servername=hostname"},
		{"MX lookup failed", plan(refusal(451, "MX: bogus"), enforce), "TEMP MX: bogus"},
		{"nothing", plan(plain("a.example")), "NOTFOUND "},
	} {
		if r := STSResult(row.plan); r.Status.String()+" "+r.Text != row.want {
			t.Errorf("%s: got %v %q, want %q", row.name, r.Status, r.Text, row.want)
		}
	}
}

// Whatever a policy says, it adds no attribute and no level.
func TestPolicyTextInjectsNothing(t *testing.T) {
	for _, mx := range []string{
		"a.example tafile=/x", "a.example\ttafile=/x", "a.example,tafile=/x", "a.example } { tafile=/x", "}", "{", "{}",
		"a.example:evil.example", "a.example|b", "a=b", "tafile=/x", "", "*.", ".", "..", "*", "a..example", "a.example\n", "a\x00b",
		"*.*.example", "192.0.2.1", "-a.example", "a-.example", "ü.example", strings.Repeat("a", 64) + ".example", "a.example servername=evil.example",
	} {
		for _, v := range []Version{v34, v310} {
			r := Result(plan(inSTS("mx1.example.com"), sts(mtasts.Enforce, mx, "mx1.example.com")), v)
			checkInjection(t, r, []string{mx, "mx1.example.com"})
			if r.Status != OK || !strings.Contains(r.Text, "match=mx1.example.com ") {
				t.Errorf("%q: got %v %q", mx, r.Status, r.Text)
			}
		}
		if r := Result(plan(inSTS("mx1.example.com"), sts(mtasts.Enforce, mx)), v310); r.Status != Temp {
			t.Errorf("%q alone: got %v %q", mx, r.Status, r.Text)
		}
	}
}

// checkInjection holds an answer to what the policy's patterns may put in it.
func checkInjection(t *testing.T, r Reply, mx []string) {
	t.Helper()
	for _, text := range []string{r.Text, r.Short} {
		if r.Status != OK || text == "" {
			continue
		}
		p, err := parsePostfix(text)
		if err != nil {
			t.Fatalf("%q: %v in %q", mx, err, text)
		}
		if p.level != "secure" || len(p.attrs["servername"]) != 1 || p.attrs["servername"][0] != "hostname" || len(p.attrs["tafile"]) > 0 || len(p.attrs["match"]) != 1 {
			t.Fatalf("%q: got %q", mx, text)
		}
		for _, name := range strings.Split(p.attrs["match"][0], ":") {
			if !slices.Contains(mx, name) && !slices.Contains(mx, "*"+name) {
				t.Fatalf("%q: match %q", mx, name)
			}
		}
	}
}

func FuzzResult(f *testing.F) {
	f.Add("a.example tafile=/x", "*.example.net", "example.com", true)
	f.Add("} { policy_failure = x", "mx.example", "exam}ple.com", false)
	f.Fuzz(func(t *testing.T, one, two, domain string, fails bool) {
		p := plan(inSTS("mx1.example.com"), sts(mtasts.Enforce, one, two))
		p.Domain, p.Evidence.STS.Domain = domain, domain
		if fails {
			broken(one)(p)
		}
		for _, v := range []Version{v34, v310} {
			checkInjection(t, Result(p, v), []string{one, two, "mx1.example.com"})
		}
	})
}

func TestVersion(t *testing.T) {
	for in, want := range map[string]Version{"3.4": v34, "3.10": v310, "3.10.5": v310, "3.12-20260821": {3, 12}, " 4.0\n": {4, 0}} {
		if got, err := ParseVersion(in); err != nil || got != want {
			t.Errorf("%q: got %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "3", "3.", ".4", "3.3", "2.11", "three.ten", "-3.4", "3.x"} {
		if v, err := ParseVersion(in); err == nil {
			t.Errorf("%q: got %v", in, v)
		}
	}
	if !(Version{3, 10}).atLeast(Version{3, 9}) || (Version{3, 9}).atLeast(Version{3, 10}) {
		t.Error("3.10 comes after 3.9")
	}
}
