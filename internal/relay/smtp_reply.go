package relay

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"

	"starttls/internal/policy"
)

// A reply is a server's answer: ours, or a next hop's that is passed on.
type reply struct {
	code     int
	enhanced string   // "4.7.5"; empty if there is none
	lines    []string // without code and enhanced code; at least one
}

// Bounds on a reply (RFC 5321 §4.5.3.1.5 has 512 octets for a line; peers are met with more patience).
const (
	maxReplyLines = 100
	maxReplyLine  = 400 // of text that is passed on
)

func answer(code int, enhanced, format string, args ...any) reply {
	return reply{code, enhanced, []string{printable(fmt.Sprintf(format, args...))}}
}

// refusalReply is how a refusal is told. id is found in the log.
func refusalReply(r *policy.Refusal, id string) *reply {
	told := answer(r.Code, r.Enhanced, "%s", r.Text)
	told.lines[0] += " (" + id + ")" // whatever was cut
	return &told
}

func (r reply) ok() bool        { return r.code/100 == 2 }
func (r reply) temporary() bool { return r.code/100 == 4 }

// append writes the reply as it goes over the wire (RFC 5321 §4.2.1, RFC 2034 §4).
func (r reply) append(dst []byte) []byte {
	for i, line := range r.lines {
		sep := byte('-')
		if i == len(r.lines)-1 {
			sep = ' '
		}
		dst = append(strconv.AppendInt(dst, int64(r.code), 10), sep)
		if r.enhanced != "" {
			dst = append(append(dst, r.enhanced...), ' ')
		}
		dst = append(append(dst, line...), "\r\n"...)
	}
	return dst
}

// String returns the reply on one line, for the log.
func (r reply) String() string {
	text := strings.Join(r.lines, " ")
	if r.enhanced != "" {
		text = r.enhanced + " " + text
	}
	return strconv.Itoa(r.code) + " " + text
}

// passedOn is a next hop's reply as our client gets it: unchanged, but for what would say something about
// our connection instead of the message, and for the enhanced code that we promised (RFC 2034 §4).
func (r reply) passedOn() reply {
	if r.code == 421 { // speaks of a channel that the client does not know
		r.code = 451
	}
	if r.enhanced == "" {
		r.enhanced = strconv.Itoa(r.code/100) + ".0.0"
	}
	return r
}

// readReply reads a reply, all lines of it, which must begin with the same code.
func readReply(r *bufio.Reader) (reply, error) {
	var all reply
	for range maxReplyLines {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return reply{}, err
		}
		text := strings.TrimRight(string(line), "\r\n")
		code, err := strconv.Atoi(text[:min(3, len(text))])
		if err != nil || code < 200 || code > 599 || all.code != 0 && all.code != code {
			return reply{}, errNoise
		}
		if len(text) > 3 && text[3] != ' ' && text[3] != '-' {
			return reply{}, errNoise
		}
		all.code = code
		more := len(text) > 3 && text[3] == '-'
		all.add(text[min(4, len(text)):])
		if !more {
			return all, nil
		}
	}
	return reply{}, errNoise
}

// add takes a line of text in, its enhanced code apart (RFC 2034 §4).
func (r *reply) add(text string) {
	if r.code == 334 { // a challenge, which nobody reads
		r.lines = append(r.lines, text)
		return
	}
	if word, rest, _ := strings.Cut(text, " "); isEnhanced(word, r.code) {
		r.enhanced, text = word, rest
	}
	r.lines = append(r.lines, printable(text))
}

// isEnhanced reports whether word is an enhanced code that goes with a code (RFC 3463 §2).
func isEnhanced(word string, code int) bool {
	parts := strings.Split(word, ".")
	if len(parts) != 3 || parts[0] != strconv.Itoa(code/100) {
		return false
	}
	for _, p := range parts[1:] {
		if n, err := strconv.Atoi(p); err != nil || n < 0 || n > 999 || len(p) > 3 {
			return false
		}
	}
	return true
}

// printable returns text without what is not printable, and cut. It comes from peers.
func printable(text string) string {
	text = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0 {
			return '?'
		}
		return c
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > maxReplyLine {
		text = strings.ToValidUTF8(text[:maxReplyLine], "") + "..."
	}
	return text
}
