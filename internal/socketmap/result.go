package socketmap

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"starttls"
	"starttls/internal/policy"
	"starttls/mtasts"
	"starttls/resolver"
	"starttls/tlsrpt"
)

// Result says a plan in the words of Postfix's smtp_tls_policy_maps. A plan demands something of each
// host, and Postfix has one level for all hosts of a destination, so the answer is the mildest of its
// levels that is not milder than the plan for any host:
//
//	dane-only   each host that may be used has TLSA records, and the MX records are secure
//	secure      else, where MTA-STS is enforced: hosts without TLSA records would fall to "may" under
//	            "dane". Hosts with TLSA records are held to MTA-STS then
//	dane        some host has TLSA records, or may have: Postfix looks at each host, and passes over those
//	            whose lookup fails
//	encrypt     memory demands TLS of some host
//	NOTFOUND    nothing is demanded: Postfix does as it is configured
//
// Where no host may be used the answer is TEMP. Facts that have nothing to do with TLS (no such domain, a
// null MX) are NOTFOUND: Postfix finds them itself, and has better words for them.
func Result(p *policy.Plan, v Version) Reply {
	e := evidence(p)
	if o := e.Override; o != nil && (o.Level != starttls.Auto || len(o.Fingerprints) > 0) {
		return overridden(o)
	}
	open, shut := sort(p.Attempts)
	failed := slices.ContainsFunc(shut, func(a policy.Attempt) bool { return !outsidePolicy(a) })
	isDANE := func(a policy.Attempt) bool { return a.Level == starttls.Dane }
	allDANE := len(open) > 0 && !slices.ContainsFunc(open, func(a policy.Attempt) bool { return !isDANE(a) })
	sts := enforced(e)
	switch {
	case p.Refusal != nil && p.Refusal.Temporary():
		return Reply{Status: Temp, Text: oneLine(p.Refusal.Text)}
	case allDANE && (e.Fixed || e.MX != nil && e.MX.Status == resolver.Secure):
		return Reply{Status: OK, Text: "dane-only"}
	case sts != nil:
		return secure(sts, e.STS.Domain, open, shut, v)
	case slices.ContainsFunc(open, demandsMore):
		return more(open, failed || e.Unseen > 0 || slices.ContainsFunc(open, isDANE))
	case failed || e.Unseen > 0 || slices.ContainsFunc(open, func(a policy.Attempt) bool { return a.Source == policy.FromDANE }):
		return Reply{Status: OK, Text: "dane"}
	}
	return Reply{}
}

// STSResult says a plan to programs that have only a word for MTA-STS, and do DANE on their own or not at
// all: "secure" where it is enforced, TEMP where no host may be used, and else nothing.
func STSResult(p *policy.Plan) Reply {
	e := evidence(p)
	if p.Refusal != nil && p.Refusal.Temporary() {
		return Reply{Status: Temp, Text: oneLine(p.Refusal.Text)}
	}
	if sts := enforced(e); sts != nil {
		open, shut := sort(p.Attempts)
		return secure(sts, e.STS.Domain, open, shut, Oldest)
	}
	return Reply{}
}

func evidence(p *policy.Plan) *policy.Evidence {
	if p.Evidence == nil {
		return &policy.Evidence{}
	}
	return p.Evidence
}

// enforced returns the MTA-STS policy that must be obeyed, or nil.
func enforced(e *policy.Evidence) *mtasts.Policy {
	if sts := e.STS.Policy; sts != nil && sts.Mode == mtasts.Enforce {
		return sts
	}
	return nil
}

// sort tells the hosts that may be used from those that must not. Hosts without an address are neither:
// Postfix cannot reach them. A host whose addresses could not be looked up must not be used.
func sort(all []policy.Attempt) (open, shut []policy.Attempt) {
	for _, a := range all {
		switch {
		case a.Refusal == nil && len(a.Addrs) > 0:
			open = append(open, a)
		case a.Refusal != nil && a.Refusal.Temporary():
			shut = append(shut, a)
		}
	}
	return open, shut
}

// outsidePolicy reports whether a host is refused because MTA-STS does not list it.
func outsidePolicy(a policy.Attempt) bool {
	return a.Refusal.Failure != nil && a.Refusal.Failure.Reason == tlsrpt.ReasonMXNotInPolicy
}

// demandsMore reports whether more is demanded of a host than "dane" would.
func demandsMore(a policy.Attempt) bool {
	return a.Level >= starttls.Encrypt && a.Level != starttls.Dane && a.Source != policy.FromDANE
}

