package socketmap

import (
	"strings"
	"testing"

	"starttls/internal/policy"
)

// The forms of keys that Postfix asks for, and what they mean.
func TestKeys(t *testing.T) {
	for key, want := range map[string]policy.Destination{
		"example.com":                   {Domain: "example.com"},
		"Example.COM.":                  {Domain: "example.com"},
		"example.net:25":                {Domain: "example.net", Port: 25},
		"example.test:43783":            {Domain: "example.test", Port: 43783},
		"[mx.example.net]":              {Domain: "mx.example.net", Fixed: true},
		"[mx.example.net]:587":          {Domain: "mx.example.net", Port: 587, Fixed: true},
		"[mx.example.net]:submission":   {Domain: "mx.example.net", Port: 587, Fixed: true},
		"[MX.example.net.]:25":          {Domain: "mx.example.net", Port: 25, Fixed: true},
		"b\xc3\xbccher.example":         {Domain: "xn--bcher-kva.example"},
		"xn--bcher-kva.example":         {Domain: "xn--bcher-kva.example"},
		"b\xc3\xbccher\u3002example:26": {Domain: "xn--bcher-kva.example", Port: 26},
	} {
		if d, ok, err := ParseKey(key); !ok || err != nil || d != want {
			t.Errorf("%q: got %v, %v, %v", key, d, ok, err)
		}
	}
}

func TestKeysWithoutPolicy(t *testing.T) {
	for _, key := range []string{
		".example.com", ".com", ".", "[192.0.2.1]", "[192.0.2.1]:25", "[ipv6:2001:db8::1]:25", "[IPv6:2001:db8::1]",
		"192.0.2.1", "192.0.2.1:25", "2001:db8::1",
	} {
		if d, ok, err := ParseKey(key); ok || err != nil {
			t.Errorf("%q: got %v, %v, %v", key, d, ok, err)
		}
	}
}

func TestKeysThatNameNothing(t *testing.T) {
	for _, key := range []string{
		"", "a..b", "a b", "example.com ", "ex\x00ample.com", "[example.com", "[example.com]587", "[]", "[.]", "example.com:0",
		"example.com:65536", "example.com:no-such-service", "example.com:25:26", "\xff\xfe", strings.Repeat("a.", 127) + "a",
		strings.Repeat("a", 64) + ".example", "user@example.com",
	} {
		if d, ok, err := ParseKey(key); ok || err == nil {
			t.Errorf("%q: got %v, %v, %v", key, d, ok, err)
		}
	}
}

// A destination is written as it is read.
func FuzzKey(f *testing.F) {
	for _, key := range []string{"example.com", "[mx.example]:587", ".com", "[ipv6:::1]", "b\xc3\xbccher.example:25"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		d, ok, err := ParseKey(key)
		if !ok {
			return
		}
		again, ok, rerr := ParseKey(d.String())
		if err != nil || !ok || rerr != nil || again != d {
			t.Fatalf("%q: %v, %v; again %v, %v, %v", key, d, err, again, ok, rerr)
		}
	})
}
