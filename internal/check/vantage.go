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
	n := 0
	for {
		results, err := decode(d)
		switch {
		case errors.Is(err, io.EOF):
			return v, nil
		case err != nil:
			return nil, fmt.Errorf("result %d: %w", n+1, err)
		}
		for _, result := range results {
			if n++; result.Schema != finding.Schema {
				return nil, fmt.Errorf("result %d is %q and not %s", n, result.Schema, finding.Schema)
			}
			v.add(result)
		}
	}
}

// decode reads a result, or an array of them.
func decode(d *json.Decoder) (results []finding.Result, err error) {
	var text json.RawMessage
	if err := d.Decode(&text); err != nil {
		return nil, err
	}
	if text[0] == '[' {
		err = json.Unmarshal(text, &results)
		return results, err
	}
	results = make([]finding.Result, 1)
	return results, json.Unmarshal(text, &results[0])
}

// add adds the services of a result.
func (v Vantage) add(result finding.Result) {
	from := result.Vantage
	if from == "" {
		from = "elsewhere at " + result.Started.Format("2006-01-02 15:04")
	}
	for _, s := range result.Services {
		if spoke(&s) {
			v[s.Protocol+" "+s.Address] = elsewhere{s, from}
		}
	}
}

// Compare adds to a result what is otherwise from there. tell, if not nil, is told each finding.
func (v Vantage) Compare(r *finding.Result, tell func(*finding.Service, finding.Finding)) {
	for i := range r.Services {
		s := &r.Services[i]
		if there, ok := v[s.Protocol+" "+s.Address]; ok && spoke(s) {
			there.compare(appending(s, tell), s)
		}
	}
	r.Settle()
}

// appending returns a ledger that adds to the findings of a service.
func appending(s *finding.Service, tell func(*finding.Service, finding.Finding)) *ledger {
	return newLedger(func(f finding.Finding) {
		if s.Findings = append(s.Findings, f); tell != nil {
			tell(s, f)
		}
	})
}

func (there elsewhere) compare(l *ledger, here *finding.Service) {
	if offers(&there.service) && !offers(here) {
		l.signed("strip.capability-removed", fmt.Sprintf("%s: the offer is %q and it was tested; here: %s", there.from, offerOf(&there.service), offerOf(here)))
	}
	if otherHands(&there.service, here) {
		l.signed("strip.tls-intercepted", fmt.Sprintf("%s: a key of %s; here: one of %s", there.from, there.service.Chain[0].Issuer, here.Chain[0].Issuer))
	}
	if a, b := nameOf(&there.service), nameOf(here); a != "" && b != "" && a != b {
		l.signed("strip.banner-swapped", fmt.Sprintf("%s: it calls itself %q; here: %q", there.from, a, b))
	}
}

// spoke reports whether a service has said whether it has TLS.
func spoke(s *finding.Service) bool {
	return s.Outcome == finding.Tested || s.Outcome == finding.NoTLS
}

// offers reports whether a client that asks for what is listed has TLS.
func offers(s *finding.Service) bool {
	return s.Outcome == finding.Tested && !slices.ContainsFunc(s.Findings, func(f finding.Finding) bool {
		return f.ID == "clear.offer" && f.Verdict == finding.Insufficient
	})
}

// otherHands reports whether a service shows a key that it has not shown there, of another issuer too.
func otherHands(there, here *finding.Service) bool {
	if len(there.Chain) == 0 || len(here.Chain) == 0 {
		return false
	}
	mine := here.Chain[0]
	return !slices.ContainsFunc(shown(there), func(c finding.Certificate) bool { return c.SPKI == mine.SPKI || c.Issuer == mine.Issuer })
}

// shown are the leaves that a service has shown, the one for most clients first.
func shown(s *finding.Service) []finding.Certificate {
	return append([]finding.Certificate{s.Chain[0]}, s.Others...)
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
