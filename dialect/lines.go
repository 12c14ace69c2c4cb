package dialect

import (
	"bytes"
	"strings"
)

// cutLine returns the length of the first line of buf with its line end, or 0 when there is none yet.
// Lines end in LF; whether a CR stands before it is for the caller to judge. What can be no text
// protocol is refused at once, without waiting for a line that may never end.
func cutLine(buf []byte) (int, error) {
	if len(buf) > 1 && buf[0] == 0x16 && buf[1] == 0x03 {
		return 0, noise("a TLS ClientHello where the protocol begins in the clear")
	}
	return bytes.IndexByte(buf, '\n') + 1, nil
}

// httpMethods are the words with which a browser begins.
var httpMethods = map[string]bool{
	"CONNECT": true, "DELETE": true, "GET": true, "HEAD": true, "OPTIONS": true,
	"PATCH": true, "POST": true, "PUT": true, "TRACE": true,
}

// foreign refuses a line of HTTP: a browser that was talked into speaking to us must not be answered
// (cross-protocol attacks, https://alpaca-attack.com).
func foreign(line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	if httpMethods[verb] && strings.Contains(rest, "HTTP/") {
		return noise("an HTTP request")
	}
	return nil
}

// chomp returns a line without its end, and whether that was CRLF.
func chomp(line []byte) (text string, crlf bool) {
	if t, ok := bytes.CutSuffix(line, []byte("\r\n")); ok {
		return string(t), true
	}
	return string(bytes.TrimSuffix(line, []byte("\n"))), false
}

// splitVerb cuts a command line into its verb, in upper case, and its argument without the blanks
// around it.
func splitVerb(line string) (verb, arg string) {
	verb, arg, _ = strings.Cut(strings.TrimRight(line, " \t"), " ")
	return upper(verb), strings.TrimSpace(arg)
}

// upper changes a to z and nothing else. [strings.ToUpper] turns U+017F into S and U+0131 into I,
// which no protocol does, and may change the length.
func upper(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// blank reports whether some reader takes r for the end of a word.
func blank(r rune) bool { return r <= ' ' || r == 0x7f }

// words splits a list between blanks of any kind.
func words(list string) []string { return strings.FieldsFunc(list, blank) }

// laxWord returns word i of a line, in upper case, as the laxest reader sees it. What such a reader
// would take for an upgrade must not reach it.
func laxWord(line string, i int) string {
	if all := words(line); i < len(all) {
		return upper(all[i])
	}
	return ""
}

// dropWords returns a list without the words for which drop is true and the blanks behind them, or
// before them at the end of the list. drop is asked in upper case.
func dropWords(list []byte, drop func(word string) bool) []byte {
	kept := make([]byte, 0, len(list))
	for len(list) > 0 {
		rest := bytes.TrimLeftFunc(list, blank)
		kept = append(kept, list[:len(list)-len(rest)]...)
		end := len(rest)
		if i := bytes.IndexFunc(rest, blank); i >= 0 {
			end = i
		}
		if word := rest[:end]; end == 0 || !drop(upper(string(word))) {
			kept, list = append(kept, word...), rest[end:]
			continue
		}
		if list = bytes.TrimLeftFunc(rest[end:], blank); len(list) == 0 {
			kept = bytes.TrimRightFunc(kept, blank)
		}
	}
	return kept
}

// lines splits a text that ends in a line end; the line ends stay on the lines.
func lines(text []byte) [][]byte {
	all := bytes.SplitAfter(text, []byte("\n"))
	return all[:len(all)-1]
}

// blockPiece is the longest piece of a block that counts as one message.
const blockPiece = 1024

// A block is text of many lines up to a lone dot (RFC 3977 §3.1.1) that is too long to be one message:
// it passes in pieces of a line, or of blockPiece bytes of a longer one. Only CRLF "." CRLF ends it.
type block struct {
	open bool // the next bytes are of a block
	mid  bool // and do not begin a line
}

// piece cuts the next piece and closes the block at its end.
func (b *block) piece(buf []byte) (n int) {
	n = bytes.IndexByte(buf[:min(len(buf), blockPiece)], '\n') + 1
	if n == 0 && len(buf) >= blockPiece {
		n = blockPiece
		if buf[n-1] == '\r' {
			n-- // a CRLF is not torn
		}
	}
	if n == 0 {
		return 0
	}
	b.open = b.mid || string(buf[:n]) != ".\r\n"
	b.mid = b.open && !bytes.HasSuffix(buf[:n], []byte("\r\n"))
	return n
}

// phrases are the words of a protocol that are the same for everybody, with their line ends.
type phrases struct {
	ask, upgrade, ready, other string
	quit, bye                  string   // a client's goodbye, and the answer to it
	no                         []string // by Reason
}

// say appends m in these words.
func (p *phrases) say(dst []byte, m Message) []byte {
	switch m.Kind {
	case Ask:
		return append(dst, p.ask...)
	case Upgrade:
		return append(dst, p.upgrade...)
	case Ready:
		return append(dst, p.ready...)
	case Other:
		return append(dst, p.other...)
	case No:
		return append(dst, p.no[m.Why]...)
	case Bye:
		if m.Re == Bye {
			return append(dst, p.bye...)
		}
		return append(dst, p.quit...)
	}
	return dst
}

// cutRequest cuts a client's line, but none of HTTP.
func cutRequest(buf []byte) (line string, crlf bool, n int, err error) {
	if n, err = cutLine(buf); n == 0 || err != nil {
		return "", false, 0, err
	}
	line, crlf = chomp(buf[:n])
	if err := foreign(line); err != nil {
		return "", false, 0, err
	}
	return line, crlf, n, nil
}
