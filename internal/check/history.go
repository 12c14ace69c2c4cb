package check

import (
	"cmp"
	"fmt"
	"iter"
	"net"
	"slices"
	"strings"
	"time"

	"starttls/internal/finding"
)

// An aspect is something of which a change is worth telling. Two runs may know of it or not: only who has asked
// does, and a server that has put us off has told nothing.
type aspect[T any] struct {
	what string
	// compare returns how it was and is, the same words if nothing has changed. ok is false if either does not
	// know.
	compare func(was, is *T) (from, to string, ok bool)
}

// valued is an aspect of which both have a value. A value is "" if it is not known.
func valued[T any](what string, value func(*T) string) aspect[T] {
	return aspect[T]{what, func(was, is *T) (from, to string, ok bool) {
		from, to = value(was), value(is)
		return from, to, from != "" && to != ""
	}}
}

var aspectsOfServices = []aspect[finding.Service]{
	valued("reach", func(s *finding.Service) string {
		return map[finding.Outcome]string{finding.Tested: "it answers", finding.NoTLS: "it answers", finding.Unreachable: "it cannot be reached"}[s.Outcome]
	}),
	valued("tls", func(s *finding.Service) string {
		switch {
		case offers(s):
			return "offered"
		case spoke(s):
			return "not offered"
		}
		return ""
	}),
	valued("versions", versionsOf),
	{"certificate", compareCertificates},
}

var aspectsOfTargets = []aspect[finding.Result]{
	valued("mx", hostsOf),
	valued("mx-signed", ofHosts(func(d *finding.Domain) string { return yes(d.Secure) })),
	valued("mta-sts", ofHosts(func(d *finding.Domain) string { return cmp.Or(d.STS, "none") })),
	{"plan", comparePlans},
}

