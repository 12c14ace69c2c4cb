package dialect

import (
	"strconv"
	"strings"
)

const (
	longestTag  = 256     // that is taken for one; the grammar has no limit
	hugeLiteral = 1 << 30 // of this size or more is longer than every limit
)

// tagged is the state of a conversation in which each command bears a tag, and its answer the same one
// (RFC 9051 §2.2.1, RFC 2244 §2.2): of the last command, the only one that can be open.
type tagged struct {
	ours    int    // how many tags of our own we have used
	tag     string // legal or not
	verb    string // in upper case
	kind    Kind
	open    bool // it has no tagged answer yet
	wait    bool // and the next word is the server's
	more    bool // the server has asked for more of it with "+"
	literal int  // how many octets the client has announced for then
}

// A clientLine is what a client says next.
type clientLine struct {
	text  string
	crlf  bool // it ends in CRLF
	alone bool // it has no literal
	rest  bool // it is more of the open command: a literal, a line of a SASL exchange, DONE
}

// cut cuts the client's next line, with its literals.
func (s *tagged) cut(buf []byte) (c clientLine, n int, err error) {
	octets := 0
	if s.more {
		octets = s.literal
	}
	n, first, announced, err := cutCommand(buf, octets)
	if n == 0 || err != nil {
		return c, 0, err
	}
	c.alone, c.rest = announced < 0 && first == n, s.more
	if !c.rest {
		c.text, c.crlf = chomp(buf[:first])
		if err := foreign(c.text); err != nil {
			return c, 0, err
		}
	}
	s.more, s.literal = false, max(0, announced)
	return c, n, nil
}

// goOn reads a "+": the client may say more of its command.
func (s *tagged) goOn(text string) Message {
	if !s.open || s.more {
		return Message{}
	}
	m := Message{Re: s.kind, Tag: s.tag}
	if s.wait = false; s.kind != Secret {
		s.open = false // there is no more of it: the server has not understood
		m.Kind, m.Text = No, "+ "+text
		return m
	}
	s.more = true
	return m
}

// closed says that nothing is open any more, and returns the frame of the answer.
func (s *tagged) closed() Message {
	s.open, s.wait, s.more = false, false, false
	return Message{Re: s.kind, Tag: s.tag}
}

// ask says a command under the tag, or under one of our own if it is empty.
func (s *tagged) ask(dst []byte, tag, verb string) []byte {
	if tag == "" {
		s.ours++
		tag = "s" + strconv.Itoa(s.ours)
	}
	return append(dst, tag+" "+verb+"\r\n"...)
}

// refuseTagged words a No with one of the texts. A BYE answers no command; a line without a legal tag gets
// an untagged BAD.
func refuseTagged(m Message, texts []string) string {
	tag, text := m.Tag, texts[m.Why]
	switch {
	case m.Why == Unavailable, m.Why == TooMuch:
		tag = "*"
	case tag == "", tag == "*":
		tag, text = "*", texts[BadSyntax]
	}
	return tag + " " + text + "\r\n"
}

// cutCommand cuts a client's message that begins with octets that were announced before. A literal
// that needs the server's leave ends it, and its size is announced; one that needs none is part of it
// (RFC 7888). first is the length of the first line.
func cutCommand(buf []byte, octets int) (n, first, announced int, err error) {
	for n = octets; ; {
		if len(buf) <= n {
			return 0, 0, 0, nil
		}
		end, err := cutLine(buf[n:])
		if end == 0 || err != nil {
			return 0, 0, 0, err
		}
		size, free := literal(buf[n : n+end])
		if n += end; first == 0 {
			first = n
		}
		if size < 0 || !free {
			return n, first, size, nil
		}
		n += size
	}
}

// literal returns the size of the literal that a line announces at its end, or -1, and whether it
// follows without leave: "{n}" or "{n+}".
func literal(line []byte) (size int, free bool) {
	text, _ := chomp(line)
	text, ok := strings.CutSuffix(text, "}")
	brace := strings.LastIndexByte(text, '{')
	digits, free := strings.CutSuffix(text[brace+1:], "+")
	if !ok || brace < 0 || digits == "" || strings.Trim(digits, "0123456789") != "" {
		return -1, false
	}
	if size, err := strconv.Atoi(digits); err == nil && size < hugeLiteral {
		return size, free
	}
	return hugeLiteral, free
}

// legalTag: 1*<any ASTRING-CHAR except "+"> (RFC 9051 §9).
func legalTag(tag string) bool {
	for i := range len(tag) {
		if c := tag[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\+`, c) >= 0 {
			return false
		}
	}
	return tag != "" && len(tag) <= longestTag
}

// cutData returns the length of an untagged response, literals and all. They follow at once.
func cutData(buf []byte) int {
	for n := 0; n < len(buf); {
		end, err := cutLine(buf[n:])
		if end == 0 || err != nil {
			return 0
		}
		size, free := literal(buf[n : n+end])
		if n += end; size < 0 || free {
			return n
		}
		n += size
	}
	return 0
}
