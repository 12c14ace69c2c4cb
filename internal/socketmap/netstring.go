package socketmap

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"
)

// The limits of socketmap: Postfix's socketmap_max_query_size and socketmap_max_reply_size, in bytes
// without the frame.
const (
	maxQuery = 10_000
	maxReply = 100_000
)

// errQuery is a request that cannot be understood. Where the next one begins is not known, so it is
// told, and the connection ends.
type errQuery string

func (e errQuery) Error() string { return string(e) }

// readNetstring reads "11:postfix key,". A length over max is refused before anything of that length is
// read or kept. The result is good until the next read.
func readNetstring(r *bufio.Reader, max int, buf []byte) ([]byte, error) {
	n := 0
	for digits := 0; ; digits++ {
		c, err := r.ReadByte()
		switch {
		case err != nil && digits > 0:
			return nil, noEOF(err)
		case err != nil:
			return nil, err
		case c == ':' && digits > 0:
			return readFrame(r, n, buf)
		case c < '0' || c > '9' || digits > 0 && n == 0: // no zero leads
			return nil, errQuery("the request is no netstring")
		}
		if n = n*10 + int(c-'0'); n > max {
			return nil, errQuery("the request is longer than " + strconv.Itoa(max) + " bytes")
		}
	}
}

// readFrame reads n bytes and the comma behind them.
func readFrame(r *bufio.Reader, n int, buf []byte) ([]byte, error) {
	if n+1 > cap(buf) {
		buf = make([]byte, n+1)
	}
	buf = buf[:n+1]
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, noEOF(err)
	}
	if buf[n] != ',' {
		return nil, errQuery("the request's length is not what it says")
	}
	return buf[:n], nil
}

// noEOF turns the end of a stream in the midst of a request into an error.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendSocketmap appends a reply as a netstring. The blank behind the status is always there.
func appendSocketmap(b []byte, r Reply) []byte {
	status, text := r.Status, r.Text
	if len(status.String())+1+len(text) > maxReply {
		text = r.Short
		if status != OK || text == "" || len(status.String())+1+len(text) > maxReply {
			status, text = Temp, "the answer is longer than "+strconv.Itoa(maxReply)+" bytes"
		}
	}
	word := status.String()
	b = strconv.AppendInt(b, int64(len(word)+1+len(text)), 10)
	b = append(b, ':')
	b = append(b, word...)
	b = append(b, ' ')
	b = append(b, text...)
	return append(b, ',')
}

// readSocketmap reads one request: the table's name, a blank, the key.
func readSocketmap(r *bufio.Reader, buf []byte) (table, key string, err error) {
	line, err := readNetstring(r, maxQuery, buf)
	if err != nil {
		return "", "", err
	}
	table, key, ok := strings.Cut(string(line), " ")
	if !ok || table == "" {
		return "", "", errQuery("the request has no table and key")
	}
	return table, key, nil
}
