package check

import (
	"slices"
	"strings"
	"testing"
	"time"

	"starttls/internal/finding"
)

// seen is a service as a run finds it: with TLS, a certificate that is trusted, and TLS 1.2 and 1.3.
func seen(edits ...func(*finding.Service)) *finding.Result {
	s := finding.Service{
		URL: "smtp://mx.example.org:25", Host: "mx.example.org", Address: "192.0.2.1:25", Protocol: "smtp", Outcome: finding.Tested,
		Clear: &finding.Words{Offer: "offered"},
		Chain: []finding.Certificate{{SPKI: strings.Repeat("a", 64), SHA256: "1", Issuer: "CN=CA", Key: "P-256"}},
		Facts: []finding.Fact{{Kind: "version", Value: "TLS 1.3"}, {Kind: "version", Value: "TLS 1.2"}},
		Findings: []finding.Finding{
			finding.New("clear.offer", finding.Good, ""), finding.New("cert.trusted", finding.Good, ""),
			finding.New("cert.dates", finding.Good, ""), finding.New("tls.resumption", finding.Good, ""),
		},
	}
	for _, edit := range edits {
		edit(&s)
	}
	r := &finding.Result{Schema: finding.Schema, Target: "smtp://mx.example.org", Services: []finding.Service{s}}
	r.Settle()
	return r
}

// says has a finding of a service say something else.
func says(id string, v finding.Verdict) func(*finding.Service) {
	return func(s *finding.Service) {
		s.Findings = slices.DeleteFunc(s.Findings, func(f finding.Finding) bool { return f.ID == id })
		s.Findings = append(s.Findings, finding.New(id, v, ""))
	}
}

// shows has it show another certificate.
func shows(spki, sha256, issuer string) func(*finding.Service) {
	return func(s *finding.Service) {
		s.Chain = []finding.Certificate{{SPKI: strings.Repeat(spki, 64), SHA256: sha256, Issuer: issuer, Key: "P-256"}}
	}
}

func withoutTLS(s *finding.Service) {
	s.Outcome, s.Why, s.Chain, s.Facts = finding.NoTLS, "the upgrade is refused", nil, nil
	says("clear.offer", finding.Insufficient)(s)
}

func down(s *finding.Service) {
	s.Outcome, s.Chain, s.Facts, s.Findings = finding.Unreachable, nil, nil, nil
}

func putOff(s *finding.Service) { down(s); s.Outcome = finding.Busy }

func speaks(versions ...string) func(*finding.Service) {
	return func(s *finding.Service) {
		s.Facts = nil
		for _, v := range versions {
			s.Facts = append(s.Facts, finding.Fact{Kind: "version", Value: v})
		}
	}
}

func onlyOnce(s *finding.Service) { s.Quick = true; speaks("TLS 1.3")(s) }

func at(address string) func(*finding.Service) {
	return func(s *finding.Service) { s.Address = address }
}

// day is when the nth run was, counted backwards.
func day(n int) time.Time { return time.Date(2026, 11, 20-n, 12, 0, 0, 0, time.UTC) }

// history makes runs, the newest first.
func history(results ...*finding.Result) (past []finding.Run) {
	for i, r := range results {
		past = append(past, finding.Run{ID: string(rune('a' + i)), Result: r, Last: day(i)})
	}
	return past
}

