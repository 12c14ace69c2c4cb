package starttls

import (
	"slices"

	"starttls/dialect"
)

// Heard is what a server said of itself in the clear, on the way to TLS. Whoever sits on the path may
// have said it instead: it is good for a log, and for nothing else.
type Heard struct {
	Name  string        // how the server called itself
	Offer dialect.Offer // what it said of TLS
	Mechs []string      // SASL mechanisms it listed
	// Greeting and Caps are the messages themselves, Raw included, where the protocol has them.
	Greeting, Caps dialect.Message
}

// First returns the message with which the server spoke first, or nil if it did not.
func (h *Heard) First() *dialect.Message {
	switch {
	case h.Greeting.Kind == dialect.Greeting:
		return &h.Greeting
	case h.Caps.Kind == dialect.Caps && h.Caps.Re == dialect.Other:
		return &h.Caps
	}
	return nil
}

// maxMessages is how many messages a peer may send before TLS.
const maxMessages = 100

// Walk goes the dialect's road up to the server's go-ahead, as the client. name is what we call
// ourselves where the protocol asks for a name. After it, [Leg.BeginClient] is the only lawful step.
// On ErrNotOffered and ErrRefused the conversation may also go on in the clear, if the caller's level
// lets it.
func (l *Leg) Walk(name string) (Heard, error) {
	w := walk{Leg: l, name: name}
	err := w.along(l.Dialect.Script.Clear)
	return w.heard, err
}

// Approach goes the road up to the upgrade, but does not ask for it: for a dialect with LoginFirst.
func (l *Leg) Approach(name string) (Heard, error) {
	script := l.Dialect.Script.Clear
	at := slices.IndexFunc(script, func(line dialect.Line) bool { return line.Kind == dialect.Upgrade })
	w := walk{Leg: l, name: name}
	err := w.along(script[:at])
	if err == nil {
		err = w.quiet(dialect.Upgrade)
	}
	if err == nil && w.heard.Offer == dialect.Unsaid {
		err = l.fail(dialect.Caps, ErrNotOffered)
	}
	return w.heard, err
}

// Ask asks for the upgrade with what the client says in its login, after [Leg.Approach], and hears the
// go-ahead where there is one.
func (l *Leg) Ask(login []byte) error {
	out := l.speech.Write(nil, dialect.Message{Kind: dialect.Upgrade, Login: login})
	if len(out) == 0 {
		return l.fail(dialect.Upgrade, ErrNotOffered)
	}
	l.show(l.we, dialect.Message{Kind: dialect.Upgrade}, out)
	if _, err := l.Conn.Write(out); err != nil || !l.Dialect.Script.Acknowledged() {
		return err
	}
	w := walk{Leg: l}
	return w.hear(dialect.Line{Says: dialect.Server, Kind: dialect.Ready})
}

type walk struct {
	*Leg
	name     string
	heard    Heard
	listed   bool // capabilities were heard
	messages int
}

// along goes a script.
func (w *walk) along(script []dialect.Line) error {
	for _, line := range script {
		step := w.say
		if line.Says == dialect.Server {
			step = w.hear
		}
		if err := step(line); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) say(line dialect.Line) error {
	if line.Kind == dialect.Ask && w.heard.Offer != dialect.Unsaid {
		return nil // the greeting has answered it
	}
	if err := w.quiet(line.Kind); err != nil {
		return err
	}
	if line.Kind == dialect.Upgrade && w.heard.Offer == dialect.Unsaid && w.offerKnown() {
		return w.fail(dialect.Caps, ErrNotOffered)
	}
	if err := w.Say(dialect.Message{Kind: line.Kind, Name: w.name}); err != nil {
		return w.fail(line.Kind, err)
	}
	return nil
}

// offerKnown reports whether a server that offers TLS would have said so by now.
func (w *walk) offerKnown() bool {
	has := func(k dialect.Kind) bool {
		return slices.ContainsFunc(w.Dialect.Script.Clear, func(l dialect.Line) bool { return l.Kind == k })
	}
	return w.listed || has(dialect.Greeting) && !has(dialect.Caps)
}

// quiet hears what is left of the last answer, and what was sent unasked, before the next request is
// said: an answer that stands in the buffer already cannot be the answer to it.
func (w *walk) quiet(at dialect.Kind) error {
	for {
		m, ok, err := w.Next()
		switch {
		case err != nil:
			return w.fail(at, err)
		case w.messages > maxMessages:
			return w.fail(at, ErrTooLong)
		case ok && m.Kind == dialect.Bye:
			return w.refused(at, m)
		case ok:
			w.note(m)
		case !w.Pending():
			return nil
		default:
			if err := w.Fill(); err != nil {
				return w.fail(at, err)
			}
		}
	}
}

// hear waits for the server's line.
func (w *walk) hear(line dialect.Line) error {
	if line.Kind == dialect.Caps && !w.Pending() {
		if w.heard.Offer != dialect.Unsaid || w.listed {
			return nil // was not asked for, or came early
		}
	}
	for ; w.messages < maxMessages; w.messages++ {
		m, err := w.Hear()
		if err != nil {
			return w.fail(line.Kind, err)
		}
		w.note(m)
		switch {
		case m.Kind == line.Kind:
			return nil
		case m.Kind == dialect.Bye:
			return w.refused(line.Kind, m)
		case w.Pending(), m.Re == dialect.Other && m.Kind != dialect.No && line.Kind != dialect.Greeting:
			continue // said between, or the answer is not whole
		case line.May:
			return nil
		case line.Kind == dialect.Greeting && m.Kind != dialect.No:
			return w.fail(line.Kind, ErrNoise)
		default:
			return w.refused(line.Kind, m)
		}
	}
	return w.fail(line.Kind, ErrTooLong)
}

// note keeps what the server says of itself.
func (w *walk) note(m dialect.Message) {
	w.messages++
	if m.Kind != dialect.Greeting && m.Kind != dialect.Caps {
		return
	}
	m.Raw = slices.Clone(m.Raw)
	w.heard.Offer = m.Offer
	if m.Name != "" {
		w.heard.Name = m.Name
	}
	if m.Kind == dialect.Greeting {
		w.heard.Greeting = m
	} else {
		w.heard.Caps, w.listed = m, true
	}
	w.heard.Mechs = m.Mechs
}
