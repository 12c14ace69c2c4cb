package cli

import (
	"bytes"
	"os"
	"testing"
)

// TestProtocolsPage: the page in docs is what the program says.
func TestProtocolsPage(t *testing.T) {
	var page bytes.Buffer
	if err := protocolsMarkdown(&page, protocolRows()); err != nil {
		t.Fatal(err)
	}
	const name = "../../docs/protocols.md"
	on, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(on, page.Bytes()) {
		t.Errorf("%s is not what \"starttls protocols --format markdown\" prints", name)
	}
}