func TestWhatHasChanged(t *testing.T) {
	for _, row := range []struct {
		name string
		is   *finding.Result
		past []finding.Run
		want string // what, how it is, and how many runs ago it was otherwise
	}{
		{"H01 nothing", seen(), history(seen()), ""},
		{"H02 no run before", seen(withoutTLS), nil, ""},
		{"H03 TLS is gone", seen(withoutTLS), history(seen()), "tls: not offered (0), clear.offer: insufficient (0)"},
		{"H04 TLS has come", seen(), history(seen(withoutTLS)), "tls: offered (0), clear.offer: good (0)"},
		{"H05 it is down", seen(down), history(seen()), "reach: it cannot be reached (0)"},
		{"H06 it is down still", seen(down), history(seen(down), seen()), ""},
		{"H07 it is up again, as it was", seen(), history(seen(down), seen()), "reach: it answers (0)"},
		{"H08 it is up again, without TLS", seen(withoutTLS), history(seen(down), seen()), "reach: it answers (0), tls: not offered (1), clear.offer: insufficient (1)"},
		{"H09 it puts us off", seen(putOff), history(seen()), ""},
		{"H10 it has put us off", seen(withoutTLS), history(seen(putOff), seen()), "tls: not offered (1), clear.offer: insufficient (1)"},
		{"H11 a renewal, the key stays", seen(shows("a", "2", "CN=CA")), history(seen()), "certificate: the same key, until 0001-01-01, by CN=CA (0)"},
		{"H12 a renewal, the key changes", seen(shows("b", "2", "CN=CA")), history(seen()), "certificate: P-256 bbbbbbbbbbbbbbbb…, until 0001-01-01, by CN=CA (0)"},
		{"H13 the other of two keys", seen(shows("b", "2", "CN=CA")), history(seen(func(s *finding.Service) {
			s.Others = []finding.Certificate{{SPKI: strings.Repeat("b", 64), SHA256: "2"}}
		})), ""},
		{"H14 a version is gone", seen(speaks("TLS 1.3")), history(seen()), "versions: TLS 1.3 (0)"},
		{"H15 a version has come", seen(speaks("TLS 1.2", "TLS 1.0", "TLS 1.3")), history(seen()), "versions: TLS 1.0, TLS 1.2, TLS 1.3 (0)"},
		{"H16 in another order", seen(speaks("TLS 1.2", "TLS 1.3")), history(seen()), ""},
		{"H17 one connection knows of one version", seen(onlyOnce), history(seen()), ""},
		{"H18 what one connection does not know", seen(speaks("TLS 1.3")), history(seen(onlyOnce), seen()), "versions: TLS 1.3 (1)"},
		{"H19 not everything could be asked", seen(speaks("TLS 1.3"), func(s *finding.Service) { s.Why = "not everything could be asked" }), history(seen()), ""},
		{"H20 a finding becomes bad", seen(says("cert.dates", finding.PhaseOut)), history(seen()), "cert.dates: phase-out (0)"},
		{"H21 and stays so", seen(says("cert.dates", finding.Insufficient)), history(seen(says("cert.dates", finding.PhaseOut)), seen()), ""},
		{"H22 and is mended", seen(), history(seen(says("cert.dates", finding.PhaseOut))), "cert.dates: good (0)"},
		{"H23 good or fair is the same", seen(says("tls.resumption", finding.Sufficient)), history(seen()), ""},
		{"H24 a finding that is not known", seen(says("cert.dates", finding.NotTestable)), history(seen()), ""},
		{"H25 a finding that was not known", seen(says("cert.dates", finding.PhaseOut)), history(seen(says("cert.dates", finding.NotTestable)), seen()), "cert.dates: phase-out (1)"},
		{"H26 another address of the host", seen(at("[2001:db8::1]:25"), withoutTLS), history(seen()), "tls: not offered (0), clear.offer: insufficient (0)"},
		{"H27 an address with its own past", seen(at("192.0.2.9:25"), withoutTLS), history(seen(), seen(at("192.0.2.9:25"), withoutTLS)), ""},
		{"H28 another port of the host", seen(at("192.0.2.1:2525"), withoutTLS), history(seen()), ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			Since(row.is, row.past, nil)
			if got := changesOf(row.is.Services[0].Changes); got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
			if (row.is.Before == nil) != (len(row.past) == 0) {
				t.Errorf("compared with %v", row.is.Before)
			}
		})
	}
}

// changesOf writes changes as the tables have them.
func changesOf(all []finding.Change) string {
	var words []string
	for _, c := range all {
		words = append(words, c.What+": "+c.Is+" ("+string(rune('0'+int(day(0).Sub(c.Since).Hours()/24)))+")")
	}
	return strings.Join(words, ", ")
}

// domainOf is a mail domain as a run finds it.
func domainOf(edits ...func(*finding.Result)) *finding.Result {
	r := &finding.Result{
		Schema: finding.Schema, Target: "example.org", Findings: []finding.Finding{finding.New("mail.mx", finding.Good, "")},
		Domain: &finding.Domain{Name: "example.org", Secure: true, STS: "enforce", MX: []finding.MX{{Host: "a.example.org", Pref: 10, Level: "dane"}, {Host: "b.example.org", Pref: 20, Level: "dane"}}},
	}
	for _, edit := range edits {
		edit(r)
	}
	return r
}

func mx(v finding.Verdict, hosts ...finding.MX) func(*finding.Result) {
	return func(r *finding.Result) {
		r.Findings = []finding.Finding{finding.New("mail.mx", v, "")}
		r.Domain.MX = hosts
	}
}

