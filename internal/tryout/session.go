package tryout

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// lineLimit is the longest line, its end included. RFC 4954 §4 asks for 12288 octets in an
// authentication exchange.
const lineLimit = 16 << 10

// A session is one client of a Server. What is written stays in w until the server has to wait for the
// client, so that answers to commands in one packet leave in one packet.
type session struct {
	*Server
	r *bufio.Reader
	w *bufio.Writer
}

func newSession(s *Server, conn net.Conn) *session {
	c := &session{Server: s}
	patient := patient{conn, func() error { return c.w.Flush() }}
	c.w = bufio.NewWriter(patient)
	c.r = bufio.NewReaderSize(patient, lineLimit)
	return c
}

// patient is a connection whose peer may be silent for the idle time and no longer. A connection that
// has no deadlines says so, and is waited for as long as it takes.
type patient struct {
	net.Conn
	flush func() error
}

func (p patient) Read(buf []byte) (int, error) {
	if err := p.flush(); err != nil {
		return 0, err
	}
	p.SetReadDeadline(time.Now().Add(idle))
	return p.Conn.Read(buf)
}

func (p patient) Write(buf []byte) (int, error) {
	p.SetWriteDeadline(time.Now().Add(idle))
	return p.Conn.Write(buf)
}

// name is what the server calls itself.
func (s *session) name() string {
	if s.Name == "" {
		return "localhost"
	}
	return s.Name
}

// say writes a line. An error stays in w, and comes out of the next read.
func (s *session) say(format string, args ...any) {
	fmt.Fprintf(s.w, format+"\r\n", args...)
}

// line reads a line and returns it without its end, which may be a bare LF: people type it. It fails
// with bufio.ErrBufferFull if the line is too long.
func (s *session) line() (string, error) {
	line, err := s.r.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(string(line[:len(line)-1]), "\r"), nil
}

// take reads n bytes, which the caller has found not to be too many.
func (s *session) take(n int) ([]byte, error) {
	buf := make([]byte, n)
	_, err := io.ReadFull(s.r, buf)
	return buf, err
}

// command reads a line as a verb in capitals and what follows it.
func (s *session) command() (verb, arg string, err error) {
	line, err := s.line()
	verb, arg, _ = strings.Cut(line, " ")
	return strings.ToUpper(verb), strings.TrimSpace(arg), err
}

// ask is a step of a SASL exchange: it says prompt, unless the client has answered already, and decodes
// the answer. ok is false if that is malformed, or "*" for giving up (RFC 4954 §4, RFC 5034 §4).
func (s *session) ask(prompt, answered string) (answer string, ok bool, err error) {
	if answered == "" {
		s.say("%s", prompt)
		if answered, err = s.line(); err != nil {
			return "", false, err
		}
	}
	if answered == "=" {
		return "", true, nil // the way to send nothing at once (RFC 4954 §4)
	}
	text, err := base64.StdEncoding.DecodeString(answered)
	return string(text), err == nil, nil
}

// askPlain is the SASL mechanism PLAIN with any password. It returns who logged in.
func (s *session) askPlain(prompt, answered string) (name string, ok bool, err error) {
	text, ok, err := s.ask(prompt, answered)
	if err != nil || !ok {
		return "", false, err
	}
	name, ok = plainName(text)
	return name, ok, nil
}

// askLogin is the mechanism LOGIN, which has no standard, with any password.
func (s *session) askLogin(prompt, answered, second string) (name string, ok bool, err error) {
	if name, ok, err = s.ask(prompt, answered); ok {
		_, ok, err = s.ask(second, "")
	}
	return name, ok, err
}

// plainName reads a message of PLAIN: authorisation name, name, password (RFC 4616 §2).
func plainName(text string) (name string, ok bool) {
	parts := strings.Split(text, "\x00")
	if len(parts) != 3 || parts[1] == "" || parts[2] == "" {
		return "", false
	}
	return parts[1], true
}

// echoed is the one answer to all queries.
func echoed(query string) string {
	const longest = 1000
	if len(query) > longest {
		query = query[:longest] + "…"
	}
	return "starttls try-out: " + strings.ToValidUTF8(query, "?")
}
