package dialect

import "unicode/utf8"

// An xmlStream is what one side says: a root that stays open, and elements in it.
type xmlStream struct {
	root xmlTag // without a name before it was said
	over bool   // its end-tag was said
}

// xmlWhat is what a piece of a stream is.
type xmlWhat uint8

const (
	xmlSpace  xmlWhat = iota // one blank: how many there are is known only when something else comes
	xmlHeader                // the start-tag of the root, with the declaration before it
	xmlEnd                   // its end-tag
	xmlWhole                 // an element
)

// An xmlPiece is what stands at the top of a stream.
type xmlPiece struct {
	what xmlWhat
	root xmlTag       // of a header
	all  []xmlElement // of an element: it, and all in it
	n    int          // its length; 0: more bytes are needed
}

// cut cuts the next piece off buf.
func (x *xmlStream) cut(buf []byte) (xmlPiece, error) {
	switch {
	case xmlBlank(buf[0]):
		return xmlPiece{what: xmlSpace, n: 1}, nil
	case x.over || buf[0] != '<':
		return xmlPiece{}, noise("text beside the elements")
	}
	at, err := cutDeclaration(buf)
	if err != nil || at == len(buf) {
		return xmlPiece{}, err
	}
	if buf[at] != '<' {
		return xmlPiece{}, noise("no element behind the declaration")
	}
	t, err := cutXMLTag(buf, at)
	switch {
	case err != nil || t.to == 0:
		return xmlPiece{}, err
	case t.start && !t.end && t.is(xmppStreams, "stream"):
		if !utf8.Valid(buf[:t.to]) {
			return xmlPiece{}, noise("no UTF-8")
		}
		return xmlPiece{what: xmlHeader, root: t, n: t.to}, nil
	case at > 0 || x.root.name == "" || !t.start && !t.end:
		return xmlPiece{}, noise("no stream")
	case !t.start && t.name == x.root.name:
		return xmlPiece{what: xmlEnd, n: t.to}, nil
	}
	all, n, err := cutXML(buf, x.root)
	return xmlPiece{what: xmlWhole, all: all, n: n}, err
}

// cutDeclaration returns where the first tag begins behind an XML declaration and blanks, if there are
// any. All of buf: more bytes are needed.
func cutDeclaration(buf []byte) (int, error) {
	if len(buf) == 1 || buf[1] != '?' {
		return 0, nil
	}
	t, err := cutXMLTag(buf, 0)
	if err != nil || t.to == 0 {
		return len(buf), err
	}
	if enc := t.attr("encoding"); t.name != "xml" || enc != "" && upper(enc) != "UTF-8" {
		return 0, noise("no XML in UTF-8") // RFC 6120 §11.6
	}
	return skipBlanks(buf, t.to), nil
}
