package resolver

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/miekg/dns"
)

// rootAnchors are the keys of the root that IANA publishes (https://data.iana.org/root-anchors): KSK-2017,
// and KSK-2024, which is in the root zone since 2025.
const rootAnchors = `
. IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D
. IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16
`

// digestSizes are the lengths of the digests of DS records that we know, in bytes.
var digestSizes = map[uint8]int{dns.SHA1: 20, dns.SHA256: 32, dns.SHA384: 48}

// ReadAnchors reads trust anchors from a file, as for the field Anchors of a [Validator]. Debian's
// /usr/share/dns/root.key is one, Unbound's auto-trust-anchor-file another.
func ReadAnchors(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if _, err := parseAnchors(string(text)); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return string(text), nil
}

// parseAnchors returns the DS records of each zone with a trust anchor. A key becomes the DS that its
// parent would have.
func parseAnchors(text string) (map[string][]*dns.DS, error) {
	anchors := make(map[string][]*dns.DS)
	zp := dns.NewZoneParser(strings.NewReader("$TTL 0\n"+text), ".", "")
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		ds, isDS := rr.(*dns.DS)
		// RFC 5011 §2.1: a revoked key says so.
		if k, ok := rr.(*dns.DNSKEY); ok && k.Flags&dns.REVOKE == 0 {
			ds, isDS = k.ToDS(dns.SHA256), true
		}
		if !isDS || ds == nil {
			return nil, fmt.Errorf("trust anchor %q: want a DS, or a DNSKEY that is not revoked", rr)
		}
		if size := digestSizes[ds.DigestType]; size == 0 || len(ds.Digest) != 2*size {
			return nil, fmt.Errorf("trust anchor %q: its digest is of a type that is not known, or not whole", rr)
		}
		zone := dns.CanonicalName(ds.Hdr.Name)
		anchors[zone] = append(anchors[zone], ds)
	}
	if err := zp.Err(); err != nil {
		return nil, fmt.Errorf("trust anchors: %w", err)
	}
	if len(anchors) == 0 {
		return nil, errors.New("there is no trust anchor")
	}
	return anchors, nil
}
