package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"starttls/internal/finding"
)

// A Vantage is what was seen from another place, or before: the services of results, by protocol and
// address.
type Vantage map[string]elsewhere

// An elsewhere is one service as it was seen there.
type elsewhere struct {
	service finding.Service
	from    string // where, or when
}

// ReadVantage reads results as "starttls check" writes them as JSON.
func ReadVantage(r io.Reader) (Vantage, error) {
	v := Vantage{}
	d := json.NewDecoder(r)
	for n := 1; ; n++ {
		var result finding.Result
		err := d.Decode(&result)
		switch {
		case errors.Is(err, io.EOF):
			return v, nil
		case err != nil:
			return nil, fmt.Errorf("result %d: %w", n, err)
		case result.Schema != finding.Schema:
			return nil, fmt.Errorf("result %d is %q and not %s", n, result.Schema, finding.Schema)
		}
		from := result.Vantage
		if from == "" {
			from = "elsewhere at " + result.Started.Format("2006-01-02 15:04")
		}
		for _, s := range result.Services {
			if s.Outcome == finding.Tested || s.Outcome == finding.NoTLS {
				v[s.Protocol+" "+s.Address] = elsewhere{s, from}
			}
		}
	}
}

// Compare adds to a result what is otherwise from there.
func (v Vantage) Compare(r *finding.Result) {
	for i := range r.Services {
		s := &r.Services[i]
		if there, ok := v[s.Protocol+" "+s.Address]; ok && (s.Outcome == finding.Tested || s.Outcome == finding.NoTLS) {
			l := newLedger(func(f finding.Finding) { s.Findings = append(s.Findings, f) })
			there.compare(l, s)
		}
	}
	r.Settle()
}

func (there elsewhere) compare(l *ledger, here *finding.Service) {
	offers := func(s *finding.Service) bool {
		return s.Outcome == finding.Tested && (s.Clear == nil || s.Clear.Offer != "unsaid")
	}
	if offers(&there.service) && !offers(here) {
		l.signed("strip.capability-removed", fmt.Sprintf("%s: the offer is %q and it was tested; here: %s", there.from, offerOf(&there.service), offerOf(here)))
	}
	if len(here.Chain) > 0 && len(there.service.Chain) > 0 {
		known := append(slices.Clone(there.service.Others), there.service.Chain[0])
		mine := here.Chain[0]
		same := slices.ContainsFunc(known, func(c finding.Certificate) bool { return c.SPKI == mine.SPKI })
		issuer := slices.ContainsFunc(known, func(c finding.Certificate) bool { return c.Issuer == mine.Issuer })
		if !same && !issuer {
			l.signed("strip.tls-intercepted", fmt.Sprintf("%s: a key of %s; here: one of %s", there.from, known[0].Issuer, mine.Issuer))
		}
	}
	if a, b := nameOf(&there.service), nameOf(here); a != "" && b != "" && a != b {
		l.signed("strip.banner-swapped", fmt.Sprintf("%s: it calls itself %q; here: %q", there.from, a, b))
	}
}

func offerOf(s *finding.Service) string {
	if s.Clear == nil {
		return string(s.Outcome)
	}
	return s.Clear.Offer
}

func nameOf(s *finding.Service) string {
	if s.Clear == nil {
		return ""
	}
	return s.Clear.Name
}
