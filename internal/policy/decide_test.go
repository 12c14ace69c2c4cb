package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"starttls"
	"starttls/dane"
	"starttls/mtasts"
	"starttls/resolver"
	"starttls/resolver/dnstest"
	"starttls/tlsrpt"
)

// now is when these tests happen.
var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// digest makes records that match nobody; R stands for one in zones.
const digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// sts is a fixed set of MTA-STS states.
type sts map[string]mtasts.State

func (s sts) Policy(_ context.Context, domain string) mtasts.State {
	state := s[domain]
	state.Domain = domain
	return state
}

func (s sts) Recheck(ctx context.Context, domain string) mtasts.State { return s.Policy(ctx, domain) }

// published is the state of a domain with a policy.
func published(mode mtasts.Mode, mx ...string) mtasts.State {
	text := fmt.Sprintf("version: STSv1\nmode: %s\nmax_age: 86400\n", mode)
	for _, pattern := range mx {
		text += "mx: " + pattern + "\n"
	}
	return mtasts.State{Policy: &mtasts.Policy{Mode: mode, MaxAge: 24 * time.Hour, MX: mx, Text: text}, ID: "1", Fetched: now}
}

// seen is a memory of hosts that gave TLS some days ago.
type seen map[string]int

func (s seen) Recall(_ context.Context, host string) *Seen {
	if days, ok := s[host]; ok {
		return &Seen{Last: now.Add(-time.Duration(days) * 24 * time.Hour)}
	}
	return nil
}

func (s seen) Remember(context.Context, string, Seen) {}

// A case is a destination, what is known of it, and the plan that follows.
type planCase struct {
	name     string
	to       string // the destination; if empty, example.com
	zone     string
	sts      sts
	seen     seen
	override *Override
	options  Options
	// want is the plan as sketch draws it.
	want string
	// quiet are types that must not be asked for.
	quiet resolver.Type
}

// sketch draws a plan: a line for each attempt, with its level, its source and the names, or its refusal,
// and what is watched besides.
func sketch(p *Plan) string {
	var b strings.Builder
	refused := func(r *Refusal) {
		fmt.Fprintf(&b, "%d %s", r.Code, r.Enhanced)
		if f := r.Failure; f != nil {
			fmt.Fprintf(&b, " %s %s", f.Type, f.Reason)
		}
	}
	if p.Refusal != nil {
		b.WriteString("domain: ")
		refused(p.Refusal)
		b.WriteString("\n")
	}
	for _, a := range p.Attempts {
		fmt.Fprintf(&b, "%s: ", a.Host)
		if a.Refusal != nil {
			refused(a.Refusal)
		} else {
			fmt.Fprintf(&b, "%s by %s %s", a.Level, a.Source, strings.Join(a.Names, " "))
		}
		if a.Failure != nil {
			fmt.Fprintf(&b, " despite %s", a.Failure.Type)
		}
		if a.Remembered != nil {
			b.WriteString(" remembered")
		}
		for _, w := range a.Watch {
			fmt.Fprintf(&b, " watch %s %s", w.Policy.Type, w.Level)
			if w.Failure != nil {
				fmt.Fprintf(&b, " %s %s", w.Failure.Type, w.Failure.Reason)
			}
		}
		b.WriteString("\n")
	}
	return strings.Join(strings.Fields(strings.ReplaceAll(b.String(), "\n", " ; ")), " ")
}

// plan gathers and decides.
func (c planCase) plan(t *testing.T) (*Plan, *dnstest.Resolver) {
	t.Helper()
	to := "example.com"
	if c.to != "" {
		to = c.to
	}
	d, err := ParseDestination(to)
	if err != nil {
		t.Fatal(err)
	}
	r := dnstest.New(strings.ReplaceAll(c.zone, " R", " 3 1 1 "+digest))
	g := &Gatherer{Resolver: r, Now: func() time.Time { return now }, Override: func(string) *Override { return c.override }}
	if c.sts != nil {
		g.STS = c.sts
	}
	if c.seen != nil {
		g.Memory = c.seen
	}
	return Decide(g.Gather(t.Context(), d), c.options), r
}

