package finding

import "testing"

// TestWhole: who has put us off, and a DNS that is away, have told nothing.
func TestWhole(t *testing.T) {
	for _, row := range []struct {
		name   string
		result Result
		want   bool
	}{
		{"everything", Result{Services: []Service{{Outcome: Tested}, {Outcome: NoTLS}}, Findings: []Finding{New("mail.mx", Good, "")}}, true},
		{"a service is down", Result{Services: []Service{{Outcome: Tested}, {Outcome: Unreachable}}}, true},
		{"a service puts us off", Result{Services: []Service{{Outcome: Tested}, {Outcome: Busy}}}, false},
		{"the DNS is away", Result{Findings: []Finding{New("mail.mx", NotTestable, "")}}, false},
	} {
		if got := row.result.Whole(); got != row.want {
			t.Errorf("%s: %v", row.name, got)
		}
	}
}

// TestBrief: what is left out is left out of the copy alone.
func TestBrief(t *testing.T) {
	f := New("tls.versions", Good, "TLS 1.3")
	f.Judged = []Judgement{{Standard: "rfc9325"}}
	r := Result{Findings: []Finding{f}, Services: []Service{{Findings: []Finding{f}}}}
	for _, short := range []Finding{r.Brief().Findings[0], r.Brief().Services[0].Findings[0]} {
		if short.Evidence != "TLS 1.3" || len(short.Clauses)+len(short.Judged) > 0 {
			t.Errorf("%+v", short)
		}
	}
	for _, f := range []Finding{r.Findings[0], r.Services[0].Findings[0]} {
		if len(f.Clauses) == 0 || len(f.Judged) == 0 {
			t.Errorf("%+v", f)
		}
	}
}
