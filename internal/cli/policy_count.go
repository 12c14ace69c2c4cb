package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"starttls/internal/socketmap"
)

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
	s.policies.Told = func(r socketmap.Reply, kept bool, took time.Duration) {
		name := fmt.Sprintf(`starttls_policy_answers_total{answer=%q,kept="%t"}`, inOneWord(r), kept)
		s.set.GetOrCreateCounter(name).Inc()
		waited.Update(took.Seconds())
	}
	s.policies.Made = func(r socketmap.Reply, took time.Duration) {
		s.set.GetOrCreateCounter(fmt.Sprintf("starttls_policy_plans_total{answer=%q}", inOneWord(r))).Inc()
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
