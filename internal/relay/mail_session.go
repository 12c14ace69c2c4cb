package relay

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"starttls"
	"starttls/dialect"
)

// A session is one client.
type session struct {
	*Relay
	conn    net.Conn
	r       *bufio.Reader
	w       *bufio.Writer
	each    bool // each recipient of a message gets an answer (RFC 2033 §4.2)
	secured bool
	named   string // what the client has said that it is, empty before

	env        *envelope
	rcpts      []*recipient // those that were taken
	deliveries []*delivery
	early      []*delivery // to next hops that were refused by what an earlier message was told
	waiting    bool        // recipients of other domains were put off
	body       *chunks     // of BDAT, nil before the first
	spare      *hop        // a session with a next hop, from the last message

	errors, idle int // wrong commands in all, and commands since the last message
}

// Bounds on a client.
const (
	maxCommand = 4096 // RFC 5321 §4.5.3.1.4 has 512, and extensions add to it
	maxErrors  = 20
	maxIdle    = 1000 // commands that lead to no message
)

var (
	errTooMuch = errors.New("too many commands or errors")
	errLine    = errors.New("a command line without end")
	errBareLF  = errors.New("a command line that ends in LF alone")
)

func (r *Relay) newSession(conn net.Conn) *session {
	s := &session{Relay: r, each: r.Dialect == &dialect.LMTP}
	s.on(conn)
	return s
}

func (s *session) on(conn net.Conn) {
	s.conn = conn
	s.r = bufio.NewReaderSize(conn, 32<<10)
	s.w = bufio.NewWriterSize(conn, 4<<10)
}

// run serves the client until it leaves or ctx ends.
func (s *session) run(ctx context.Context) error {
	defer func() {
		s.reset()
		s.spare.retire()
	}()
	if s.Front.Implicit {
		if err := s.startTLS(ctx); err != nil {
			return err
		}
	}
	kind := "ESMTP"
	if s.each {
		kind = "LMTP"
	}
	s.say(reply{220, "", []string{s.Name + " " + kind}})
	for {
		line, err := s.line()
		if err != nil {
			return s.leave(err)
		}
		if err := s.command(ctx, line); err != nil {
			return s.leave(err)
		}
	}
}

// errQuit is a client that has taken leave.
var errQuit = errors.New("quit")

// leave sends the last words that go with the end of a session.
func (s *session) leave(err error) error {
	switch {
	case errors.Is(err, errQuit):
		s.say(answer(221, "2.0.0", "Bye"))
		err = nil
	case errors.Is(err, errTooMuch):
		s.say(answer(421, "4.7.0", "Too many commands or errors, closing transmission channel"))
	case errors.Is(err, errLine):
		s.say(answer(500, "5.5.6", "Line too long"))
	case errors.Is(err, errBareLF):
		s.say(answer(500, "5.5.2", "A line ends in CRLF, closing transmission channel"))
	case err == io.EOF:
		err = nil
	}
	s.conn.SetWriteDeadline(time.Now().Add(time.Second))
	s.w.Flush()
	return err
}

// say answers. What is said goes out when the client has nothing more to say (RFC 2920 §3.2). The time for
// that begins now: the client has waited for a message longer than it may be silent itself.
func (s *session) say(r reply) {
	s.conn.SetWriteDeadline(time.Now().Add(s.Times.Block))
	s.w.Write(r.append(nil))
}

