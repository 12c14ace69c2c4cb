package resolver

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// toASCII maps names as people write them (UTS 46), underscores allowed: half of what we ask for has
// them.
var toASCII = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false), idna.VerifyDNSLength(false),
	idna.CheckHyphens(false))

// Name returns a domain name as it is used everywhere here: A-labels (RFC 5890), lower-case, without the
// last dot; the root is "". It fails where a domain name cannot be meant: an address, an empty label,
// NUL, white space, a label over 63 or a name over 253 bytes.
func Name(s string) (string, error) {
	name := strings.TrimSuffix(s, ".")
	if name == "" && s == "." {
		return "", nil
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return "", fmt.Errorf("%q is an address and no domain name", s)
	}
	if !utf8.ValidString(name) {
		return "", fmt.Errorf("%q is no domain name: it is not UTF-8", s)
	}
	name, err := toASCII.ToASCII(name)
	if err != nil {
		return "", fmt.Errorf("%q is no domain name: %w", s, err)
	}
	if name == "" || len(name) > 253 {
		return "", fmt.Errorf("%q is no domain name: its length", s)
	}
	for label := range strings.SplitSeq(name, ".") {
		if err := checkLabel(label); err != nil {
			return "", fmt.Errorf("%q is no domain name: %w", s, err)
		}
	}
	return name, nil
}

func checkLabel(label string) error {
	if label == "" || len(label) > 63 {
		return errors.New("a label is empty or longer than 63 bytes")
	}
	for i := range len(label) {
		if c := label[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"\()@;:,/[]{}<>`, c) >= 0 {
			return fmt.Errorf("a label holds %q", c)
		}
	}
	return nil
}
