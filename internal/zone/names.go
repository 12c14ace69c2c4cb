package zone

import (
	"iter"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// ancestors yields the names above a name, the nearest first, the root last.
func ancestors(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for name != "." {
			off, end := dns.NextLabel(name, 0)
			if name = name[off:]; end {
				name = "."
			}
			if !yield(name) {
				return
			}
		}
	}
}

// under reports whether a name is at or below another.
func under(name, origin string) bool {
	return origin == "." || name == origin || strings.HasSuffix(name, "."+origin)
}

// path returns the names from origin down to name, both included.
func path(name, origin string) []string {
	all := []string{name}
	for at := range ancestors(name) {
		if !under(at, origin) || name == origin {
			break
		}
		all = append(all, at)
	}
	slices.Reverse(all)
	return all
}

// labelsOf returns the labels of a lower-case name, from the root down, without escapes. Two of them
// compare, by slices.Compare, in the canonical order of RFC 4034 §6.1.
func labelsOf(name string) []string {
	wire := make([]byte, 256)
	n, err := dns.PackDomainName(name, wire, 0, nil, false)
	if err != nil {
		return nil // cannot be: it came off the wire, or was parsed
	}
	var labels []string
	for i := 0; i < n && wire[i] != 0; i += 1 + int(wire[i]) {
		labels = append(labels, string(wire[i+1:i+1+int(wire[i])]))
	}
	slices.Reverse(labels)
	return labels
}

// wildcard returns the name of the wildcard below a name.
func wildcard(name string) string {
	if name == "." {
		return "*."
	}
	return "*." + name
}
