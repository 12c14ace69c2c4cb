package dane

import (
	"crypto/x509"
	"fmt"
	"strings"
)

// named reports whether a certificate is for one of names. The common name counts only where there is no
// DNS name at all (RFC 7672 §3.2.3).
func named(c *x509.Certificate, names []string) bool {
	for _, presented := range presents(c) {
		for _, name := range names {
			if nameMatches(presented, name) {
				return true
			}
		}
	}
	return false
}

// presents returns the names that a certificate is for.
func presents(c *x509.Certificate) []string {
	if len(c.DNSNames) > 0 {
		return c.DNSNames
	}
	return []string{c.Subject.CommonName}
}

// nameMatches compares a name of a certificate with a reference identifier. "*" stands for the whole
// first label and for one label (RFC 7672 §3.2.3).
func nameMatches(presented, name string) bool {
	if strings.EqualFold(presented, name) {
		return presented != ""
	}
	suffix, wild := strings.CutPrefix(presented, "*.")
	first, rest, ok := strings.Cut(name, ".")
	return wild && ok && first != "" && rest != "" && strings.EqualFold(suffix, rest)
}

// A nameError is a certificate for somebody else.
type nameError struct{ presents, wanted []string }

func (e nameError) Error() string {
	const most = 5
	return fmt.Sprintf("leads to a certificate for %.200q, and wanted is one of %q", e.presents[:min(len(e.presents), most)], e.wanted)
}
