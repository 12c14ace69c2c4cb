package finding

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A Fact is one thing that TLS was seen to do: {"version", "TLS 1.2"}, {"rsa-bits", "2048"}.
type Fact struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
}

// A Standard judges facts. Its file is data: an edition and rules, each with its clause.
type Standard struct {
	ID      string `json:"id"` // "rfc9325", for --standard
	Name    string `json:"name"`
	Edition string `json:"edition"`
	Source  string `json:"source"`
	Rules   []Rule `json:"rules"`
}

// A Rule gives a verdict to some facts of one kind. Of those of a kind the first that matches counts.
type Rule struct {
	Fact string `json:"fact"`
	// Match are values, in which "*" stands for anything. None match all.
	Match []string `json:"match,omitempty"`
	// Least, if not zero, is the least number that matches.
	Least float64 `json:"least,omitempty"`
	// Most, if not zero, is the greatest number that matches.
	Most float64 `json:"most,omitempty"`
	// Absent judges the absence of every fact that matches, where the kind was looked at.
	Absent  bool    `json:"absent,omitempty"`
	Verdict Verdict `json:"verdict"`
	Clause  string  `json:"clause"`
}

// A Judgement is what a standard says of a fact.
type Judgement struct {
	Standard string  `json:"standard"`
	Fact     Fact    `json:"fact"`
	Verdict  Verdict `json:"verdict"`
	Clause   string  `json:"clause"`
}

// A Standing is how a service stands in one standard.
type Standing struct {
	Standard string      `json:"standard"` // its id
	Name     string      `json:"name"`
	Edition  string      `json:"edition"`
	Verdict  Verdict     `json:"verdict"` // the worst
	Judged   []Judgement `json:"judged"`
}

//go:embed standards/*.json
var standardFiles embed.FS

// Standards are those that the program knows, by id in order.
var Standards = readStandards()

func readStandards() (all []Standard) {
	files, err := fs.Glob(standardFiles, "standards/*.json")
	if err != nil {
		panic(err)
	}
	for _, file := range files {
		text, err := standardFiles.ReadFile(file)
		if err != nil {
			panic(err)
		}
		var s Standard
		if err := json.Unmarshal(text, &s); err != nil {
			panic(file + ": " + err.Error())
		}
		s.ID = strings.TrimSuffix(path.Base(file), ".json")
		all = append(all, s)
	}
	return all
}

// StandardByID finds a standard.
func StandardByID(id string) (Standard, error) {
	var ids []string
	for _, s := range Standards {
		if s.ID == id {
			return s, nil
		}
		ids = append(ids, s.ID)
	}
	return Standard{}, fmt.Errorf("unknown standard %q; the standards are %s", id, strings.Join(ids, ", "))
}

// Judge returns what the standard says of facts. A fact that no rule names is left out.
func (s *Standard) Judge(facts []Fact) Standing {
	st := Standing{Standard: s.ID, Name: s.Name, Edition: s.Edition, Verdict: NotApplicable}
	add := func(f Fact, r Rule) {
		st.Judged = append(st.Judged, Judgement{s.ID, f, r.Verdict, r.Clause})
		if r.Verdict.Worse(st.Verdict) {
			st.Verdict = r.Verdict
		}
	}
	for _, f := range facts {
		if i := slices.IndexFunc(s.Rules, func(r Rule) bool { return !r.Absent && r.matches(f) }); i >= 0 {
			add(f, s.Rules[i])
		}
	}
	for _, r := range s.Rules {
		looked := slices.ContainsFunc(facts, func(f Fact) bool { return f.Kind == r.Fact })
		if r.Absent && looked && !slices.ContainsFunc(facts, r.matches) {
			add(Fact{r.Fact, "no " + strings.Join(r.Match, " or ")}, r)
		}
	}
	return st
}

func (r Rule) matches(f Fact) bool {
	if r.Fact != f.Kind {
		return false
	}
	if r.Least != 0 || r.Most != 0 {
		n, err := strconv.ParseFloat(f.Value, 64)
		return err == nil && (r.Least == 0 || n >= r.Least) && (r.Most == 0 || n <= r.Most)
	}
	return len(r.Match) == 0 || slices.ContainsFunc(r.Match, func(pattern string) bool {
		ok, err := path.Match(pattern, f.Value)
		return ok && err == nil
	})
}

// Judge makes findings of facts: one for each entry of the catalogue that facts are judged for, with
// what every standard says. The verdict is the worst of them.
func Judge(facts []Fact, standards []Standard) (all []Finding, standings []Standing) {
	for i := range standards {
		standings = append(standings, standards[i].Judge(facts))
	}
	for _, e := range catalogue {
		kinds := judgedBy[e.ID]
		var values []string
		for _, f := range facts {
			if slices.Contains(kinds, f.Kind) {
				values = append(values, f.Value)
			}
		}
		if len(values) == 0 {
			continue
		}
		verdict := NotApplicable
		var judged []Judgement
		for _, st := range standings {
			for _, j := range st.Judged {
				if slices.Contains(kinds, j.Fact.Kind) {
					judged = append(judged, j)
					if j.Verdict.Worse(verdict) {
						verdict = j.Verdict
					}
				}
			}
		}
		f := New(e.ID, verdict, byVerdict(values, judged))
		f.Judged = judged
		all = append(all, f)
	}
	return all, standings
}

// byVerdict lists the values of facts and what was missed, the worst first, each group under its verdict if
// there are several.
func byVerdict(values []string, judged []Judgement) string {
	verdicts := map[string]Verdict{}
	for _, j := range judged {
		if !slices.Contains(values, j.Fact.Value) {
			values = append(values, j.Fact.Value)
		}
		if j.Verdict.Worse(verdicts[j.Fact.Value]) {
			verdicts[j.Fact.Value] = j.Verdict
		}
	}
	var groups []string
	for _, v := range slices.Backward(append([]Verdict{""}, Verdicts...)) {
		var group []string
		for _, value := range values {
			if verdicts[value] == v {
				group = append(group, value)
			}
		}
		switch {
		case len(group) == 0:
		case len(group) == len(values):
			return strings.Join(group, ", ")
		case v == "":
			groups = append(groups, "not judged: "+strings.Join(group, ", "))
		default:
			groups = append(groups, string(v)+": "+strings.Join(group, ", "))
		}
	}
	return strings.Join(groups, "; ")
}
