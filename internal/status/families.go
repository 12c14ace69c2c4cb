package status

import (
	"strings"

	"github.com/VictoriaMetrics/metrics"
)

// families returns what a set exposes with each family of metrics in one piece below its "# TYPE", as the format
// demands: what several writers say of one family comes in several.
func families(set *metrics.Set) string {
	metrics.ExposeMetadata(true)
	var text strings.Builder
	set.WritePrometheus(&text)
	var order []string
	samples := make(map[string]string)
	current := ""
	for line := range strings.Lines(text.String()) {
		switch {
		case strings.HasPrefix(line, "# TYPE "):
			if current = line; samples[current] == "" {
				order = append(order, current)
			}
		case !strings.HasPrefix(line, "#"): // "# HELP" says nothing
			samples[current] += line
		}
	}
	var all strings.Builder
	for _, family := range order {
		all.WriteString(family + samples[family])
	}
	return all.String()
}
