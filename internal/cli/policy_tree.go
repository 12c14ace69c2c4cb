package cli

import (
	"io"
	"strings"
	"unicode/utf8"
)

// A branch is one line of a tree for people, and what belongs to it.
type branch struct {
	text string
	kids []*branch
}

// add appends a line below and returns it.
func (b *branch) add(text string) *branch {
	kid := &branch{text: text}
	b.kids = append(b.kids, kid)
	return kid
}

// columns is how wide a tree is.
const columns = 80

// write draws a tree. Lines that are too long go on below their start.
func (b *branch) write(w io.Writer) error {
	var s strings.Builder
	b.draw(&s, "", "")
	_, err := io.WriteString(w, s.String())
	return err
}

// draw draws a branch: first stands before its first line, rest before all that is below it.
func (b *branch) draw(s *strings.Builder, first, rest string) {
	below := rest + "   "
	if len(b.kids) > 0 {
		below = rest + "│  "
	}
	prefix := first
	for _, line := range wrap(b.text, columns-utf8.RuneCountInString(first), columns-utf8.RuneCountInString(below)) {
		s.WriteString(prefix + line + "\n")
		prefix = below
	}
	for i, kid := range b.kids {
		if i < len(b.kids)-1 {
			kid.draw(s, rest+"├─ ", rest+"│  ")
		} else {
			kid.draw(s, rest+"└─ ", rest+"   ")
		}
	}
}

// tie stands for a space at which no line ends.
const tie = "\x1f"

// wrap breaks a text into lines, between words where there are any: one of first characters at most, and
// others of rest.
func wrap(text string, first, rest int) (lines []string) {
	line, width := "", first
	next := func() { lines, line, width = append(lines, line), "", rest }
	for word := range strings.FieldsSeq(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			next()
		}
		for utf8.RuneCountInString(word) > width {
			runes := []rune(word)
			line, word = string(runes[:width]), string(runes[width:])
			next()
		}
		if line != "" {
			line += " "
		}
		line += strings.ReplaceAll(word, tie, " ")
	}
	return append(lines, line)
}
