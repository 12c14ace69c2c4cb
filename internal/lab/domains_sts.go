package lab

import (
	"strings"

	"starttls"
	"starttls/internal/zone"
	"starttls/tlsrpt"
)

// unsigned zones have no DNSSEC, so that nothing but MTA-STS protects.
var unsigned = zone.Config{Unsigned: true}

// plainly is the outcome for who knows no MTA-STS and finds no TLSA.
func plainly() *Outcome {
	o := delivered(starttls.May, "there is no TLSA")
	return &o
}

func plainlyClear() *Outcome {
	o := inClear("there is no TLSA, and no STARTTLS")
	return &o
}

func plainlyBy(host string) *Outcome {
	o := plainly().by(host)
	return &o
}

// fetched are domains whose policy cannot be had, for one reason each.
func fetched(name, about string, result tlsrpt.ResultType, why string, s sts) row {
	return row{
		name: name, about: about, zone: unsigned, mx: []mx{{leaf: leaf{by: bySelf}}}, sts: &s, dane: plainly(),
		want: delivered(starttls.May, why+", and none is known from before").told(tlsrpt.STS, result, ""),
	}
}

// longPolicy returns a right policy for a domain's host mx, n bytes long.
func longPolicy(name string, n int) string {
	const field, line = "extension: ", "extension: value\n"
	text := "version: STSv1\nmode: enforce\nmax_age: 86400\nmx: mx." + name + "." + top + "\n"
	text += strings.Repeat(line, (n-len(text))/len(line)-1)
	return text + field + strings.Repeat("x", n-len(text)-len(field)-1) + "\n"
}

const noPolicy = "there is no policy"