// more is the answer where memory demands something. Next to a host that has TLSA records, or may have,
// "encrypt" would be too mild for that host, and "dane" for the other: that leaves the one host.
func more(open []policy.Attempt, dane bool) Reply {
	if dane {
		return Reply{Status: OK, Text: "dane-only"}
	}
	level, names := starttls.Encrypt, []string(nil)
	for _, a := range open {
		level, names = max(level, a.Level), append(names, a.Names...)
	}
	return named(level, names)
}

// overridden is the answer where the operator has set the level.
func overridden(o *policy.Override) Reply {
	if len(o.Fingerprints) == 0 {
		return named(o.Level, o.Names)
	}
	prints := make([]string, len(o.Fingerprints))
	for i, print := range o.Fingerprints {
		prints[i] = strings.ReplaceAll(fmt.Sprintf("% X", print), " ", ":")
	}
	return Reply{Status: OK, Text: "fingerprint match=" + strings.Join(prints, "|")}
}

// named is a level, and at those that check a name the names. Without any the level means Postfix's own.
func named(level starttls.Level, names []string) Reply {
	text := level.String()
	if level != starttls.Verify && level != starttls.Secure {
		return Reply{Status: OK, Text: text}
	}
	if match := matches(names); len(match) > 0 {
		text += " match=" + strings.Join(match, ":")
	} else if len(names) > 0 {
		return Reply{Status: Temp, Text: "none of the names that are demanded is a host name"}
	}
	return Reply{Status: OK, Text: text + " servername=hostname"}
}

// secure is the answer where MTA-STS is enforced.
func secure(sts *mtasts.Policy, domain string, open, shut []policy.Attempt, v Version) Reply {
	patterns := slices.DeleteFunc(slices.Clone(sts.MX), func(s string) bool { return !isPattern(s) })
	if slices.ContainsFunc(shut, func(a policy.Attempt) bool { return !outsidePolicy(a) && sts.Matches(a.Host) }) {
		// "secure" does not look at TLSA records: by the policy's patterns Postfix would use a host whose
		// lookup failed (RFC 7672 §2.1.1). By the names of the others it does not.
		patterns = patterns[:0]
		for _, a := range open {
			if sts.Matches(a.Host) && isPattern(a.Host) {
				patterns = append(patterns, a.Host)
			}
		}
	}
	if len(patterns) == 0 {
		return Reply{Status: Temp, Text: "the MTA-STS policy leaves no host that may be used"}
	}
	r := Reply{Status: OK, Text: "secure match=" + strings.Join(matches(patterns), ":") + " servername=hostname"}
	if v.atLeast(reports) && isPattern(domain) {
		r.Short, r.Text = r.Text, r.Text+reporting(sts, domain, patterns)
	}
	return r
}

// reporting is what Postfix 3.10 wants to know for reports, and 3.10.5 to pass over hosts that are not in
// the policy. The policy is told by what was understood of it, in the order of RFC 8461 §3.2: its text
// is a stranger's.
func reporting(sts *mtasts.Policy, domain string, patterns []string) string {
	var b strings.Builder
	b.WriteString(" policy_type=sts policy_domain=" + domain)
	for _, mx := range patterns {
		b.WriteString(" mx_host_pattern=" + mx)
	}
	b.WriteString(" { policy_string = version: STSv1 } { policy_string = mode: enforce }")
	for _, mx := range sts.MX {
		if isPattern(mx) {
			b.WriteString(" { policy_string = mx: " + mx + " }")
		}
	}
	fmt.Fprintf(&b, " { policy_string = max_age: %d }", int64(sts.MaxAge.Seconds()))
	return b.String()
}

// matches turns patterns into Postfix's: ".example.net" for "*.example.net". What is neither is left out.
func matches(patterns []string) (match []string) {
	for _, pattern := range patterns {
		if isPattern(pattern) || isPattern(strings.TrimPrefix(pattern, ".")) {
			match = append(match, strings.TrimPrefix(pattern, "*"))
		}
	}
	return match
}

// isPattern reports whether a string is a host name or "*." and one, as Postfix takes them. All that comes
// from strangers passes here on its way into an answer: it then holds nothing that Postfix takes apart,
// and nothing for which it would defer the mail.
func isPattern(s string) bool {
	s = strings.TrimPrefix(s, "*.")
	if len(s) > 253 || strings.Trim(s, "0123456789.") == "" { // an address at best
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, notHost) ||
			label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

func notHost(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
}

// oneLine makes a reason fit for a log.
func oneLine(s string) string {
	const limit = 500
	s = strings.Map(func(c rune) rune {
		if c > unicode.MaxASCII || !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, s)
	return s[:min(len(s), limit)]
}