// The zones of the table, put together.
const (
	mx       = "example.com MX 10 mx.example.net\n"
	mxIns    = "example.com MX 10 mx.example.net insecure\n"
	two      = "example.com MX 10 mx.example.net\nexample.com MX 20 mx2.example.net\n"
	addr     = "mx.example.net A 192.0.2.1\n"
	addrIns  = "mx.example.net A 192.0.2.1 insecure\n"
	addr2    = "mx2.example.net A 192.0.2.2\n"
	tlsa     = "_25._tcp.mx.example.net TLSA R\n"
	tlsaPKIX = "_25._tcp.mx.example.net TLSA 1 1 1 " + digest + "\n"
	tlsaErr  = "_25._tcp.mx.example.net TLSA servfail\n"
	theDANE  = "mx.example.net: dane by dane mx.example.net example.com ;"
	theMay   = "mx.example.net: may by default ;"
)

func enforce(mx ...string) sts  { return sts{"example.com": published(mtasts.Enforce, mx...)} }
func testMode(mx ...string) sts { return sts{"example.com": published(mtasts.Testing, mx...)} }

func level(l starttls.Level) *Override { return &Override{Level: l} }

var planCases = []planCase{
	{name: "D01 MX fails", zone: "example.com MX servfail", want: "domain: 451 4.4.3 ;"},
	{name: "D01 MX times out", zone: "example.com MX timeout", want: "domain: 451 4.4.3 ;"},
	{name: "D02 MX bogus", zone: "example.com MX bogus", want: "domain: 451 4.4.3 dnssec-invalid ;"},
	{name: "D03 insecure, no MX, an address", zone: "example.com MX nodata insecure\nexample.com A 192.0.2.1 insecure",
		want: "example.com: may by default ;", quiet: resolver.TLSA},
	{name: "D04 secure, no MX, TLSA at the domain itself", zone: "example.com A 192.0.2.1\n_25._tcp.example.com TLSA R",
		want: "example.com: dane by dane example.com ;"},
	{name: "D05 no such domain", zone: "other.example A 192.0.2.1", want: "domain: 550 5.1.2 ;"},
	{name: "D06 null MX", zone: "example.com MX 0 .\nexample.com A 192.0.2.1",
		want: "domain: 556 5.1.10 ;", quiet: resolver.TLSA},
	{name: "D06 a null MX beside another is no host", zone: mx + "example.com MX 0 .\n" + addr,
		want: ": 550 5.4.4 ; " + theMay},
	{name: "D07 insecure MX, host with TLSA", zone: mxIns + addr + tlsa, want: "mx.example.net: dane by dane mx.example.net ;"},
	{name: "D07 the same, and not wanted", zone: mxIns + addr + tlsa, options: Options{IgnoreInsecureMX: true},
		want: "mx.example.net: may by default watch tlsa dane ;"},
	{name: "D07 the same, DANE mandatory", zone: mxIns + addr + tlsa, override: level(starttls.DaneOnly),
		want: "domain: 451 4.7.5 dane-required ; mx.example.net: 451 4.7.5 dane-required ;"},
	{name: "D08 all secure", zone: mx + addr + tlsa, want: theDANE},
	{name: "D26 D27 the next hop is an alias", to: "exchange.example.org",
		zone: "exchange.example.org CNAME example.com\n" + mx + addr + tlsa,
		want: "mx.example.net: dane by dane mx.example.net exchange.example.org example.com ;"},
	{name: "D28 insecure MX, and no name but the host's", zone: "exchange.example.org CNAME example.com insecure\n" + mx + addr + tlsa,
		to: "exchange.example.org", want: "mx.example.net: dane by dane mx.example.net ;"},
	{name: "D35 D41 only usage 1", zone: mx + addr + tlsaPKIX, want: "mx.example.net: encrypt by dane despite tlsa-invalid ;"},
	{name: "D37 D41 only unknown ones", zone: mx + addr + "_25._tcp.mx.example.net TLSA 4 1 1 " + digest,
		want: "mx.example.net: encrypt by dane despite tlsa-invalid ;"},
	{name: "D38 D41 a digest too short", zone: mx + addr + "_25._tcp.mx.example.net TLSA 3 1 1 00",
		want: "mx.example.net: encrypt by dane despite tlsa-invalid ;"},
	{name: "D43 TLSA fails, no other host", zone: mx + addr + tlsaErr, want: "domain: 451 4.7.5 dnssec-invalid ; mx.example.net: 451 4.7.5 dnssec-invalid ;"},
	{name: "D43 TLSA fails, another host is tried", zone: two + addr + addr2 + tlsaErr,
		want: "mx.example.net: 451 4.7.5 dnssec-invalid ; mx2.example.net: may by default ;"},
	{name: "D43 TLSA bogus", zone: two + addr + addr2 + "_25._tcp.mx.example.net TLSA bogus",
		want: "mx.example.net: 451 4.7.5 dnssec-invalid ; mx2.example.net: may by default ;"},
	{name: "D44 no TLSA", zone: mx + addr, want: theMay},
	{name: "D45 TLSA insecure", zone: mx + addr + "_25._tcp.mx.example.net TLSA R insecure", want: theMay},
	{name: "D46 address insecure", zone: mx + addrIns + tlsa, want: theMay, quiet: resolver.TLSA},
	{name: "D47 address insecure, TLSA would fail", zone: mx + addrIns + tlsaErr, want: theMay, quiet: resolver.TLSA},
	{name: "D48 AAAA fails", zone: mx + addr + tlsa + "mx.example.net AAAA servfail", want: theDANE},
	{name: "D49 one host without an address", zone: two + addr2 + "mx.example.net A nodata",
		want: "mx.example.net: 550 5.4.4 ; mx2.example.net: may by default ;"},
	{name: "D49 no host has an address", zone: two + "mx.example.net A nodata",
		want: "domain: 550 5.4.4 ; mx.example.net: 550 5.4.4 ; mx2.example.net: 550 5.4.4 ;"},
	{name: "D49 no host has an address, one failed", zone: two + "mx2.example.net A servfail",
		want: "domain: 451 4.4.4 ; mx.example.net: 550 5.4.4 ; mx2.example.net: 451 4.4.4 ;"},
	{name: "D60 a relay in brackets", to: "[mx.example.net]", zone: "mx.example.net MX servfail\n" + addr + tlsa,
		want: "mx.example.net: dane by dane mx.example.net ;", quiet: resolver.MX},
	{name: "D59 D60 a relay in brackets with a port", to: "[mx.example.net]:587", zone: addr + "_587._tcp.mx.example.net TLSA R",
		want: "mx.example.net: dane by dane mx.example.net ;", quiet: resolver.MX},
	{name: "D59 a domain with a port", to: "example.com:2525", zone: mx + addr + "_2525._tcp.mx.example.net TLSA R", want: theDANE},
	{name: "D61 an address literal", to: "[192.0.2.1]", want: ": may by default ;", quiet: resolver.TLSA},
	{name: "D61 an address literal, IPv6", to: "[ipv6:2001:db8::1]:25", want: ": may by default ;", quiet: resolver.TLSA},
	{name: "D61 an address as MX", zone: two + addr2 + "example.com MX 5 192.0.2.7",
		want: "192.0.2.7: 550 5.4.4 ; mx.example.net: 550 5.4.4 ; mx2.example.net: may by default ;"},
	{name: "D67 the second host has no TLSA", zone: two + addr + addr2 + tlsa,
		want: theDANE + " mx2.example.net: may by default ;"},
	{name: "D67 and MTA-STS is for it", zone: two + addr + addr2 + tlsa, sts: enforce("*.example.net"),
		want: "mx.example.net: dane by dane mx.example.net example.com watch sts secure ; mx2.example.net: secure by mta-sts mx2.example.net ;"},
	{name: "D68 equal preference", zone: "example.com MX 10 mx2.example.net\nexample.com MX 10 mx.example.net\n" + addr + addr2 + tlsa,
		want: "mx2.example.net: may by default ; " + theDANE},
	{name: "D69 DANE mandatory, no TLSA", zone: mx + addr, override: level(starttls.DaneOnly),
		want: "domain: 451 4.7.5 dane-required ; mx.example.net: 451 4.7.5 dane-required ;"},
	{name: "D70 DANE mandatory, none usable", zone: mx + addr + tlsaPKIX, override: level(starttls.DaneOnly),
		want: "domain: 451 4.7.5 dane-required ; mx.example.net: 451 4.7.5 dane-required ;"},
	{name: "D69 DANE mandatory, and there", zone: mx + addr + tlsa, override: level(starttls.DaneOnly), want: theDANE},
	{name: "D69 DANE mandatory, TLSA fails", zone: mx + addr + tlsaErr, override: level(starttls.DaneOnly),
		want: "domain: 451 4.7.5 dnssec-invalid ; mx.example.net: 451 4.7.5 dnssec-invalid ;"},
	{name: "D78 a U-label", to: "bücher.example", zone: "xn--bcher-kva.example MX 10 mx.bücher.example\nmx.xn--bcher-kva.example A 192.0.2.1\n_25._tcp.mx.xn--bcher-kva.example TLSA R",
		want: "mx.xn--bcher-kva.example: dane by dane mx.xn--bcher-kva.example xn--bcher-kva.example ;"},

	{name: "S71 a host that the policy does not list", zone: two + addr + addr2, sts: enforce("mx2.example.net"),
		want: "mx.example.net: 451 4.7.5 validation-failure mtasts-policy-mx-mismatch ; mx2.example.net: secure by mta-sts mx2.example.net ;"},
	{name: "S71 no host is listed", zone: mx + addr, sts: enforce("other.example"),
		want: "domain: 451 4.7.5 validation-failure mtasts-policy-mx-mismatch ; mx.example.net: 451 4.7.5 validation-failure mtasts-policy-mx-mismatch ;"},
	{name: "S72 the first is listed", zone: two + addr + addr2, sts: enforce("*.example.net"),
		want: "mx.example.net: secure by mta-sts mx.example.net ; mx2.example.net: secure by mta-sts mx2.example.net ;"},
	{name: "S77 testing", zone: mx + addr, sts: testMode("mx.example.net"),
		want: "mx.example.net: may by default watch sts secure ;"},
	{name: "S77 testing, and not listed", zone: mx + addr, sts: testMode("other.example"),
		want: "mx.example.net: may by default watch sts secure validation-failure mtasts-policy-mx-mismatch ;"},
	{name: "S78 none", zone: mx + addr, sts: sts{"example.com": published(mtasts.None)}, want: theMay},
	{name: "S79 a policy of the parent", to: "mail.example.com", zone: "mail.example.com MX 10 mx.example.net\n" + addr,
		sts: enforce("other.example"), want: theMay},
	{name: "S80 a policy of what the domain is an alias of", to: "exchange.example.org",
		zone: "exchange.example.org CNAME example.com\n" + mx + addr, sts: enforce("other.example"), want: theMay},
	{name: "S81 a relay in brackets has a policy of its own", to: "[mx.example.net]", zone: addr,
		sts:  sts{"mx.example.net": published(mtasts.Enforce, "mx.example.net"), "example.com": published(mtasts.Enforce, "other.example")},
		want: "mx.example.net: secure by mta-sts mx.example.net ;"},
	{name: "S82 another domain's policy for the same host", zone: mx + addr + "example.org MX 10 mx.example.net",
		sts: sts{"example.org": published(mtasts.Enforce, "other.example")}, want: theMay},
	{name: "S83 DANE is enough, MTA-STS would fail", zone: mx + addr + tlsa, sts: enforce("other.example"),
		want: "mx.example.net: dane by dane mx.example.net example.com watch sts secure validation-failure mtasts-policy-mx-mismatch ;"},
	{name: "S84 MTA-STS takes nothing from DANE", zone: mx + addr + tlsa, sts: enforce("mx.example.net"),
		want: "mx.example.net: dane by dane mx.example.net example.com watch sts secure ;"},
	{name: "S85 the one by DANE, the other by MTA-STS", zone: two + addr + addr2 + tlsa, sts: enforce("mx2.example.net"),
		want: "mx.example.net: dane by dane mx.example.net example.com watch sts secure validation-failure mtasts-policy-mx-mismatch ; mx2.example.net: secure by mta-sts mx2.example.net ;"},
	{name: "S86 MTA-STS does not save a host whose TLSA lookup failed", zone: two + addr + addr2 + tlsaErr, sts: enforce("*.example.net"),
		want: "mx.example.net: 451 4.7.5 dnssec-invalid watch sts secure ; mx2.example.net: secure by mta-sts mx2.example.net ;"},
	{name: "S87 none usable, and MTA-STS", zone: mx + addr + tlsaPKIX, sts: enforce("mx.example.net"),
		want: "mx.example.net: secure by mta-sts mx.example.net watch tlsa dane tlsa-invalid ;"},
	{name: "S88 insecure MX, TLSA, and MTA-STS", zone: mxIns + addr + tlsa, sts: enforce("mx.example.net"),
		want: "mx.example.net: secure by mta-sts mx.example.net watch tlsa dane ;"},
	{name: "S88 insecure MX, TLSA, and not in the policy", zone: mxIns + addr + tlsa, sts: enforce("other.example"),
		want: "domain: 451 4.7.5 validation-failure mtasts-policy-mx-mismatch ; mx.example.net: 451 4.7.5 validation-failure mtasts-policy-mx-mismatch watch tlsa dane ;"},
	{name: "S17 a cached policy that could not be renewed", zone: mx + addr, sts: sts{"example.com": stale(published(mtasts.Enforce, "mx.example.net"))},
		want: "mx.example.net: secure by mta-sts mx.example.net despite sts-policy-fetch-error ;"},
	{name: "S18 nothing cached, and no answer", zone: mx + addr, sts: sts{"example.com": stale(mtasts.State{})},
		want: "mx.example.net: may by default watch sts secure sts-policy-fetch-error ;"},
	{name: "S18 the same, strict", zone: mx + addr, sts: sts{"example.com": stale(mtasts.State{})}, options: Options{StrictSTS: true},
		want: "domain: 451 4.4.3 sts-policy-fetch-error ;"},
	{name: "S22 strict, and a cached policy is in force", zone: mx + addr, sts: sts{"example.com": stale(published(mtasts.Enforce, "mx.example.net"))}, options: Options{StrictSTS: true},
		want: "mx.example.net: secure by mta-sts mx.example.net despite sts-policy-fetch-error ;"},

	{name: "R09 REQUIRETLS and DANE", zone: mx + addr + tlsa, options: Options{RequireTLS: true}, want: theDANE},
	{name: "R10 REQUIRETLS and MTA-STS", zone: mxIns + addrIns, sts: enforce("mx.example.net"), options: Options{RequireTLS: true},
		want: "mx.example.net: secure by mta-sts mx.example.net ;"},
	{name: "R11 REQUIRETLS and MTA-STS in testing", zone: mxIns + addrIns, sts: testMode("mx.example.net"), options: Options{RequireTLS: true},
		want: "domain: 550 5.7.10 validation-failure ; mx.example.net: 550 5.7.10 validation-failure watch sts secure ;"},
	{name: "R12 REQUIRETLS and nothing that proves the host", zone: mxIns + addrIns, options: Options{RequireTLS: true},
		want: "domain: 550 5.7.10 validation-failure ; mx.example.net: 550 5.7.10 validation-failure ;"},
	{name: "R12 REQUIRETLS, insecure MX, TLSA below", zone: mxIns + addr + tlsa, options: Options{RequireTLS: true},
		want: "domain: 550 5.7.10 validation-failure ; mx.example.net: 550 5.7.10 validation-failure ;"},
	{name: "R12 REQUIRETLS and secure MX: the certificate must be for the host", zone: mx + addr, options: Options{RequireTLS: true},
		want: "mx.example.net: secure by message mx.example.net ;"},
	{name: "R13 REQUIRETLS and no usable TLSA: to encrypt is not enough", zone: mx + addr + tlsaPKIX, options: Options{RequireTLS: true},
		want: "mx.example.net: secure by message mx.example.net despite tlsa-invalid ;"},
	{name: "R17 REQUIRETLS and a TLSA lookup that failed: that may pass", zone: mx + addr + tlsaErr, options: Options{RequireTLS: true},
		want: "domain: 451 4.7.5 dnssec-invalid ; mx.example.net: 451 4.7.5 dnssec-invalid ;"},
	{name: "R19 R20 TLS-Required: No and DANE", zone: mx + addr + tlsa, options: Options{TLSOptional: true},
		want: "mx.example.net: may by message watch tlsa dane ;"},
	{name: "R19 TLS-Required: No, and not in the policy", zone: mx + addr, sts: enforce("other.example"), options: Options{TLSOptional: true},
		want: "mx.example.net: may by message watch sts secure validation-failure mtasts-policy-mx-mismatch ;"},
	{name: "R19 TLS-Required: No, and a TLSA lookup that failed", zone: mx + addr + tlsaErr, options: Options{TLSOptional: true},
		want: "mx.example.net: may by message watch tlsa may dnssec-invalid ;"},
	{name: "R19 TLS-Required: No, and no address", zone: mx + "mx.example.net A nodata", options: Options{TLSOptional: true},
		want: "domain: 550 5.4.4 ; mx.example.net: 550 5.4.4 ;"},
	{name: "R23 REQUIRETLS goes before TLS-Required", zone: mx + addr + tlsa, options: Options{RequireTLS: true, TLSOptional: true}, want: theDANE},

	{name: "memory: TLS before", zone: mx + addr, seen: seen{"mx.example.net": 3}, want: "mx.example.net: encrypt by memory ;"},
	{name: "memory: TLS before, and mail goes on", zone: mx + addr, seen: seen{"mx.example.net": 3}, options: Options{Stripped: Deliver},
		want: "mx.example.net: may by default remembered ;"},
	{name: "memory: TLS long ago", zone: mx + addr, seen: seen{"mx.example.net": 15}, want: theMay},
	{name: "memory: switched off", zone: mx + addr, seen: seen{"mx.example.net": 3}, options: Options{MemoryAge: -1}, want: theMay},
	{name: "memory: of another host", zone: mx + addr, seen: seen{"mx2.example.net": 3}, want: theMay},
	{name: "memory: DANE goes before it", zone: mx + addr + tlsa, seen: seen{"mx.example.net": 3}, want: theDANE},
	{name: "memory: TLS-Required: No goes before it", zone: mx + addr, seen: seen{"mx.example.net": 3}, options: Options{TLSOptional: true},
		want: "mx.example.net: may by message ;"},

	{name: "level none", zone: mx + addr + tlsa, override: level(starttls.None), want: "mx.example.net: none by override watch tlsa dane ;"},
	{name: "level may", zone: mx + addr + tlsa, override: level(starttls.May), want: "mx.example.net: may by override watch tlsa dane ;"},
	{name: "level encrypt", zone: mx + addr, override: level(starttls.Encrypt), want: "mx.example.net: encrypt by override ;"},
	{name: "level verify", zone: mx + addr, override: level(starttls.Verify), want: "mx.example.net: verify by override mx.example.net ;"},
	{name: "level secure", zone: mx + addr, override: level(starttls.Secure), want: "mx.example.net: secure by override example.com .example.com ;"},
	{name: "level secure, a relay in brackets", to: "[mx.example.net]", zone: addr, override: level(starttls.Secure), want: "mx.example.net: secure by override mx.example.net ;"},
	{name: "level secure, with names", zone: mx + addr, override: &Override{Level: starttls.Secure, Names: []string{"a.example"}},
		want: "mx.example.net: secure by override a.example ;"},
	{name: "level dane leaves MTA-STS alone", zone: mx + addr, override: level(starttls.Dane), sts: enforce("mx.example.net"),
		want: "mx.example.net: may by override watch sts secure ;"},
	{name: "a fingerprint", zone: mx + addr, override: &Override{Fingerprints: [][32]byte{{1}}}, want: "mx.example.net: dane by override mx.example.net ;"},
	{name: "an override goes before the default", zone: mx + addr, override: level(starttls.Auto), options: Options{Default: level(starttls.Encrypt)}, want: theMay},
	{name: "the default", zone: mx + addr, options: Options{Default: level(starttls.Encrypt)}, want: "mx.example.net: encrypt by override ;"},
}

