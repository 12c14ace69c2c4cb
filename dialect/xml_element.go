package dialect

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// An xmlElement is an element and where it stands.
type xmlElement struct {
	xmlTag
	ns       string
	up       int // the index of the element around it, -1 for the first
	depth    int
	from, to int // all of it
	in, out  int // what stands between its tags
}

// is reports whether e is an element of this name.
func (e xmlElement) is(ns, local string) bool { return e.ns == ns && e.local() == local }

// empty reports whether e holds nothing but blanks.
func (e xmlElement) empty(raw []byte) bool { return skipBlanks(raw, e.in) >= e.out }

// text returns what e says in plain words. ok is false when it holds more than those.
func (e xmlElement) text(raw []byte) (text string, ok bool) {
	text, ok = unescape(raw[e.in:e.out])
	return strings.TrimSpace(text), ok
}

// cutXML cuts an element and all that is in it off buf, in the order of their start-tags. root is
// the tag around it. n == 0 and no error: more bytes are needed.
func cutXML(buf []byte, root xmlTag) (all []xmlElement, n int, err error) {
	for at, open := 0, -1; ; {
		if open >= 0 {
			if at, err = cutText(buf, at); at == 0 || err != nil {
				return nil, 0, err
			}
		}
		t, err := cutXMLTag(buf, at)
		switch {
		case err != nil || t.to == 0:
			return nil, 0, err
		case t.start:
			e := xmlElement{xmlTag: t, up: open, from: at, to: t.to, in: t.to, out: t.to}
			if open >= 0 {
				e.depth = all[open].depth + 1
			}
			if all = append(all, e); !t.end {
				open = len(all) - 1
			}
			if e.depth == xmlDepth {
				return nil, 0, noise("elements in elements")
			}
		case !t.end || open < 0 || t.name != all[open].name:
			return nil, 0, noise("a tag out of place")
		default:
			all[open].out, all[open].to = at, t.to
			open = all[open].up
		}
		if at = t.to; open < 0 {
			return all, at, xmlResolve(all, root, buf[:at])
		}
	}
}

// xmlResolve finds the namespaces of all elements of a whole message.
func xmlResolve(all []xmlElement, root xmlTag, raw []byte) error {
	if !utf8.Valid(raw) {
		return noise("no UTF-8")
	}
	for i := range all {
		ns, ok := "", false
		for up := i; up >= 0 && !ok; up = all[up].up {
			ns, ok = all[up].declares(all[i].name)
		}
		if !ok {
			ns, ok = root.declares(all[i].name)
		}
		if !ok && strings.Contains(all[i].name, ":") {
			return noise("a prefix without a namespace")
		}
		all[i].ns = ns
	}
	return nil
}

// cutText passes the text in an element and returns where the next tag begins, or 0.
func cutText(buf []byte, at int) (int, error) {
	const cdata, cdataEnd = "<![CDATA[", "]]>"
	for {
		size := bytes.IndexByte(buf[at:], '<')
		if size < 0 {
			return 0, nil
		}
		if _, ok := unescape(buf[at : at+size]); !ok {
			return 0, noise("text that is none")
		}
		at += size
		rest := buf[at:]
		if len(rest) < len(cdata) && strings.HasPrefix(cdata, string(rest)) {
			return 0, nil
		}
		if !bytes.HasPrefix(rest, []byte(cdata)) {
			return at, nil
		}
		end := bytes.Index(rest, []byte(cdataEnd))
		if end < 0 {
			return 0, nil
		}
		at += end + len(cdataEnd)
	}
}

// xmlEntities are the references that every reader knows (XML 1.0 §4.6), and the only ones that XMPP has.
var xmlEntities = map[string]rune{"lt": '<', "gt": '>', "amp": '&', "apos": '\'', "quot": '"'}

// unescape returns text without references. ok is false when it is no text.
func unescape(text []byte) (plain string, ok bool) {
	var b strings.Builder
	for s := string(text); s != ""; {
		i := strings.IndexFunc(s, func(r rune) bool { return r == '&' || r == '<' || r < ' ' && !xmlBlank(byte(r)) })
		if i < 0 {
			b.WriteString(s)
			break
		}
		name, rest, found := strings.Cut(s[i+1:], ";")
		r, known := xmlEntities[name]
		if !known {
			r = charRef(name)
		}
		if s[i] != '&' || !found || r == 0 {
			return "", false
		}
		b.WriteString(s[:i])
		b.WriteRune(r)
		s = rest
	}
	return b.String(), true
}

// charRef reads "#38" and "#x26", or returns 0.
func charRef(name string) rune {
	digits, ok := strings.CutPrefix(name, "#")
	base := 10
	if hex, x := strings.CutPrefix(digits, "x"); x {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 21)
	if r := rune(n); ok && err == nil && utf8.ValidRune(r) && (r >= ' ' || r > 0 && xmlBlank(byte(r))) {
		return r
	}
	return 0
}

var xmlEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "'", "&apos;", `"`, "&quot;")
