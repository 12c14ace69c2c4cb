package tryout

import (
	"fmt"
	"strings"
)

// nut has one battery, which is always full (RFC 9271).
var nut = protocol{"nut", func(s *session) error {
	return (&nutConn{session: s}).serve()
}, "ERR INVALID-ARGUMENT"}

const nutUPS = "dummy"

// nutVars are what there is to know of it.
var nutVars = [][2]string{
	{"battery.charge", "100"}, {"device.model", "starttls try-out"}, {"device.type", "ups"}, {"ups.status", "OL"},
}

type nutConn struct {
	*session
	user, password string
}

func (c *nutConn) serve() error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		words, ok := splitWords(line)
		if !ok || len(words) == 0 {
			c.nut("ERR INVALID-ARGUMENT")
			continue
		}
		if words[0] == "LOGOUT" {
			c.nut("OK Goodbye")
			return nil
		}
		c.nut(c.answer(words))
	}
}

// nut says a line as its servers do, with a bare LF.
func (c *nutConn) nut(line string) { c.w.WriteString(line + "\n") }

// answer returns the reply, without the last LF. Verbs are in capitals (RFC 9271).
func (c *nutConn) answer(words []string) string {
	verb, args := words[0], words[1:]
	switch verb {
	case "VER":
		return "starttls try-out server"
	case "NETVER", "PROTVER":
		return "1.3"
	case "HELP":
		return "Commands: HELP VER PROTVER GET LIST USERNAME PASSWORD LOGIN LOGOUT"
	case "USERNAME", "PASSWORD", "LOGIN":
		return c.login(verb, args)
	case "LIST":
		return nutList(args)
	case "GET":
		return nutGet(args)
	}
	return "ERR UNKNOWN-COMMAND"
}

// login takes any name and any password, each once.
func (c *nutConn) login(verb string, args []string) string {
	switch {
	case len(args) != 1 || args[0] == "":
		return "ERR INVALID-ARGUMENT"
	case verb == "USERNAME" && c.user != "":
		return "ERR ALREADY-SET-USERNAME"
	case verb == "USERNAME":
		c.user = args[0]
	case verb == "PASSWORD" && c.password != "":
		return "ERR ALREADY-SET-PASSWORD"
	case verb == "PASSWORD":
		c.password = args[0]
	case c.user == "":
		return "ERR USERNAME-REQUIRED"
	case c.password == "":
		return "ERR PASSWORD-REQUIRED"
	case args[0] != nutUPS:
		return "ERR UNKNOWN-UPS"
	default:
		c.tell("%s logged in", c.user)
	}
	return "OK"
}

// nutList answers LIST. Of most lists there is only the beginning and the end.
func nutList(args []string) string {
	what := strings.Join(args, " ")
	items := ""
	switch {
	case what == "UPS":
		items = "UPS " + nutUPS + ` "The try-out server of starttls"` + "\n"
	case len(args) < 2 || args[0] == "UPS":
		return "ERR INVALID-ARGUMENT"
	case args[1] != nutUPS:
		return "ERR UNKNOWN-UPS"
	case args[0] == "VAR":
		for _, v := range nutVars {
			items += fmt.Sprintf("VAR %s %s %q\n", nutUPS, v[0], v[1])
		}
	case args[0] != "RW" && args[0] != "CMD" && args[0] != "CLIENT":
		return "ERR INVALID-ARGUMENT"
	}
	return "BEGIN LIST " + what + "\n" + items + "END LIST " + what
}

// nutGet answers GET.
func nutGet(args []string) string {
	switch {
	case len(args) < 2:
		return "ERR INVALID-ARGUMENT"
	case args[1] != nutUPS:
		return "ERR UNKNOWN-UPS"
	case args[0] == "NUMLOGINS":
		return "NUMLOGINS " + nutUPS + " 1"
	case args[0] == "UPSDESC":
		return "UPSDESC " + nutUPS + ` "The try-out server of starttls"`
	case args[0] != "VAR" || len(args) < 3:
		return "ERR INVALID-ARGUMENT"
	}
	for _, v := range nutVars {
		if v[0] == args[2] {
			return fmt.Sprintf("VAR %s %s %q", nutUPS, v[0], v[1])
		}
	}
	return "ERR VAR-NOT-SUPPORTED"
}
