package resolver

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestCanonicalOrder is the example of RFC 4034 §6.1.
func TestCanonicalOrder(t *testing.T) {
	want := []string{
		"example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE.", "z.example.",
		`\001.z.example.`, "*.z.example.", `\200.z.example.`,
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compare)
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	for _, pair := range [][2]string{{".", "a."}, {`a\.b.`, "a.b."}, {"b.", "a.b."}} {
		if compare(pair[0], pair[1]) == 0 || compare(pair[0], pair[1]) == compare(pair[1], pair[0]) {
			t.Errorf("%q", pair)
		}
	}
}

func TestRelations(t *testing.T) {
	for _, row := range []struct {
		name, apex    string
		within, below bool
	}{
		{"a.example.", "example.", true, true},
		{"example.", "example.", true, false},
		{"example.", ".", true, true},
		{".", ".", true, false},
		{".", "example.", false, false},
		{"example.", "ample.", false, false},
		{`a\.example.`, "example.", false, false},
		{"a.example.", "A.EXAMPLE.", true, false},
	} {
		if within(row.name, row.apex) != row.within || below(row.name, row.apex) != row.below {
			t.Errorf("%s, %s: %v, %v", row.name, row.apex, within(row.name, row.apex), below(row.name, row.apex))
		}
	}
	for name, labels := range map[string]int{".": 0, "*.": 0, "*.a.": 1, "a.": 1, "b.*.a.": 3, "x*.a.": 2} {
		if got := sourceLabels(name); got != labels {
			t.Errorf("%s: %d labels", name, got)
		}
	}
}

// rsaKey makes a zone key of numbers with so many bits.
func rsaKey(exponent, modulus int) *dns.DNSKEY {
	e := new(big.Int).SetBit(big.NewInt(1), exponent-1, 1).Bytes()
	n := new(big.Int).SetBit(big.NewInt(1), modulus-1, 1).Bytes()
	raw := append(append([]byte{byte(len(e))}, e...), n...)
	return &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: "example.", Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 60},
		Flags: dns.ZONE, Protocol: 3, Algorithm: dns.RSASHA256, PublicKey: base64.StdEncoding.EncodeToString(raw),
	}
}

// TestRSA tells keys that Go takes from those it does not: they are unsupported, and not wrong.
func TestRSA(t *testing.T) {
	v := new(Validator)
	for _, row := range []struct {
		exponent, modulus int
		why               string
	}{
		{17, 1024, ""}, {17, 4096, ""}, {31, 2048, ""}, {2, 2048, ""},
		{17, 1023, "an RSA key of 1023 bits is not supported"}, {17, 512, "an RSA key of 512 bits is not supported"},
		{17, 4104, "an RSA key of 4104 bits is not supported"},
		{33, 2048, "an RSA exponent of 33 bits is not supported"}, {32, 2048, "an RSA exponent of 32 bits is not supported"},
	} {
		if why := v.unsupported(rsaKey(row.exponent, row.modulus)); why != row.why {
			t.Errorf("%d, %d: %q", row.exponent, row.modulus, why)
		}
	}
	for _, text := range []string{"", "AA==", "AAAA", "////", "not base64"} {
		k := rsaKey(17, 2048)
		k.PublicKey = text
		if v.unsupported(k) == "" {
			t.Errorf("%q is a key", text)
		}
	}
}

func newKey(t *testing.T, flags uint16, algorithm uint8, bits int) (crypto.Signer, *dns.DNSKEY) {
	t.Helper()
	k := rsaKey(17, 1024)
	k.Flags, k.Algorithm = flags, algorithm
	private, err := k.Generate(bits)
	if err != nil {
		t.Fatal(err)
	}
	return private.(crypto.Signer), k
}

func unknown(k *dns.DNSKEY) *dns.DNSKEY {
	k = dns.Copy(k).(*dns.DNSKEY)
	k.Algorithm = 200
	return k
}

func flagged(k *dns.DNSKEY, flag uint16) *dns.DNSKEY {
	k = dns.Copy(k).(*dns.DNSKEY)
	k.Flags ^= flag
	return k
}

