package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"starttls/internal/socketmap"
)

// answerWords are all that an answer can be, in one word.
var answerWords = []string{
	"none", "may", "encrypt", "fingerprint", "verify", "secure", "dane", "dane-only",
	"notfound", "temp", "timeout", "perm",
}

type answerKind struct {
	word string
	kept bool
}

// count sets the metrics up. Labels are words of ours, never names of domains.
func (s *policyServer) count() {
	buckets := []float64{.0001, .001, .01, .1, .5, 1, 2.5, 5, 10, 25}
	waited := s.set.NewPrometheusHistogramExt("starttls_policy_answer_seconds", buckets)
	made := s.set.NewPrometheusHistogramExt("starttls_policy_plan_seconds", buckets)
	s.set.NewGauge("starttls_policy_answers_kept", func() float64 { return float64(s.policies.Len()) })
	s.set.NewGauge("starttls_dns_fit", func() float64 {
		if e := s.evidence.Load(); e != nil && e.fit.Load() {
			return 1
		}
		return 0
	})
	if s.store != nil {
		s.set.RegisterMetricsWriter(func(w io.Writer) { writeStore(w, "", s.store) })
	}
	answers := map[answerKind]*metrics.Counter{}
	for _, word := range answerWords {
		for _, kept := range []bool{false, true} {
			name := fmt.Sprintf(`starttls_policy_answers_total{answer=%q,kept="%t"}`, word, kept)
			answers[answerKind{word, kept}] = s.set.NewCounter(name)
		}
	}
	s.policies.Told = func(r socketmap.Reply, kept bool, took time.Duration) {
		answers[answerKind{inOneWord(r), kept}].Inc()
		waited.Update(took.Seconds())
	}
	plans := map[string]*metrics.Counter{}
	for _, word := range answerWords {
		plans[word] = s.set.NewCounter(fmt.Sprintf("starttls_policy_plans_total{answer=%q}", word))
	}
	s.policies.Made = func(r socketmap.Reply, took time.Duration) {
		plans[inOneWord(r)].Inc()
		made.Update(took.Seconds())
	}
}

// inOneWord is the level of an answer, or its status.
func inOneWord(r socketmap.Reply) string {
	if r.Status != socketmap.OK {
		return strings.ToLower(r.Status.String())
	}
	level, _, _ := strings.Cut(r.Text, " ")
	return level
}
