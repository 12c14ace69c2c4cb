package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"starttls/dane"
	"starttls/internal/policy"
	"starttls/resolver"
)

// The shape of --format json: one planJSON a line.
type planJSON struct {
	Destination string        `json:"destination"` // as it was given
	Error       string        `json:"error,omitempty"`
	Domain      string        `json:"domain,omitempty"`
	Refusal     *refusalJSON  `json:"refusal,omitempty"`
	Until       *time.Time    `json:"until,omitempty"`
	MX          *answerJSON   `json:"mx,omitempty"`
	STS         *stsJSON      `json:"mta_sts,omitempty"`
	Hosts       []attemptJSON `json:"hosts,omitempty"`
	Unseen      int           `json:"unseen,omitempty"`
}

type refusalJSON struct {
	Code     int    `json:"code"`
	Enhanced string `json:"enhanced"`
	Text     string `json:"text"`
	Result   string `json:"result,omitempty"` // RFC 8460 §4.3
	Reason   string `json:"reason,omitempty"`
}

type answerJSON struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Status  string   `json:"status,omitempty"` // secure, insecure; of errors bogus, indeterminate
	Why     string   `json:"why,omitempty"`
	TTL     float64  `json:"ttl"` // seconds
	Records []string `json:"records,omitempty"`
	Error   string   `json:"error,omitempty"`
}

type stsJSON struct {
	Mode    string     `json:"mode,omitempty"`
	ID      string     `json:"id,omitempty"`
	Fetched *time.Time `json:"fetched,omitempty"`
	Until   *time.Time `json:"until,omitempty"`
	Text    string     `json:"text,omitempty"`
	Error   string     `json:"error,omitempty"`
}

type attemptJSON struct {
	Host    string       `json:"host"`
	Pref    uint16       `json:"preference"`
	Port    uint16       `json:"port"`
	Addrs   []string     `json:"addresses"`
	Level   string       `json:"level"`
	Source  string       `json:"source"`
	Why     string       `json:"why"`
	Names   []string     `json:"names,omitempty"`
	SNI     string       `json:"sni,omitempty"`
	TLSA    []string     `json:"tlsa,omitempty"`
	Refusal *refusalJSON `json:"refusal,omitempty"`
	Watched []string     `json:"watched,omitempty"`
	Answers []answerJSON `json:"answers,omitempty"`
	Live    []string     `json:"live,omitempty"`
}

func tellJSON(w io.Writer, i *inspection) error {
	out := planJSON{Destination: i.text}
	if i.err != nil {
		out.Error = i.err.Error()
	} else {
		p, e := i.plan, i.plan.Evidence
		out.Domain, out.Refusal, out.Until, out.Unseen = p.Domain, jsonRefusal(p.Refusal), &p.Until, e.Unseen
		if e.MX != nil || e.MXErr != nil {
			mx := jsonAnswer(dane.Step{Name: e.Domain, Type: resolver.MX, Answer: e.MX, Err: e.MXErr})
			out.MX = &mx
		}
		out.STS = jsonSTS(e)
		for n := range p.Attempts {
			out.Hosts = append(out.Hosts, jsonAttempt(i, n))
		}
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(out)
}

func jsonRefusal(r *policy.Refusal) *refusalJSON {
	if r == nil {
		return nil
	}
	out := &refusalJSON{Code: r.Code, Enhanced: r.Enhanced, Text: r.Text}
	if r.Failure != nil {
		out.Result, out.Reason = string(r.Failure.Type), r.Failure.Reason
	}
	return out
}

func jsonAnswer(s dane.Step) answerJSON {
	out := answerJSON{Name: s.Name, Type: s.Type.String()}
	if s.Err != nil {
		out.Error = s.Err.Error()
		if e, ok := errors.AsType[*resolver.Error](s.Err); ok {
			out.Status = e.Status.String()
		}
		return out
	}
	a := s.Answer
	out.Status, out.Why, out.TTL, out.Records = a.Status.String(), a.Why, a.TTL.Round(time.Second).Seconds(), records(a)
	return out
}

// records are those of an answer to a question of a plan, as in a zone file.
func records(a *resolver.Answer) (all []string) {
	for _, addr := range a.Addrs {
		all = append(all, addr.String())
	}
	for _, r := range a.MX {
		all = append(all, fmt.Sprintf("%d %s", r.Pref, r.Host))
	}
	for _, r := range a.TLSA {
		all = append(all, r.String())
	}
	if a.CNAME != "" {
		all = append(all, a.CNAME)
	}
	return all
}

func jsonSTS(e *policy.Evidence) *stsJSON {
	s := e.STS
	if s.Domain == "" {
		return nil
	}
	out := &stsJSON{ID: s.ID}
	if s.Err != nil {
		out.Error = s.Err.Error()
	}
	if p := s.Policy; p != nil {
		end := s.Fetched.Add(p.MaxAge)
		out.Mode, out.Text, out.Fetched, out.Until = string(p.Mode), p.Text, &s.Fetched, &end
	}
	return out
}

func jsonAttempt(i *inspection, n int) attemptJSON {
	a, h := i.plan.Attempts[n], i.plan.Evidence.Hosts[n]
	out := attemptJSON{
		Host: a.Host, Pref: a.Pref, Port: a.Port, Level: a.Level.String(), Source: string(a.Source), Why: a.Why,
		Names: a.Names, SNI: a.SNI, Refusal: jsonRefusal(a.Refusal), Live: i.live[n],
	}
	for _, addr := range a.Addrs {
		out.Addrs = append(out.Addrs, addr.String())
	}
	for _, r := range a.TLSA {
		out.TLSA = append(out.TLSA, r.String())
	}
	for _, w := range a.Watch {
		out.Watched = append(out.Watched, string(w.Source))
	}
	for _, s := range h.DANE.Steps {
		out.Answers = append(out.Answers, jsonAnswer(s))
	}
	return out
}
