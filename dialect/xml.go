package dialect

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// This file cuts an XML stream into its first-level elements, for xmpp.go, and keeps where in the bytes
// each part stands. encoding/xml reads ahead, and what it writes is not what it read.
//
// It is as strict as RFC 6120 §11 asks: no comment, processing instruction, DTD or entity of one's own
// (§11.1), no other encoding than UTF-8 (§11.6), every prefix declared (§11.3). Whoever reads the same
// bytes behind us must not see other elements in them.

const (
	xmlDepth = 32 // the deepest nesting
	xmlAttrs = 64 // the most attributes of a tag
)

// An xmlAttr is an attribute, its value without references.
type xmlAttr struct{ name, value string }

// An xmlTag is a start-tag, an end-tag, both at once, or an XML declaration, which is neither.
type xmlTag struct {
	name       string
	attrs      []xmlAttr
	start, end bool
	to         int // behind it
}

func (t xmlTag) attr(name string) string {
	for _, a := range t.attrs {
		if a.name == name {
			return a.value
		}
	}
	return ""
}

// local returns the name without its prefix.
func (t xmlTag) local() string { return t.name[strings.IndexByte(t.name, ':')+1:] }

// declares looks the prefix of name up among the namespaces that t itself declares.
func (t xmlTag) declares(name string) (ns string, ok bool) {
	key := "xmlns"
	if prefix, _, ok := strings.Cut(name, ":"); ok {
		key += ":" + prefix
	}
	for _, a := range t.attrs {
		if a.name == key {
			return a.value, true
		}
	}
	return "", false
}

// is reports whether t is a tag of this name, whose namespace it declares itself.
func (t xmlTag) is(ns, local string) bool {
	own, ok := t.declares(t.name)
	return ok && own == ns && t.local() == local
}

// cutXMLTag cuts the tag that begins at buf[at], a '<'. Without an error, to == 0 says that more bytes are
// needed.
func cutXMLTag(buf []byte, at int) (t xmlTag, err error) {
	i := at + 1
	switch {
	case i == len(buf):
		return xmlTag{}, nil
	case buf[i] == '/':
		t.end, i = true, i+1
	case buf[i] == '?':
		i++
	case buf[i] == '!':
		return xmlTag{}, noise("a comment or a DTD")
	default:
		t.start = true
	}
	if t.name, i, err = cutXMLName(buf, i); i == 0 || err != nil {
		return xmlTag{}, err
	}
	for {
		var end int
		if end, err = t.ends(buf, skipBlanks(buf, i)); end != 0 || err != nil {
			t.to = max(0, end)
			return t, err
		}
		if i, err = t.cutAttr(buf, i); i == 0 || err != nil {
			return xmlTag{}, err
		}
	}
}

// ends returns the length of buf up to the end of the tag if that stands at buf[i], 0 if an attribute
// does, and -1 if more bytes are needed.
func (t *xmlTag) ends(buf []byte, i int) (int, error) {
	last := byte('/') // of an empty-element tag
	if !t.start && !t.end {
		last = '?'
	}
	switch {
	case i == len(buf):
		return -1, nil
	case buf[i] == '>' && last == '/':
		return i + 1, nil
	case t.end:
		return 0, noise("an end-tag that does not end")
	case buf[i] != last:
		return 0, nil
	case i+1 == len(buf):
		return -1, nil
	case buf[i+1] != '>':
		return 0, noise("a tag that does not end")
	}
	t.end = t.start
	return i + 2, nil
}

// cutAttr cuts blanks and an attribute at buf[i], and returns where it ends, or 0.
func (t *xmlTag) cutAttr(buf []byte, i int) (int, error) {
	from := skipBlanks(buf, i)
	if from == i || len(t.attrs) == xmlAttrs {
		return 0, noise("a tag that is none")
	}
	name, i, err := cutXMLName(buf, from)
	if i == 0 || err != nil {
		return 0, err
	}
	if i = skipBlanks(buf, i); i < len(buf) && buf[i] != '=' {
		return 0, noise("an attribute without a value")
	}
	if i = skipBlanks(buf, min(i+1, len(buf))); i == len(buf) {
		return 0, nil
	}
	quote := buf[i]
	if quote != '"' && quote != '\'' {
		return 0, noise("a value without quotes")
	}
	size := bytes.IndexByte(buf[i+1:], quote)
	if size < 0 {
		return 0, nil
	}
	value, ok := unescape(buf[i+1 : i+1+size])
	for _, a := range t.attrs {
		ok = ok && a.name != name
	}
	if !ok {
		return 0, noise("an attribute that is none")
	}
	t.attrs = append(t.attrs, xmlAttr{name, value})
	return i + 1 + size + 1, nil
}

// cutXMLName cuts a name at buf[i], and returns where it ends, or 0 when its end is not there yet.
func cutXMLName(buf []byte, i int) (name string, end int, err error) {
	for end = i; end < len(buf) && nameByte(buf[end]); end++ {
	}
	name = string(buf[i:end])
	switch {
	case end < len(buf) && (name == "" || strings.IndexByte("-.:0123456789", name[0]) >= 0),
		strings.Count(name, ":") > 1, end < len(buf) && strings.HasSuffix(name, ":"):
		return "", 0, noise("a name that is none")
	case end == len(buf):
		return "", 0, nil
	}
	return name, end, nil
}

func nameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '-' <= c && c <= ':' && c != '/' || c == '_' || c >= utf8.RuneSelf
}

func xmlBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func skipBlanks(buf []byte, i int) int {
	for i < len(buf) && xmlBlank(buf[i]) {
		i++
	}
	return i
}
