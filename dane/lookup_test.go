package dane

import (
	"context"
	"slices"
	"strings"
	"testing"

	"starttls/resolver"
	"starttls/resolver/dnstest"
)

const digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestLookup(t *testing.T) {
	for _, c := range []struct {
		name string
		zone string // R stands for a good record
		host string // if empty, mx.example.net
		port uint16 // if 0, 25
		want Outcome
		base string // if empty, host
		// asked are all questions for TLSA and CNAME, in order.
		asked []string
	}{
		{name: "D08 all secure",
			zone: "mx.example.net A 192.0.2.1\n_25._tcp.mx.example.net TLSA R",
			want: Usable, asked: []string{"_25._tcp.mx.example.net TLSA"}},
		{name: "D35 only usage 1",
			zone: "mx.example.net A 192.0.2.1\n_25._tcp.mx.example.net TLSA 1 1 1 " + digest,
			want: Unusable, asked: []string{"_25._tcp.mx.example.net TLSA"}},
		{name: "D43 TLSA fails",
			zone: "mx.example.net A 192.0.2.1\n_25._tcp.mx.example.net TLSA servfail",
			want: Failed, asked: []string{"_25._tcp.mx.example.net TLSA"}},
		{name: "D43 TLSA times out",
			zone: "mx.example.net A 192.0.2.1\n_25._tcp.mx.example.net TLSA timeout",
			want: Failed, asked: []string{"_25._tcp.mx.example.net TLSA"}},
		{name: "D43 TLSA bogus",
			zone: "mx.example.net A 192.0.2.1\n_25._tcp.mx.example.net TLSA bogus",
			want: Failed, asked: []string{"_25._tcp.mx.example.net TLSA"}},
		{name: "D44 TLSA does not exist",
			zone: "mx.example.net A 192.0.2.1\n_25._tcp.mx.example.net TLSA nxdomain",
			want: Absent, asked: []string{"_25._tcp.mx.example.net TLSA"}},
		{name: "D44 no TLSA at the name",
			zone: "mx.example.net A 192.0.2.1\n_25._tcp.mx.example.net TXT x",
			want: Absent, asked: []string{"_25._tcp.mx.example.net TLSA"}},
		{name: "D45 TLSA insecure",
			zone: "mx.example.net A 192.0.2.1\n_25._tcp.mx.example.net TLSA R insecure",
			want: Absent, asked: []string{"_25._tcp.mx.example.net TLSA"}},
		{name: "D46 address insecure, no question for TLSA",
			zone: "mx.example.net A 192.0.2.1 insecure\n_25._tcp.mx.example.net TLSA R",
			want: Absent},
		{name: "D47 address insecure, and TLSA would fail",
			zone: "mx.example.net A 192.0.2.1 insecure\n_25._tcp.mx.example.net TLSA servfail",
			want: Absent},
		{name: "D48 AAAA fails, A is secure",
			zone: "mx.example.net A 192.0.2.1\nmx.example.net AAAA servfail\n_25._tcp.mx.example.net TLSA R",
			want: Usable, asked: []string{"_25._tcp.mx.example.net TLSA"}},
		{name: "D48 A fails, AAAA is secure",
			zone: "mx.example.net A servfail\nmx.example.net AAAA 2001:db8::1\n_25._tcp.mx.example.net TLSA R",
			want: Usable, asked: []string{"_25._tcp.mx.example.net TLSA"}},
		{name: "D48 A is insecure, AAAA is secure",
			zone: "mx.example.net A 192.0.2.1 insecure\nmx.example.net AAAA 2001:db8::1\n_25._tcp.mx.example.net TLSA R",
			want: Usable, asked: []string{"_25._tcp.mx.example.net TLSA"}},
		{name: "D48 both fail",
			zone: "mx.example.net A servfail\nmx.example.net AAAA servfail", want: Failed},
		{name: "D49 no address",
			zone: "mx.example.net A nodata\n_25._tcp.mx.example.net TLSA R", want: Absent},
		{name: "D49 no such host", zone: "example.net A 192.0.2.1", want: Absent},
		{name: "D50 an alias, records at the expanded name",
			zone: "mx.example.net CNAME host.example.org\nhost.example.org A 192.0.2.1\n_25._tcp.host.example.org TLSA R\n_25._tcp.mx.example.net TLSA R",
			want: Usable, base: "host.example.org", asked: []string{"_25._tcp.host.example.org TLSA"}},
		{name: "D51 an alias, records at the original name",
			zone: "mx.example.net CNAME host.example.org\nhost.example.org A 192.0.2.1\n_25._tcp.mx.example.net TLSA R",
			want: Usable, asked: []string{"_25._tcp.host.example.org TLSA", "_25._tcp.mx.example.net TLSA"}},
		{name: "D51 an alias, insecure records at the expanded name",
			zone: "mx.example.net CNAME host.example.org\nhost.example.org A 192.0.2.1\n_25._tcp.host.example.org TLSA R insecure\n_25._tcp.mx.example.net TLSA R",
			want: Usable, asked: []string{"_25._tcp.host.example.org TLSA", "_25._tcp.mx.example.net TLSA"}},
		{name: "D50 an alias, unusable records at the expanded name end the search",
			zone: "mx.example.net CNAME host.example.org\nhost.example.org A 192.0.2.1\n_25._tcp.host.example.org TLSA 1 1 1 " + digest + "\n_25._tcp.mx.example.net TLSA R",
			want: Unusable, base: "host.example.org", asked: []string{"_25._tcp.host.example.org TLSA"}},
		{name: "D52 an error at the expanded name is not passed over",
			zone: "mx.example.net CNAME host.example.org\nhost.example.org A 192.0.2.1\n_25._tcp.host.example.org TLSA servfail\n_25._tcp.mx.example.net TLSA R",
			want: Failed, asked: []string{"_25._tcp.host.example.org TLSA"}},
		{name: "D53 a secure alias of an insecure host",
			zone: "mx.example.net CNAME host.example.org\nhost.example.org A 192.0.2.1 insecure\n_25._tcp.host.example.org TLSA servfail\n_25._tcp.mx.example.net TLSA R",
			want: Usable, asked: []string{"mx.example.net CNAME", "_25._tcp.mx.example.net TLSA"}},
		{name: "D54 an insecure alias",
			zone: "mx.example.net CNAME host.example.org insecure\nhost.example.org A 192.0.2.1\n_25._tcp.mx.example.net TLSA R\n_25._tcp.host.example.org TLSA R",
			want: Absent, asked: []string{"mx.example.net CNAME"}},
		{name: "D55 records in the middle of a chain of aliases",
			zone: "mx.example.net CNAME b.example.net\nb.example.net CNAME c.example.net\nc.example.net A 192.0.2.1\n_25._tcp.b.example.net TLSA R",
			want: Absent, asked: []string{"_25._tcp.c.example.net TLSA", "_25._tcp.mx.example.net TLSA"}},
		{name: "D56 shared records behind a CNAME",
			zone: "mx.example.net A 192.0.2.1\n_25._tcp.mx.example.net CNAME tlsa._dane.example.org\ntlsa._dane.example.org TLSA R",
			want: Usable, asked: []string{"_25._tcp.mx.example.net TLSA"}},
		{name: "D57 shared records behind an insecure CNAME",
			zone: "mx.example.net A 192.0.2.1\n_25._tcp.mx.example.net CNAME tlsa._dane.example.org insecure\ntlsa._dane.example.org TLSA R",
			want: Absent, asked: []string{"_25._tcp.mx.example.net TLSA"}},
		{name: "D57 and then the original name",
			zone: "mx.example.net CNAME host.example.org\nhost.example.org A 192.0.2.1\n_25._tcp.host.example.org CNAME t.example.org insecure\nt.example.org TLSA R\n_25._tcp.mx.example.net TLSA R",
			want: Usable, asked: []string{"_25._tcp.host.example.org TLSA", "_25._tcp.mx.example.net TLSA"}},
		{name: "D58 a loop of CNAMEs",
			zone: "mx.example.net A 192.0.2.1\n_25._tcp.mx.example.net CNAME _25._tcp.mx.example.net",
			want: Failed, asked: []string{"_25._tcp.mx.example.net TLSA"}},
		{name: "D59 another port", port: 587,
			zone: "mx.example.net A 192.0.2.1\n_587._tcp.mx.example.net TLSA R\n_25._tcp.mx.example.net TLSA servfail",
			want: Usable, asked: []string{"_587._tcp.mx.example.net TLSA"}},
		{name: "D59 yet another port", port: 2525,
			zone: "mx.example.net A 192.0.2.1\n_2525._tcp.mx.example.net TLSA R",
			want: Usable, asked: []string{"_2525._tcp.mx.example.net TLSA"}},
		{name: "D53 whether the alias is secure cannot be found out",
			zone: "mx.example.net A servfail\nmx.example.net AAAA 2001:db8::1 insecure", want: Absent},
		{name: "D78 an A-label", host: "xn--mx-eka.example.net",
			zone: "xn--mx-eka.example.net A 192.0.2.1\n_25._tcp.xn--mx-eka.example.net TLSA R",
			want: Usable, asked: []string{"_25._tcp.xn--mx-eka.example.net TLSA"}},
		{name: "D61 an address is no host", host: "192.0.2.1", want: Failed},
		{name: "a name too long for records", host: strings.Repeat("a23456789.", 24) + "a.example",
			zone: strings.Repeat("a23456789.", 24) + "a.example A 192.0.2.1", want: Absent},
	} {
		t.Run(c.name, func(t *testing.T) {
			host, port := "mx.example.net", uint16(25)
			if c.host != "" {
				host = c.host
			}
			if c.port != 0 {
				port = c.port
			}
			r := dnstest.New(strings.ReplaceAll(c.zone, " R", " 3 1 1 "+digest))
			got := Lookup(t.Context(), r, host, port)
			base := host
			if c.base != "" {
				base = c.base
			}
			if got.Outcome != c.want || got.Base != base || (got.Err != nil) != (c.want == Failed) || got.Why == "" {
				t.Errorf("got %v at %q: %s: %v", got.Outcome, got.Base, got.Why, got.Err)
			}
			if (len(got.Records) > 0) != (c.want == Usable) || (len(got.All) > 0) != (c.want >= Unusable) {
				t.Errorf("records %v of %v", got.Records, got.All)
			}
			asked := slices.DeleteFunc(r.Asked(), func(s string) bool {
				return strings.HasSuffix(s, " A") || strings.HasSuffix(s, " AAAA")
			})
			if !slices.Equal(asked, c.asked) {
				t.Errorf("asked %q, want %q", asked, c.asked)
			}
		})
	}
}

// failing fails one question.
type failing struct {
	resolver.Resolver
	t resolver.Type
}

func (f failing) Lookup(ctx context.Context, name string, t resolver.Type) (*resolver.Answer, error) {
	if t == f.t {
		return nil, &resolver.Error{Name: name, Type: t, Code: -1, Err: context.DeadlineExceeded}
	}
	return f.Resolver.Lookup(ctx, name, t)
}

// TestCNAMEFails: an error in the question that tells whether an alias is secure is an error of the host.
func TestCNAMEFails(t *testing.T) {
	t.Run("D53 the question for the alias fails", func(t *testing.T) {
		r := dnstest.New("mx.example.net CNAME host.example.org\nhost.example.org A 192.0.2.1 insecure")
		got := Lookup(t.Context(), failing{r, resolver.CNAME}, "mx.example.net", 25)
		if got.Outcome != Failed || got.Err == nil {
			t.Errorf("got %v: %v", got.Outcome, got.Err)
		}
	})
}
