package tryout

import (
	"strings"
)

// acap lets in whoever comes, and has nothing for them (RFC 2244).
var acap = protocol{"acap", func(s *session) error {
	return (&acapConn{session: s}).serve()
}, `* BYE "Line too long"`}

const acapUnclear = `BAD "Not understood"`

// acapGoOn asks for a literal (RFC 2244 §2.6.3).
const acapGoOn = "+ \"Go on\"\r\n"

type acapConn struct {
	*session
	authed bool
}

func (c *acapConn) serve() error {
	c.say(`* ACAP (IMPLEMENTATION "starttls try-out") (SASL "PLAIN")`)
	for {
		words, ok, err := c.words(acapGoOn)
		if err != nil {
			return err
		}
		if !ok || len(words) < 2 {
			c.say("* %s", acapUnclear)
			continue
		}
		tag, verb, args := words[0], strings.ToUpper(words[1]), words[2:]
		if verb == "LOGOUT" {
			c.say("* BYE \"Bye\"\r\n%s OK \"Done\"", tag)
			return nil
		}
		reply, err := c.answer(verb, args)
		if err != nil {
			return err
		}
		c.say("%s %s", tag, reply)
	}
}

// answer returns the end of the answer, without the tag.
func (c *acapConn) answer(verb string, args []string) (string, error) {
	switch {
	case verb == "NOOP":
		return `OK "Done"`, nil
	case verb == "LANG": // RFC 2244 §6.2.2
		return `NO "There is only English"`, nil
	case verb != "AUTHENTICATE":
		return `BAD "Command not known"`, nil
	case c.authed || len(args) == 0:
		return `BAD "Not now"`, nil
	case !strings.EqualFold(args[0], "PLAIN"):
		return `NO "Mechanism not known"`, nil
	case len(args) == 1:
		c.say(`+ ""`)
		words, ok, err := c.words(acapGoOn)
		if err != nil || !ok || len(words) != 1 {
			return acapUnclear, err
		}
		args = append(args, words[0])
	}
	name, ok := plainName(args[1]) // as it is, without base64 (RFC 2244 §6.3.1)
	if !ok {
		return `NO "Not understood, or given up"`, nil
	}
	c.authed = true
	c.tell("%s logged in", name)
	return `OK "Welcome"`, nil
}
