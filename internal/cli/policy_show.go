package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"starttls"
	"starttls/dane"
	"starttls/internal/finding"
	"starttls/internal/policy"
	"starttls/resolver"
	"starttls/tlsrpt"
)

// treeOf is a plan and all it rests on, for a person to read.
func treeOf(i *inspection) *branch {
	p := i.plan
	root := &branch{text: p.Domain + ": " + i.sum()}
	e := p.Evidence
	if r := p.Refusal; r != nil && len(p.Attempts) == 0 && e.MXErr == nil {
		root.add(finding.Clean(r.Text))
	}
	showMX(root, e)
	showSTS(root, e)
	if o := e.Override; o != nil {
		word := o.Level.String()
		if len(o.Fingerprints) > 0 {
			word = "a fingerprint"
		}
		root.add("the operator demands " + word)
	}
	for n := range p.Attempts {
		showHost(root, i, n)
	}
	return root
}

// sum is the plan in a few words.
func (i *inspection) sum() string {
	p := i.plan
	if p.Refusal != nil {
		return fmt.Sprintf("no mail goes there now, %d %s", p.Refusal.Code, p.Refusal.Enhanced)
	}
	var levels []string
	for _, a := range p.Attempts {
		if word := a.Level.String(); a.Refusal == nil && !slices.Contains(levels, word) {
			levels = append(levels, word)
		}
	}
	return strings.Join(levels, " or ")
}

// trust says how far an answer can be trusted.
func trust(a *resolver.Answer) string {
	if a.Why == "" {
		return "(" + a.Status.String() + ")"
	}
	return "(" + a.Status.String() + ": " + finding.Clean(a.Why) + ")"
}

// fault tells of a lookup that failed, without saying again what was asked.
func fault(err error) string {
	if e, ok := errors.AsType[*resolver.Error](err); ok {
		return e.Status.String() + ": " + finding.Clean(e.Err.Error())
	}
	return finding.Clean(err.Error())
}

func showMX(root *branch, e *policy.Evidence) {
	switch {
	case e.MXErr != nil:
		root.add("MX failed, " + fault(e.MXErr))
		return
	case e.MX == nil:
		return // was not asked for
	}
	a := e.MX
	var hosts []string
	for _, h := range e.Hosts {
		hosts = append(hosts, fmt.Sprintf("%d%s%s", h.Pref, tie, finding.Clean(h.Name)))
	}
	text := strings.Join(hosts, ", ")
	switch {
	case a.NoName:
		text = "there is no such domain"
	case len(a.MX) == 0:
		text = "none; the domain is its own host"
	case len(e.Hosts) == 0:
		text = "the domain takes no mail"
	case e.Unseen > 0:
		text += fmt.Sprintf(", and %d more, which are not looked at", e.Unseen)
	}
	b := root.add("MX " + trust(a) + ": " + text)
	if a.Canonical != e.Domain {
		b.add(e.Domain + " is an alias of " + a.Canonical)
	}
}

func showSTS(root *branch, e *policy.Evidence) {
	s := e.STS
	switch {
	case s.Policy == nil && s.Err != nil:
		root.add("MTA-STS could not be had: " + finding.Clean(s.Err.Error()))
		return
	case s.Policy == nil && s.Domain != "":
		root.add("MTA-STS: none is announced")
		return
	case s.Policy == nil:
		return
	}
	end := s.Fetched.Add(s.Policy.MaxAge)
	b := root.add(fmt.Sprintf("MTA-STS %s, id %s, fetched %s, in force until %s", s.Policy.Mode, finding.Clean(s.ID), ago(e.At.Sub(s.Fetched)), end.UTC().Format(time.DateOnly)))
	if s.Err != nil {
		b.add("it could not be renewed: " + finding.Clean(s.Err.Error()))
	}
	lines := strings.FieldsFunc(s.Policy.Text, func(c rune) bool { return c == '\r' || c == '\n' })
	for n, line := range lines {
		if n == mostShown {
			b.add(fmt.Sprintf("and %d more lines", len(lines)-n))
			break
		}
		b.add(finding.Clean(line))
	}
}

// mostShown bounds what is told of one list.
const mostShown = 12

func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "just now"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes ago", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours ago", d/time.Hour)
	}
	return fmt.Sprintf("%d days ago", d/(24*time.Hour))
}

