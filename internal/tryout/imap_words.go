package tryout

import (
	"bufio"
	"strconv"
	"strings"
)

// wordsLimit is the longest command, its literals included.
const wordsLimit = 64 << 10

// words reads a command of IMAP, or of its kin, as words; a parenthesis is a word of its own. Literals
// are asked for with goOn and read (RFC 3501 §4.3, RFC 7888). ok is false if the command is malformed.
// One that is too long fails as a line does that is too long: after a literal that nobody reads the rest
// could mean anything.
func (c *session) words(goOn string) (words []string, ok bool, err error) {
	ok = true
	for size := 0; ; {
		line, err := c.line()
		if err != nil {
			return nil, false, err
		}
		line, literal, wait := cutLiteral(line)
		more, fine := splitWords(line)
		words, ok = append(words, more...), ok && fine
		if literal < 0 {
			return words, ok, nil
		}
		if size += len(line) + literal; size > wordsLimit {
			return nil, false, bufio.ErrBufferFull
		}
		if wait {
			c.w.WriteString(goOn)
		}
		text, err := c.take(literal)
		if err != nil {
			return nil, false, err
		}
		words = append(words, string(text))
	}
}

// cutLiteral cuts a literal's size off the end of a line. It is negative if there is none. wait says
// that the client waits to be asked.
func cutLiteral(line string) (rest string, size int, wait bool) {
	open := strings.LastIndexByte(line, '{')
	if open < 0 || !strings.HasSuffix(line, "}") {
		return line, -1, false
	}
	digits, goesOn := strings.CutSuffix(line[open+1:len(line)-1], "+")
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil {
		return line, -1, false
	}
	return line[:open], int(n), !goesOn
}

// splitWords splits what stands between literals.
func splitWords(line string) (words []string, ok bool) {
	for line = strings.TrimLeft(line, " "); line != ""; line = strings.TrimLeft(line, " ") {
		word, n := line[:1], 1
		switch line[0] {
		case '(', ')':
		case '"':
			if word, n = cutQuoted(line); n == 0 {
				return words, false
			}
		default:
			n = atomEnd(line)
			word = line[:n]
		}
		words, line = append(words, word), line[n:]
	}
	return words, true
}

// cutQuoted unquotes the string at the start of line. n is its length with the quotes, 0 if it does not
// end.
func cutQuoted(line string) (text string, n int) {
	var out []byte
	for i := 1; i < len(line); i++ {
		switch {
		case line[i] == '"':
			return string(out), i + 1
		case line[i] == '\\' && i+1 < len(line):
			i++
		}
		out = append(out, line[i])
	}
	return "", 0
}

// atomEnd finds the end of an atom. What stands in brackets belongs to it: BODY[HEADER.FIELDS (DATE)].
func atomEnd(line string) int {
	deep := false
	for i := range len(line) {
		switch line[i] {
		case '[':
			deep = true
		case ']':
			deep = false
		case ' ', '(', ')':
			if !deep {
				return i
			}
		}
	}
	return len(line)
}

// quoted is a text as a quoted string. There are no line ends in it.
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