// TestUnusableKeys makes a zone insecure when its DS vouch for keys that we cannot use, and for no other,
// whether that is there or somebody took it away. What else is among the keys has no say, nor has the SEP
// bit (RFC 4034 §2.1.1).
func TestUnusableKeys(t *testing.T) {
	short := rsaKey(17, 768)
	private, ksk := newKey(t, dns.ZONE|dns.SEP, dns.RSASHA256, 1024)
	_, zsk := newKey(t, dns.ZONE, dns.RSASHA256, 1024)
	_, other := newKey(t, dns.ZONE, dns.ECDSAP256SHA256, 256)
	type keys = []*dns.DNSKEY
	for name, row := range map[string]struct {
		ds, keys keys
		want     Status
	}{
		"the DS is of a short key":                   {keys{short}, keys{short}, Insecure},
		"the DS are of a short key and a good one":   {keys{short, ksk}, keys{short, ksk}, Secure},
		"the good one was taken away":                {keys{short, ksk}, keys{short}, Bogus},
		"one key for all":                            {keys{ksk}, keys{ksk}, Secure},
		"one key for all, a short one is to come":    {keys{ksk}, keys{ksk, short}, Secure},
		"the same, and the short one is for keys":    {keys{ksk}, keys{ksk, flagged(short, dns.SEP)}, Secure},
		"a good one signs the data":                  {keys{ksk}, keys{ksk, zsk, short}, Secure},
		"a short key, and one of another algorithm":  {keys{ksk}, keys{ksk, short, other}, Secure},
		"an unknown algorithm besides":               {keys{ksk}, keys{ksk, unknown(other)}, Secure},
		"a DS of an unknown algorithm besides":       {keys{ksk, unknown(other)}, keys{ksk}, Secure},
		"the DS is of a good key that is not there":  {keys{zsk}, keys{ksk}, Bogus},
		"the DS is of a short key that is not there": {keys{short}, keys{ksk}, Bogus},
	} {
		set := &rrset{owner: "example.", rtype: dns.TypeDNSKEY}
		for _, k := range row.keys {
			set.rrs = append(set.rrs, k)
		}
		sig := &dns.RRSIG{Algorithm: ksk.Algorithm, KeyTag: ksk.KeyTag(), SignerName: "example.", Inception: 1, Expiration: 1 << 30}
		if err := sig.Sign(private, set.rrs); err != nil {
			t.Fatal(err)
		}
		set.sigs = []*dns.RRSIG{sig}
		var ds []*dns.DS
		for _, k := range row.ds {
			ds = append(ds, k.ToDS(dns.SHA256))
		}
		s := &search{&Validator{Now: func() time.Time { return time.Unix(1000, 0) }}, newBudget()}
		usable, _ := s.v.usableDS(ds)
		z, _, err := s.keyed(t.Context(), "example.", usable, set)
		got := Secure
		switch {
		case isBogus(err):
			got = Bogus
		case err != nil:
			t.Fatal(err)
		case z.why != "":
			got = Insecure
		}
		if got != row.want {
			t.Errorf("%s: %s (%v), want %s", name, got, err, row.want)
		}
	}
}

// TestUnescape reads what package dns writes.
func TestUnescape(t *testing.T) {
	for _, raw := range [][]byte{[]byte("plain"), []byte(`"quoted" \ back`), {0, 1, 127, 128, 255}, []byte("ü; v=1"), {}} {
		m := new(dns.Msg).SetQuestion("a.", dns.TypeTXT)
		m.Answer = []dns.RR{&dns.RFC3597{Hdr: dns.RR_Header{Name: "a.", Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Rdata: hex.EncodeToString(append([]byte{byte(len(raw))}, raw...))}}
		wire, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Unpack(wire); err != nil {
			t.Fatal(err)
		}
		if got := text(m.Answer[0].(*dns.TXT).Txt); !bytes.Equal([]byte(got), raw) {
			t.Errorf("got %q, want %q", got, raw)
		}
	}
}

// TestTarget is the table of RFC 6672 §2.2, and names that no DNAME makes.
func TestTarget(t *testing.T) {
	long := strings.Repeat("a123456789.", 22)
	for _, row := range []struct{ name, owner, target, want string }{
		{"a.example.com.", "example.com.", "example.net.", "a.example.net."},
		{"a.b.example.com.", "example.com.", "example.net.", "a.b.example.net."},
		{"ab.example.com.", "b.example.com.", "example.net.", ""}, // not below
		{"foo.example.com.", "example.com.", ".", "foo."},
		{"a.b.", ".", "Example.NET.", "a.b.example.net."},
		{long + "c.", "c.", "longer.than.that.", ""},
	} {
		m := &reply{answer: []*rrset{{owner: row.owner, rtype: dns.TypeDNAME, rrs: []dns.RR{&dns.DNAME{Target: row.target}}}}}
		got := ""
		if link := m.about(row.name, dns.TypeA); link != nil {
			got, _ = target(link, row.name)
		}
		if got != row.want {
			t.Errorf("%s by %s to %s: got %q, want %q", row.name, row.owner, row.target, got, row.want)
		}
	}
}

// TestCacheBounds holds no more than it may, and of what it drops rather what has expired.
func TestCacheBounds(t *testing.T) {
	now := time.Unix(1000, 0)
	c := cache[int, int]{size: 4, now: func() time.Time { return now }}
	put := func(key int, keep time.Duration) {
		c.get(t.Context(), key, func() (int, time.Duration, error) { return key, keep, nil })
	}
	for i := range 100 {
		put(i, time.Hour)
		if len(c.entries) > 4 {
			t.Fatalf("%d entries", len(c.entries))
		}
	}
	c = cache[int, int]{size: 4, now: c.now}
	for i := range 3 {
		put(i, time.Hour)
	}
	put(3, time.Second)
	now = now.Add(time.Minute)
	put(4, time.Hour)
	if _, there := c.entries[3]; there || len(c.entries) != 4 {
		t.Errorf("what has expired stays: %v", c.entries)
	}
}
