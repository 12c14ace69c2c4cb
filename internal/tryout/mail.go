package tryout

import (
	"bytes"
	"errors"
	"mime"
	"net/mail"
	"slices"
	"strings"
	"sync"
)

// Bounds on mail. Without the last one, a hundred large messages would be 2.5 GB.
const (
	messageLimit = 25 << 20 // bytes of one message
	keptMessages = 100
	keptBytes    = 64 << 20
)

// A Message is mail that a Server took.
type Message struct {
	From string   // the envelope's sender, without brackets; empty in a bounce
	To   []string // the envelope's recipients
	Data []byte   // header and body as they were sent, dots unstuffed, lines ending in CRLF
}

// Subject returns the subject, decoded. It is empty if the message has none, or no readable header.
func (m Message) Subject() string {
	head, _, _ := bytes.Cut(m.Data[:min(len(m.Data), 64<<10)], []byte("\r\n\r\n"))
	head = append(bytes.Clone(head), "\r\n\r\n"...)
	parsed, err := mail.ReadMessage(bytes.NewReader(head))
	if err != nil {
		return ""
	}
	subject := parsed.Header.Get("Subject")
	if text, err := new(mime.WordDecoder).DecodeHeader(subject); err == nil {
		return text
	}
	return subject
}

// A mailbox keeps the last messages.
type mailbox struct {
	mu   sync.Mutex
	kept []Message
	size int
}

func (b *mailbox) add(m Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = append(b.kept, m)
	b.size += len(m.Data)
	drop := 0
	for len(b.kept)-drop > keptMessages || b.size > keptBytes {
		b.size -= len(b.kept[drop].Data)
		drop++
	}
	b.kept = slices.Delete(b.kept, 0, drop) // clears what it leaves behind
}

// Messages returns the last messages that were sent to the server, the newest last: at most 100, and
// 64 MiB. Their contents must not be changed.
func (s *Server) Messages() []Message {
	s.box.mu.Lock()
	defer s.box.mu.Unlock()
	return slices.Clone(s.box.kept)
}

// keep keeps a message and tells of it.
func (s *Server) keep(m Message) {
	s.box.add(m)
	more, subject := "", m.Subject()
	if n := len(m.To) - 1; n > 0 {
		more = " and others"
	}
	if subject == "" {
		subject = "(none)"
	}
	s.tell("message from <%s> to <%s>%s, %d bytes, subject %s", m.From, m.To[0], more, len(m.Data), subject)
}

// cutPath reads a word, an address in brackets, and parameters. A bracket in a quoted local part does
// not count (RFC 5321 §4.1.2).
func cutPath(arg, word string) (path string, params []string, ok bool) {
	if len(arg) < len(word) || !strings.EqualFold(arg[:len(word)], word) {
		return "", nil, false
	}
	arg = strings.TrimLeft(arg[len(word):], " ")
	quoted := false
	for i := 1; i < len(arg) && arg[0] == '<'; i++ {
		switch c := arg[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == '>' && !quoted:
			rest := arg[i+1:]
			return arg[1:i], strings.Fields(rest), rest == "" || rest[0] == ' '
		}
	}
	return "", nil, false
}

// errEndless is why a client is hung up on that was told a size and goes on regardless.
var errEndless = errors.New("a message without end")

// readMessage reads up to a dot that stands alone between two CRLFs, and nothing else will do: who
// takes a bare LF there can be made to take two messages for one (RFC 5321 §2.3.8, §4.1.1.4). It
// returns nil if the message is too large.
func (s *session) readMessage() ([]byte, error) {
	data := []byte{}
	size, fresh, last := 0, true, byte(0)
	for size < 2*messageLimit {
		piece, err := s.r.ReadSlice('\n') // or as much of a long line as the buffer holds
		if len(piece) == 0 {
			return nil, err
		}
		if fresh && string(piece) == ".\r\n" {
			return data, nil
		}
		ended := bytes.HasSuffix(piece, []byte("\r\n")) || last == '\r' && piece[0] == '\n'
		last = piece[len(piece)-1]
		if size += len(piece); size > messageLimit {
			data = nil
		} else if fresh {
			data = append(data, bytes.TrimPrefix(piece, []byte("."))...) // RFC 5321 §4.5.2
		} else {
			data = append(data, piece...)
		}
		fresh = ended
	}
	return nil, errEndless
}

// The message that is in everybody's mailbox.
const (
	welcomeHead = "Date: Thu, 01 Jan 2026 00:00:00 +0000\r\n" +
		"From: starttls <welcome@example.test>\r\n" +
		"To: you <you@example.test>\r\n" +
		"Subject: Welcome\r\n" +
		"Message-ID: <welcome@example.test>\r\n" +
		"MIME-Version: 1.0\r\n" +
		"Content-Type: text/plain; charset=us-ascii\r\n" +
		"\r\n"
	welcomeBody = "Hello,\r\n" +
		"\r\n" +
		"this is the try-out server of starttls. It speaks in the clear; if you read\r\n" +
		"this through TLS, the gateway in front of it has put TLS there.\r\n" +
		"\r\n" +
		"Nothing that you do here lasts.\r\n"
	welcome = welcomeHead + welcomeBody
)

// welcomeLines is the number of lines of the body.
var welcomeLines = strings.Count(welcomeBody, "\n")
