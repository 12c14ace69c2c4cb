package socketmap

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// maxLine is the longest line of tcp_table(5), its end included.
const maxLine = 4096

// readTCPTable reads one request, "get KEY" and a newline. The protocol has no name of a table.
func readTCPTable(r *bufio.Reader, _ []byte) (table, key string, err error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull) || len(line) > maxLine:
		return "", "", errQuery("the request is longer than 4096 bytes")
	case err != nil && len(line) > 0:
		return "", "", noEOF(err)
	case err != nil:
		return "", "", err
	}
	word, coded, ok := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
	if !ok || !strings.EqualFold(word, "get") {
		return "", "", errQuery("the request is not get KEY")
	}
	if key, err = decode(coded); err != nil {
		return "", "", err
	}
	return "", key, nil
}

// appendTCPTable appends a reply as a line. An answer that does not fit is told as a temporary error:
// half of a policy would be another policy.
func appendTCPTable(b []byte, r Reply) []byte {
	codes := [...]string{NotFound: "500 ", OK: "200 ", Temp: "400 ", Timeout: "400 ", Perm: "400 "}
	text := encode(r.Text)
	if r.Status == OK && len(text)+5 > maxLine && r.Short != "" {
		text = encode(r.Short)
	}
	switch {
	case text == "":
		text = encode(r.Status.String()) // the protocol wants a text
	case len(text)+5 > maxLine && r.Status == OK:
		r.Status, text = Temp, encode("the answer does not fit into 4096 bytes: use socketmap")
	case len(text)+5 > maxLine:
		text = encode(r.Status.String())
	}
	return append(append(append(b, codes[r.Status]...), text...), '\n')
}

// encode writes %XX for whatever is not printable, for blanks and for "%".
func encode(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// decode is the inverse of encode. It takes blanks as they are.
func decode(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		code, err := hex.DecodeString(s[i+1 : min(i+3, len(s))])
		if err != nil || len(code) != 1 {
			return "", errQuery("the key's %XX coding is wrong")
		}
		b.Write(code)
		i += 2
	}
	return b.String(), nil
}
