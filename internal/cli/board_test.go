package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"starttls/internal/gateway"
)

// TestDashboardKnowsTheMetrics: each metric of the dashboard and of the manual is one that there is.
func TestDashboardKnowsTheMetrics(t *testing.T) {
	r := startReloading(t, "a")
	b := r.board
	b.Set = metrics.NewSet()
	b.Set.RegisterMetricsWriter(b.writeGauges)
	one := (*b.routes.Load())[0]
	one.Ended(gateway.Ended{Outcome: "tls", TLS: "TLS 1.3", Group: "X25519", In: 1, Out: 1, Took: time.Second})
	var text bytes.Buffer
	b.Set.WritePrometheus(&text)
	for _, file := range []string{"../../packaging/grafana.json", "../../docs/operations.md"} {
		names, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`starttls_(sessions|session|bytes|tls|certificate)_[a-z_]+`).FindAll(names, -1)
		if len(found) == 0 {
			t.Errorf("%s names no metric", file)
		}
		for _, name := range found {
			if !bytes.Contains(text.Bytes(), name) {
				t.Errorf("%s names %s, which there is not:\n%s", file, name, text.String())
			}
		}
	}
	dashboard, err := os.ReadFile("../../packaging/grafana.json")
	if err != nil || !json.Valid(dashboard) {
		t.Errorf("the dashboard is no JSON: %v", err)
	}
}