// showHost tells of one host: what DNS says, what is demanded, and what may go wrong.
func showHost(root *branch, i *inspection, n int) {
	a, h := &i.plan.Attempts[n], &i.plan.Evidence.Hosts[n]
	name := a.Host
	if name == "" {
		name = i.plan.Domain
	}
	verdict := a.Level.String()
	if a.Refusal != nil {
		verdict = fmt.Sprintf("passed over, %d %s", a.Refusal.Code, a.Refusal.Enhanced)
	}
	b := root.add(fmt.Sprintf("%s: %s", finding.Clean(name), verdict))
	for _, s := range h.DANE.Steps {
		showStep(b, s, h)
	}
	if s := h.Seen; s != nil {
		b.add(fmt.Sprintf("memory: it gave TLS on %s", s.Last.UTC().Format(time.DateOnly)))
	}
	b.add("because " + finding.Clean(a.Why))
	if a.Refusal == nil {
		showDemand(b, a)
	}
	for _, w := range a.Watch {
		if len(w.Policy.String) == 0 {
			continue // it could not be had, which was told above
		}
		text := fmt.Sprintf("judged and reported, not enforced: %s", w.Source)
		if w.Failure != nil {
			text += ", which fails: " + finding.Clean(w.Failure.Info)
		}
		b.add(text)
	}
	for _, text := range i.live[n] {
		b.add(finding.Clean(text))
	}
}

// showStep tells of one answer.
func showStep(b *branch, s dane.Step, h *policy.Host) {
	what := s.Type.String()
	if s.Type == resolver.TLSA {
		what += " of " + s.Name
	}
	switch {
	case s.Err != nil:
		b.add(what + " failed, " + fault(s.Err))
		return
	case s.Answer.Empty():
		b.add(what + " " + trust(s.Answer) + ": none")
		return
	}
	text := what + " " + trust(s.Answer) + ":"
	for _, addr := range s.Answer.Addrs {
		text += " " + addr.String()
	}
	if s.Type == resolver.CNAME {
		text += " " + s.Answer.CNAME
	} else if s.Answer.Canonical != s.Name {
		text += ", by way of " + s.Answer.Canonical
	}
	kid := b.add(strings.TrimSuffix(text, ":"))
	for n, r := range s.Answer.TLSA {
		if n == mostShown {
			kid.add(fmt.Sprintf("and %d more", len(s.Answer.TLSA)-n))
			break
		}
		kid.add(showRecord(r, h.DANE.Dropped))
	}
}

// showRecord tells of a record, and why it does not count if it does not.
func showRecord(r resolver.TLSARecord, dropped []dane.Dropped) string {
	text := r.String()
	if const64 := len("3 1 1 ") + 64; len(text) > const64 {
		text = text[:const64] + "…"
	}
	for _, d := range dropped {
		if d.Record.String() == r.String() {
			return text + ": does not count, " + d.Why
		}
	}
	return text
}

// showDemand tells what a session must be, and what may go wrong.
func showDemand(b *branch, a *policy.Attempt) {
	usage2 := slices.ContainsFunc(a.TLSA, func(r resolver.TLSARecord) bool { return r.Usage == 2 })
	if a.Level == starttls.Verify || a.Level == starttls.Secure || usage2 {
		b.add("the certificate must be for " + strings.Join(a.Names, " or "))
	}
	for _, text := range risks(a) {
		b.add("! " + text)
	}
	if a.Failure != nil && a.Failure.Type != tlsrpt.TLSAInvalid {
		b.add("! " + finding.Clean(a.Failure.Info))
	}
}

// risks tells what may go wrong under a level.
func risks(a *policy.Attempt) (all []string) {
	switch a.Level {
	case starttls.None, starttls.May:
		all = append(all, "whoever is on the path can take TLS away and read all")
	case starttls.Encrypt:
		all = append(all, "any certificate will do: whoever is on the path can be the server")
	case starttls.Dane:
		all = append(all, "a new key or certificate that the records do not have yet stops mail")
	case starttls.Secure, starttls.Verify:
		all = append(all, "a certificate that has ended, or is for other names, stops mail")
	}
	if a.Level == starttls.Verify {
		all = append(all, "the name is from DNS: whoever forges MX chooses it")
	}
	return all
}
