package resolver_test

import (
	"strings"
	"testing"

	"starttls/resolver"
)

func TestName(t *testing.T) {
	long := strings.Repeat("a.", 126) + "a" // 253 bytes
	for in, want := range map[string]string{
		"Example.ORG.":          "example.org",
		".":                     "",
		"bücher.example":        "xn--bcher-kva.example",
		"BÜCHER。example":        "xn--bcher-kva.example",
		"straße.example":        "xn--strae-oqa.example",
		"xn--bcher-kva.example": "xn--bcher-kva.example",
		"_25._tcp.mx.example":   "_25._tcp.mx.example",
		"*.example":             "*.example",
		"ab--cd.example":        "ab--cd.example", // hyphens anywhere: the DNS does not care
		"-a.b-.example":         "-a.b-.example",
		"1.2.3.example":         "1.2.3.example",
		long:                    long,
		long + ".":              long,
	} {
		if got, err := resolver.Name(in); err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "..", "a..b", ".a", "a b", "a\tb", "a\nb", "a\x00b", "a,b", "a;b", "{a}", `a\b`, "a/b", "a:25", "user@example.org",
		"192.0.2.1", "192.0.2.1.", "::1", "[::1]", "xn--a", "\xff.example", long + "a", strings.Repeat("a", 64) + ".example",
	} {
		if got, err := resolver.Name(in); err == nil {
			t.Errorf("%q: got %q", in, got)
		}
	}
}
