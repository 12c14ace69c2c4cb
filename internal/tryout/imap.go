package tryout

import (
	"fmt"
	"strings"
)

// imap has an INBOX with one message for everybody (RFC 3501). It is one for trying: a client that is
// silent for ten minutes is gone, where a real one must wait for thirty (§5.4).
var imap = protocol{"imap", func(s *session) error {
	return (&imapConn{session: s}).serve()
}, "* BYE Line too long"}

const imapCaps = "CAPABILITY IMAP4rev1 SASL-IR LITERAL+ ID IDLE UNSELECT AUTH=PLAIN"

// imapState is how far a client has got. Each command needs one (RFC 3501 §3).
type imapState uint8

const (
	imapAny imapState = iota
	imapAuthed
	imapSelected
)

type imapConn struct {
	*session
	state imapState
}

// An imapVerb is a command: the state that it needs, at least how many arguments, and what it does. do
// returns the end of the answer without the tag.
type imapVerb struct {
	state imapState
	args  int
	do    func(c *imapConn, args []string) (string, error)
}

var imapVerbs = map[string]imapVerb{
	"CAPABILITY":   {imapAny, 0, imapSays("* " + imapCaps)},
	"NOOP":         {imapAny, 0, imapSays()},
	"ID":           {imapAny, 1, imapSays(`* ID ("name" "starttls")`)},
	"LOGIN":        {imapAny, 2, (*imapConn).login},
	"AUTHENTICATE": {imapAny, 1, (*imapConn).authenticate},
	"LIST":         {imapAuthed, 2, imapList("LIST")},
	"LSUB":         {imapAuthed, 2, imapList("LSUB")},
	"STATUS":       {imapAuthed, 2, (*imapConn).status},
	"SELECT":       {imapAuthed, 1, (*imapConn).selectBox},
	"EXAMINE":      {imapAuthed, 1, (*imapConn).selectBox},
	"IDLE":         {imapAuthed, 0, (*imapConn).idle},
	"CHECK":        {imapSelected, 0, imapSays()},
	"EXPUNGE":      {imapSelected, 0, imapSays()},
	"CLOSE":        {imapSelected, 0, (*imapConn).unselect},
	"UNSELECT":     {imapSelected, 0, (*imapConn).unselect},
	"SEARCH":       {imapSelected, 1, (*imapConn).search},
	"FETCH":        {imapSelected, 2, (*imapConn).fetch},
	"UID FETCH":    {imapSelected, 2, (*imapConn).uidFetch},
	"UID SEARCH":   {imapSelected, 1, (*imapConn).search},
}

// Ends of answers. BAD is for a client's mistakes, NO for what cannot be done (RFC 3501 §7.1).
const (
	imapDone     = "OK Done"
	imapUnclear  = "BAD Not understood"
	imapNotThere = "NO [NONEXISTENT] There is only INBOX"
)

// imapSays does nothing but say lines.
func imapSays(lines ...string) func(*imapConn, []string) (string, error) {
	return func(c *imapConn, _ []string) (string, error) {
		for _, line := range lines {
			c.say("%s", line)
		}
		return imapDone, nil
	}
}

func (c *imapConn) serve() error {
	c.say("* OK [%s] %s starttls try-out server", imapCaps, c.name())
	for {
		words, ok, err := c.words("+ Go on\r\n")
		if err != nil {
			return err
		}
		if !ok || len(words) < 2 {
			c.say("* %s", imapUnclear)
			continue
		}
		tag, verb, args := words[0], strings.ToUpper(words[1]), words[2:]
		if verb == "LOGOUT" {
			c.say("* BYE Bye\r\n%s %s", tag, imapDone)
			return nil
		}
		if verb == "UID" && len(args) > 0 {
			verb, args = "UID "+strings.ToUpper(args[0]), args[1:]
		}
		reply, err := c.answer(verb, args)
		if err != nil {
			return err
		}
		c.say("%s %s", tag, reply)
	}
}

