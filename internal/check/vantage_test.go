package check

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"starttls/internal/finding"
	"starttls/internal/report"
)

// compared are what differs from elsewhere: what there shows at the address of here.
func compared() (all []specimen) {
	stripped := animal{ehlo: []string{"mx.example.org"}, answers: map[string]string{"STARTTLS": "502 no"}}
	otherKey := func(r *finding.Result) {
		r.Services[0].Chain[0].SPKI, r.Services[0].Chain[0].Issuer = "00", "CN=Antivirus"
	}
	renewed := func(r *finding.Result) { r.Services[0].Chain[0].SPKI = "00" }
	same := func(*finding.Result) {}
	for _, row := range []struct {
		name, id    string
		here, there animal
		edit        func(*finding.Result)
		want        finding.Verdict
	}{
		{"stripped here", "strip.capability-removed", stripped, animal{}, same, finding.Insufficient},
		{"stripped there", "strip.capability-removed", animal{}, stripped, same, ""},
		{"without TLS on both sides", "strip.capability-removed", stripped, stripped, same, ""},
		{"another key of another issuer", "strip.tls-intercepted", animal{}, animal{}, otherKey, finding.Insufficient},
		{"another key of the same issuer", "strip.tls-intercepted", animal{}, animal{}, renewed, ""},
		{"the same key", "strip.tls-intercepted", animal{}, animal{}, same, ""},
		{"another name", "strip.banner-swapped", animal{}, animal{ehlo: []string{"isp.example", "STARTTLS"}}, same, finding.Insufficient},
		{"the same name", "strip.banner-swapped", animal{}, animal{}, same, ""},
	} {
		all = append(all, specimen{row.id + "/" + row.name, sightings{row.id: row.want}, func(t *testing.T) look {
			here, there := "smtp://"+served(t, row.here.serve), "smtp://"+served(t, row.there.serve)
			return func(t *testing.T, w way) *finding.Result {
				from, r := result(t, there, quickly, w.over), result(t, here, quickly, w.over)
				from.Services[0].Address, from.Vantage = r.Services[0].Address, "elsewhere"
				row.edit(from)
				written(t, from).Compare(r, nil)
				return r
			}
		}})
	}
	return all
}

// written is a result that was written to a file and read again.
func written(t *testing.T, r *finding.Result) Vantage {
	t.Helper()
	var file bytes.Buffer
	if err := report.JSONLine(&file, r); err != nil {
		t.Fatal(err)
	}
	v, err := ReadVantage(&file)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestAnArrayIsReadAsItsResults: as "--format json" writes several targets.
func TestAnArrayIsReadAsItsResults(t *testing.T) {
	one := `{"schema":"starttls-check/1","services":[{"protocol":"smtp","address":"192.0.2.%d:25","outcome":"tested"}]}`
	v, err := ReadVantage(strings.NewReader("[" + fmt.Sprintf(one, 1) + "\n,\n" + fmt.Sprintf(one, 2) + "]"))
	if err != nil || len(v) != 2 {
		t.Errorf("%d services, %v", len(v), err)
	}
}

func TestAFileThatIsNone(t *testing.T) {
	for _, text := range []string{"{", `{"schema":"starttls-check/9"}`, `[{"schema":"starttls-check/9"}]`, "[1]", "hosts"} {
		if _, err := ReadVantage(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), "result 1") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
