package dane

import (
	"bytes"
	"fmt"
	"testing"

	"starttls/dane/danetest"
	"starttls/resolver"
)

func TestUsable(t *testing.T) {
	leaf := danetest.Issue(t, nil, "leaf", []string{"mx.example.net"})
	digest := func(n int) []byte { return bytes.Repeat([]byte{7}, n) }
	record := func(u, s, m uint8, data []byte) resolver.TLSARecord {
		return resolver.TLSARecord{Usage: u, Selector: s, Matching: m, Data: data}
	}
	for _, c := range []struct {
		number string
		record resolver.TLSARecord
		usable bool
	}{
		{"D35 usage 0", record(0, 0, 1, digest(32)), false},
		{"D35 usage 1", record(1, 1, 1, digest(32)), false},
		{"D37 usage 4", record(4, 1, 1, digest(32)), false},
		{"D37 selector 2", record(3, 2, 1, digest(32)), false},
		{"D37 matching 3", record(3, 1, 3, digest(32)), false},
		{"D37 matching 255, which Postfix uses for fingerprints", record(3, 1, 255, digest(32)), false},
		{"D38 31 bytes", record(3, 1, 1, digest(31)), false},
		{"D38 33 bytes", record(3, 1, 1, digest(33)), false},
		{"D38 no data", record(3, 1, 1, nil), false},
		{"D38 no data, in full", record(3, 0, 0, nil), false},
		{"D38 SHA-512 of 32 bytes", record(3, 1, 2, digest(32)), false},
		{"D39 2 0 0 that is no certificate", record(2, 0, 0, digest(100)), false},
		{"D39 3 1 0 that is no key", record(3, 1, 0, digest(100)), false},
		{"D39 a certificate where a key must be", record(3, 1, 0, leaf.Raw), false},
		{"D39 a key where a certificate must be", record(3, 0, 0, leaf.RawSubjectPublicKeyInfo), false},
		{"D08 3 1 1", record(3, 1, 1, digest(32)), true},
		{"D15 3 1 2", record(3, 1, 2, digest(64)), true},
		{"D15 3 1 0", danetest.TLSA(3, 1, 0, leaf), true},
		{"D21 2 0 0", danetest.TLSA(2, 0, 0, leaf), true},
	} {
		t.Run(c.number, func(t *testing.T) {
			counts, dropped := Select([]resolver.TLSARecord{c.record})
			if (len(counts) == 1) != c.usable || len(counts)+len(dropped) != 1 {
				t.Errorf("counts %v, dropped %v", counts, dropped)
			}
			if !c.usable && dropped[0].Why == "" {
				t.Error("no reason")
			}
		})
	}
}

// FuzzSelect holds Select to its word whatever is published, and Verify to answering.
func FuzzSelect(f *testing.F) {
	leaf := danetest.Issue(f, nil, "leaf", []string{"mx.example.net"})
	other := danetest.Issue(f, nil, "other", []string{"mx.example.net"}, danetest.CA)
	f.Add(uint8(3), uint8(1), uint8(0), leaf.RawSubjectPublicKeyInfo)
	f.Add(uint8(2), uint8(0), uint8(0), other.Raw)
	f.Add(uint8(2), uint8(1), uint8(0), other.RawSubjectPublicKeyInfo)
	f.Fuzz(func(t *testing.T, usage, selector, matching uint8, data []byte) {
		r := resolver.TLSARecord{Usage: usage, Selector: selector, Matching: matching, Data: data}
		counts, dropped := Select([]resolver.TLSARecord{r, r})
		if len(counts)+len(dropped) != 2 {
			t.Fatalf("%d records of 2", len(counts)+len(dropped))
		}
		if len(counts) == 0 {
			return
		}
		_, err := Verify(counts, []string{"mx.example.net"}, danetest.Chain(leaf, other), danetest.Now)
		if is := usage == usageEE && matches(r, leaf.Certificate); is != (err == nil) {
			t.Fatal(fmt.Sprint(r), err)
		}
	})
}
