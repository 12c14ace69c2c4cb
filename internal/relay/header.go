package relay

import (
	"bytes"
	"strings"
)

// maxHeader is how much of a message is held until its header has ended. A longer header says nothing.
const maxHeader = 64 << 10

// headerEnd returns the length of the header that data begins with, without the empty line behind it,
// or -1 when its end has not come.
func headerEnd(data []byte) int {
	if bytes.HasPrefix(data, []byte("\r\n")) {
		return 0
	}
	if at := bytes.Index(data, []byte("\r\n\r\n")); at >= 0 {
		return at + 2
	}
	return -1
}

// tlsOptional reports whether a header says "TLS-Required: No", in exactly one field of that name
// (RFC 8689 §3).
func tlsOptional(header []byte) bool {
	fields, optional := 0, false
	for field := range strings.SplitSeq(unfold(string(header)), "\r\n") {
		name, value, _ := strings.Cut(field, ":")
		if strings.EqualFold(name, "TLS-Required") {
			fields++
			optional = strings.EqualFold(strings.Trim(value, " \t"), "No")
		}
	}
	return fields == 1 && optional
}

// maxHops is how many servers a message may have passed (RFC 5321 §6.3).
const maxHops = 100

// hops is how many servers a header names.
func hops(header []byte) (n int) {
	for line := range strings.Lines(string(header)) {
		if _, ok := cutFold(line, "Received:"); ok {
			n++
		}
	}
	return n
}

// unfold puts folded fields on one line (RFC 5322 §2.2.3).
func unfold(header string) string {
	return strings.NewReplacer("\r\n ", " ", "\r\n\t", " ").Replace(header)
}
