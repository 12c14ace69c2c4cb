package tryout

import (
	"bufio"
	"strconv"
	"strings"
)

// pop3 has one message for everybody (RFC 1939, RFC 2449).
var pop3 = protocol{"pop3", func(s *session) error {
	return (&pop3Conn{session: s}).serve()
}, "-ERR Line too long"}

const (
	pop3Stamp = "<1.1@starttls.test>" // for APOP; any digest of it will do
	pop3UID   = "welcome"
)

// A pop3Conn is a client in one of two states; the third, UPDATE, would have nothing to do.
type pop3Conn struct {
	*session
	user    string // of a USER whose PASS is to come
	authed  bool
	deleted bool // until RSET or the end of the session; nothing lasts
}

func (c *pop3Conn) serve() error {
	c.say("+OK %s starttls try-out server %s", c.name(), pop3Stamp)
	for {
		verb, arg, err := c.command()
		if err != nil {
			return err
		}
		if verb == "QUIT" {
			c.say("+OK Bye")
			return nil
		}
		answer := c.login
		if c.authed {
			answer = c.transaction
		}
		reply, err := answer(verb, arg)
		if err != nil {
			return err
		}
		c.say("%s", reply)
	}
}

// common answers what may be said in every state.
func (c *pop3Conn) common(verb string) string {
	if verb == "CAPA" {
		return pop3List("CAPA", "UIDL", "USER", "SASL PLAIN", "TOP", "PIPELINING", "RESP-CODES", "IMPLEMENTATION starttls")
	}
	return "-ERR Command not known here"
}

// login answers in the authorization state (RFC 1939 §4).
func (c *pop3Conn) login(verb, arg string) (string, error) {
	user := c.user
	c.user = "" // PASS counts only right behind USER (RFC 1939 §7)
	switch verb {
	case "USER":
		if arg == "" {
			return "-ERR Say USER name", nil
		}
		c.user = arg
		return "+OK And the password?", nil
	case "PASS":
		if user == "" {
			return "-ERR USER first", nil
		}
		return c.welcome(user), nil
	case "APOP":
		name, digest, _ := strings.Cut(arg, " ")
		if digest == "" {
			return "-ERR Say APOP name digest", nil
		}
		return c.welcome(name), nil
	case "AUTH":
		return c.auth(arg)
	}
	return c.common(verb), nil
}

// auth is RFC 5034; without a mechanism it lists them, as clients before RFC 2449 expect.
func (c *pop3Conn) auth(arg string) (string, error) {
	mech, first, _ := strings.Cut(arg, " ")
	switch strings.ToUpper(mech) {
	case "":
		return pop3List("Mechanisms", "PLAIN"), nil
	case "PLAIN":
		name, ok, err := c.askPlain("+ ", first)
		if err != nil || !ok {
			return "-ERR Not understood, or given up", err
		}
		return c.welcome(name), nil
	}
	return "-ERR Mechanism not known", nil
}

// welcome ends the authorization state, whoever it is.
func (c *pop3Conn) welcome(name string) string {
	c.authed = true
	c.tell("%s logged in", name)
	return "+OK Welcome"
}

// transaction answers in the transaction state (RFC 1939 §5).
func (c *pop3Conn) transaction(verb, arg string) (string, error) {
	size := strconv.Itoa(len(welcome))
	switch verb {
	case "NOOP":
		return "+OK", nil
	case "RSET":
		c.deleted = false
		return "+OK", nil
	case "STAT":
		if c.deleted {
			return "+OK 0 0", nil
		}
		return "+OK 1 " + size, nil
	case "LIST":
		return c.list(arg, size), nil
	case "UIDL":
		return c.list(arg, pop3UID), nil
	case "RETR", "TOP", "DELE":
		return c.message(verb, arg), nil
	}
	return c.common(verb), nil
}

// list answers a command that is about one message or about all.
func (c *pop3Conn) list(arg, what string) string {
	switch {
	case arg == "" && c.deleted:
		return pop3List("Nothing")
	case arg == "":
		return pop3List("One message", "1 "+what)
	case !c.has(arg):
		return pop3Missing
	}
	return "+OK 1 " + what
}

const pop3Missing = "-ERR No such message"

// has reports whether there is a message of that number, and not deleted (RFC 1939 §5).
func (c *pop3Conn) has(number string) bool {
	n, err := strconv.Atoi(number)
	return err == nil && n == 1 && !c.deleted
}

// message answers a command that is about the message itself.
func (c *pop3Conn) message(verb, arg string) string {
	number, top, _ := strings.Cut(arg, " ")
	if !c.has(number) {
		return pop3Missing
	}
	lines := welcomeLines
	switch verb {
	case "DELE":
		c.deleted = true
		return "+OK Deleted, as far as you are concerned"
	case "TOP":
		n, err := strconv.Atoi(strings.TrimSpace(top))
		if err != nil || n < 0 {
			return "-ERR Say TOP message lines"
		}
		lines = min(n, lines)
	}
	body := strings.SplitAfter(welcomeBody, "\n")[:lines]
	return pop3List("Here it is", welcomeHead+strings.Join(body, ""))
}

// pop3List is an answer of many lines, ending in a lone dot, without the last CRLF (RFC 1939 §3).
func pop3List(text string, items ...string) string {
	return dotted("+OK "+text, items...)
}

// dotted is an answer of a line and a text that ends in a lone dot, without the last CRLF.
func dotted(reply string, items ...string) string {
	reply += "\r\n"
	for _, item := range items {
		lines := bufio.NewScanner(strings.NewReader(item))
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), ".") {
				reply += "."
			}
			reply += lines.Text() + "\r\n"
		}
	}
	return reply + "."
}
