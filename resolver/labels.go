package resolver

import (
	"bytes"
	"slices"

	"github.com/miekg/dns"
)

// Inside the package names are as package dns has them: lower-case, with the last dot, odd bytes
// escaped; the root is ".". Relations between names are told by labels, never by bytes of the text:
// "ample.test." ends what "example.test." ends with, and is not above it.

// compare orders names canonically (RFC 4034 §6.1): by labels, the last first, each as bytes.
func compare(a, b string) int {
	return slices.CompareFunc(wireLabels(a), wireLabels(b), bytes.Compare)
}

// wireLabels returns the labels of a name as they are on the wire, the last first.
func wireLabels(name string) [][]byte {
	var wire [255]byte
	end, err := dns.PackDomainName(dns.CanonicalName(name), wire[:], 0, nil, false)
	if err != nil {
		return nil // no name that was read from a message
	}
	var labels [][]byte
	for at := 0; at < end && wire[at] != 0; at += 1 + int(wire[at]) {
		labels = append(labels, wire[at+1:at+1+int(wire[at])])
	}
	slices.Reverse(labels)
	return labels
}

// within reports whether a name is an apex or below it.
func within(name, apex string) bool { return dns.IsSubDomain(apex, name) }

// below reports whether a name is strictly below another.
func below(name, other string) bool {
	return within(name, other) && dns.CountLabel(name) > dns.CountLabel(other)
}

// last returns the last n labels of a name.
func last(name string, n int) string {
	starts := dns.Split(name)
	if n == 0 || n > len(starts) {
		return "."
	}
	return name[starts[len(starts)-n]:]
}

// wildcard returns the wildcard directly below a name.
func wildcard(name string) string {
	if name == "." {
		return "*."
	}
	return "*." + name
}

// sourceLabels is the count of labels that an RRSIG of a set at this name has when the set was not
// expanded from a wildcard (RFC 4034 §3.1.3): the root and a leading "*" do not count.
func sourceLabels(owner string) int {
	n := dns.CountLabel(owner)
	if owner == "*." || len(owner) > 2 && owner[:2] == "*." {
		n--
	}
	return n
}
