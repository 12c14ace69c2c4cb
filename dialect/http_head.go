package dialect

import (
	"bytes"
	"strconv"
	"strings"
)

// An httpHead is a request or an answer without its body (RFC 9112 §2.1).
type httpHead struct {
	first   string // the first line
	version string
	method  string // of a request
	status  int    // of an answer, else 0
	fields  []httpField
	exact   bool // it is as RFC 9112 wants it, so that all readers see the same in it
	n       int
}

// cutHead cuts a head. n == 0 and no error: more bytes are needed.
func cutHead(buf []byte) (h httpHead, err error) {
	h.exact = true
	for at := 0; ; {
		size, err := cutLine(buf[at:])
		if size == 0 || err != nil {
			return httpHead{}, err
		}
		line, crlf := chomp(buf[at : at+size])
		h.exact = h.exact && crlf && !strings.ContainsAny(line, "\r\x00")
		at += size
		switch {
		case h.first == "":
			err = h.begin(line)
		case line == "":
			h.n = at
			return h, nil
		default:
			err = h.field(line, at-size, at)
		}
		if err != nil {
			return httpHead{}, err
		}
	}
}

// begin reads the first line.
func (h *httpHead) begin(line string) error {
	word := strings.SplitN(line, " ", 3)
	switch {
	case len(word) == 3 && httpVersion(word[2]) && word[0] != "" && strings.Trim(word[0], "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_") == "":
		h.method, h.version = word[0], word[2]
	case len(word) > 1 && httpVersion(word[0]) && len(word[1]) == 3:
		status, err := strconv.Atoi(word[1])
		if h.version, h.status = word[0], status; err != nil || status < 100 {
			return noise("no status")
		}
	default:
		return noise("no HTTP")
	}
	h.first = line
	return nil
}

func httpVersion(word string) bool { return word == "HTTP/1.1" || word == "HTTP/1.0" }

// field reads a header field, or a line that continues one (RFC 9112 §5.2).
func (h *httpHead) field(line string, from, to int) error {
	if line[0] == ' ' || line[0] == '\t' {
		if h.exact = false; len(h.fields) == 0 {
			return noise("a field that begins in its middle")
		}
		f := &h.fields[len(h.fields)-1]
		f.value, f.to = f.value+" "+strings.TrimFunc(line, blank), to
		return nil
	}
	name, value, found := strings.Cut(line, ":")
	lax := strings.TrimFunc(name, blank) // RFC 9112 §5.1: a blank before the colon has led to smuggling
	h.exact = h.exact && found && lax == name && name != ""
	h.fields = append(h.fields, httpField{strings.ToLower(upper(lax)), strings.TrimFunc(value, blank), from, to})
	return nil
}

// cutBody returns the length of an answer's body, or -1 when more bytes are needed. One that ends with
// the connection is none that we can pass.
func (h httpHead) cutBody(buf []byte, none bool) (int, error) {
	length := h.value("content-length")
	switch {
	case none || h.status == 204 || h.status == 304:
		return 0, nil
	case h.has("transfer-encoding", "CHUNKED"):
		return cutChunks(buf)
	}
	size, err := strconv.ParseUint(length, 10, 16)
	if err != nil {
		return 0, noise("an answer without an end")
	}
	if int(size) > len(buf) {
		return -1, nil
	}
	return int(size), nil
}

// cutChunks returns the length of a chunked body with its trailer (RFC 9112 §7.1).
func cutChunks(buf []byte) (int, error) {
	for at, last := 0, false; ; {
		size := bytes.IndexByte(buf[at:], '\n') + 1
		if size == 0 {
			return -1, nil
		}
		line, _ := chomp(buf[at : at+size])
		if at += size; last {
			if line == "" {
				return at, nil
			}
			continue
		}
		digits, _, _ := strings.Cut(line, ";")
		chunk, err := strconv.ParseUint(strings.TrimFunc(digits, blank), 16, 16)
		if err != nil {
			return 0, noise("a chunk without a size")
		}
		if last = chunk == 0; last {
			continue
		}
		if at += int(chunk); at+2 > len(buf) {
			return -1, nil
		}
		if string(buf[at:at+2]) != "\r\n" {
			return 0, noise("a chunk without an end")
		}
		at += 2
	}
}
