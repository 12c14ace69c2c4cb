package mtasts

import (
	"errors"
	"fmt"
	"strings"
)

// wsp is white space in ABNF (RFC 5234 §B.1).
const wsp = " \t"

// ParseRecord returns the id of the one record among the TXT records of _mta-sts.DOMAIN that announces a
// policy (RFC 8461 §3.1). The strings of each record are put together by the caller. It fails with
// [ErrNoRecord] if there is none, and otherwise if there are several, or the one is wrong: then too the
// domain announces no policy.
func ParseRecord(records []string) (id string, err error) {
	var fields []string
	for _, record := range records {
		rest, ok := strings.CutPrefix(record, "v=STSv1")
		if rest = strings.TrimLeft(rest, wsp); !ok || !strings.HasPrefix(rest, ";") {
			continue // "records that do not begin with v=STSv1; are discarded"; the ABNF allows blanks there
		}
		if fields != nil {
			return "", errors.New("more than one record announces a policy")
		}
		fields = strings.Split(rest[1:], ";")
	}
	if fields == nil {
		return "", ErrNoRecord
	}
	if last := len(fields) - 1; last > 0 && strings.Trim(fields[last], wsp) == "" {
		fields = fields[:last] // one delimiter may stand at the end
	} else if strings.TrimRight(fields[last], wsp) != fields[last] {
		return "", errors.New("the record ends in white space")
	}
	return parseFields(fields)
}

// parseFields checks every field of a record, and returns the first id: of duplicates the first counts
// (RFC 8461 §3.2).
func parseFields(fields []string) (id string, err error) {
	for _, field := range fields {
		field = strings.Trim(field, wsp)
		name, value, ok := strings.Cut(field, "=")
		if !ok || !isFieldName(name) || !isExtensionValue(value) {
			return "", fmt.Errorf("the record has a field that is none: %q", clip(field))
		}
		if name != "id" || id != "" {
			continue
		}
		if id = value; len(id) > 32 || !all(id, isAlphanumeric) {
			return "", fmt.Errorf("the record's id is not 1 to 32 letters and digits: %q", clip(id))
		}
	}
	if id == "" {
		return "", errors.New("the record has no id")
	}
	return id, nil
}

// isExtensionValue reports whether a value is of printable ASCII without "=", ";" and space.
func isExtensionValue(value string) bool {
	return value != "" && all(value, func(c byte) bool { return c > ' ' && c < 0x7f && c != '=' && c != ';' })
}

// isFieldName reports whether a name can be that of a field, in records and in policies.
func isFieldName(name string) bool {
	return name != "" && len(name) <= 32 && isAlphanumeric(name[0]) &&
		all(name, func(c byte) bool { return isAlphanumeric(c) || c == '_' || c == '-' || c == '.' })
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || isDigit(c)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func all(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return true
}

// clip cuts what a stranger wrote to what fits into an error.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