// stsRows are domains with MTA-STS (RFC 8461).
var stsRows = []row{
	{
		name: "sts-enforce", about: "MTA-STS enforce, all as it should be", zone: unsigned,
		mx: []mx{{}}, sts: &sts{}, dane: plainly(),
		want: delivered(starttls.Secure, "the MX is in the policy, its certificate is trusted and for its name"),
	},
	{
		name: "sts-wildcard", about: "MTA-STS enforce, with a pattern", zone: unsigned,
		mx: []mx{{}}, sts: &sts{mx: []string{"*.sts-wildcard.test"}}, dane: plainly(),
		want: delivered(starttls.Secure, "the MX fits the pattern"),
	},
	{
		name: "sts-testing", about: "MTA-STS testing, all as it should be", zone: unsigned,
		mx: []mx{{}}, sts: &sts{mode: "testing"}, dane: plainly(),
		want: delivered(starttls.May, "in testing mode nothing is enforced; the success is counted"),
	},
	{
		name: "sts-none", about: "MTA-STS none, and a server without STARTTLS", zone: unsigned,
		mx: []mx{{clear: true}}, sts: &sts{text: "version: STSv1\nmode: none\nmax_age: 86400\n"}, dane: plainlyClear(),
		want: inClear("the policy says that there is none"),
	},
	{
		name: "sts-mismatch", about: "MTA-STS enforce, the MX is not in the policy", zone: unsigned,
		mx: []mx{{}}, sts: &sts{mx: []string{"mail.sts-mismatch.test"}}, dane: plainly(),
		want: refused("451 4.7.5", "the MX must not be used (RFC 8461 §5)").told(tlsrpt.STS, tlsrpt.ValidationFailure, tlsrpt.ReasonMXNotInPolicy),
	},
	{
		name: "sts-second", about: "MTA-STS enforce, the first MX is not in the policy, the second is", zone: unsigned,
		mx: []mx{{name: "mx1"}, {name: "mx2"}}, sts: &sts{mx: []string{"mx2.sts-second.test"}}, dane: plainly(),
		want: delivered(starttls.Secure, "the first host is passed over").by("mx2").told(tlsrpt.STS, tlsrpt.ValidationFailure, tlsrpt.ReasonMXNotInPolicy),
	},
	{
		name: "sts-no-tls", about: "MTA-STS enforce, and a server without STARTTLS", zone: unsigned,
		mx: []mx{{clear: true}}, sts: &sts{}, dane: plainlyClear(),
		want: refused("451 4.7.4", "the policy demands TLS").told(tlsrpt.STS, tlsrpt.StartTLSNotSupported, ""),
	},
	{
		name: "sts-expired", about: "MTA-STS enforce, the MX's certificate has expired", zone: unsigned,
		mx: []mx{{leaf: leaf{expired: true}}}, sts: &sts{}, dane: plainly(),
		want: refused("451 4.7.5", "the certificate has expired").told(tlsrpt.STS, tlsrpt.CertificateExpired, ""),
	},
	{
		name: "sts-untrusted", about: "MTA-STS enforce, the MX's certificate is of a CA that nobody trusts", zone: unsigned,
		mx: []mx{{leaf: leaf{by: byPrivate}}}, sts: &sts{}, dane: plainly(),
		want: refused("451 4.7.5", "the certificate is not trusted").told(tlsrpt.STS, tlsrpt.CertificateNotTrusted, ""),
	},
	{
		name: "sts-self-signed", about: "MTA-STS enforce, the MX's certificate is self-signed", zone: unsigned,
		mx: []mx{{leaf: leaf{by: bySelf}}}, sts: &sts{}, dane: plainly(),
		want: refused("451 4.7.5", "the certificate is not trusted").told(tlsrpt.STS, tlsrpt.CertificateNotTrusted, ""),
	},
	{
		name: "sts-name", about: "MTA-STS enforce, the MX's certificate is for another name", zone: unsigned,
		mx: []mx{{leaf: leaf{name: "other.test"}}}, sts: &sts{}, dane: plainly(),
		want: refused("451 4.7.5", "the certificate is for another name").told(tlsrpt.STS, tlsrpt.CertificateHostMismatch, ""),
	},
	{
		name: "sts-name-pattern", about: "MTA-STS enforce, the MX's certificate fits the pattern and not the MX", zone: unsigned,
		mx: []mx{{leaf: leaf{name: "mail.sts-name-pattern.test"}}}, sts: &sts{mx: []string{"*.sts-name-pattern.test"}}, dane: plainly(),
		want: refused("451 4.7.5", "the name that counts is the MX's own (RFC 8461 §4.2)").told(tlsrpt.STS, tlsrpt.CertificateHostMismatch, ""),
	},
	{
		name: "sts-old-tls", about: "MTA-STS enforce, and TLS 1.1 at most", zone: unsigned,
		mx: []mx{{old: true}}, sts: &sts{}, dane: plainly(),
		want: refused("451 4.7.5", "a policy demands TLS 1.2 (RFC 8461 §4.2)").told(tlsrpt.STS, tlsrpt.ValidationFailure, ""),
	},
	{
		name: "sts-testing-no-tls", about: "MTA-STS testing, and a server without STARTTLS", zone: unsigned,
		mx: []mx{{clear: true}}, sts: &sts{mode: "testing"}, dane: plainlyClear(),
		want: inClear("in testing mode nothing is enforced, but told").told(tlsrpt.STS, tlsrpt.StartTLSNotSupported, ""),
	},
	{
		name: "sts-testing-name", about: "MTA-STS testing, the MX's certificate is for another name", zone: unsigned,
		mx: []mx{{leaf: leaf{name: "other.test"}}}, sts: &sts{mode: "testing"}, dane: plainly(),
		want: delivered(starttls.May, "in testing mode nothing is enforced, but told").told(tlsrpt.STS, tlsrpt.CertificateHostMismatch, ""),
	},
	{
		name: "sts-testing-mismatch", about: "MTA-STS testing, the MX is not in the policy", zone: unsigned,
		mx: []mx{{}}, sts: &sts{mode: "testing", mx: []string{"mail.sts-testing-mismatch.test"}}, dane: plainly(),
		want: delivered(starttls.May, "in testing mode nothing is enforced, but told").told(tlsrpt.STS, tlsrpt.ValidationFailure, tlsrpt.ReasonMXNotInPolicy),
	},
	{
		name: "sts-down-second", about: "MTA-STS enforce, the first MX is down", zone: unsigned,
		mx: []mx{{name: "mx1", down: true}, {name: "mx2"}}, sts: &sts{mx: []string{"*.sts-down-second.test"}}, dane: plainlyBy("mx2"),
		want: delivered(starttls.Secure, "the second host is held to the policy as well").by("mx2"),
	},
	{
		name: "sts-and-dane", about: "MTA-STS enforce and TLSA, both right",
		mx: []mx{{tlsa: right}}, sts: &sts{},
		want: delivered(starttls.Dane, "DANE comes first"),
	},
	{
		name: "sts-dane-wrong", about: "MTA-STS enforce is fulfilled, TLSA is of another key",
		mx: []mx{{tlsa: []string{"3 1 1 other"}}}, sts: &sts{},
		want: noMatch(refused("451 4.7.5", "MTA-STS does not override DANE (RFC 8461 §2)")),
	},
	{
		name: "sts-wrong-dane", about: "TLSA is right, MTA-STS enforce is not fulfilled: a hoster's own CA",
		mx: []mx{{tlsa: right, leaf: leaf{by: byPrivate}}}, sts: &sts{},
		want: delivered(starttls.Dane, "DANE comes first, and is fulfilled"),
	},
	{
		name: "sts-dane-mixed", about: "MTA-STS enforce; the first MX has TLSA of another key, the second has none",
		mx: []mx{{name: "mx1", tlsa: []string{"3 1 1 other"}}, {name: "mx2"}}, sts: &sts{mx: []string{"*.sts-dane-mixed.test"}},
		dane: func() *Outcome {
			o := noMatch(delivered(starttls.May, "each host is judged by its own records")).by("mx2")
			return &o
		}(),
		want: noMatch(delivered(starttls.Secure, "the first host by DANE, the second by MTA-STS")).by("mx2"),
	},
	{
		name: "sts-dane-unusable", about: "MTA-STS enforce; TLSA 1 1 1 alone, a self-signed certificate",
		mx: []mx{{tlsa: []string{"1 1 1 leaf"}, leaf: leaf{by: bySelf}}}, sts: &sts{},
		dane: func() *Outcome { o := delivered(starttls.Encrypt, "no record is usable"); return &o }(),
		want: refused("451 4.7.5", "no record is usable, so MTA-STS decides").told(tlsrpt.STS, tlsrpt.CertificateNotTrusted, ""),
	},
	{
		name: "sts-requiretls", about: "MTA-STS enforce, and REQUIRETLS is offered inside TLS", zone: unsigned,
		mx: []mx{{requireTLS: true}}, sts: &sts{}, dane: plainly(),
		want: delivered(starttls.Secure, "a message with REQUIRETLS may go there too (RFC 8689)"),
	},

	fetched("sts-404", "the policy host has no policy", tlsrpt.STSPolicyFetchError, noPolicy, sts{host: policyMissing}),
	fetched("sts-500", "the policy host fails", tlsrpt.STSPolicyFetchError, noPolicy, sts{host: policyBroken}),
	fetched("sts-redirect", "the policy host redirects", tlsrpt.STSPolicyFetchError, "redirects are not followed (RFC 8461 §3.3)", sts{host: policyRedirected}),
	fetched("sts-html", "the policy comes as text/html", tlsrpt.STSPolicyInvalid, "it must be text/plain (RFC 8461 §3.2)", sts{host: policyHTML}),
	fetched("sts-endless", "the policy does not end", tlsrpt.STSPolicyInvalid, "nobody reads more than 64 KiB (RFC 8461 §3.3)", sts{host: policyEndless}),
	fetched("sts-too-long", "the policy is one byte longer than 64 KiB", tlsrpt.STSPolicyInvalid, "nobody reads more than 64 KiB (RFC 8461 §3.3)", sts{text: longPolicy("sts-too-long", 64<<10+1)}),
	fetched("sts-down", "the policy host refuses connections", tlsrpt.STSPolicyFetchError, noPolicy, sts{host: policyDown}),
	fetched("sts-nowhere", "the policy host has no address", tlsrpt.STSPolicyFetchError, noPolicy, sts{host: policyNowhere}),
	fetched("sts-web-expired", "the policy host's certificate has expired", tlsrpt.STSWebPKIInvalid, noPolicy, sts{leaf: leaf{expired: true}}),
	fetched("sts-web-untrusted", "the policy host's certificate is not trusted", tlsrpt.STSWebPKIInvalid, noPolicy, sts{leaf: leaf{by: byPrivate}}),
	fetched("sts-web-name", "the policy host's certificate is for another name", tlsrpt.STSWebPKIInvalid, noPolicy, sts{leaf: leaf{name: "other.test"}}),
	fetched("sts-no-max-age", "the policy has no max_age", tlsrpt.STSPolicyInvalid, noPolicy, sts{text: "version: STSv1\nmode: enforce\nmx: mx.sts-no-max-age.test\n"}),
	fetched("sts-bad-mx", "the policy has a pattern that is none", tlsrpt.STSPolicyInvalid, noPolicy, sts{mx: []string{"*"}}),
	fetched("sts-empty", "the policy is empty", tlsrpt.STSPolicyInvalid, noPolicy, sts{text: "\n"}),
	func() row {
		r := fetched("sts-slow", "the policy comes a byte a second", tlsrpt.STSPolicyFetchError, "nobody waits longer than a minute (RFC 8461 §3.3)", sts{host: policySlow})
		r.slow = true
		return r
	}(),
	{
		name: "sts-long", about: "MTA-STS enforce, the policy is 64 KiB long", zone: unsigned, dane: plainly(),
		mx: []mx{{}}, sts: &sts{text: longPolicy("sts-long", 64<<10)},
		want: delivered(starttls.Secure, "so much is read (RFC 8461 §3.3), and extensions are passed over"),
	},
	{
		name: "sts-hosted", about: "MTA-STS enforce; record and policy host are aliases of a hoster's", zone: unsigned, dane: plainly(),
		mx: []mx{{}}, sts: &sts{hosted: true},
		want: delivered(starttls.Secure, "aliases are followed; the certificate is for mta-sts.sts-hosted.test (RFC 8461 §3.3)"),
	},
	{
		name: "sts-two-records", about: "two TXT records, both right", zone: unsigned, dane: plainly(),
		mx: []mx{{leaf: leaf{by: bySelf}}}, sts: &sts{records: []string{"v=STSv1; id=1;", "v=STSv1; id=2;"}},
		want: delivered(starttls.May, "there must be one (RFC 8461 §3.1), so there is none").told(tlsrpt.STS, tlsrpt.STSPolicyInvalid, ""),
	},
	{
		name: "sts-long-record", about: "a TXT record of 60,000 bytes, in pieces, with extensions", zone: unsigned, dane: plainly(),
		mx: []mx{{}}, sts: &sts{records: []string{"v=STSv1; id=1; " + strings.Repeat("extension=value; ", 3529)}},
		want: delivered(starttls.Secure, "extensions are passed over"),
	},
}
