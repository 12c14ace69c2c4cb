package relay

import (
	"bufio"
	"bytes"
	"io"
)

// The one end of mail data (RFC 5321 §4.1.1.4). Whoever takes another one for it lets a message be
// smuggled past whoever does not.
var endOfData = []byte("\r\n.\r\n")

// A dataReader cuts the content that follows DATA into pieces. Dots stay stuffed.
type dataReader struct {
	r     *bufio.Reader
	begun bool
	taken int // of the last piece, to be discarded
}

// next returns the next piece, good until the next call. end says that the lone dot has come.
func (d *dataReader) next() (piece []byte, end bool, err error) {
	d.r.Discard(d.taken)
	d.taken = 0
	for want := 1; ; {
		if _, err := d.r.Peek(want); err != nil {
			return nil, false, unexpected(err)
		}
		buf, _ := d.r.Peek(d.r.Buffered())
		if !d.begun && bytes.HasPrefix(buf, endOfData[2:]) { // nothing but a dot
			d.r.Discard(3)
			return nil, true, nil
		}
		if at := bytes.Index(buf, endOfData); at >= 0 {
			d.taken = at + len(endOfData)
			return buf[:at+2], true, nil
		}
		n := len(buf) - d.held(buf)
		if n > 0 {
			d.taken, d.begun = n, true
			return buf[:n], false, nil
		}
		want = len(buf) + 1
	}
}

// held is how many bytes at the end of buf may be the begin of the end.
func (d *dataReader) held(buf []byte) int {
	if !d.begun && len(buf) < 3 && bytes.HasPrefix(endOfData[2:], buf) {
		return len(buf)
	}
	for n := min(len(endOfData)-1, len(buf)); n > 0; n-- {
		if bytes.HasSuffix(buf, endOfData[:n]) {
			return n
		}
	}
	return 0
}

// close discards what the last piece stood on.
func (d *dataReader) close() { d.r.Discard(d.taken) }

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// A content is watched as it passes: text is lines that end in CRLF, and CR, LF and NUL stand nowhere
// else (RFC 5321 §2.3.8, RFC 2045 §2.8). Some server takes a lone one of them for a line end, and some
// other drops it; either way what stands behind is read as something that it was not.
type content struct {
	cr    bool // the last octet was CR
	fault string
}

func (c *content) check(p []byte) {
	if c.fault != "" || len(p) == 0 {
		return
	}
	if bytes.IndexByte(p, 0) >= 0 {
		c.fault = "NUL"
		return
	}
	if c.cr {
		if p[0] != '\n' {
			c.fault = "bare CR"
			return
		}
		c.cr, p = false, p[1:]
	}
	for len(p) > 0 {
		lf := bytes.IndexByte(p, '\n')
		line := p
		if lf >= 0 {
			line = p[:lf]
		}
		cr := bytes.IndexByte(line, '\r')
		switch {
		case cr >= 0 && cr < len(line)-1:
			c.fault = "bare CR"
			return
		case lf >= 0 && cr < 0:
			c.fault = "bare LF"
			return
		case lf < 0:
			c.cr = cr >= 0
			return
		}
		p = p[lf+1:]
	}
}

// end tells that nothing follows.
func (c *content) end() {
	if c.cr && c.fault == "" {
		c.fault = "bare CR"
	}
}

// A stuffer turns octets of BDAT into lines as they follow DATA (RFC 5321 §4.5.2).
type stuffer struct {
	mid bool // the last octet was not the end of a line
}

func (s *stuffer) stuff(dst, p []byte) []byte {
	for len(p) > 0 {
		if !s.mid && p[0] == '.' {
			dst = append(dst, '.')
		}
		lf := bytes.IndexByte(p, '\n')
		if lf < 0 {
			s.mid = true
			return append(dst, p...)
		}
		dst = append(dst, p[:lf+1]...)
		s.mid, p = false, p[lf+1:]
	}
	return dst
}

// end ends the last line: after DATA, a message cannot do without.
func (s *stuffer) end() []byte {
	if s.mid {
		return []byte("\r\n")
	}
	return nil
}