func TestWhatHasChangedOfADomain(t *testing.T) {
	a, b := finding.MX{Host: "a.example.org", Pref: 10, Level: "dane"}, finding.MX{Host: "b.example.org", Pref: 20, Level: "dane"}
	c, open := finding.MX{Host: "c.example.org", Pref: 5, Level: "may"}, finding.MX{Host: "b.example.org", Pref: 20, Level: "may"}
	for _, row := range []struct {
		name string
		is   *finding.Result
		past []finding.Run
		want string
	}{
		{"H30 nothing", domainOf(), history(domainOf()), ""},
		{"H31 in another order", domainOf(mx(finding.Good, b, a)), history(domainOf()), ""},
		{"H32 a host is gone", domainOf(mx(finding.Good, a)), history(domainOf()), "mx: 10 a.example.org (0)"},
		{"H33 a host has come", domainOf(mx(finding.Good, c, a, b)), history(domainOf()), "mx: 10 a.example.org, 20 b.example.org, 5 c.example.org (0)"},
		{"H34 less is demanded of a host", domainOf(mx(finding.Good, a, open)), history(domainOf()), "plan: b.example.org may (0)"},
		{"H35 signatures are gone", domainOf(func(r *finding.Result) { r.Domain.Secure = false }), history(domainOf()), "mx-signed: no (0)"},
		{"H36 the policy is gone", domainOf(func(r *finding.Result) { r.Domain.STS = "" }), history(domainOf()), "mta-sts: none (0)"},
		{"H37 no mail is taken any more", domainOf(mx(finding.NotApplicable)), history(domainOf()), "mx: none (0)"},
		{"H38 the DNS is away", domainOf(mx(finding.NotTestable)), history(domainOf()), ""},
		{"H39 the DNS was away", domainOf(mx(finding.Good, a)), history(domainOf(mx(finding.NotTestable)), domainOf()), "mx: 10 a.example.org (1)"},
		{"H40 the DNS lies", domainOf(mx(finding.Insufficient)), history(domainOf()), "mail.mx: insufficient (0)"},
	} {
		t.Run(row.name, func(t *testing.T) {
			Since(row.is, row.past, nil)
			if got := changesOf(row.is.Changes); got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}

// TestStrippingShowsInTheHistory: it is told for as long as a run is kept that has seen TLS, and who has put
// us off, or was never there, is accused of nothing.
func TestStrippingShowsInTheHistory(t *testing.T) {
	virus := func(s *finding.Service) {
		shows("c", "3", "CN=Antivirus")(s)
		says("cert.trusted", finding.Insufficient)(s)
	}
	expired := func(s *finding.Service) {
		shows("c", "3", "CN=CA")(s)
		says("cert.trusted", finding.Insufficient)(s)
	}
	const removed, intercepted = "strip.capability-removed", "strip.tls-intercepted"
	for _, row := range []struct {
		name, id string
		is       *finding.Result
		past     []finding.Run
		evidence string // "" if it is not told
	}{
		{"H50 the offer is gone", removed, seen(withoutTLS), history(seen()), "it offered TLS on 2026-11-20 12:00; now: the upgrade is refused"},
		{"H51 and is still", removed, seen(withoutTLS), history(seen(withoutTLS), seen()), "2026-11-19 12:00"},
		{"H52 and was never", removed, seen(withoutTLS), history(seen(withoutTLS)), ""},
		{"H53 it is there", removed, seen(), history(seen(withoutTLS), seen()), ""},
		{"H54 it is down", removed, seen(down), history(seen()), ""},
		{"H55 it puts us off", removed, seen(putOff), history(seen()), ""},
		{"H56 no run before", removed, seen(withoutTLS), nil, ""},
		{"H57 the upgrade works, and is not listed", removed, seen(says("clear.offer", finding.Insufficient)), history(seen()), "now: offered"},
		{"H58 somebody between", intercepted, seen(virus), history(seen()), "on 2026-11-20 12:00: a key of CN=CA, which is trusted; now: one of CN=Antivirus"},
		{"H59 and still", intercepted, seen(virus), history(seen(virus), seen()), "2026-11-19 12:00"},
		{"H60 a renewal gone wrong", intercepted, seen(expired), history(seen()), ""},
		{"H61 another authority that is trusted", intercepted, seen(shows("c", "3", "CN=Other CA")), history(seen()), ""},
		{"H62 it never was trusted", intercepted, seen(virus), history(seen(expired)), ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			var live []string
			Since(row.is, row.past, func(_ *finding.Service, f finding.Finding) { live = append(live, f.ID) })
			f := one(t, row.is, row.id)
			if (f.ID != "") != (row.evidence != "") || !strings.Contains(f.Evidence, row.evidence) || slices.Contains(live, row.id) != (row.evidence != "") {
				t.Errorf("%s, told %q: %s", f.ID, live, f.Evidence)
			}
			if f.ID != "" && (f.Grade != finding.Possible || row.is.Verdict != finding.Insufficient) {
				t.Errorf("%s, %s", f.Grade, row.is.Verdict)
			}
		})
	}
}

// TestWhichRunHasFoundTheSame: the last one with as many questions, if nothing has changed since.
func TestWhichRunHasFoundTheSame(t *testing.T) {
	for _, row := range []struct {
		name string
		is   *finding.Result
		past []finding.Run
		want string
	}{
		{"H70 the last", seen(), history(seen(), seen(withoutTLS)), "a"},
		{"H71 none, something has changed", seen(withoutTLS), history(seen()), ""},
		{"H72 none, and there was one before the last", seen(), history(seen(withoutTLS), seen()), ""},
		{"H73 the last with as many questions", seen(onlyOnce), history(seen(), seen(onlyOnce)), "b"},
		{"H74 none with as many questions", seen(onlyOnce), history(seen()), ""},
		{"H75 none that has found the same, but for fewer questions", seen(withoutTLS), history(seen(withoutTLS, onlyOnce), seen()), ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := ""
			if same := Since(row.is, row.past, nil); same != nil {
				got = same.ID
			}
			if got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
}