// versionsOf returns the versions of TLS that a service speaks, if all of them are known.
func versionsOf(s *finding.Service) string {
	if s.Quick || s.Outcome != finding.Tested || s.Why != "" {
		return ""
	}
	var all []string
	for _, f := range s.Facts {
		if f.Kind == "version" {
			all = append(all, f.Value)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// compareCertificates takes those for other clients into account: a server with two shows now one and now the
// other.
func compareCertificates(was, is *finding.Service) (from, to string, ok bool) {
	if len(was.Chain) == 0 || len(is.Chain) == 0 {
		return "", "", false
	}
	leaf := is.Chain[0]
	known := shown(was)
	at := slices.IndexFunc(known, func(c finding.Certificate) bool { return c.SPKI == leaf.SPKI })
	switch {
	case at < 0:
		return pinned(known[0]), pinned(leaf), true
	case known[at].SHA256 == leaf.SHA256:
		return "", "", true
	}
	return pinned(known[at]), fmt.Sprintf("the same key, until %s, by %s", leaf.NotAfter.Format(time.DateOnly), leaf.Issuer), true
}

// pinned tells a certificate by its key.
func pinned(c finding.Certificate) string {
	return fmt.Sprintf("%s %.16s…, until %s, by %s", c.Key, c.SPKI, c.NotAfter.Format(time.DateOnly), c.Issuer)
}

// ofHosts returns a value of domains that have hosts, as far as that is known.
func ofHosts(value func(*finding.Domain) string) func(*finding.Result) string {
	return func(r *finding.Result) string {
		if r.Domain == nil || len(r.Domain.MX) == 0 {
			return ""
		}
		return value(r.Domain)
	}
}

// hostsOf lists the MX records of a domain, if the DNS has told them.
func hostsOf(r *finding.Result) string {
	told := func(f finding.Finding) bool {
		return f.ID == "mail.mx" && (f.Verdict == finding.Good || f.Verdict == finding.NotApplicable)
	}
	if r.Domain == nil || !slices.ContainsFunc(r.Findings, told) {
		return ""
	}
	var all []string
	for _, mx := range r.Domain.MX {
		all = append(all, fmt.Sprintf("%d %s", mx.Pref, mx.Host))
	}
	slices.Sort(all)
	return cmp.Or(strings.Join(all, ", "), "none")
}

// comparePlans tells the hosts of which a careful sender demands something else.
func comparePlans(was, is *finding.Result) (from, to string, ok bool) {
	if was.Domain == nil || is.Domain == nil {
		return "", "", false
	}
	var before, now []string
	for _, mx := range is.Domain.MX {
		at := slices.IndexFunc(was.Domain.MX, func(old finding.MX) bool { return old.Host == mx.Host })
		if at >= 0 && was.Domain.MX[at].Level != mx.Level {
			before = append(before, mx.Host+" "+was.Domain.MX[at].Level)
			now = append(now, mx.Host+" "+mx.Level)
		}
	}
	return strings.Join(before, ", "), strings.Join(now, ", "), true
}

// Since tells in r what is otherwise than in the runs before, of which the newest is the first, and what is
// the work of somebody who strips. It returns the run that has found the same with as many questions, nil if
// there is none. tell, if not nil, is told each finding.
func Since(r *finding.Result, past []finding.Run, tell func(*finding.Service, finding.Finding)) *finding.Run {
	if len(past) == 0 {
		return nil
	}
	r.Before = &past[0].Last
	var same *finding.Run
	like := slices.DeleteFunc(slices.Clone(past), func(run finding.Run) bool { return quick(run.Result) != quick(r) })
	if changes(r, like); len(like) > 0 && r.Changed() == 0 {
		same = &like[0]
	}
	changes(r, past)
	for i := range r.Services {
		s := &r.Services[i]
		stripped(appending(s, tell), s, runsOf(past, s))
	}
	r.Settle()
	return same
}

func quick(r *finding.Result) bool {
	return slices.ContainsFunc(r.Services, func(s finding.Service) bool { return s.Quick })
}

// changes fills in what has changed since runs.
func changes(r *finding.Result, past []finding.Run) {
	whole := func(yield func(time.Time, *finding.Result) bool) {
		for _, run := range past {
			if !yield(run.Last, run.Result) {
				return
			}
		}
	}
	r.Changes = differences(aspectsOfTargets, r, whole, func(r *finding.Result) []finding.Finding { return r.Findings })
	for i := range r.Services {
		s := &r.Services[i]
		s.Changes = differences(aspectsOfServices, s, runsOf(past, s), func(s *finding.Service) []finding.Finding { return s.Findings })
	}
}

// differences compares something with how it was in the last run that knows, aspect by aspect, and then finding
// by finding: what has become bad, or is not any more.
func differences[T any](aspects []aspect[T], is *T, before iter.Seq2[time.Time, *T], findings func(*T) []finding.Finding) (all []finding.Change) {
	for _, f := range findings(is) {
		aspects = append(slices.Clip(aspects), aspect[T]{f.ID, func(was, _ *T) (from, to string, ok bool) {
			at := slices.IndexFunc(findings(was), func(old finding.Finding) bool { return old.ID == f.ID })
			if at < 0 || !tells(f) || !tells(findings(was)[at]) {
				return "", "", false
			}
			if old := findings(was)[at]; old.Verdict.Bad() != f.Verdict.Bad() {
				from, to = string(old.Verdict), string(f.Verdict)
			}
			return from, to, true
		}})
	}
	for _, a := range aspects {
		for at, was := range before {
			from, to, ok := a.compare(was, is)
			if ok && from != to {
				all = append(all, finding.Change{What: a.what, Since: at, Was: from, Is: to})
			}
			if ok {
				break
			}
		}
	}
	return all
}

// tells reports whether a finding says something of the target.
func tells(f finding.Finding) bool {
	return f.Verdict != finding.NotTestable && f.Verdict != finding.NotApplicable
}

// runsOf returns a service as runs have found it: at its address, or at any of its host's if nobody was ever
// at that one.
func runsOf(past []finding.Run, s *finding.Service) iter.Seq2[time.Time, *finding.Service] {
	at := func(old *finding.Service) bool { return old.Protocol == s.Protocol && old.Address == s.Address }
	if !slices.ContainsFunc(past, func(run finding.Run) bool { return first(run.Result, at) != nil }) {
		at = func(old *finding.Service) bool {
			return old.Protocol == s.Protocol && old.Host == s.Host && portOf(old) == portOf(s)
		}
	}
	return func(yield func(time.Time, *finding.Service) bool) {
		for _, run := range past {
			if old := first(run.Result, at); old != nil && !yield(run.Last, old) {
				return
			}
		}
	}
}

func first(r *finding.Result, like func(*finding.Service) bool) *finding.Service {
	for i := range r.Services {
		if like(&r.Services[i]) {
			return &r.Services[i]
		}
	}
	return nil
}

func portOf(s *finding.Service) string {
	_, port, _ := net.SplitHostPort(s.Address)
	return port
}

// stripped tells what was there before and is not: for as long as a run that has seen it is kept, since whoever
// strips does not stop after one.
func stripped(l *ledger, is *finding.Service, before iter.Seq2[time.Time, *finding.Service]) {
	const day = "2006-01-02 15:04"
	for at, was := range before {
		if spoke(is) && !offers(is) && offers(was) {
			l.graded("strip.capability-removed", finding.Possible, fmt.Sprintf("it offered TLS on %s; now: %s", at.Format(day), cmp.Or(is.Why, offerOf(is))))
			break
		}
	}
	for at, was := range before {
		if trustworthy(was) && len(is.Chain) > 0 {
			if !trustworthy(is) && otherHands(was, is) {
				l.graded("strip.tls-intercepted", finding.Possible, fmt.Sprintf("on %s: a key of %s, which is trusted; now: one of %s, which is not", at.Format(day), was.Chain[0].Issuer, is.Chain[0].Issuer))
			}
			break
		}
	}
}

// trustworthy reports whether clients of users trust what the service shows.
func trustworthy(s *finding.Service) bool {
	return slices.ContainsFunc(s.Findings, func(f finding.Finding) bool { return f.ID == "cert.trusted" && f.Verdict == finding.Good })
}
