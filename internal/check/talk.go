package check

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"starttls"
	"starttls/dialect"
)

// An edit is how one conversation leaves the straight road of its dialect's script. The zero edit goes
// it: up to the upgrade, TLS, goodbye.
type edit struct {
	before []step                        // said before the upgrade, one by one
	short  bool                          // and nothing after that
	anyway bool                          // go on although the server does not know the hello
	mangle []func(upgrade []byte) []byte // the upgrade, said wrongly, one by one while it is refused
	glue   []byte                        // stands behind the upgrade
	apart  bool                          // glue is in a segment of its own
	rush   bool                          // hello, upgrade and glue are one segment
	brief  bool                          // no hello and no question before the upgrade, unless the server wants it
	config func(*tls.Config)             // changes the handshake
	bare   func(net.Conn) error          // takes the place of the handshake
	inside []dialect.Message             // said inside TLS, one by one
	record bool                          // keep the records of the server and their secrets
	gone   bool                          // what is said after our goodbye does not matter
}

// A step is something said before the upgrade.
type step struct {
	words string
	after func(first []dialect.Message) bool // whether it is said after that answer to the first; nil is always
}

// A reply is what was answered to a step.
type reply struct {
	words  string // the step's
	answer []dialect.Message
}

// A talk is what was heard in one conversation. How far it came is told by stage.
type talk struct {
	heard   starttls.Heard
	road    error             // of the way to the upgrade, ErrNotOffered included
	replies []reply           // to edit.before
	mangled []dialect.Message // answers to edit.mangle
	ready   dialect.Message   // the answer to the upgrade
	state   *tls.ConnectionState
	first   []dialect.Message // said inside TLS before we spoke
	inside  [][]dialect.Message
	behind  []byte         // what came in the clear where TLS must follow
	refusal []byte         // inside TLS, after our goodbye
	last    []dialect.Kind // after our goodbye: the kinds of what was said to the end
	stage   stage
	spoken  bool  // the server has said something in the clear
	err     error // that ended it before its time
	times   [4]time.Duration
	records []byte          // as the server sent them, if edit.record
	keylog  strings.Builder // and their secrets
}

// answerTo returns the last message that answers a step, "" if there is none.
func (t *talk) answerTo(words string) string {
	for _, r := range t.replies {
		if r.words == words && len(r.answer) > 0 {
			return string(last(r.answer).Raw)
		}
	}
	return ""
}

// A stage is how far a conversation came.
type stage uint8

const (
	dialled stage = iota
	greeted       // the road up to the upgrade is gone
	asked         // the upgrade is said
	goAhead       // the server has said go
	secured       // TLS has begun
	left          // and the goodbye was said
)

// Indices of talk.times.
const (
	tConnect = iota
	tGreeting
	tUpgrade
	tHandshake
)

// maxAnswers bounds what a server may say to one question.
const maxAnswers = 100

// A conversation is a talk while it goes on.
type conversation struct {
	talk
	*visit
	edit edit
	conn net.Conn
	leg  *starttls.Leg
	from time.Time
}

// run has the whole conversation. What it fails with is in talk.err.
func (c *conversation) run(ctx context.Context) {
	c.leg = starttls.NewLeg(c.conn, c.endpoint.Dialect, dialect.Client, c.endpoint.Implicit)
	steps := []func(context.Context) error{c.approach, c.before, c.upgrade, c.handshake, c.within, c.leave}
	if c.endpoint.Implicit {
		steps, c.stage = steps[3:], goAhead
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			if err != errDone {
				c.err = err
			}
			return
		}
	}
}

func (c *conversation) mark(i int) { c.times[i] = c.now().Sub(c.from) }

