package policy

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseOverrides(t *testing.T) {
	print := strings.Repeat("AB:", 31) + "AB"
	all, err := ParseOverrides(strings.NewReader(`
# ours
example.org      secure match=mx.example.org:.example.NET
.example.org     encrypt
Bücher.example.  verify match=mx.bücher.example
example.net      fingerprint match=` + print + `|` + strings.Repeat("0", 64) + `
auto.example     auto
`))
	if err != nil {
		t.Fatal(err)
	}
	for domain, want := range map[string]string{
		"example.org":           "secure [mx.example.org .example.net] 0",
		"a.example.org":         "encrypt [] 0",
		"a.b.example.org":       "encrypt [] 0",
		"xn--bcher-kva.example": "verify [mx.xn--bcher-kva.example] 0",
		"example.net":           "none [] 2",
		"auto.example":          "auto [] 0",
		"other.example":         "",
		"myexample.org":         "",
		"org":                   "",
		"":                      "",
	} {
		got := ""
		if o := all.Of(domain); o != nil {
			got = fmt.Sprintf("%s %v %d", o.Level, o.Names, len(o.Fingerprints))
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", domain, got, want)
		}
	}
}

func TestParseOverridesTellsMistakes(t *testing.T) {
	for line, why := range map[string]string{
		"example.org":                             "has no level",
		"example.org most":                        "unknown level",
		"exa..mple secure":                        "no domain name",
		"192.0.2.1 secure":                        "is an address",
		"example.org secure ciphers=high":         "meant is match=",
		"example.org may match=mx.example.org":    "has no meaning at may",
		"example.org secure match=":               "no domain name",
		"example.org secure match=a b":            "meant is match=",
		"example.org fingerprint":                 "needs match=",
		"example.org fingerprint match=abcd":      "no SHA-256",
		"example.org may\nEXAMPLE.org. encrypt":   "was set before",
		"example.org fingerprint match=mx.a.test": "no SHA-256",
	} {
		_, err := ParseOverrides(strings.NewReader("# first\n" + line))
		if err == nil || !strings.Contains(err.Error(), why) || !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("%q: got %v, want %q", line, err, why)
		}
	}
}
