package tryout

import (
	"fmt"
	"strconv"
	"strings"
)

// smtp takes mail for anybody (RFC 5321); lmtp does, with an answer for each recipient (RFC 2033).
var (
	smtp = protocol{"smtp", smtpServer("ESMTP", "EHLO", false), smtpTooLong}
	lmtp = protocol{"lmtp", smtpServer("LMTP", "LHLO", true), smtpTooLong}
)

func smtpServer(kind, hello string, each bool) func(*session) error {
	return func(s *session) error {
		return (&smtpConn{session: s, kind: kind, hello: hello, each: each}).serve()
	}
}

// Bounds: a command's line, whose refusal ends the connection, and the recipients of one message.
const (
	smtpTooLong    = "500 5.5.6 Line too long"
	smtpRecipients = 100 // RFC 5321 §4.5.3.1.8
)

// An smtpConn is a client and how far it has got.
type smtpConn struct {
	*session
	kind  string // what the greeting calls the protocol
	hello string // the verb: EHLO or LHLO
	each  bool   // each recipient of a message gets an answer

	named  bool // the client has said hello
	authed bool
	begun  bool // a transaction: MAIL was taken
	from   string
	to     []string
}

func (c *smtpConn) serve() error {
	c.say("220 %s %s starttls try-out server", c.name(), c.kind)
	for {
		verb, arg, err := c.command()
		if err != nil {
			return err
		}
		if verb == "QUIT" {
			c.say("221 2.0.0 Bye")
			return nil
		}
		reply, err := c.answer(verb, arg)
		if err != nil {
			return err
		}
		c.say("%s", reply)
	}
}

// answer returns the reply to a command, without the last CRLF. DATA and AUTH read on in between.
func (c *smtpConn) answer(verb, arg string) (string, error) {
	switch verb {
	case c.hello:
		return c.greet(arg, "PIPELINING", "8BITMIME", "SIZE "+strconv.Itoa(messageLimit),
			"ENHANCEDSTATUSCODES", "SMTPUTF8", "AUTH PLAIN LOGIN"), nil
	case "HELO":
		if !c.each { // RFC 2033 §4.1
			return c.greet(arg), nil
		}
	case "MAIL":
		return c.mail(arg), nil
	case "RCPT":
		return c.rcpt(arg), nil
	case "DATA":
		return c.data(arg)
	case "AUTH":
		return c.auth(arg)
	case "RSET":
		c.reset()
		return "250 2.0.0 Forgotten", nil
	case "NOOP":
		return "250 2.0.0 Done", nil
	case "VRFY":
		return "252 2.5.2 Cannot say, send it and see", nil
	}
	return "500 5.5.1 Command not known", nil
}

// greet answers hello, which ends a transaction (RFC 5321 §4.1.4), with the extensions that it lists.
func (c *smtpConn) greet(name string, extensions ...string) string {
	if name == "" {
		return "501 5.5.4 Hello needs a name"
	}
	c.reset()
	c.named = true
	if len(extensions) == 0 {
		return "250 " + c.name()
	}
	last := len(extensions) - 1
	before := append([]string{c.name()}, extensions[:last]...)
	return "250-" + strings.Join(before, "\r\n250-") + "\r\n250 " + extensions[last]
}

// reset forgets the transaction, not the client (RFC 5321 §4.1.1.5).
func (c *smtpConn) reset() { c.begun, c.from, c.to = false, "", nil }

// mail begins a transaction. A second MAIL in one is out of order (RFC 5321 §3.3).
func (c *smtpConn) mail(arg string) string {
	from, params, ok := cutPath(arg, "FROM:")
	switch {
	case !c.named || c.begun:
		return "503 5.5.1 Not now"
	case !ok:
		return "501 5.5.4 Say MAIL FROM:<address>"
	}
	for _, param := range params {
		switch key, value, _ := strings.Cut(strings.ToUpper(param), "="); key {
		case "SIZE": // RFC 1870 §6.1
			if size, err := strconv.ParseUint(value, 10, 63); err != nil || size > messageLimit {
				return "552 5.3.4 Message too large"
			}
		case "BODY", "SMTPUTF8", "AUTH": // bytes are bytes here, whoever sends them
		default: // RFC 5321 §4.1.1.11
			return "555 5.5.4 Parameter not known"
		}
	}
	c.begun, c.from = true, from
	return "250 2.1.0 Sender taken"
}

// rcpt takes anybody as a recipient: nothing goes any further than this process.
func (c *smtpConn) rcpt(arg string) string {
	to, params, ok := cutPath(arg, "TO:")
	switch {
	case !c.begun:
		return "503 5.5.1 Not now"
	case !ok || to == "":
		return "501 5.5.4 Say RCPT TO:<address>"
	case len(params) > 0:
		return "555 5.5.4 Parameter not known"
	case len(c.to) == smtpRecipients:
		return "452 4.5.3 Too many recipients"
	}
	c.to = append(c.to, to)
	return "250 2.1.5 Recipient taken"
}

// data takes a message. In SMTP there is one reply, in LMTP one for each recipient that was taken
// (RFC 2033 §4.2).
func (c *smtpConn) data(arg string) (string, error) {
	if len(c.to) == 0 || arg != "" {
		return "503 5.5.1 Not now", nil
	}
	c.say("354 Go on, and end with a lone dot")
	data, err := c.readMessage()
	if err != nil {
		return "", err
	}
	reply := "552 5.3.4 Message too large"
	if data != nil {
		c.keep(Message{c.from, c.to, data})
		reply = fmt.Sprintf("250 2.0.0 Taken, %d bytes", len(data))
	}
	if c.each {
		reply += strings.Repeat("\r\n"+reply, len(c.to)-1)
	}
	c.reset()
	return reply, nil
}

// auth takes any name with any password, once (RFC 4954).
func (c *smtpConn) auth(arg string) (string, error) {
	mech, first, _ := strings.Cut(arg, " ")
	login := map[string]func() (string, bool, error){
		"PLAIN": func() (string, bool, error) { return c.askPlain("334 ", first) },
		"LOGIN": func() (string, bool, error) {
			return c.askLogin("334 VXNlcm5hbWU6", first, "334 UGFzc3dvcmQ6") // Username: Password:
		},
	}[strings.ToUpper(mech)]
	if !c.named || c.authed || c.begun { // RFC 4954 §4
		return "503 5.5.1 Not now", nil
	}
	if login == nil {
		return "504 5.5.4 Mechanism not known", nil
	}
	name, ok, err := login()
	if err != nil || !ok {
		return "501 5.5.2 Not understood, or given up", err
	}
	c.authed = true
	c.tell("%s logged in", name)
	return "235 2.7.0 Welcome", nil
}