// approach goes the road up to the upgrade.
func (c *conversation) approach(context.Context) error {
	if c.edit.brief {
		c.leg.Dialect = along(c.endpoint.Dialect, onlyUpgrade)
	}
	if c.edit.rush {
		rush := &rushConn{Conn: c.conn, all: c.rush()}
		c.leg.Conn = rush
		defer func() { c.leg.Conn, c.edit.rush = c.conn, rush.said }()
	}
	c.leg.Show = func(says dialect.Side, _ dialect.Message, _ []byte) {
		if says == dialect.Server && !c.spoken {
			c.spoken = true
			c.mark(tGreeting)
		}
	}
	c.heard, c.road = c.leg.Approach(c.calls())
	c.heard.Caps.Raw, c.heard.Greeting.Raw = slices.Clone(c.heard.Caps.Raw), slices.Clone(c.heard.Greeting.Raw)
	switch {
	case errors.Is(c.road, starttls.ErrNotOffered):
	case c.road != nil && !(c.edit.anyway && errors.Is(c.road, starttls.ErrRefused)):
		return c.road
	}
	c.stage = greeted
	return nil
}

// before says what is to be said before the upgrade.
func (c *conversation) before(context.Context) error {
	for _, s := range c.edit.before {
		if s.after != nil && !s.after(c.replies[0].answer) {
			continue
		}
		answer, err := c.ask(dialect.Message{Kind: dialect.Secret, Raw: []byte(s.words)})
		c.replies = append(c.replies, reply{s.words, answer})
		if err != nil {
			return err
		}
	}
	if c.edit.short {
		return errDone
	}
	return nil
}

// ask says m and hears the answer. Messages are copies.
func (c *conversation) ask(m dialect.Message) (answer []dialect.Message, err error) {
	if err := c.leg.Say(m); err != nil {
		return nil, err
	}
	return c.hear(func(dialect.Message) bool { return !c.leg.Pending() }, c.leg.Pending())
}

// hear collects messages until the last of them.
func (c *conversation) hear(last func(dialect.Message) bool, any bool) (all []dialect.Message, err error) {
	for any {
		m, err := c.leg.Hear()
		if err != nil {
			return all, err
		}
		m.Raw = slices.Clone(m.Raw)
		if all = append(all, m); last(m) {
			break
		}
		if len(all) >= maxAnswers {
			return all, starttls.ErrTooLong
		}
	}
	return all, nil
}

// upgrade asks for TLS, as the edit has it, and hears the answer.
func (c *conversation) upgrade(ctx context.Context) error {
	for _, mangle := range c.edit.mangle {
		m, err := c.askUpgrade(mangle)
		if err != nil {
			return err
		}
		c.mangled = append(c.mangled, m)
		if m.Kind == dialect.Ready {
			c.stage = goAhead
			return errMangled
		}
	}
	if len(c.edit.mangle) > 0 {
		return errDone
	}
	var err error
	if c.ready, err = c.askUpgrade(nil); err != nil {
		return err
	}
	if c.edit.brief && c.ready.Kind == dialect.No {
		if err = c.formally(ctx); err != nil {
			return err
		}
	}
	c.mark(tUpgrade)
	if c.ready.Kind != dialect.Ready && c.endpoint.Dialect.Script.Acknowledged() {
		return errRefused
	}
	c.stage = goAhead
	return nil
}

// How a conversation ends where there is nothing more to say.
var (
	errRefused = errors.New("the upgrade is refused")
	errMangled = errors.New("the server goes ahead")
	errDone    = errors.New("all is said")
)

// done is err, or that there is nothing more to say.
func done(err error) error {
	if err == nil {
		return errDone
	}
	return err
}

// askUpgrade says the upgrade, mangled if that is not nil, and hears the answer if there is one.
func (c *conversation) askUpgrade(mangle func([]byte) []byte) (ready dialect.Message, err error) {
	words := c.leg.Words(dialect.Message{Kind: dialect.Upgrade, Name: c.calls()})
	if len(words) == 0 && !c.endpoint.Dialect.Silent {
		return ready, starttls.ErrNotOffered
	}
	c.stage = asked
	switch {
	case mangle != nil:
		words = mangle(words)
	case c.edit.rush:
		words = nil // they are there already
	case !c.edit.apart:
		words = append(words, c.edit.glue...)
	}
	if _, err := c.conn.Write(words); err != nil {
		return ready, err
	}
	if mangle == nil && c.edit.apart {
		if _, err := c.conn.Write(c.edit.glue); err != nil {
			return ready, err
		}
	}
	if !c.endpoint.Dialect.Script.Acknowledged() {
		return ready, nil
	}
	answer, err := c.hear(func(m dialect.Message) bool { return m.Kind == dialect.Ready || !c.leg.Pending() }, true)
	if len(answer) > 0 {
		ready = answer[len(answer)-1]
	}
	return ready, err
}

