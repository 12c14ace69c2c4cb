package tlsrpt

import "testing"

func TestNewRecord(t *testing.T) {
	got, err := NewRecord("mailto:reports@example.com", "https://reports.example.com/v1?a=b")
	if want := "v=TLSRPTv1; rua=mailto:reports@example.com,https://reports.example.com/v1?a=b"; got != want || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range [][]string{
		nil,
		{""},
		{"reports@example.com"},
		{"mailto:"},
		{"mailto:@example.com"}, // T05
		{"mailto:a!b@example.com"},
		{"mailto:a@example.com,mailto:b@example.com"},
		{"mailto:a@example.com; rua=mailto:b@example.com"},
		{"mailto:a@example.com\nx"},
		{"mailto:bücher@example.com"},
		{"http://example.com/"}, // T09
		{"https:///path"},
		{"mailto:a@example.com", "ftp://example.com/"},
	} {
		if got, err := NewRecord(bad...); err == nil {
			t.Errorf("%q: %q", bad, got)
		}
	}
}
