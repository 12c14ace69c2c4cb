package resolver

import (
	"fmt"
	"os"
	"strings"

	"github.com/miekg/dns"
)

// rootAnchors are the keys of the root that IANA publishes (https://data.iana.org/root-anchors): KSK-2017,
// and KSK-2024, which is in the root zone since 2025.
var rootAnchors = []string{
	". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
	". IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
}

// ReadAnchors reads trust anchors from a file in the format of zone files that holds DS or DNSKEY records
// (Debian's /usr/share/dns/root.key is one, Unbound's auto-trust-anchor-file another), as for the field
// Anchors of a [Validator].
func ReadAnchors(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var anchors []string
	zp := dns.NewZoneParser(strings.NewReader(string(text)), ".", path)
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		anchors = append(anchors, rr.String())
	}
	if err := zp.Err(); err != nil {
		return nil, err
	}
	_, err = parseAnchors(anchors)
	return anchors, err
}

// parseAnchors returns the DS records of each zone with a trust anchor. A key becomes the DS that its
// parent would have. No lines are the root's.
func parseAnchors(lines []string) (map[string][]*dns.DS, error) {
	if len(lines) == 0 {
		lines = rootAnchors
	}
	anchors := make(map[string][]*dns.DS)
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			return nil, fmt.Errorf("trust anchor %q: %w", line, err)
		}
		var ds *dns.DS
		switch rr := rr.(type) {
		case *dns.DS:
			ds = rr
		case *dns.DNSKEY:
			// A key that signs keys: RFC 5011 §2.1 revokes it by its flag.
			if rr.Flags&dns.REVOKE == 0 {
				ds = rr.ToDS(dns.SHA256)
			}
		}
		if ds == nil {
			return nil, fmt.Errorf("trust anchor %q: want a DS or a DNSKEY record that is not revoked", line)
		}
		zone := dns.CanonicalName(ds.Hdr.Name)
		anchors[zone] = append(anchors[zone], ds)
	}
	return anchors, nil
}
