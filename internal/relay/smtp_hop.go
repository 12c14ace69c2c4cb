package relay

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"starttls"
	"starttls/dialect"
	"starttls/internal/policy"
)

// A hop is a session with a next hop, from the last EHLO on.
type hop struct {
	relay   *Relay
	conn    net.Conn
	r       *bufio.Reader
	w       *bufio.Writer
	attempt *policy.Attempt
	addr    netip.AddrPort
	tls     *tls.ConnectionState // nil in the clear
	offers  map[string]string    // extensions, by keyword in capitals
	word    string               // what the session is worth, for the log
	next    string               // of whose plan the attempt is
	rest    *time.Timer          // runs while the session is kept for the next message
}

var errNoise = errors.New("not a reply")

// String names the host and its address.
func (h *hop) String() string { return fmt.Sprintf("%s[%s]", h.attempt.Host, h.addr.Addr()) }

// dial connects and goes to TLS, or says hello in the clear where the level lets it. What it heard and
// reached stands in s, and why it is in the clear.
func (r *Relay) dial(ctx context.Context, a *policy.Attempt, ip netip.Addr, level starttls.Level, s *policy.Session) (*hop, error) {
	addr := netip.AddrPortFrom(ip, a.Port)
	dialing, cancel := context.WithTimeout(ctx, r.Times.Connect)
	conn, err := r.Dial(dialing, "tcp", addr.String())
	cancel()
	if err != nil {
		return nil, &connectError{err}
	}
	conn = r.ours(conn)
	if local, ok := conn.LocalAddr().(*net.TCPAddr); ok {
		s.Local = local.IP.String()
	}
	ctx, cancel = context.WithTimeout(ctx, r.Times.TLS)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	h := &hop{relay: r, conn: conn, attempt: a, addr: addr}
	err = h.begin(ctx, level, s)
	if err == nil && r.Auth != nil {
		err = h.login(ctx, r.Auth)
	}
	if err != nil {
		conn.Close()
		if ctx.Err() != nil {
			err = fmt.Errorf("no answer in time: %w", err)
		}
		return nil, err
	}
	return h, nil
}

// begin goes the way to TLS and asks what the server can do behind it.
func (h *hop) begin(ctx context.Context, level starttls.Level, s *policy.Session) error {
	leg := starttls.NewLeg(h.conn, &dialect.SMTP, dialect.Client, h.relay.Implicit)
	var heard starttls.Heard
	var err error
	switch {
	case h.relay.Implicit:
	case level == starttls.None:
		if heard, err = leg.Approach(h.relay.Name); errors.Is(err, starttls.ErrNotOffered) {
			err = nil
		}
	default:
		heard, err = leg.Walk(h.relay.Name)
	}
	s.Helo = heard.Name
	switch {
	case err == nil && level != starttls.None:
		return h.secure(ctx, leg, s)
	case err != nil && level > starttls.May:
		return err
	case err != nil && !policy.NoOffer(err):
		return err
	case s.Err == nil:
		s.Err = err
	}
	return h.inTheClear(leg, heard)
}

// secure shakes hands and says hello anew: what was said in the clear is forgotten (RFC 3207 §4.2).
func (h *hop) secure(ctx context.Context, leg *starttls.Leg, s *policy.Session) error {
	conn, err := leg.BeginClient(ctx, h.attempt.TLSConfig(h.relay.TLS))
	if err != nil {
		return err
	}
	state := conn.ConnectionState()
	h.tls, s.TLS = &state, &state
	h.on(conn)
	h.deadline(h.relay.Times.TLS)
	if h.relay.Implicit {
		if greeting, err := h.hear(); err != nil || !greeting.ok() {
			return cmp.Or(err, error(&replyError{greeting, true}))
		}
	}
	hello, err := h.ask("EHLO " + h.relay.Name)
	if err != nil {
		return err
	}
	if !hello.ok() {
		return &replyError{hello, true}
	}
	h.offers = extensions(hello.lines)
	return nil
}

// inTheClear goes on with what the server said to EHLO, or says HELO to one that knows none
// (RFC 5321 §3.2).
func (h *hop) inTheClear(leg *starttls.Leg, heard starttls.Heard) error {
	if len(leg.Rest()) > 0 {
		return errNoise
	}
	h.on(h.conn)
	if raw := heard.Caps.Raw; raw != nil {
		hello, err := readReply(bufio.NewReader(bytes.NewReader(raw)))
		h.offers = extensions(hello.lines)
		return err
	}
	h.deadline(h.relay.Times.TLS)
	hello, err := h.ask("HELO " + h.relay.Name)
	if err == nil && !hello.ok() {
		err = &replyError{hello, false}
	}
	return err
}

// on takes conn for all that follows.
func (h *hop) on(conn net.Conn) {
	h.conn = conn
	h.r = bufio.NewReaderSize(conn, 4<<10)
	h.w = bufio.NewWriterSize(conn, 16<<10)
}

// extensions reads the lines of an EHLO answer behind the first (RFC 5321 §4.1.1.1).
func extensions(lines []string) map[string]string {
	all := map[string]string{}
	for _, line := range lines[min(1, len(lines)):] {
		key, args, _ := strings.Cut(line, " ")
		all[strings.ToUpper(key)] = args
	}
	return all
}

