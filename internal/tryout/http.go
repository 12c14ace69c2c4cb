package tryout

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// http answers any request with a short text (RFC 9112).
var http = protocol{"http", func(s *session) error {
	return (&httpConn{session: s}).serve()
}, httpNo + "Content-Length: 0\r\n\r\n"}

const (
	httpFields = 100      // of a request
	httpBody   = 64 << 20 // bytes, which nobody keeps
	httpNo     = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"
	httpText   = "This is the try-out server of starttls. It speaks in the clear; if you read\n" +
		"this through TLS, the gateway in front of it has put TLS there.\n"
)

type httpConn struct{ *session }

// An httpHead is what matters of a request.
type httpHead struct {
	method, target string
	old            bool // HTTP/1.0
	close          bool // the client wants no more
	size           int64
	waits          bool // for 100 before it sends the body
}

func (c *httpConn) serve() error {
	for {
		head, ok, err := c.head()
		if err != nil {
			return err
		}
		if !ok {
			c.say("%sContent-Length: 0\r\n", httpNo)
			return nil
		}
		if head.waits && head.size > 0 {
			c.say("HTTP/1.1 100 Continue\r\n")
		}
		if _, err := io.CopyN(io.Discard, c.r, head.size); err != nil {
			return err
		}
		c.answer(head)
		if head.close {
			return nil
		}
	}
}

// head reads a request up to its body. ok is false if it is malformed, or of a kind not known here.
func (c *httpConn) head() (h httpHead, ok bool, err error) {
	line, err := c.line()
	if err != nil {
		return h, false, err
	}
	words := strings.Split(line, " ")
	ok = len(words) == 3 && words[0] != "" && words[1] != "" && strings.HasPrefix(words[2], "HTTP/1.")
	if !ok {
		return h, false, nil
	}
	h.method, h.target, h.old = words[0], words[1], words[2] == "HTTP/1.0"
	h.close = h.old
	sized := false
	for range httpFields {
		line, err := c.line()
		if err != nil || line == "" {
			return h, err == nil, err
		}
		name, value, is := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "connection":
			h.close = h.close || strings.Contains(strings.ToLower(value), "close")
		case "expect":
			h.waits = !h.old && strings.EqualFold(value, "100-continue")
		case "content-length":
			h.size, err = strconv.ParseInt(value, 10, 64)
			is = is && !sized && err == nil && h.size >= 0 && h.size <= httpBody && value[0] != '+'
			sized = true
		case "transfer-encoding": // chunks are not worth their lines here
			is = false
		}
		if !is || strings.ContainsAny(name, " \t") {
			return h, false, nil
		}
	}
	return h, false, nil
}

// answer says the text. The answer to HEAD is only the head of it, and OPTIONS * has none.
func (c *httpConn) answer(h httpHead) {
	text := httpText
	if h.method == "OPTIONS" && h.target == "*" {
		text = ""
	}
	end := "\r\n"
	if h.close {
		end = "Connection: close\r\n\r\n"
	}
	fmt.Fprintf(c.w, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n%s", len(text), end)
	if h.method != "HEAD" {
		c.w.WriteString(text)
	}
}
