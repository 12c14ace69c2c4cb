package check

import (
	"context"
	"errors"
	"testing"
	"time"

	"starttls/internal/finding"
	"starttls/internal/policy"
	"starttls/mtasts"
	"starttls/resolver"
)

// audits are domains of the lab, and what is to be found of them.
var audits = map[string]sightings{
	"dane-ee.test":                    {"mail.dane": finding.Good, "mail.dnssec": finding.Good, "mail.mx": finding.Good, "mail.sender": finding.Good, "mail.sts-hosts": finding.NotApplicable, "mail.sts": finding.Sufficient, "mail.addresses": finding.Good, "strip.policy-contradicted": "", "strip.mx-forged": ""},
	"dane-wrong.test":                 {"mail.dane": finding.Insufficient, "mail.sender": finding.Insufficient},
	"dane-rolled.test":                {"mail.dane": finding.Insufficient},
	"dane-rollover.test":              {"mail.dane": finding.Good},
	"dane-unusable.test":              {"mail.dane": finding.PhaseOut, "mail.sender": finding.Sufficient},
	"sts-enforce.test":                {"mail.dane": finding.Sufficient, "mail.dnssec": finding.Sufficient, "mail.sts-hosts": finding.Good},
	"down.test":                       {"mail.sender": finding.NotTestable},
	"dane-no-tls.test":                {"strip.policy-contradicted": finding.Insufficient},
	"sts-down-second.test":            {"mail.addresses": finding.PhaseOut},
	"no-address.test":                 {"mail.addresses": finding.Insufficient},
	"bogus.test":                      {"strip.mx-forged": finding.Insufficient, "mail.mx": finding.Insufficient},
	"mx-servfail.test":                {"mail.mx": finding.NotTestable},
	"null-mx.test":                    {"mail.mx": finding.NotApplicable},
	"bogus-host.test":                 {"mail.dnssec": finding.Insufficient},
	"sts-testing.test":                {"mail.sts": finding.Sufficient},
	"sts-404.test":                    {"mail.sts": finding.Insufficient},
	"sts-redirect.test":               {"mail.sts": finding.Insufficient},
	"sts-mismatch.test":               {"mail.sts-hosts": finding.Insufficient},
	"sts-testing-mismatch.test":       {"mail.sts-hosts": finding.PhaseOut},
	"sts-expired.test":                {"mail.sts-hosts": finding.Insufficient},
	"capability-removed-sts.test":     {"strip.policy-contradicted": finding.Insufficient},
	"capability-removed-dane.test":    {"strip.policy-contradicted": finding.Insufficient},
	"ehlo-keyword-x-a-dane.test":      {"strip.policy-contradicted": finding.Insufficient},
	"ehlo-keyword-x-a-may.test":       {"strip.keyword-masked-a": finding.Insufficient},
	"banner-masked-asterisk-may.test": {"strip.banner-masked": finding.Insufficient},
	"starttls-454-may.test":           {"strip.upgrade-refused": finding.Insufficient},
	"starttls-reset-may.test":         {"strip.blackhole": finding.Insufficient},
	"starttls-then-plain-may.test":    {"strip.plain-after-ready": finding.Insufficient},
	"command-x-may.test":              {"strip.command-masked": finding.Insufficient},
	"ehlo-x-may.test":                 {"strip.hello-refused": finding.Insufficient},
	"tls.test":                        {"strip.blackhole": ""},
}

func domains() (all []specimen) {
	for domain, finds := range audits {
		all = append(all, specimen{domain, finds, func(*testing.T) look { return lookingAt(domain, onLab, clearOnly) }})
	}
	return all
}

// published is a resolver that also knows records of its own.
type published struct {
	resolver.Resolver
	txt map[string][]string
	caa map[string]string
}

func (p published) Lookup(ctx context.Context, name string, t resolver.Type) (*resolver.Answer, error) {
	answer := &resolver.Answer{Name: name, Type: t, Status: resolver.Insecure, Canonical: name}
	if text, ok := p.txt[name]; ok && t == resolver.TXT {
		answer.TXT = text
		return answer, nil
	}
	if issuer, ok := p.caa[name]; ok && t == resolver.CAA {
		answer.CAA = []resolver.CAARecord{{Tag: "issue", Value: issuer}}
		return answer, nil
	}
	return p.Resolver.Lookup(ctx, name, t)
}

// weeks is an MTA-STS client whose policies are for two weeks; those of the lab are for a day.
type weeks struct{ policy.STS }

func (w weeks) Policy(ctx context.Context, domain string) mtasts.State {
	s := w.STS.Policy(ctx, domain)
	if s.Policy != nil {
		longer := *s.Policy
		longer.MaxAge, s.Policy = 14*24*time.Hour, &longer
	}
	return s
}

// records are what no mail server has to do with.
func records() (all []specimen) {
	for _, row := range []struct {
		name string
		txt  []string
		caa  string
		id   string
		want finding.Verdict
	}{
		{"good", []string{"v=TLSRPTv1; rua=mailto:tls@example.org"}, "", "mail.tlsrpt", finding.Good},
		{"https", []string{"v=TLSRPTv1;rua=https://example.org/tls"}, "", "mail.tlsrpt", finding.Good},
		{"other records", []string{"v=spf1 -all", "v=TLSRPTv1; rua=mailto:tls@example.org"}, "", "mail.tlsrpt", finding.Good},
		{"none", nil, "", "mail.tlsrpt", finding.Sufficient},
		{"two", []string{"v=TLSRPTv1; rua=mailto:a@example.org", "v=TLSRPTv1; rua=mailto:b@example.org"}, "", "mail.tlsrpt", finding.Insufficient},
		{"no address", []string{"v=TLSRPTv1; rua=ftp://example.org"}, "", "mail.tlsrpt", finding.Insufficient},
		{"at the host", nil, "mx.dane-ee.test", "cert.caa", finding.Good},
		{"above it", nil, "dane-ee.test", "cert.caa", finding.Good},
		{"nowhere", nil, "other.test", "cert.caa", finding.Sufficient},
	} {
		publish := func(c *Config) {
			c.Mail.Resolver = published{c.Mail.Resolver, map[string][]string{"_smtp._tls.dane-ee.test": row.txt}, map[string]string{row.caa: "ca.example"}}
		}
		all = append(all, specimen{row.id + "/" + row.name, sightings{row.id: row.want}, func(*testing.T) look {
			return lookingAt("dane-ee.test", onLab, quickly, publish)
		}})
	}
	for url, want := range map[string]finding.Verdict{
		"smtp://mx.dane-ee.test": finding.Good, "smtp://mx.sts-enforce.test": finding.Sufficient, "smtp://127.0.0.1:1": "", // an address
	} {
		all = append(all, specimen{"cert.caa/" + url, sightings{"cert.caa": want}, func(*testing.T) look {
			return lookingAt(url, onLab, func(c *Config) {
				c.Mail.Resolver = published{c.Mail.Resolver, nil, map[string]string{"dane-ee.test": "ca.example"}}
				c.Addresses = func(context.Context, string) ([]string, error) { return nil, errors.New("no address") }
			})
		}})
	}
	long := func(c *Config) { c.Mail.STS = weeks{c.Mail.STS} }
	return append(all, specimen{"mail.sts/weeks", sightings{"mail.sts": finding.Good}, func(*testing.T) look {
		return lookingAt("sts-enforce.test", onLab, quickly, long)
	}})
}
