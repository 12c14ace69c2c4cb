package tryout

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// nats delivers to each client what it publishes itself (NATS client protocol).
var nats = protocol{"nats", func(s *session) error {
	return (&natsConn{session: s}).serve()
}, "-ERR 'Maximum Control Line Exceeded'"}

// Bounds: bytes of a message, and subscriptions.
const (
	natsPayload = 1 << 20
	natsSubs    = 64
)

type natsConn struct {
	*session
	verbose bool // each line is answered; so it is until CONNECT says otherwise
	subs    []natsSub
}

type natsSub struct {
	subject, id string
	left        int // messages until it ends by itself; negative if it does not
}

// A natsError is a mistake of the client's that ends the connection, in the words of nats-server.
type natsError string

func (e natsError) Error() string { return string(e) }

const natsUnknown natsError = "Unknown Protocol Operation"

func (c *natsConn) serve() error {
	c.verbose = true
	name, _ := json.Marshal(c.name())
	c.say(`INFO {"server_id":"TRYOUT","server_name":%s,"version":"2.10.0","proto":1,"headers":false,"max_payload":%d}`, name, natsPayload)
	for {
		verb, arg, err := c.command()
		if err != nil {
			return err
		}
		var mistake natsError
		if err = c.answer(verb, arg); errors.As(err, &mistake) {
			c.say("-ERR '%s'", mistake)
		}
		if err != nil {
			return err
		}
	}
}

func (c *natsConn) answer(verb, arg string) error {
	args := strings.Fields(arg)
	switch verb {
	case "PING":
		c.say("PONG")
		return nil
	case "PONG":
		return nil
	case "CONNECT":
		return c.connect(arg)
	case "SUB":
		return c.subscribe(args)
	case "UNSUB":
		return c.unsubscribe(args)
	case "PUB":
		return c.publish(args)
	}
	return natsUnknown
}

// done says +OK to those who want it.
func (c *natsConn) done() error {
	if c.verbose {
		c.say("+OK")
	}
	return nil
}

// connect takes anybody, with or without a name.
func (c *natsConn) connect(arg string) error {
	options := struct {
		Verbose bool   `json:"verbose"`
		User    string `json:"user"`
	}{Verbose: true}
	if json.Unmarshal([]byte(arg), &options) != nil {
		return natsError("Parser Error")
	}
	c.verbose = options.Verbose
	if options.User != "" {
		c.tell("%s logged in", options.User)
	}
	return c.done()
}

// subscribe reads SUB subject [queue] id. A queue of one is like none.
func (c *natsConn) subscribe(args []string) error {
	switch {
	case len(args) != 2 && len(args) != 3:
		return natsError("Parser Error")
	case len(c.subs) == natsSubs:
		return natsError("Maximum Subscriptions Exceeded")
	}
	c.subs = append(c.subs, natsSub{args[0], args[len(args)-1], -1})
	return c.done()
}

// unsubscribe reads UNSUB id [messages].
func (c *natsConn) unsubscribe(args []string) error {
	left := 0
	if len(args) == 2 {
		left, _ = strconv.Atoi(args[1])
	}
	if len(args) != 1 && len(args) != 2 || left < 0 {
		return natsError("Parser Error")
	}
	for i := range c.subs {
		if c.subs[i].id == args[0] {
			c.subs[i].left = left
		}
	}
	c.sweep()
	return c.done()
}

// sweep takes out the subscriptions that have ended.
func (c *natsConn) sweep() {
	kept := c.subs[:0]
	for _, sub := range c.subs {
		if sub.left != 0 {
			kept = append(kept, sub)
		}
	}
	c.subs = kept
}

// publish reads PUB subject [reply] size and the message.
func (c *natsConn) publish(args []string) error {
	if len(args) != 2 && len(args) != 3 {
		return natsError("Parser Error")
	}
	size, err := strconv.ParseUint(args[len(args)-1], 10, 31)
	switch {
	case err != nil:
		return natsError("Parser Error")
	case size > natsPayload:
		return natsError("Maximum Payload Violation")
	}
	data, err := c.take(int(size))
	if err != nil {
		return err
	}
	if end, err := c.line(); err != nil || end != "" {
		return errors.Join(err, natsUnknown)
	}
	c.done()
	reply := ""
	if len(args) == 3 {
		reply = args[1] + " "
	}
	for i, sub := range c.subs {
		if natsMatch(sub.subject, args[0]) {
			fmt.Fprintf(c.w, "MSG %s %s %s%d\r\n%s\r\n", args[0], sub.id, reply, size, data)
			c.subs[i].left = max(sub.left-1, -1)
		}
	}
	c.sweep()
	return nil
}

// natsMatch reports whether a subject is one that was subscribed to: "*" is any word, ">" all that follow.
func natsMatch(pattern, subject string) bool {
	want, got := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, word := range want {
		if word == ">" {
			return i < len(got)
		}
		if i >= len(got) || word != "*" && word != got[i] {
			return false
		}
	}
	return len(want) == len(got)
}
