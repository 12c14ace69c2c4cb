package resolver_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"starttls/resolver"
)

func TestSystemServers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	text := "# made by DHCP\nsearch example.org\nnameserver 192.0.2.1\nnameserver\t2001:db8::1 \nnameserver fe80::1%eth0\n  nameserver 192.0.2.2\nnameserver name\noptions trust-ad\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := resolver.SystemServers(file)
	want := []string{"192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%eth0]:53", "192.0.2.2:53"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	for _, file := range []string{"/dev/null", filepath.Join(t.TempDir(), "none")} {
		if got, err := resolver.SystemServers(file); err == nil {
			t.Errorf("%s: got %q", file, got)
		}
	}
}

// TestFields has what is wrong with a field told before anything is asked.
func TestFields(t *testing.T) {
	const ds = ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D"
	for name, v := range map[string]*resolver.Validator{
		"a name as server":         {Servers: []string{"dns.example"}},
		"TLS without a name":       {Servers: []string{"tls://192.0.2.1"}},
		"TLS without a name but #": {Servers: []string{"tls://192.0.2.1#"}},
		"a port that is none":      {Servers: []string{"192.0.2.1:dns"}},
		"an anchor that is none":   {Servers: []string{"127.0.0.1"}, Anchors: "example.org. IN A 192.0.2.1"},
		"an anchor that is broken": {Servers: []string{"127.0.0.1"}, Anchors: ds[:40]},
		"no anchor in the text":    {Servers: []string{"127.0.0.1"}, Anchors: "; nothing\n"},
		"a revoked key":            {Servers: []string{"127.0.0.1"}, Anchors: ". IN DNSKEY 385 3 13 AAAA"},
		"a zone that is none":      {Servers: []string{"127.0.0.1"}, Unsigned: []string{"a..b"}},
	} {
		v.Dial = dialNothing(func() { t.Errorf("%s: a server is asked", name) })
		if got, _ := status(v.Lookup(t.Context(), "example.org", resolver.A)); got != resolver.Indeterminate {
			t.Errorf("%s: got %s", name, got)
		}
		if err := v.Check(t.Context()); err == nil {
			t.Errorf("%s: fit", name)
		}
	}
	for _, name := range []string{"", "a..b", "192.0.2.1", "a b", "a\x00b", "..", string(make([]byte, 300))} {
		v := &resolver.Validator{Servers: []string{"127.0.0.1"}, Anchors: ds, Dial: dialNothing(func() { t.Errorf("%q is asked for", name) })}
		if got, _ := status(v.Lookup(t.Context(), name, resolver.A)); got != resolver.Indeterminate {
			t.Errorf("%q: got %s", name, got)
		}
		if _, err := v.Lookup(t.Context(), "example.org", 43); err == nil {
			t.Error("a type that cannot be returned is answered")
		}
	}
}

// TestUselessAnchor makes nothing insecure: an anchor is there to be used.
func TestUselessAnchor(t *testing.T) {
	tree := newTree(t)
	v := &resolver.Validator{Servers: []string{serve(t, tree.Recursor())}, Anchors: ". IN DS 1 200 2 " + strings.Repeat("ab", 32)}
	if got, _ := status(v.Lookup(t.Context(), mxA, resolver.A)); got != resolver.Bogus && got != resolver.Indeterminate {
		t.Errorf("got %s", got)
	}
	if err := v.Check(t.Context()); err == nil {
		t.Error("fit")
	}
	v = &resolver.Validator{Servers: []string{serve(t, tree.Recursor())}, Anchors: "other. IN DS 1 13 2 " + strings.Repeat("ab", 32)}
	if a, err := v.Lookup(t.Context(), mxA, resolver.A); err != nil || a.Status != resolver.Insecure {
		t.Errorf("a name under no anchor: %+v, %v", a, err)
	}
}

func TestReadAnchors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "root.key")
	text := "; autotrust trust anchor file\n;;id: . 1\n. 86400 IN DNSKEY 257 3 8 AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3+/4RgWOq7HrxRixHlFlExOLAJr5emLvN7SWXgnLh4+B5xQlNVz8Og8kvArMtNROxVQuCaSnIDdD5LKyWbRd2n9WGe2R8PzgCmr3EgVLrjyBxWezF0jLHwVN8efS3rCj/EWgvIWgb9tarpVUDK/b58Da+sqqls3eNbuv7pr+eoZG+SrDK6nWeL3c6H5Apxz7LjVc1uTIdsIXxuOLYA4/ilBmSVIzuDWfdRUfhHdY6+cn8HFRm+2hM8AnXGXws9555KrUB5qihylGa8subX2Nn6UwNR1AkUTV74bU= ;{id = 20326 (ksk), size = 2048b} ;;state=2\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := resolver.ReadAnchors(file); err != nil || got != text {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := resolver.ReadAnchors("/dev/null"); err == nil {
		t.Error("nothing is an anchor")
	}
}
