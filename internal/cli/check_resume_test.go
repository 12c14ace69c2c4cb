package cli

import (
	"bytes"
	"testing"
	"time"

	"starttls/internal/finding"
	"starttls/internal/report"
)

// TestAResultIsRememberedByItsHead: what --resume reads is what was written.
func TestAResultIsRememberedByItsHead(t *testing.T) {
	for _, row := range []struct {
		verdict finding.Verdict
		reached bool
	}{{finding.Good, true}, {finding.Insufficient, true}, {finding.NotTestable, false}} {
		var line bytes.Buffer
		r := &finding.Result{Schema: finding.Schema, Target: "smtp://[::1]:25", Started: time.Now(), Vantage: "{", Verdict: row.verdict, Reached: row.reached}
		if err := report.JSONLine(&line, r); err != nil {
			t.Fatal(err)
		}
		target, p, err := pastOf(line.Bytes())
		if want := (past{row.reached, row.verdict == finding.Insufficient}); target != r.Target || p != want || err != nil {
			t.Errorf("%s %q %+v %v, not %+v", line.Bytes(), target, p, err, want)
		}
	}
	for _, line := range []string{"", "\n", "[]\n", "x\n", "{}\n", `{"target":"a"}` + "\n", `{"target":"a","verdict":1,"reached":true}` + "\n", `"target"` + "\n"} {
		if target, _, err := pastOf([]byte(line)); err == nil {
			t.Errorf("%q is the result of %q", line, target)
		}
	}
}
