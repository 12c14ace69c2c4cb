package cli

import (
	"strings"
	"testing"
	"time"
)

// TestExpiryIsTold: of a certificate that was made for ten years, when ten years are nearly over.
func TestExpiryIsTold(t *testing.T) {
	r := startReloading(t, "a")
	for _, row := range []struct {
		days int
		want string
	}{{3600, ""}, {3640, "level=WARN"}, {3648, "level=ERROR"}, {3700, "left=expired"}} {
		before := r.said.String()
		r.tellExpiry(time.Now().Add(time.Duration(row.days) * 24 * time.Hour))
		said := strings.TrimPrefix(r.said.String(), before)
		if (said == "") != (row.want == "") || !strings.Contains(said, row.want) {
			t.Errorf("after %d days: %q", row.days, said)
		}
	}
}
