package lab

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Bounds of a session. A mail server of the lab is for clients under test: what they send that is too
// much is refused, and told to them.
const (
	lineLimit    = 4 << 10  // a command, with room for SMTPUTF8 and DSN
	messageLimit = 64 << 20 // in bytes, as SIZE says
	rcptLimit    = 1000
	errorLimit   = 20
	idleLimit    = 5 * time.Minute // RFC 5321 §4.5.3.2.7
)

// errGone ends a session without another word.
var errGone = errors.New("the session has ended")

// A session is one client at a mail server.
type session struct {
	h    *host
	conn net.Conn // TLS, once that has begun
	r    *bufio.Reader
	w    *bufio.Writer
	tls  *tls.ConnectionState // nil in the clear

	helo   string
	errors int
	envelope
}

// An envelope is a transaction that has begun.
type envelope struct {
	begun bool
	bdat  bool // a first BDAT was taken
	m     Message
}

// serve speaks SMTP with a client until one of the two ends it.
func (h *host) serve(conn net.Conn) {
	s := &session{h: h}
	s.over(conn)
	defer func() {
		s.conn.Close()
	}()
	if err := s.say(AtGreeting, "220 %s ESMTP starttls lab", h.name); err != nil {
		return
	}
	for s.errors < errorLimit {
		line, err := s.line()
		if err != nil {
			return
		}
		verb, arg, _ := strings.Cut(line, " ")
		if err := s.command(strings.ToUpper(verb), strings.TrimSpace(arg)); err != nil {
			return
		}
	}
	s.reply("421 4.7.0 Too many errors")
	s.w.Flush()
}

// over has the session go on over a connection.
func (s *session) over(conn net.Conn) {
	s.conn = conn
	s.r, s.w = bufio.NewReaderSize(conn, 64<<10), bufio.NewWriterSize(conn, 4<<10)
}

// line reads a command. Answers are sent first, unless there is more to answer (RFC 2920 §3.2).
func (s *session) line() (string, error) {
	if err := s.wait(); err != nil {
		return "", err
	}
	line, err := s.r.ReadSlice('\n')
	if err != nil || len(line) > lineLimit {
		return "", errGone
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

// wait sends what is to be sent if the client has to be waited for.
func (s *session) wait() error {
	if s.r.Buffered() > 0 {
		return nil
	}
	s.conn.SetDeadline(time.Now().Add(idleLimit))
	return s.w.Flush()
}

func (s *session) reply(format string, args ...any) {
	fmt.Fprintf(s.w, format+"\r\n", args...)
}

// refuse says that a command was wrong.
func (s *session) refuse(reply string) error {
	s.errors++
	s.reply("%s", reply)
	return nil
}

// say says the right answer of a phase, or has the phase's fault befall.
func (s *session) say(at Phase, format string, args ...any) error {
	instead, err := s.befall(at)
	if err != nil || instead {
		return err
	}
	s.reply(format, args...)
	return nil
}

// befall has a fault befall, if there is one. It reports whether something was said instead of the
// right answer.
func (s *session) befall(at Phase) (instead bool, err error) {
	f := s.h.faults.at(at)
	if f == nil {
		return false, nil
	}
	if f.Delay > 0 || f.Hang {
		if err := s.w.Flush(); err != nil {
			return false, err
		}
	}
	if f.Delay > 0 && !s.h.lab.sleep(f.Delay) {
		return false, errGone
	}
	switch {
	case f.Hang:
		s.conn.SetDeadline(time.Now().Add(idleLimit))
		io.Copy(io.Discard, s.conn)
		return false, errGone
	case f.Drop:
		s.w.Flush()
		return false, errGone
	case f.Reply != "":
		s.reply("%s", f.Reply)
		if strings.HasPrefix(f.Reply, "421") {
			s.w.Flush()
			return true, errGone
		}
		return true, nil
	}
	return false, nil
}

// command answers a command.
func (s *session) command(verb, arg string) error {
	switch verb {
	case "EHLO", "HELO":
		return s.hello(verb, arg)
	case "STARTTLS":
		return s.upgrade(arg)
	case "MAIL":
		return s.mail(arg)
	case "RCPT":
		return s.rcpt(arg)
	case "DATA":
		return s.data(arg)
	case "BDAT":
		return s.chunk(arg)
	case "RSET":
		s.envelope = envelope{}
		s.reply("250 2.0.0 Forgotten")
	case "NOOP":
		s.reply("250 2.0.0 Done")
	case "VRFY":
		s.reply("252 2.5.2 Send it and see")
	case "QUIT":
		if err := s.say(AtQuit, "221 2.0.0 Bye"); err != nil {
			return err
		}
		s.w.Flush()
		return errGone
	default:
		return s.refuse("500 5.5.1 Command not known")
	}
	return nil
}

// hello answers EHLO and HELO, which end a transaction (RFC 5321 §4.1.4).
func (s *session) hello(verb, name string) error {
	if name == "" {
		return s.refuse("501 5.5.4 Say who you are")
	}
	s.helo, s.envelope = name, envelope{}
	lines := []string{s.h.name}
	if verb == "EHLO" {
		lines = append(lines, "PIPELINING", "SIZE "+strconv.Itoa(messageLimit), "8BITMIME", "SMTPUTF8",
			"CHUNKING", "BINARYMIME", "DSN", "ENHANCEDSTATUSCODES")
		if s.h.tls != nil && s.tls == nil { // RFC 3207 §4.2: not inside TLS
			lines = append(lines, "STARTTLS")
		}
		if s.h.requireTLS && s.tls != nil { // RFC 8689 §2: only there
			lines = append(lines, "REQUIRETLS")
		}
	}
	last := len(lines) - 1
	text := ""
	for _, line := range lines[:last] {
		text += "250-" + line + "\r\n"
	}
	return s.say(AtHello, "%s250 %s", text, lines[last])
}

// upgrade begins TLS. What the client has sent behind its request goes to the handshake, which fails by
// it. Everything is forgotten (RFC 3207 §4.2).
func (s *session) upgrade(arg string) error {
	switch {
	case s.h.tls == nil || s.tls != nil:
		return s.refuse("503 5.5.1 No TLS here")
	case arg != "":
		return s.refuse("501 5.5.4 STARTTLS stands alone")
	}
	if instead, err := s.befall(AtUpgrade); err != nil || instead {
		return err
	}
	s.reply("220 2.0.0 Begin TLS")
	if err := s.w.Flush(); err != nil {
		return err
	}
	if instead, err := s.befall(AtHandshake); err != nil || instead {
		return errors.Join(err, s.w.Flush())
	}
	conn := tls.Server(&readAhead{s.conn, s.r}, s.h.tls)
	s.conn.SetDeadline(time.Now().Add(idleLimit))
	if err := conn.Handshake(); err != nil {
		return err
	}
	state := conn.ConnectionState()
	s.tls, s.helo, s.envelope = &state, "", envelope{}
	s.over(conn)
	return nil
}

// readAhead is a connection of which something was read already.
type readAhead struct {
	net.Conn
	r *bufio.Reader
}

func (c *readAhead) Read(buf []byte) (int, error) { return c.r.Read(buf) }
