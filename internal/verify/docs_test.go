package verify

import (
	"os"
	"strings"
	"testing"
)

// TestDocumentHasTheRows: docs/gateway.md says of each row what must hold.
func TestDocumentHasTheRows(t *testing.T) {
	text, err := os.ReadFile("../../docs/gateway.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if line := "| " + r.id + " | " + r.claim + " |\n"; !strings.Contains(string(text), line) {
			t.Errorf("docs/gateway.md lacks %q", line)
		}
	}
}