func (h *hop) has(extension string) bool {
	_, ok := h.offers[extension]
	return ok
}

// deadline bounds what is sent and waited for next.
func (h *hop) deadline(d time.Duration) { h.conn.SetDeadline(time.Now().Add(d)) }

// ask says a command and returns the answer.
func (h *hop) ask(command string) (reply, error) {
	h.say(command)
	return h.hear()
}

func (h *hop) say(command string) { h.w.WriteString(command + "\r\n") }

// hear sends what was said and returns the next reply.
func (h *hop) hear() (reply, error) {
	if err := h.w.Flush(); err != nil {
		return reply{}, err
	}
	return readReply(h.r)
}

// bind closes the connection when ctx ends before release is called.
func (h *hop) bind(ctx context.Context) (release func() bool) {
	return context.AfterFunc(ctx, func() { h.conn.Close() })
}

// quit takes leave without waiting for what is said to that.
func (h *hop) quit() {
	h.deadline(time.Second)
	h.say("QUIT")
	h.w.Flush()
	h.conn.Close()
}

// lacks returns how a message cannot be passed on here as it is, nil if it can.
func (h *hop) lacks(e *envelope, rcpts []*recipient) *policy.Refusal {
	host := h.attempt.Host
	switch limit, _ := strconv.ParseInt(h.offers["SIZE"], 10, 64); {
	case e.requireTLS && e.from != "" && !h.has("REQUIRETLS"): // a bounce would be lost (RFC 8689 §5)
		return &policy.Refusal{Code: 550, Enhanced: "5.7.30", Text: fmt.Sprintf("%s does not support REQUIRETLS", host)}
	case h.narrow(e) && (!isASCII(e.from) || slices.ContainsFunc(rcpts, func(r *recipient) bool { return !isASCII(r.addr) })): // RFC 6531 §3.5
		return &policy.Refusal{Code: 553, Enhanced: "5.6.7", Text: fmt.Sprintf("%s does not support SMTPUTF8", host)}
	case e.body == bodyBinary && !(h.has("BINARYMIME") && h.has("CHUNKING")): // RFC 3030 §3
		return &policy.Refusal{Code: 554, Enhanced: "5.6.3", Text: fmt.Sprintf("%s does not support BINARYMIME", host)}
	case limit > 0 && e.size > limit: // RFC 1870 §6.1
		return &policy.Refusal{Code: 552, Enhanced: "5.3.4", Text: fmt.Sprintf("%s takes messages of up to %d octets", host, limit)}
	}
	return nil
}

// narrow reports whether a message was announced as one with SMTPUTF8, and the server knows none. Clients
// announce it for messages that do not need it as well: those pass.
func (h *hop) narrow(e *envelope) bool { return e.utf8 && !h.has("SMTPUTF8") }

// mailFrom is the command that begins a transaction, with what the server has said that it knows.
func (h *hop) mailFrom(e *envelope) string {
	line := "MAIL FROM:<" + e.from + ">"
	if e.size > 0 && h.has("SIZE") {
		line += " SIZE=" + strconv.FormatInt(e.size, 10)
	}
	if e.body == bodyBinary || e.body != "" && h.has("8BITMIME") {
		line += " BODY=" + e.body
	}
	if e.utf8 && h.has("SMTPUTF8") {
		line += " SMTPUTF8"
	}
	if e.requireTLS && h.has("REQUIRETLS") {
		line += " REQUIRETLS"
	}
	return line
}

// transact begins a transaction and names recipients, in one go where the server can take that
// (RFC 2920). It returns the answer to each. The error is a [replyError] when the transaction was refused.
func (h *hop) transact(e *envelope, rcpts []*recipient) ([]reply, error) {
	h.deadline(h.relay.Times.Command)
	h.say(h.mailFrom(e))
	pipelined := h.has("PIPELINING")
	if pipelined {
		for _, r := range rcpts {
			h.say("RCPT TO:<" + r.addr + ">")
		}
	}
	mail, err := h.hear()
	if err == nil && !mail.ok() {
		err = &replyError{mail, h.tls != nil}
	}
	if err != nil && !pipelined {
		return nil, err
	}
	replies := make([]reply, len(rcpts))
	for i, r := range rcpts {
		if !pipelined {
			h.say("RCPT TO:<" + r.addr + ">")
		}
		var lost error
		if replies[i], lost = h.hear(); lost != nil {
			return nil, cmp.Or(err, lost)
		}
	}
	return replies, err
}

// rcpt names one more recipient.
func (h *hop) rcpt(r *recipient) (err error) {
	h.deadline(h.relay.Times.Command)
	r.reply, err = h.ask("RCPT TO:<" + r.addr + ">")
	return err
}

// A connectError is a host that could not be reached.
type connectError struct{ error }

func (e *connectError) Unwrap() error { return e.error }

// A replyError is a refusal in the server's words.
type replyError struct {
	reply
	secured bool // said inside TLS
}

func (e *replyError) Error() string { return e.reply.String() }