// line reads a command without its end, which is CRLF and nothing else. Behind any other end nobody knows
// whether the client has meant another command.
func (s *session) line() (string, error) {
	s.conn.SetDeadline(time.Now().Add(s.Times.Idle))
	var line []byte
	for {
		if s.r.Buffered() == 0 {
			if err := s.w.Flush(); err != nil {
				return "", err
			}
		}
		part, err := s.r.ReadSlice('\n')
		if line = append(line, part...); len(line) > maxCommand {
			return "", errLine
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if err == io.EOF && len(line) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
		switch text, ok := bytes.CutSuffix(line, []byte("\r\n")); {
		case ok:
			return string(text), nil
		case err == nil:
			return "", errBareLF
		}
	}
}

// httpMethods are the words with which a browser begins (https://alpaca-attack.com).
const httpMethods = " CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT TRACE "

// command obeys one command.
func (s *session) command(ctx context.Context, line string) error {
	verb, arg, _ := strings.Cut(line, " ")
	verb, arg = strings.ToUpper(verb), strings.TrimRight(arg, " ")
	if s.idle++; s.idle > maxIdle || strings.Contains(httpMethods, " "+verb+" ") {
		return errTooMuch
	}
	if strings.ContainsAny(line, "\r\x00") {
		return s.wrong(answer(500, "5.5.2", "A line has no CR and no NUL before its CRLF"))
	}
	switch verb {
	case "EHLO", "LHLO", "HELO":
		return s.hello(verb, arg)
	case "NOOP":
		s.say(answer(250, "2.0.0", "OK"))
		return nil
	case "RSET":
		s.reset()
		s.say(answer(250, "2.0.0", "OK"))
		return nil
	case "QUIT":
		return errQuit
	case "STARTTLS":
		return s.upgrade(ctx, arg)
	}
	if s.Front.Level == starttls.Encrypt && !s.secured { // RFC 3207 §4
		return s.wrong(answer(530, "5.7.0", "Must issue a STARTTLS command first"))
	}
	switch verb {
	case "MAIL":
		return s.mail(arg)
	case "RCPT":
		return s.rcpt(ctx, arg)
	case "DATA":
		return s.data(ctx, arg)
	case "BDAT":
		return s.bdat(ctx, arg)
	case "VRFY": // RFC 5321 §3.5.3
		s.say(answer(252, "2.5.2", "Cannot say, send it and see"))
		return nil
	case "EXPN", "HELP", "AUTH", "ETRN":
		return s.wrong(answer(502, "5.5.1", "Command not implemented"))
	}
	return s.wrong(answer(500, "5.5.1", "Command not known"))
}

// wrong answers a command that is wrong, up to a bound.
func (s *session) wrong(r reply) error {
	s.say(r)
	if s.errors++; s.errors > maxErrors {
		return errTooMuch
	}
	return nil
}

// hello answers with what we can keep whatever the next hop is, or refuse there in the RFC's words.
// DSN is not among it: towards a server without it, RFC 3461 §5.2.2 (b) demands a message of our own,
// and we keep none. The client then sends that message.
func (s *session) hello(verb, name string) error {
	want := "EHLO"
	if s.each {
		want = "LHLO" // RFC 2033 §4.1
	}
	if verb != want && (s.each || verb != "HELO") {
		return s.wrong(answer(500, "5.5.1", "Say %s", want))
	}
	if name == "" {
		return s.wrong(badSyntax)
	}
	s.reset()
	s.named = name
	all := reply{250, "", []string{s.Name}}
	if verb != "HELO" {
		all.lines = append(all.lines, "PIPELINING", strings.TrimSuffix(fmt.Sprintf("SIZE %d", s.MaxSize), " 0"),
			"8BITMIME", "SMTPUTF8", "CHUNKING", "BINARYMIME", "ENHANCEDSTATUSCODES")
		if s.secured {
			all.lines = append(all.lines, "REQUIRETLS") // RFC 8689 §2: inside TLS only
		} else if s.Front.Level != starttls.None {
			all.lines = append(all.lines, "STARTTLS")
		}
	}
	s.say(all)
	return nil
}

// upgrade answers STARTTLS. What stands behind it goes to the handshake and nowhere else; that is decided
// in package starttls.
func (s *session) upgrade(ctx context.Context, arg string) error {
	switch {
	case s.secured:
		return s.wrong(answer(503, "5.5.1", "TLS is active already"))
	case s.Front.Level == starttls.None:
		return s.wrong(answer(502, "5.5.1", "Command not implemented"))
	case arg != "":
		return s.wrong(badSyntax)
	}
	s.say(answer(220, "2.0.0", "Ready to start TLS"))
	if err := s.w.Flush(); err != nil {
		return err
	}
	return s.startTLS(ctx)
}

// startTLS shakes hands. All that was said before is forgotten (RFC 3207 §4.2).
func (s *session) startTLS(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.Times.TLS)
	defer cancel()
	behind, _ := s.r.Peek(s.r.Buffered())
	raw := &resumed{s.conn, bytes.Clone(behind)}
	s.conn.SetDeadline(time.Time{})
	secured, err := starttls.NewLeg(raw, s.Dialect, dialect.Server, false).BeginTLS(ctx, s.Front.TLS)
	if err != nil {
		return err
	}
	s.reset()
	s.on(secured)
	s.secured, s.named = true, ""
	return nil
}

// A resumed connection gives back first what was read from it already.
type resumed struct {
	net.Conn
	behind []byte
}

func (c *resumed) Read(p []byte) (int, error) {
	if len(c.behind) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.behind)
	c.behind = c.behind[n:]
	return n, nil
}

// reset ends the transaction. What was not finished comes to nothing.
func (s *session) reset() {
	if s.body != nil {
		s.body.end(false)
	}
	s.drop()
	s.env, s.rcpts, s.body = nil, nil, nil
	s.early, s.waiting = nil, false
}

// drop lets the deliveries end.
func (s *session) drop() {
	for _, d := range s.deliveries {
		if d.done != nil {
			<-d.done
		}
		s.keep(d)
	}
	s.deliveries = nil
}

// keep takes the session of a delivery for the next message, if it has ended well, or ends it.
func (s *session) keep(d *delivery) {
	d.spare.retire()
	switch {
	case d.hop == nil:
	case d.sent:
		s.spare.retire()
		s.spare = d.hop
		s.spare.rest = time.AfterFunc(s.Times.Reuse, s.spare.quit)
	default:
		d.hop.quit()
	}
}
