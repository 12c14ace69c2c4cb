//go:build linux

package main

import (
	"bufio"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf16"
)

// patience bounds everything that is waited for: a soak looks for what breaks, not for what is slow.
const patience = 2 * time.Minute

// A step is what a client says inside TLS and what it must hear then. Either may be empty. In both, mark
// stands for a word that is new in every round. In what is heard, "…" stands for anything up to the words
// that follow.
type step struct {
	say, hear string
	more      int // bytes behind what must be heard
}

// mark is replaced, in one byte or in two for each character.
const mark = "#######."

func marked(text, word string) string {
	return strings.NewReplacer(mark, word, wide(mark), wide(word)).Replace(text)
}

// A script is a protocol's session inside TLS.
type script struct {
	open  []step // once, up to being at work
	round []step // again and again; each time the same is heard but for the mark
	bye   []step // after them the server hangs up; without any, the client does
	// fetch, if not nil, is work of its own in each round. It returns what it heard.
	fetch func(t *talk) (string, error)
}

// lines are steps of a protocol of lines: what is said, what must be heard, and so on in turn.
func lines(words ...string) (steps []step) {
	return inTurn(func(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }, words)
}

// wires are steps of a binary protocol, in hexadecimal, with text between apostrophes.
func wires(words ...string) []step { return inTurn(bytesOf, words) }

func inTurn(read func(string) string, words []string) (steps []step) {
	for i := 0; i < len(words); i += 2 {
		steps = append(steps, step{say: read(words[i]), hear: read(words[i+1])})
	}
	return steps
}

// bytesOf panics on what is not hexadecimal: scripts are constants.
func bytesOf(text string) string {
	var out strings.Builder
	for i, part := range strings.Split(text, "'") {
		if i%2 == 1 {
			out.WriteString(part)
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(part, " ", ""))
		if err != nil {
			panic(fmt.Sprintf("%q: %v", text, err))
		}
		out.Write(b)
	}
	return out.String()
}

// wide is a text in UTF-16, little endian.
func wide(text string) string {
	var out []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		out = append(out, byte(unit), byte(unit>>8))
	}
	return string(out)
}

// A talk is a session inside TLS.
type talk struct {
	*tls.Conn
	r      *bufio.Reader
	config *tls.Config // for further connections of the same session
}

func newTalk(conn *tls.Conn, config *tls.Config) *talk {
	return &talk{conn, bufio.NewReaderSize(conn, 1<<10), config}
}

// walk goes through steps and returns all that was heard, with the mark in the place of word.
func (t *talk) walk(steps []step, word string) (heard string, err error) {
	for _, s := range steps {
		one, err := t.ask(step{marked(s.say, word), marked(s.hear, word), s.more})
		heard += one
		if err != nil {
			return heard, fmt.Errorf("after %.40q: %w", s.say, err)
		}
	}
	return strings.NewReplacer(word, mark, wide(word), wide(mark)).Replace(heard), nil
}

// ask goes through one step.
func (t *talk) ask(s step) (heard string, err error) {
	t.SetDeadline(time.Now().Add(patience))
	if s.say != "" {
		if _, err := io.WriteString(t.Conn, s.say); err != nil {
			return "", err
		}
	}
	first, rest, open := strings.Cut(s.hear, "…")
	if heard, err = t.take(len(first)); err != nil || heard != first {
		return heard, wrong(heard, first, err)
	}
	for open {
		var until string
		until, rest, open = strings.Cut(rest, "…")
		more, err := t.until(until)
		if heard += more; err != nil {
			return heard, wrong(heard, "…"+until, err)
		}
	}
	last, err := t.take(s.more)
	return heard + last, err
}

func wrong(heard, wanted string, err error) error {
	if err != nil {
		return fmt.Errorf("heard %.200q, not %q: %w", heard, wanted, err)
	}
	return fmt.Errorf("heard %.200q, not %q", heard, wanted)
}

func (t *talk) take(n int) (string, error) {
	buf := make([]byte, n)
	n, err := io.ReadFull(t.r, buf)
	return string(buf[:n]), err
}

// maxHeard bounds what one step hears.
const maxHeard = 64 << 10

// until reads up to words and with them.
func (t *talk) until(words string) (string, error) {
	var heard []byte
	for !strings.HasSuffix(string(heard[max(0, len(heard)-len(words)):]), words) {
		b, err := t.r.ReadByte()
		if err != nil {
			return string(heard), err
		}
		if heard = append(heard, b); len(heard) > maxHeard {
			return string(heard), fmt.Errorf("more than %d bytes", maxHeard)
		}
	}
	return string(heard), nil
}

// leave says goodbye and waits for the end of TLS: a connection that is merely cut is not one.
func (t *talk) leave(bye []step) error {
	if _, err := t.walk(bye, mark); err != nil {
		return err
	}
	if len(bye) == 0 {
		if err := t.CloseWrite(); err != nil {
			return err
		}
	}
	t.SetDeadline(time.Now().Add(patience))
	rest, err := io.ReadAll(io.LimitReader(t.r, maxHeard))
	if err != nil {
		return fmt.Errorf("the end: %w", err)
	}
	if len(rest) > 0 {
		return fmt.Errorf("after the goodbye: %.200q", rest)
	}
	return nil
}
