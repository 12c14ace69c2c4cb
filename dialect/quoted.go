package dialect

import "strings"

// The strings of ACAP and its kin (RFC 2244 §2.6.3, RFC 5804 §4): quoted, or a literal with its length.

// quoted reads a line of strings, quoted or literal, with atoms between. It returns nil if it is none.
func quoted(line []byte) (all []string) {
	rest := string(line)
	for {
		rest = strings.TrimLeft(rest, " ")
		switch {
		case rest == "\r\n", rest == "\n":
			return all
		case rest == "":
			return nil
		case rest[0] == '"':
			end := quoteEnd(rest)
			if end < 0 {
				return nil
			}
			all, rest = append(all, unquote(rest[:end])), rest[end:]
		case rest[0] == '{':
			end := strings.IndexByte(rest, '\n') + 1
			size, free := literal([]byte(rest[:end]))
			if size < 0 || free || end+size > len(rest) {
				return nil
			}
			all, rest = append(all, rest[end:end+size]), rest[end+size:]
		default:
			end := strings.IndexFunc(rest, blank)
			if end <= 0 {
				return nil
			}
			all, rest = append(all, rest[:end]), rest[end:]
		}
	}
}

// quoteEnd returns the length of the quoted string with which text begins, or -1.
func quoteEnd(text string) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		case '\r', '\n':
			return -1
		}
	}
	return -1
}

// unquote returns what a quoted string says.
func unquote(text string) string {
	var b strings.Builder
	for i := 1; i < len(text)-1; i++ {
		if text[i] == '\\' {
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// quote says text as a quoted string.
func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", "", "\n", "").Replace(text) + `"`
}
