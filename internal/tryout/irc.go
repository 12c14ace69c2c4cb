package tryout

import (
	"strings"
)

// irc is a network of one: what you say you hear (RFC 2812). A message of yours comes back with your own
// name on it.
var irc = protocol{"irc", func(s *session) error {
	return (&ircConn{session: s}).serve()
}, "ERROR :Line too long"}

type ircConn struct {
	*session
	nick, user string
	listing    bool // CAP LS was said, and CAP END not yet
	registered bool
}

func (c *ircConn) serve() error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		verb, args := ircWords(line)
		if verb == "" {
			continue
		}
		if verb == "QUIT" {
			c.say("ERROR :Bye")
			return nil
		}
		c.answer(verb, args)
	}
}

// ircWords splits a message. Tags and a prefix mean nothing from a client.
func ircWords(line string) (verb string, args []string) {
	for strings.HasPrefix(line, "@") || strings.HasPrefix(line, ":") {
		_, line, _ = strings.Cut(line, " ")
	}
	line, last, long := strings.Cut(line, " :")
	args = strings.Fields(line)
	if len(args) == 0 {
		return "", nil
	}
	verb, args = strings.ToUpper(args[0]), args[1:]
	if long {
		args = append(args, last)
	}
	return verb, args
}

// number says a numeric to the client, by its name once it has one.
func (c *ircConn) number(number, text string) {
	nick := c.nick
	if nick == "" {
		nick = "*"
	}
	c.say(":%s %s %s %s", c.name(), number, nick, text)
}

// An ircVerb is a command that needs to be registered: at least how many arguments, and what it does.
type ircVerb struct {
	args int
	do   func(c *ircConn, args []string)
}

var ircVerbs = map[string]ircVerb{
	"JOIN":    {1, (*ircConn).join},
	"PART":    {1, func(c *ircConn, args []string) { c.echo("PART", args[0]) }},
	"PRIVMSG": {2, func(c *ircConn, args []string) { c.echo("PRIVMSG", args[0]+" :"+args[1]) }},
	"NOTICE":  {2, func(c *ircConn, args []string) { c.echo("NOTICE", args[0]+" :"+args[1]) }},
	"TOPIC":   {1, func(c *ircConn, args []string) { c.number("331", args[0]+" :No topic") }},
	"MODE":    {1, (*ircConn).mode},
	"WHO":     {1, func(c *ircConn, args []string) { c.number("315", args[0]+" :End of WHO list") }},
	"LIST":    {0, func(c *ircConn, _ []string) { c.number("323", ":End of LIST") }},
	"MOTD":    {0, func(c *ircConn, _ []string) { c.number("422", ":No message of the day") }},
}

func (c *ircConn) answer(verb string, args []string) {
	v, known := ircVerbs[verb]
	switch {
	case verb == "CAP" || verb == "PASS" || verb == "NICK" || verb == "USER":
		c.register(verb, args)
	case verb == "PING":
		c.say(":%s PONG %s :%s", c.name(), c.name(), strings.Join(args, " "))
	case verb == "PONG":
	case !known:
		c.number("421", verb+" :Command not known")
	case !c.registered:
		c.number("451", ":Say NICK and USER first")
	case len(args) < v.args:
		c.number("461", verb+" :Not enough arguments")
	default:
		v.do(c, args)
	}
}

// register gets to a name and a user, whatever they are, and to the end of CAP if that was begun.
func (c *ircConn) register(verb string, args []string) {
	if len(args) == 0 {
		c.number("461", verb+" :Not enough arguments")
		return
	}
	switch verb {
	case "CAP":
		c.capabilities(strings.ToUpper(args[0]), args[1:])
	case "NICK":
		if strings.ContainsAny(args[0], ":!@ ") {
			c.number("432", ":Not a name")
			return
		}
		if c.registered {
			c.echo("NICK", ":"+args[0])
		}
		c.nick = args[0]
	case "USER":
		if c.registered {
			c.number("462", ":Not again")
			return
		}
		c.user = args[0]
	}
	if c.registered || c.nick == "" || c.user == "" || c.listing {
		return
	}
	c.registered = true
	c.tell("%s logged in", c.nick)
	c.number("001", ":Welcome, "+c.nick)
	c.number("002", ":Your host is "+c.name()+", the starttls try-out server")
	c.number("003", ":This server was made for you")
	c.number("004", c.name()+" starttls-try-out i n")
	c.number("005", "CHANTYPES=# CASEMAPPING=ascii :are supported")
	c.number("422", ":No message of the day")
}

// capabilities answers CAP: there are none (IRCv3 Capability Negotiation).
func (c *ircConn) capabilities(what string, args []string) {
	nick := c.nick
	if nick == "" {
		nick = "*"
	}
	switch what {
	case "LS":
		c.listing = !c.registered
		fallthrough
	case "LIST":
		c.say(":%s CAP %s %s :", c.name(), nick, what)
	case "REQ":
		c.listing = !c.registered
		c.say(":%s CAP %s NAK :%s", c.name(), nick, strings.Join(args, " "))
	case "END":
		c.listing = false
	default:
		c.number("410", what+" :Not known")
	}
}

// echo says something as the client itself.
func (c *ircConn) echo(verb, what string) {
	c.say(":%s!%s@try-out %s %s", c.nick, c.user, verb, what)
}

// join joins channels, in which there is nobody else.
func (c *ircConn) join(args []string) {
	for _, channel := range strings.Split(args[0], ",") {
		if !strings.HasPrefix(channel, "#") {
			c.number("403", channel+" :No such channel")
			continue
		}
		c.echo("JOIN", channel)
		c.number("353", "= "+channel+" :"+c.nick)
		c.number("366", channel+" :End of NAMES list")
	}
}

// mode tells of modes: there are none.
func (c *ircConn) mode(args []string) {
	if strings.HasPrefix(args[0], "#") {
		c.number("324", args[0]+" +")
		return
	}
	c.number("221", "+")
}
