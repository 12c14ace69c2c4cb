package tryout

import (
	"encoding/base64"
	"strings"
)

// sieve keeps scripts as long as the connection lives (RFC 5804). Any text will do for a script.
var sieve = protocol{"sieve", func(s *session) error {
	return (&sieveConn{session: s, scripts: map[string]string{}}).serve()
}, `BYE "Line too long"`}

// Bounds on what a client may keep: with the limit of a command, 1 MiB.
const (
	sieveScripts = 16
	sieveName    = 512 // bytes of a name, more than RFC 5804 §1.6 asks for

	sieveDone    = `OK "Done"`
	sieveUnclear = `NO "Not understood"`
	sieveNone    = `NO (NONEXISTENT) "No such script"`
)

type sieveConn struct {
	*session
	authed  bool
	scripts map[string]string
	active  string // the name of the one that is, or ""
}

// sieveVerbs are the commands that need a login: how many arguments, and what is done.
var sieveVerbs = map[string]struct {
	args int
	do   func(*sieveConn, []string) string
}{
	"HAVESPACE":    {2, sieveYes},
	"CHECKSCRIPT":  {1, sieveYes},
	"PUTSCRIPT":    {2, (*sieveConn).put},
	"GETSCRIPT":    {1, (*sieveConn).get},
	"DELETESCRIPT": {1, (*sieveConn).remove},
	"RENAMESCRIPT": {2, (*sieveConn).rename},
	"SETACTIVE":    {1, (*sieveConn).activate},
	"LISTSCRIPTS":  {0, (*sieveConn).list},
}

func (c *sieveConn) serve() error {
	c.say("%s", c.capabilities())
	for {
		words, ok, err := c.words("") // its literals do not wait (RFC 5804 §4)
		if err != nil {
			return err
		}
		if !ok || len(words) == 0 {
			words = []string{""}
		}
		verb := strings.ToUpper(words[0])
		if verb == "LOGOUT" {
			c.say(`OK "Bye"`)
			return nil
		}
		reply, err := c.answer(verb, words[1:])
		if err != nil {
			return err
		}
		c.say("%s", reply)
	}
}

// capabilities are the greeting too (RFC 5804 §1.7).
func (c *sieveConn) capabilities() string {
	return `"IMPLEMENTATION" "starttls try-out"` + "\r\n" + `"SIEVE" "fileinto"` + "\r\n" + `"SASL" "PLAIN"` + "\r\n" +
		`"VERSION" "1.0"` + "\r\n" + `OK ` + quoted(c.name()+" starttls try-out server")
}

func (c *sieveConn) answer(verb string, args []string) (string, error) {
	switch verb {
	case "CAPABILITY":
		return c.capabilities(), nil
	case "NOOP": // RFC 5804 §2.13
		if len(args) == 0 {
			return sieveDone, nil
		}
		return sieveText("OK (TAG ", args[0], `) "Done"`), nil
	case "AUTHENTICATE":
		return c.authenticate(args)
	}
	v, known := sieveVerbs[verb]
	switch {
	case !known:
		return `NO "Command not known"`, nil
	case !c.authed:
		return `NO "Log in first"`, nil
	case len(args) != v.args:
		return sieveUnclear, nil
	}
	return v.do(c, args), nil
}

// authenticate takes any name with any password, by PLAIN.
func (c *sieveConn) authenticate(args []string) (string, error) {
	switch {
	case c.authed || len(args) == 0:
		return `NO "Not now"`, nil
	case !strings.EqualFold(args[0], "PLAIN"):
		return `NO "Mechanism not known"`, nil
	case len(args) == 1:
		c.say(`""`)
		words, ok, err := c.words("")
		if err != nil || !ok || len(words) != 1 {
			return sieveUnclear, err
		}
		args = append(args, words[0])
	}
	text, err := base64.StdEncoding.DecodeString(args[1])
	name, ok := plainName(string(text))
	if err != nil || !ok {
		return `NO "Not understood, or given up"`, nil
	}
	c.authed = true
	c.tell("%s logged in", name)
	return `OK "Welcome"`, nil
}