// answer looks a command up and does it, in its state.
func (c *imapConn) answer(verb string, args []string) (string, error) {
	v, known := imapVerbs[verb]
	switch {
	case !known:
		return "BAD Command not known", nil
	case c.state < v.state:
		return "BAD Not now", nil
	case len(args) < v.args:
		return imapUnclear, nil
	}
	return v.do(c, args)
}

// login takes any name with any password.
func (c *imapConn) login(args []string) (string, error) {
	if c.state != imapAny {
		return "BAD Not again", nil
	}
	c.state = imapAuthed
	c.tell("%s logged in", args[0])
	return "OK [" + imapCaps + "] Welcome", nil // saves the client from asking (RFC 3501 §7.1)
}

// authenticate is SASL, of which only PLAIN is known.
func (c *imapConn) authenticate(args []string) (string, error) {
	if !strings.EqualFold(args[0], "PLAIN") {
		return "NO Mechanism not known", nil
	}
	name, ok, err := c.askPlain("+ ", strings.Join(args[1:], " ")) // RFC 4959 §3
	if err != nil || !ok {
		return "BAD Not understood, or given up", err
	}
	return c.login([]string{name})
}

// imapList answers what matches INBOX. A pattern that is empty asks for the hierarchy's delimiter.
func imapList(word string) func(*imapConn, []string) (string, error) {
	return func(c *imapConn, args []string) (string, error) {
		pattern := strings.ToUpper(args[0] + args[1])
		before, _, wild := strings.Cut(strings.ReplaceAll(pattern, "%", "*"), "*")
		switch {
		case args[1] == "":
			c.say(`* %s (\Noselect) "/" ""`, word)
		case pattern == "INBOX", wild && strings.HasPrefix("INBOX", before):
			c.say(`* %s (\HasNoChildren) "/" INBOX`, word)
		}
		return imapDone, nil
	}
}

// status tells what is asked of INBOX, in the order in which it is asked (RFC 3501 §6.3.10).
func (c *imapConn) status(args []string) (string, error) {
	if !strings.EqualFold(args[0], "INBOX") {
		return imapNotThere, nil
	}
	values := map[string]int{"MESSAGES": 1, "RECENT": 0, "UIDNEXT": 2, "UIDVALIDITY": 1, "UNSEEN": 1}
	var items []string
	for _, item := range args[1:] {
		item = strings.ToUpper(item)
		if n, known := values[item]; known {
			items = append(items, fmt.Sprintf("%s %d", item, n))
		} else if item != "(" && item != ")" {
			return imapUnclear, nil
		}
	}
	c.say("* STATUS INBOX (%s)", strings.Join(items, " "))
	return imapDone, nil
}

// selectBox selects INBOX. It is read-only by SELECT as well, which RFC 3501 §6.3.1 allows.
func (c *imapConn) selectBox(args []string) (string, error) {
	c.state = imapAuthed // a SELECT that fails leaves nothing selected (RFC 3501 §6.3.1)
	if !strings.EqualFold(args[0], "INBOX") {
		return imapNotThere, nil
	}
	c.state = imapSelected
	c.say(`* FLAGS (\Seen)` + "\r\n* 1 EXISTS\r\n* 0 RECENT\r\n* OK [UNSEEN 1] First\r\n" +
		"* OK [UIDVALIDITY 1] Same always\r\n* OK [UIDNEXT 2] Next\r\n* OK [PERMANENTFLAGS ()] None")
	return "OK [READ-ONLY] Selected", nil
}

// unselect is CLOSE too (RFC 3691): there is nothing to expunge.
func (c *imapConn) unselect([]string) (string, error) {
	c.state = imapAuthed
	return imapDone, nil
}

// idle waits for DONE (RFC 2177). Nothing ever happens meanwhile.
func (c *imapConn) idle([]string) (string, error) {
	c.say("+ Idling")
	line, err := c.line()
	if !strings.EqualFold(line, "DONE") {
		return imapUnclear, err
	}
	return imapDone, nil
}