// handshake begins TLS.
func (c *conversation) handshake(ctx context.Context) error {
	if c.edit.bare != nil {
		if len(c.edit.glue) > 0 { // it is a ClientHello, and what stands behind the go-ahead its answer
			return done(c.edit.bare(&restConn{Conn: c.conn, rest: c.leg.Rest()}))
		}
		conn, err := c.leg.Bare()
		if err != nil {
			return err
		}
		return done(c.edit.bare(conn))
	}
	config := c.tlsConfig()
	if c.edit.config != nil {
		c.edit.config(config)
	}
	if c.edit.record {
		config.KeyLogWriter = &c.keylog
	}
	if c.edit.record || len(c.edit.glue) > 0 {
		c.leg.Conn = &recordConn{Conn: c.leg.Conn, kept: &c.records, held: len(c.edit.glue) > 0}
	}
	conn, err := c.leg.BeginClient(ctx, config)
	switch {
	case errors.Is(err, starttls.ErrInjected):
		c.behind = c.readBehind()
	case err != nil && !c.endpoint.Implicit && c.endpoint.Dialect.Carrier == nil && inClear(c.records):
		// Words that are shorter than the head of a record, and nothing after them.
		c.behind, err = c.records, fmt.Errorf("%w: %w", starttls.ErrInjected, err)
	}
	if err != nil {
		return err
	}
	state := conn.ConnectionState()
	c.state, c.stage = &state, secured
	c.mark(tHandshake)
	return nil
}

// inClear reports whether what was read is something else than records of a handshake.
func inClear(read []byte) bool {
	return len(read) > 0 && read[0] != recordHandshake && read[0] != recordAlert
}

// readBehind returns what was said in the clear where TLS must follow, with what still comes before the server
// has seen that we are done.
func (c *conversation) readBehind() []byte {
	const most, patience = 4 << 10, 3 * time.Second
	words := append(slices.Clone(c.leg.Unread()), c.records...)
	c.closeWrite()
	c.conn.SetReadDeadline(time.Now().Add(patience))
	rest, _ := io.ReadAll(io.LimitReader(c.conn, most))
	return append(words, rest...)
}

// within says what is to be said inside TLS.
func (c *conversation) within(context.Context) (err error) {
	if script := c.endpoint.Dialect.Script; script.ServerFirstInside() && !c.endpoint.Dialect.Again || c.endpoint.Implicit && script.ServerFirst() {
		if c.first, err = c.hear(func(m dialect.Message) bool { return !c.leg.Pending() }, true); err != nil {
			return err
		}
	}
	for _, m := range c.edit.inside {
		answer, err := c.ask(m)
		c.inside = append(c.inside, answer)
		if err != nil {
			return err
		}
	}
	return nil
}

// leave says goodbye, and hears everything that is said before the end. Whoever has executed what was
// not said inside TLS has answered it by then.
func (c *conversation) leave(context.Context) error {
	c.stage = left
	c.leg.Say(dialect.Message{Kind: dialect.Bye}) // if it has hung up already, there may be last words of it all the same
	if c.edit.gone {
		return nil
	}
	if !c.leg.Pending() { // it has no words, or none that are answered
		c.closeWrite()
	}
	for range maxAnswers {
		m, err := c.leg.Hear()
		switch {
		case errors.Is(err, dialect.ErrNoise):
			c.last = append(c.last, noise)
			return nil
		case err != nil:
			return nil // the end
		}
		if c.last = append(c.last, m.Kind); m.Kind == dialect.No {
			c.refusal = slices.Clone(m.Raw)
		}
		if m.Kind == dialect.Bye && !c.leg.Pending() {
			return nil
		}
		if m.Kind != dialect.Bye && !c.leg.Pending() {
			c.closeWrite() // it has not understood, and will not hang up on its own
		}
	}
	return fmt.Errorf("inside TLS: %w", starttls.ErrTooLong)
}
