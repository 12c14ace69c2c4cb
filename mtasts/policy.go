package mtasts

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxBody is the size in bytes of the longest policy that is read (RFC 8461 §3.3).
const MaxBody = 64 << 10

// ParsePolicy parses the text of a policy (RFC 8461 §3.2). What is not to the letter of the grammar is
// refused, with one exception: a single empty line at the end, which editors like to add.
func ParsePolicy(text []byte) (*Policy, error) {
	if len(text) > MaxBody {
		return nil, fmt.Errorf("the policy is longer than %d bytes", MaxBody)
	}
	p := &Policy{Text: string(text)}
	seen := map[string]bool{}
	for i, line := range lines(p.Text) {
		name, value, err := parseLine(line)
		if err == nil && (name == "mx" || !seen[name]) { // of duplicates the first counts
			seen[name] = true
			err = p.set(name, value)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	for _, name := range []string{"version", "mode", "max_age"} {
		if !seen[name] {
			return nil, fmt.Errorf("the policy has no %s", name)
		}
	}
	if len(p.MX) == 0 && p.Mode != None {
		return nil, errors.New("the policy has no mx")
	}
	return p, nil
}

// lines splits a text at LF or CRLF. The last line need not have an end, and one empty line more is not
// counted.
func lines(text string) []string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\n")
	return strings.Split(text, "\n")
}

// parseLine parses one field: a name, ":", white space, a value, white space.
func parseLine(line string) (name, value string, err error) {
	name, value, ok := strings.Cut(line, ":")
	if !ok || !isFieldName(name) {
		return "", "", fmt.Errorf("no field: %q", clip(line))
	}
	value = strings.Trim(value, wsp)
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	if value == "" || !utf8.ValidString(value) || strings.ContainsFunc(value, control) {
		return "", "", fmt.Errorf("the value of %s is empty, or holds what is no text", name)
	}
	return name, value, nil
}

// set takes one field over. Unknown ones are ignored.
func (p *Policy) set(name, value string) (err error) {
	switch name {
	case "version":
		if value != "STSv1" {
			return fmt.Errorf("the version is not STSv1: %q", clip(value))
		}
	case "mode":
		p.Mode = Mode(value)
		if p.Mode != Enforce && p.Mode != Testing && p.Mode != None {
			return fmt.Errorf("no such mode: %q", clip(value))
		}
	case "max_age":
		p.MaxAge, err = parseAge(value)
	case "mx":
		if !isPattern(value) {
			return fmt.Errorf("mx is neither a domain name nor one behind %q: %q", "*.", clip(value))
		}
		p.MX = append(p.MX, strings.ToLower(value))
	}
	return err
}

// parseAge parses 1 to 10 digits. Values above the maximum are legal in the grammar, and cut to it.
func parseAge(value string) (time.Duration, error) {
	if len(value) > 10 || !all(value, isDigit) {
		return 0, fmt.Errorf("max_age is not 1 to 10 digits: %q", clip(value))
	}
	seconds, err := strconv.ParseInt(value, 10, 64)
	return time.Duration(min(seconds, int64(MaxAge/time.Second))) * time.Second, err
}

// isPattern reports whether value is ["*."] Domain (RFC 5321 §4.1.2): letters, digits and inner hyphens.
func isPattern(value string) bool {
	domain := strings.TrimPrefix(value, "*.")
	if len(domain) > 253 {
		return false
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			!all(label, func(c byte) bool { return isAlphanumeric(c) || c == '-' }) {
			return false
		}
	}
	return true
}

// Matches reports whether the policy lists an MX host. "*." stands for exactly one label
// (RFC 8461 §4.1).
func (p *Policy) Matches(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, pattern := range p.MX {
		if pattern == host {
			return true
		}
		if suffix, ok := strings.CutPrefix(pattern, "*."); ok {
			if first, rest, ok := strings.Cut(host, "."); ok && first != "" && rest == suffix {
				return true
			}
		}
	}
	return false
}