// stale is a state whose renewal failed.
func stale(s mtasts.State) mtasts.State {
	s.Err = &mtasts.Error{Domain: "example.com", Type: tlsrpt.STSPolicyFetchError,
		Err: &resolver.Error{Name: "_mta-sts.example.com", Type: resolver.TXT, Code: -1, Err: errors.New("no answer")}}
	return s
}

// TestDecide is the specification.
func TestDecide(t *testing.T) {
	for _, c := range planCases {
		t.Run(c.name, func(t *testing.T) {
			p, r := c.plan(t)
			if got := sketch(p); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			for _, asked := range r.Asked() {
				if c.quiet != 0 && strings.HasSuffix(asked, " "+c.quiet.String()) {
					t.Errorf("asked %q", asked)
				}
			}
			for _, a := range p.Attempts {
				if a.Why == "" || a.Policy.Type == "" || a.Refusal != nil && a.Refusal.Text == "" {
					t.Errorf("%s is not told: %+v", a.Host, a)
				}
			}
		})
	}
}

// TestDecideIsPure: the same evidence is the same plan, and stays as it is.
func TestDecideIsPure(t *testing.T) {
	c := planCase{zone: two + addr + addr2 + tlsa, sts: enforce("*.example.net"), options: Options{TLSOptional: true}}
	p, _ := c.plan(t)
	before := fmt.Sprintf("%+v", *p.Evidence)
	if a, b := sketch(p), sketch(Decide(p.Evidence, c.options)); a != b {
		t.Errorf("%s\n%s", a, b)
	}
	if after := fmt.Sprintf("%+v", *p.Evidence); after != before {
		t.Errorf("evidence changed:\n%s\n%s", before, after)
	}
	if p.Evidence.Hosts[0].DANE.Outcome != dane.Usable {
		t.Error("the case proves nothing")
	}
}
